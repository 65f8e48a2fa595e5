//! `waypost config check|default|import`.

mod import;

use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::Value;

use super::{output, settings::ConfigArgs};
use crate::config::{Aws, Config, ConfiguredApp, ConfiguredWebhook, DEFAULT_TOML, KEYS, Loaded, Source};
use crate::core::webhook::Profile;
use crate::delivery::webhook::guard::Guard;
use crate::delivery::webhook::{Account, Checks};

/// What to do with the configuration.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Validate it as `serve` would, and print each setting in effect with its source; secrets are masked
    Check(Box<ConfigArgs>),
    /// Print the default configuration with comments, as a start for your own waypost.toml
    Default,
    /// Print the apps of another server's configuration as a part of your waypost.toml
    Import {
        /// The server whose file it is; soketi's file has the same form
        #[arg(value_parser = ["sockudo"])]
        from: String,
        /// Its configuration, JSON; - is standard input
        file: PathBuf,
    },
}

pub(super) fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Check(args) => check(&args.load()?),
        Command::Default => Ok(io::stdout().write_all(DEFAULT_TOML.as_bytes())?),
        Command::Import { from: _, file } => Ok(io::stdout().write_all(import::text_of(&file)?.as_bytes())?),
    }
}

/// Prints valid TOML, so that the output can be kept as a file.
fn check(loaded: &Loaded) -> anyhow::Result<()> {
    let tree = serde_json::to_value(&loaded.config)?;
    let mut section = "";
    // Top-level keys come first in TOML.
    let mut keys: Vec<_> = KEYS.iter().collect();
    keys.sort_by_key(|key| key.path.contains('.'));
    for key in keys {
        let (here, name) = key.path.split_once('.').unwrap_or(("", &key.path));
        if here != section {
            output::line(format_args!("\n[{here}]"))?;
            section = here;
        }
        let value = tree.pointer(&format!("/{}", key.path.replace('.', "/"))).unwrap_or(&Value::Null);
        let setting =
            if value.is_null() { format!("# {name} is not set") } else { format!("{name} = {value}") };
        match loaded.source(&key.path) {
            Source::Default => output::line(output::paint(output::FAINT, setting))?,
            source => output::line(format_args!("{setting}  # {source}"))?,
        }
    }
    for warning in loaded.config.warnings() {
        output::line(format_args!("\n# Warning: {warning}"))?;
    }
    apps(&loaded.config.apps)?;
    webhooks(&loaded.config)
}

/// Prints the apps in the file by what is public of them.
fn apps(apps: &[ConfiguredApp]) -> anyhow::Result<()> {
    if !apps.is_empty() {
        output::line("\n# [[apps]] of the file, without their secrets:")?;
    }
    for app in apps {
        let [id, key] = [&app.settings.id, &app.settings.key].map(|name| name.as_deref().unwrap_or_default());
        output::line(format_args!("# - app {id:?} with key {key:?} of map {:?}", app.map))?;
    }
    Ok(())
}

/// Prints the names of the webhooks in the file, because nearly all else of them may be secret, and then
/// their errors. A node starts in spite of an invalid webhook, and delivers to the others.
fn webhooks(config: &Config) -> anyhow::Result<()> {
    let webhooks = &config.webhooks;
    let listed: Vec<&ConfiguredWebhook> = config.listed_webhooks().collect();
    let guard = Guard::new(webhooks.allow_nets.clone()).denying(webhooks.deny_nets.clone());
    let Aws { functions, endpoint, .. } = webhooks.aws.clone();
    let account = Account { credentials: None, functions, endpoint };
    let mut wrong = Vec::new();
    if !listed.is_empty() {
        output::line("\n# The webhooks of the file, by name alone, since they hold secrets:")?;
    }
    for webhook in listed {
        let profile = webhook.patch.profile().unwrap_or(Profile::Wanderer);
        let name = webhook.patch.name().unwrap_or_default();
        let map = &webhook.map;
        output::line(format_args!("# - {name:?} of map {map:?}, profile {}", profile.name()))?;
        let (mut plain, mut errors) = webhook.read(&webhooks.defaults());
        plain.check(&Checks::new(&guard, &account), &mut errors);
        if !errors.is_empty() {
            wrong.push(format!("webhook {name:?} of map {map:?} can't work: {errors}"));
        }
    }
    anyhow::ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
