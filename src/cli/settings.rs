//! The configuration as flags. Every setting that is not secret has one, generated from the list of keys.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, Error, FromArgMatches};

use crate::config::{ConfigError, KEYS, Key, Loaded, Loader};

/// The configuration file in the current directory, which is read if no other file is named.
const USUAL_FILE: &str = "waypost.toml";

/// A configuration file, and flags that override it.
#[derive(Debug, clap::Args)]
pub(super) struct ConfigArgs {
    /// Configuration file [default: ./waypost.toml if it exists]
    #[arg(long = "config", env = "WAYPOST_CONFIG", value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
}

impl ConfigArgs {
    /// The validated configuration. The file overrides the defaults, the environment overrides the file, and
    /// the flags override all.
    pub(super) fn load(&self) -> Result<Loaded, ConfigError> {
        let file = self.file.clone().or_else(|| {
            let usual = Path::new(USUAL_FILE);
            usual.exists().then(|| usual.to_owned())
        });
        let mut loader = Loader::default();
        if let Some(file) = file {
            loader = loader.file(&file)?;
        }
        // A name that is not UTF-8 is not one of ours. A value that is not UTF-8 is reported as a wrong
        // value.
        let vars = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()));
        loader = loader.env(vars)?;
        for (key, text) in &self.flags.0 {
            loader = loader.flag(key, text)?;
        }
        loader.finish()
    }
}

#[derive(Debug, Default)]
struct Flags(Vec<(&'static Key, String)>);

impl clap::Args for Flags {
    fn augment_args(command: Command) -> Command {
        KEYS.iter().filter(|key| !key.secret).fold(command, |command, key| command.arg(flag(key)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn flag(key: &'static Key) -> Arg {
    let (section, name) = key.path.split_once('.').unwrap_or(("", &key.path));
    let list = key.default.is_array();
    let default = match &key.default {
        serde_json::Value::String(text) => format!(" [default: {text}]"),
        number @ serde_json::Value::Number(_) => format!(" [default: {number}]"),
        _ => String::new(),
    };
    Arg::new(key.path.as_str())
        .long(key.flag.as_str())
        .value_name(if name.ends_with("addr") || name == "join" { "HOST:PORT" } else { "VALUE" })
        .help(format!("{}{default}", key.help))
        .action(if list { ArgAction::Append } else { ArgAction::Set })
        // `-h` shows the settings that a first node needs; `--help` shows all.
        .hide_short_help(!section.is_empty())
        .help_heading(if section.is_empty() { "Settings" } else { "More settings" })
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = |key: &'static Key| {
            let values = matches.get_many::<String>(&key.path)?;
            Some((key, values.map(String::as_str).collect::<Vec<_>>().join(",")))
        };
        Ok(Self(KEYS.iter().filter(|key| !key.secret).filter_map(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
