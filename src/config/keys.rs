//! The names of all settings: the TOML path, the environment variable and the flag, all derived from one
//! tree.
//!
//! The list comes from `Config::default()`, the comments from `waypost.default.toml`, so neither can be
//! forgotten.

use std::sync::LazyLock;

use serde_json::Value;

use super::{Config, DEFAULT_TOML};

/// Variables with the prefix `WAYPOST_` that are not settings: the command line itself reads them.
pub const NOT_KEYS: [&str; 7] = [
    "WAYPOST_CONFIG",
    "WAYPOST_URL",
    "WAYPOST_TOKEN",
    "WAYPOST_CA",
    "WAYPOST_MAP",
    "WAYPOST_OUTPUT",
    "WAYPOST_RELAY_DSN",
];

/// Settings whose values are never shown.
const SECRETS: [&str; 8] = [
    "admin_token",
    "console.oidc.client_secret",
    "otel.headers",
    "peer.key",
    "peer.previous_key",
    "webhooks.secret_key",
    "webhooks.aws.secret_access_key",
    "webhooks.aws.session_token",
];

/// One setting with all its names.
#[derive(Debug)]
pub struct Key {
    /// Path in TOML, as in `limits.event_bytes`.
    pub path: String,
    /// Environment variable, as in `WAYPOST_LIMITS_EVENT_BYTES`.
    pub env: String,
    /// Flag without its dashes, as in `limits-event-bytes`.
    pub flag: String,
    /// The comment in the default file, joined into one line.
    pub help: String,
    /// The default as JSON. Its type also says how text is parsed (number, list, string).
    pub default: Value,
    /// The value is never shown, and the setting has no flag, because command lines are public on a machine.
    pub secret: bool,
}

/// All settings, in the order of their names.
pub static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let mut keys = Vec::new();
    // A tree of numbers, strings and lists always serialises. If it did not, every key would be unknown.
    let tree = serde_json::to_value(Config::default()).unwrap_or_default();
    collect("", &tree, &mut keys);
    keys
});

impl Key {
    /// The setting with this path.
    pub fn by_path(path: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.path == path)
    }

    /// The setting with this environment variable.
    pub fn by_env(env: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.env == env)
    }

    /// The places where the setting may stand, for messages.
    pub fn names(&self) -> String {
        let Self { path, env, flag, .. } = self;
        let file = format!("{env} in the environment or {path} in the configuration file");
        if self.secret { file } else { format!("--{flag}, {file}") }
    }

    /// Parses text from the environment or a flag as JSON of the setting's type. Text that can't be parsed
    /// stays a string, so that the typed tree refuses it with its own error.
    pub fn read_text(&self, text: &str) -> Value {
        let text = text.trim();
        match &self.default {
            Value::Number(_) => text.parse::<u64>().map_or_else(|_| Value::from(text), Value::from),
            Value::Bool(_) => text.parse::<bool>().map_or_else(|_| Value::from(text), Value::from),
            Value::Array(_) => {
                text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(Value::from).collect()
            }
            _ => Value::from(text),
        }
    }
}

fn collect(prefix: &str, tree: &Value, keys: &mut Vec<Key>) {
    let Value::Object(fields) = tree else { return };
    for (name, value) in fields {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        if value.is_object() {
            collect(&path, value, keys);
            continue;
        }
        keys.push(Key {
            env: format!("WAYPOST_{}", path.replace('.', "_").to_uppercase()),
            flag: path.replace(['.', '_'], "-"),
            help: comment_of(prefix, name),
            default: value.clone(),
            secret: SECRETS.contains(&path.as_str()),
            path,
        });
    }
}

/// The comment lines right above a key of the default file.
fn comment_of(section: &str, name: &str) -> String {
    let mut here = String::new();
    let mut comment = Vec::new();
    for line in DEFAULT_TOML.lines() {
        if let Some(header) = line.strip_prefix('[') {
            here = header.trim_end_matches(']').to_owned();
        } else if here == section && is_setting(line, name) {
            return comment.join(" ");
        } else if let Some(text) = line.strip_prefix("# ")
            && !is_any_setting(line)
        {
            comment.push(text);
            continue;
        }
        comment.clear();
    }
    String::new()
}

/// Whether a line of the default file sets `name`, commented out or not.
pub(super) fn is_setting(line: &str, name: &str) -> bool {
    line.trim_start_matches("# ").strip_prefix(name).is_some_and(|rest| rest.starts_with(" = "))
}

fn is_any_setting(line: &str) -> bool {
    line.trim_start_matches("# ")
        .split_once(" = ")
        .is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
}

/// Converts a path to a JSON pointer.
pub(super) fn pointer(path: &str) -> String {
    format!("/{}", path.replace('.', "/"))
}
