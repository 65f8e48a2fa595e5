//! Reads the layers: defaults ← TOML file ← environment ← flags. Records where each value came from.
//!
//! Never reads the process environment itself: the caller passes it in, so that tests need no global state.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::core::nearest::nearest;

use super::{Config, KEYS, Key, NOT_KEYS, apps::app_faults, fault::Fault, keys::pointer, validate};

/// A list of tables in the file. It is not a setting.
struct List {
    path: &'static str,
    /// What its tables must be.
    shape: &'static str,
}

const WEBHOOKS: List =
    List { path: "webhooks.webhook", shape: "must be tables, each with map and name as strings" };
const APPS: List = List { path: "apps", shape: "must be tables, each with map as a string" };
/// AWS's own variables and the settings that they set.
const AWS: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "webhooks.aws.access_key_id"),
    ("AWS_SECRET_ACCESS_KEY", "webhooks.aws.secret_access_key"),
    ("AWS_SESSION_TOKEN", "webhooks.aws.session_token"),
];

impl List {
    fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }

    /// The table that the list is in.
    fn section<'t>(&self, tree: &'t mut Value) -> Option<&'t mut serde_json::Map<String, Value>> {
        match self.path.split_once('.') {
            Some((section, _)) => tree.get_mut(section)?.as_object_mut(),
            None => tree.as_object_mut(),
        }
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The default; no layer set the value.
    Default,
    /// A configuration file.
    File(PathBuf),
    /// An environment variable.
    Env(String),
    /// A command-line flag.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag --{name}"),
        }
    }
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {source}; --config or WAYPOST_CONFIG names it", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{} is not valid TOML: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The parser's message, with line and column.
        message: String,
    },
    /// A name that is not a setting.
    #[error("unknown setting {name} ({origin}){}", did_you_mean(.nearest.as_deref()))]
    Unknown {
        /// The name as it was written.
        name: String,
        /// Where it was written.
        origin: Source,
        /// The most similar setting.
        nearest: Option<String>,
    },
    /// A value of the wrong type or out of range.
    #[error("{key} = {value} ({origin}): {allowed}{}", set_by(.key))]
    Invalid {
        /// The setting.
        key: String,
        /// Its value, masked if secret.
        value: String,
        /// Which values are allowed.
        allowed: String,
        /// Where the value came from.
        origin: Source,
    },
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(
        || "; `waypost config default` lists all settings".to_owned(),
        |name| format!("; did you mean {name}?"),
    )
}

fn set_by(key: &str) -> String {
    Key::by_path(key).map_or_else(String::new, |key| format!("; it is set by {}", key.names()))
}

/// A valid configuration and where its values came from.
#[derive(Debug)]
pub struct Loaded {
    /// The typed tree.
    pub config: Config,
    sources: BTreeMap<&'static str, Source>,
    overridden: BTreeMap<&'static str, Source>,
}

impl Loaded {
    /// Where the value of the setting with this path came from.
    pub fn source(&self, path: &str) -> Source {
        self.sources.get(path).cloned().unwrap_or(Source::Default)
    }

    /// The settings whose values in the file do not count: their paths, and what has set another value.
    pub fn overridden(&self) -> impl Iterator<Item = (&'static str, &Source)> {
        self.overridden.iter().map(|(path, by)| (*path, by))
    }
}

/// Gathers the layers, lowest first; each later one wins.
pub struct Loader {
    tree: Value,
    sources: BTreeMap<&'static str, Source>,
    /// Settings that the file sets and a later layer sets to another value.
    overridden: BTreeMap<&'static str, Source>,
}

impl Default for Loader {
    fn default() -> Self {
        let tree = serde_json::to_value(Config::default()).unwrap_or_default();
        Self { tree, sources: BTreeMap::new(), overridden: BTreeMap::new() }
    }
}

impl Loader {
    /// Lays a TOML file on top.
    ///
    /// # Errors
    /// If the file cannot be read, is not TOML, names an unknown key or gives a value of the wrong type.
    pub fn file(self, path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        self.toml(&text, path)
    }

    /// Lays TOML text on top. Errors call it `path`.
    ///
    /// # Errors
    /// As [`Loader::file`].
    pub fn toml(mut self, text: &str, path: &Path) -> Result<Self, ConfigError> {
        let syntax = |message: String| ConfigError::Syntax { path: path.to_owned(), message };
        let table: toml::Table = toml::from_str(text).map_err(|e| syntax(fault(text, &e)))?;
        let mut tree = serde_json::to_value(table).map_err(|e| syntax(e.to_string()))?;
        for list in [&WEBHOOKS, &APPS] {
            if let Some(listed) = list.section(&mut tree).and_then(|section| section.remove(list.name())) {
                self.set_listed(list, listed, Source::File(path.to_owned()))?;
            }
        }
        let mut leaves = Vec::new();
        flatten("", tree, &mut leaves);
        for (name, value) in leaves {
            let origin = Source::File(path.to_owned());
            let Some(key) = Key::by_path(&name) else {
                let nearest = nearest(&name, KEYS.iter().map(|key| key.path.as_str())).map(str::to_owned);
                return Err(ConfigError::Unknown { name, origin, nearest });
            };
            self.set(key, value, origin)?;
        }
        Ok(self)
    }

    /// Lays environment variables on top. Variables without the prefix `WAYPOST_` are ignored; a variable
    /// with it must be a setting.
    ///
    /// # Errors
    /// For an unknown `WAYPOST_` variable or a value of the wrong type.
    pub fn env(mut self, vars: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        // Sorted, so that of two faults the same one is always reported.
        let vars = vars.into_iter().collect::<BTreeMap<_, _>>();
        for (name, text) in &vars {
            let failpoint = cfg!(feature = "failpoints") && name == "WAYPOST_FAILPOINT";
            let ours = name.starts_with("WAYPOST_") && !NOT_KEYS.contains(&name.as_str()) && !failpoint;
            if !ours || is_service_link(name, text) {
                continue;
            }
            let origin = Source::Env(name.clone());
            let Some(key) = Key::by_env(name) else {
                let nearest = nearest(name, KEYS.iter().map(|key| key.env.as_str())).map(str::to_owned);
                return Err(ConfigError::Unknown { name: name.clone(), origin, nearest });
            };
            // Compose files and unit files express "not set" by an empty variable.
            if !text.trim().is_empty() {
                self.set(key, key.read_text(text), origin)?;
            }
        }
        self.aws(&vars)?;
        Ok(self)
    }

    /// Uses AWS's own variables if no credentials were set under Waypost's names.
    fn aws(&mut self, vars: &BTreeMap<String, String>) -> Result<(), ConfigError> {
        if AWS.iter().any(|(_, path)| self.sources.contains_key(*path)) {
            return Ok(());
        }
        for (name, path) in AWS {
            let text = vars.get(name).map_or("", |text| text.trim());
            if let Some(key) = Key::by_path(path).filter(|_| !text.is_empty()) {
                self.set(key, Value::from(text), Source::Env(name.to_owned()))?;
            }
        }
        Ok(())
    }

    /// Lays one flag on top.
    ///
    /// # Errors
    /// For a value of the wrong type.
    pub fn flag(mut self, key: &'static Key, text: &str) -> Result<Self, ConfigError> {
        self.set(key, key.read_text(text), Source::Flag(key.flag.clone()))?;
        Ok(self)
    }

    /// Checks the result and ends the layering.
    ///
    /// # Errors
    /// For the first value that is out of range or contradicts another.
    pub fn finish(self) -> Result<Loaded, ConfigError> {
        let config: Config = serde_json::from_value(self.tree.clone())
            .map_err(|e| self.invalid("configuration", e.to_string()))?;
        if let Some((index, allowed)) = all_faults(config.webhooks.webhook_faults()) {
            return Err(self.bad_table(&WEBHOOKS, index, allowed));
        }
        if let Some((index, allowed)) = all_faults(app_faults(&config)) {
            return Err(self.bad_table(&APPS, index, allowed));
        }
        match validate::check(&config, &self.tree) {
            Some(Fault { path, allowed }) => Err(self.invalid(path, allowed)),
            None => Ok(Loaded { config, sources: self.sources, overridden: self.overridden }),
        }
    }

    /// Puts one value into the tree and deserializes the tree, so that a wrong type is reported with its key.
    fn set(&mut self, key: &'static Key, value: Value, source: Source) -> Result<(), ConfigError> {
        let before = self.tree.pointer_mut(&pointer(&key.path)).map(|known| {
            let is_other = *known != value;
            *known = value;
            is_other
        });
        let is_of_file = matches!(self.sources.get(&*key.path), Some(Source::File(_)));
        let is_later = !matches!(source, Source::File(_));
        if is_of_file && is_later && before == Some(true) {
            self.overridden.insert(&key.path, source.clone());
        }
        self.sources.insert(&key.path, source);
        match serde_json::from_value::<Config>(self.tree.clone()) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.invalid(&key.path, error.to_string())),
        }
    }

    /// Puts a list of the file into the tree. Its values are never shown, because some are secret.
    fn set_listed(&mut self, list: &List, listed: Value, source: Source) -> Result<(), ConfigError> {
        let count = listed.as_array().map_or(0, Vec::len);
        if let Some(section) = list.section(&mut self.tree) {
            section.insert(list.name().to_owned(), listed);
        }
        self.sources.insert(list.path, source);
        match serde_json::from_value::<Config>(self.tree.clone()) {
            Ok(_) => Ok(()),
            Err(_) => Err(self.bad_table(list, count, list.shape.into())),
        }
    }

    fn bad_table(&self, list: &List, index: usize, allowed: String) -> ConfigError {
        ConfigError::Invalid {
            key: format!("[[{}]] number {}", list.path, index + 1),
            value: "{ … }".to_owned(),
            allowed,
            origin: self.sources.get(list.path).cloned().unwrap_or(Source::Default),
        }
    }

    fn invalid(&self, path: &str, allowed: String) -> ConfigError {
        let value = self.tree.pointer(&pointer(path)).cloned().unwrap_or_default();
        let secret = Key::by_path(path).is_some_and(|key| key.secret);
        ConfigError::Invalid {
            key: path.to_owned(),
            value: if secret { "********".to_owned() } else { value.to_string() },
            allowed: if secret {
                allowed.replace(value.as_str().unwrap_or("\0"), "********")
            } else {
                allowed
            },
            origin: self.sources.get(path).cloned().unwrap_or(Source::Default),
        }
    }
}

/// Describes a TOML error and its position. It does not quote the line, which may contain a secret.
fn fault(text: &str, error: &toml::de::Error) -> String {
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else {
        return error.message().to_owned();
    };
    let line = before.matches('\n').count() + 1;
    let last = before.rsplit('\n').next().unwrap_or_default();
    format!("line {line}, column {}: {}", last.chars().count() + 1, error.message())
}

/// Descends into sections. Everything else is a leaf, including unknown names and values of the wrong type.
fn flatten(prefix: &str, tree: Value, leaves: &mut Vec<(String, Value)>) {
    let is_section = |path: &str| KEYS.iter().any(|key| key.path.starts_with(&format!("{path}.")));
    let Value::Object(fields) = tree else { return };
    for (name, value) in fields {
        let path = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        if value.is_object() && (is_section(&path) || Key::by_path(&path).is_none()) {
            let empty = value.as_object().is_some_and(serde_json::Map::is_empty);
            if empty && !is_section(&path) {
                leaves.push((path, value));
            } else {
                flatten(&path, value, leaves);
            }
        } else {
            leaves.push((path, value));
        }
    }
}

/// Kubernetes puts variables like `WAYPOST_PORT=tcp://10.0.0.7:4000` into every container beside a service
/// named waypost. Nobody set them, so they are not errors.
fn is_service_link(name: &str, value: &str) -> bool {
    let port_parts =
        name.split_once("_PORT_").is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()));
    let port = name.ends_with("_PORT") && value.contains("://");
    port || port_parts || name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT")
}

/// Joins the faults of several tables into one message, reported at the first of them.
fn all_faults(faults: Vec<(usize, String)>) -> Option<(usize, String)> {
    let mut faults = faults.into_iter();
    let (index, mut allowed) = faults.next()?;
    for (other, more) in faults {
        allowed.push_str(&format!("; number {}: {more}", other + 1));
    }
    Some((index, allowed))
}
