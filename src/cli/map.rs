//! `waypost map create|list|show|usage|update|delete`.

mod usage;

use std::sync::LazyLock;

use clap::{Arg, ArgMatches};
use http::Method;
use serde_json::{Map, Value};

use crate::core::limits::{LIMITS, Limit};

use super::{
    Usage,
    client::{Client, encoded},
    common::Common,
    confirm::Confirm,
    output::{self, cell},
};

/// Commands for maps. They need the admin token; for `show`, `usage` and `update`, a token that may manage
/// the map is enough.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Create a map; its token is shown only once
    Create(Create),
    /// List all maps
    List(Common),
    /// Show one map
    Show(One),
    /// Show what was published to a map and delivered, by hour or by day
    Usage(usage::Show),
    /// Change name, slug, limits or retention of a map
    Update(Update),
    /// Delete a map with its events and tokens
    Delete(Delete),
}

/// An existing map.
#[derive(Debug, clap::Args)]
pub(super) struct One {
    /// Id or slug
    map: String,
    #[command(flatten)]
    common: Common,
}

/// A new map.
#[derive(Debug, clap::Args)]
pub(super) struct Create {
    /// Id, a UUID [default: a new one]
    #[arg(long)]
    id: Option<String>,
    #[command(flatten)]
    fields: Fields,
    #[command(flatten)]
    common: Common,
}

/// A map and its changes.
#[derive(Debug, clap::Args)]
pub(super) struct Update {
    /// Id or slug
    map: String,
    #[command(flatten)]
    fields: Fields,
    #[command(flatten)]
    common: Common,
}

/// A map to delete.
#[derive(Debug, clap::Args)]
pub(super) struct Delete {
    /// Id or slug
    map: String,
    #[command(flatten)]
    confirm: Confirm,
    #[command(flatten)]
    common: Common,
}

/// The settings of a map.
#[derive(Debug, clap::Args)]
struct Fields {
    /// Short name, as in URLs
    #[arg(long)]
    slug: Option<String>,
    /// Name for people
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    limits: MapLimits,
    /// Most events that are kept
    #[arg(long, value_name = "N")]
    retain_events: Option<u64>,
    /// Longest time that an event is kept
    #[arg(long, value_name = "SECONDS")]
    retain_seconds: Option<u64>,
    /// Most bytes of events that are kept
    #[arg(long, value_name = "BYTES")]
    retain_bytes: Option<u64>,
    /// Most bytes of events that are kept only for webhooks; 0 keeps none for them
    #[arg(long, value_name = "BYTES")]
    backlog_bytes: Option<u64>,
    /// Longest time that an event is kept only for webhooks
    #[arg(long, value_name = "SECONDS")]
    backlog_seconds: Option<u64>,
}

/// Columns of the list of maps.
const COLUMNS: [(&str, &str); 4] =
    [("SLUG", "slug"), ("ID", "id"), ("NAME", "name"), ("CREATED", "inserted_at")];
/// More of them, with `-o wide`.
const MORE_COLUMNS: [(&str, &str); 16] = [
    ("CONNECTED", "now.connections"),
    ("WEBHOOKS", "now.webhooks.total"),
    ("FAILING", "now.webhooks.failing"),
    ("LOSING", "now.webhooks.losing"),
    ("DISABLED", "now.webhooks.disabled"),
    ("BEHIND", "now.webhooks.behind"),
    ("CONSUMERS", "now.consumers.total"),
    ("UNREAD", "now.consumers.unread"),
    ("CHANGED", "updated_at"),
    ("EVENTS", "stored.events"),
    ("BYTES", "stored.bytes"),
    ("KEEPS EVENTS", "retention.events"),
    ("KEEPS SECONDS", "retention.age_seconds"),
    ("KEEPS BYTES", "retention.bytes"),
    ("CONNECTIONS", "limits.connections"),
    ("REQUESTS A MINUTE", "limits.requests_per_minute"),
];

/// What `show` adds with `-o wide`: what goes on in the map at the moment.
const NOW: [&str; 8] = [
    "now.connections",
    "now.webhooks.total",
    "now.webhooks.failing",
    "now.webhooks.losing",
    "now.webhooks.disabled",
    "now.webhooks.behind",
    "now.consumers.total",
    "now.consumers.unread",
];

/// Maps that are asked for at once.
const PAGE: usize = 100;

/// Names of the options for limits, in the order of [`LIMITS`].
static OPTIONS: LazyLock<Vec<String>> =
    LazyLock::new(|| LIMITS.iter().map(|limit| limit.name.replace('_', "-")).collect());

/// The limits that were given, by name. Each limit has an option.
#[derive(Debug, Default)]
struct MapLimits(Map<String, Value>);

impl clap::Args for MapLimits {
    fn augment_args(command: clap::Command) -> clap::Command {
        LIMITS
            .iter()
            .zip(OPTIONS.iter())
            .fold(command, |command, (limit, name)| command.arg(option(limit, name)))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

fn option(limit: &Limit, name: &'static str) -> Arg {
    Arg::new(limit.name)
        .long(name)
        .value_name("N|none")
        .value_parser(number_or_none)
        .help(format!("Most {}; 0 or none is no limit", limit.unit))
}

impl clap::FromArgMatches for MapLimits {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given =
            |limit: &Limit| Some((limit.name.to_owned(), matches.get_one::<Value>(limit.name)?.clone()));
        Ok(Self(LIMITS.iter().filter_map(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// A number, or JSON null for `none`.
pub(super) fn number_or_none(text: &str) -> Result<Value, String> {
    if text == "none" {
        return Ok(Value::Null);
    }
    text.parse::<u64>().map(Value::from).map_err(|_| "must be a number or none".to_owned())
}

impl Fields {
    /// The settings that were given, as the API takes them.
    fn into_json(self) -> Map<String, Value> {
        let present = |pairs: Vec<(&str, Option<Value>)>| -> Map<String, Value> {
            pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
        };
        let section = |map: Map<String, Value>| (!map.is_empty()).then_some(Value::Object(map));
        let backlog = present(vec![
            ("bytes", self.backlog_bytes.map(Value::from)),
            ("age_seconds", self.backlog_seconds.map(Value::from)),
        ]);
        let retention = present(vec![
            ("events", self.retain_events.map(Value::from)),
            ("age_seconds", self.retain_seconds.map(Value::from)),
            ("bytes", self.retain_bytes.map(Value::from)),
            ("webhook_backlog", section(backlog)),
        ]);
        present(vec![
            ("slug", self.slug.map(Value::from)),
            ("name", self.name.map(Value::from)),
            ("limits", section(self.limits.0)),
            ("retention", section(retention)),
        ])
    }
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create(args) => {
            let mut fields = args.fields.into_json();
            if let Some(id) = args.id {
                fields.insert("id".into(), id.into());
            }
            let client = Client::of_admin(args.common.connection);
            show(&client.call(Method::POST, "/api/maps", Some(&fields.into())).await?, args.common.json)
        }
        Command::List(common) => {
            let client = Client::of_admin(common.connection);
            if output::is_wide() {
                let maps = client.gathered("/api/maps?now=true", usize::MAX).await?;
                output::list(&maps.data, common.json, &COLUMNS, &MORE_COLUMNS)?;
                maps.note_missing();
                return Ok(());
            }
            let maps = client.pages("/api/maps", PAGE).await?;
            Ok(output::list(&maps.into(), common.json, &COLUMNS, &MORE_COLUMNS)?)
        }
        Command::Show(args) => {
            let client = Client::of_admin(args.common.connection);
            let now = if output::is_wide() { "?now=true" } else { "" };
            let path = format!("{}{now}", path(&args.map));
            show(&client.call(Method::GET, &path, None).await?, args.common.json)
        }
        Command::Usage(args) => usage::run(args).await,
        Command::Update(args) => {
            let fields = args.fields.into_json();
            if fields.is_empty() {
                return Err(Usage("nothing to change: give at least one of the options".into()).into());
            }
            let client = Client::of_admin(args.common.connection);
            show(&client.call(Method::PATCH, &path(&args.map), Some(&fields.into())).await?, args.common.json)
        }
        Command::Delete(args) => {
            let what = format!("this deletes the map {} with all its events and tokens, for ever", args.map);
            args.confirm.ask(&what)?;
            Client::of_admin(args.common.connection).call(Method::DELETE, &path(&args.map), None).await?;
            output::note(format_args!("deleted the map {}", args.map));
            Ok(())
        }
    }
}

fn path(map: &str) -> String {
    format!("/api/maps/{}", encoded(map))
}

fn show(map: &Value, json: bool) -> anyhow::Result<()> {
    if !output::for_people(json) {
        return Ok(output::json(map)?);
    }
    let limits: Vec<String> = LIMITS.iter().map(|limit| format!("limits.{}", limit.name)).collect();
    let before = ["id", "slug", "name"];
    let after = [
        "retention.events",
        "retention.age_seconds",
        "retention.bytes",
        "retention.webhook_backlog.bytes",
        "retention.webhook_backlog.age_seconds",
        "inserted_at",
        "updated_at",
    ];
    // The answer to a change does not say what is stored.
    let stored = ["stored.events", "stored.bytes"].into_iter().filter(|_| map.get("stored").is_some());
    let now = NOW.into_iter().filter(|_| map.get("now").is_some());
    let settings = limits.iter().map(String::as_str).chain(after);
    for field in before.into_iter().chain(stored).chain(now).chain(settings) {
        output::line(format_args!("{field:37} {}", cell(map, field)))?;
    }
    for warning in map["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        output::note(format!("Warning: {}", output::printable(warning)));
    }
    if map.get("token").is_some() {
        output::line(format_args!("{:37} {}", "token", output::paint(output::STRONG, cell(map, "token"))))?;
        output::note("Keep the token: it is not shown again.");
    }
    Ok(())
}
