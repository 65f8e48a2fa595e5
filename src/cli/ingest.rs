//! `waypost ingest create|list|show|update|delete|rotate|deliveries|send`.

mod send;
mod settings;

use http::Method;
use serde_json::{Value, json};

use super::{
    client::{Client, Connection, encoded},
    common::Common,
    confirm::Confirm,
    output::{self, cell},
    pick::Among,
    since,
};
use crate::core::ids::SourceId;
use settings::{SecretArgs, SettingsArgs};

/// Commands for the ingest sources of a map, to which other services post events. They need the admin token, or one
/// that may manage the map; `send` needs none.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Create a source; a secret that the server makes is shown only once
    Create(Box<Create>),
    /// List the sources of a map
    List(List),
    /// Show one source
    Show(One),
    /// Change the settings of a source
    Update(Box<Update>),
    /// Delete a source; its events stay
    Delete(Delete),
    /// Replace the secret of a source; both are valid for a while
    Rotate(Rotate),
    /// Show the last requests to a source, with their verdicts
    Deliveries(Deliveries),
    /// Sign a body as a source expects it, and post it
    Send(send::Args),
}

/// A new source.
#[derive(Debug, clap::Args)]
pub(super) struct Create {
    /// Map: id or slug
    map: String,
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    common: Common,
}

/// The map whose sources are listed.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Map: id or slug
    map: String,
    #[command(flatten)]
    common: Common,
}

/// A source.
#[derive(Debug, clap::Args)]
pub(super) struct One {
    /// Map: id or slug
    map: String,
    /// Id of the source, as in wh_…, or the beginning of it
    id: String,
    #[command(flatten)]
    common: Common,
}

/// The requests to show.
#[derive(Debug, clap::Args)]
pub(super) struct Deliveries {
    #[command(flatten)]
    one: One,
    /// Only requests of this time or later, as in 1h (an hour ago) or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = since::time)]
    since: Option<String>,
}

/// Changes of a source.
#[derive(Debug, clap::Args)]
pub(super) struct Update {
    #[command(flatten)]
    one: One,
    /// Whether it takes events: true or false
    #[arg(long)]
    active: Option<bool>,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// A source to delete.
#[derive(Debug, clap::Args)]
pub(super) struct Delete {
    /// Map: id or slug
    map: String,
    /// Id of the source, as in wh_…, or the beginning of it
    id: String,
    #[command(flatten)]
    confirm: Confirm,
    #[command(flatten)]
    connection: Connection,
}

/// A source whose secret is replaced.
#[derive(Debug, clap::Args)]
pub(super) struct Rotate {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    secret: SecretArgs,
    /// Seconds for which both secrets are valid [default: webhooks.rotation_overlap_seconds of the node]
    #[arg(long, value_name = "SECONDS")]
    overlap: Option<u64>,
    /// End a rotation: only the present secret is valid
    #[arg(long, conflicts_with = "overlap")]
    end: bool,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create(args) => {
            let args = *args;
            let body = args.settings.body()?;
            let client = Client::new(args.common.connection);
            let made = client.call(Method::POST, &path(&args.map), Some(&body)).await?;
            print(&made, args.common.json)
        }
        Command::List(args) => {
            let sources =
                Client::new(args.common.connection).call(Method::GET, &path(&args.map), None).await?;
            list(&sources, args.common.json)
        }
        Command::Show(args) => {
            let source = args.find().await?;
            print(&source.client.call(Method::GET, &source.path, None).await?, source.json)
        }
        Command::Update(args) => update(*args).await,
        Command::Delete(args) => {
            let Delete { map, id, confirm, connection } = args;
            let what = |id: &str| {
                format!("this deletes the ingest source {id} of the map {map}: its address ends for ever")
            };
            let client = Client::new(connection);
            let id = confirm.ask_about(id, what, async |id| find(&client, &map, id).await).await?;
            client.call(Method::DELETE, &one(&map, &id), None).await?;
            output::note(format_args!("deleted the ingest source {id} of the map {map}"));
            Ok(())
        }
        Command::Rotate(args) => rotate(args).await,
        Command::Deliveries(Deliveries { one: source, since }) => {
            let source = source.find().await?;
            let mut all =
                source.client.call(Method::GET, &format!("{}/deliveries", source.path), None).await?;
            since::keep(&mut all, "at", since.as_deref());
            deliveries(&all, source.json)
        }
        Command::Send(args) => send::run(args).await,
    }
}

async fn update(args: Update) -> anyhow::Result<()> {
    let mut body = args.settings.body()?;
    if let Some(active) = args.active {
        body["active"] = active.into();
    }
    let source = args.one.find().await?;
    let changed = source.client.call(Method::PATCH, &source.path, Some(&body)).await?;
    print(&changed, source.json)
}

async fn rotate(args: Rotate) -> anyhow::Result<()> {
    let found = args.one.find().await?;
    let path = format!("{}/rotate", found.path);
    let source = if args.end {
        found.client.call(Method::DELETE, &path, None).await?
    } else {
        let mut body = json!({});
        args.secret.add_to(&mut body)?;
        if let Some(overlap) = args.overlap {
            body["overlapSeconds"] = overlap.into();
        }
        found.client.call(Method::POST, &path, Some(&body)).await?
    };
    print(&source, found.json)
}

fn list(sources: &Value, json: bool) -> anyhow::Result<()> {
    const COLUMNS: [(&str, &str); 6] = [
        ("ID", "id"),
        ("NAME", "name"),
        ("AUTHENTICATION", "authentication"),
        ("STATUS", "status"),
        ("EVENTS", "eventsReceived"),
        ("LAST EVENT", "lastEventAt"),
    ];
    Ok(output::list(sources, json, &COLUMNS, &[("ADDRESS", "url")])?)
}

fn deliveries(all: &Value, json: bool) -> anyhow::Result<()> {
    const COLUMNS: [(&str, &str); 6] = [
        ("TIME", "at"),
        ("ADDRESS", "address"),
        ("STATUS", "status"),
        ("VERDICT", "verdict"),
        ("EVENTS", "events"),
        ("MESSAGE", "message"),
    ];
    Ok(output::list(all, json, &COLUMNS, &[])?)
}

/// Prints a source.
fn print(source: &Value, json: bool) -> anyhow::Result<()> {
    if !output::for_people(json) {
        return Ok(output::json(source)?);
    }
    const FIELDS: [(&str, &str); 7] = [
        ("id", "id"),
        ("address", "url"),
        ("name", "name"),
        ("sender", "authentication"),
        ("status", "status"),
        ("events", "eventsReceived"),
        ("last", "lastEventAt"),
    ];
    for (title, field) in FIELDS {
        output::line(format_args!("{title:<9}{}", output::paint(output::STRONG, cell(source, field))))?;
    }
    for field in ["secretKey", "apiKey"] {
        if source.get(field).is_some() {
            output::line(format_args!(
                "{:<9}{}",
                "secret",
                output::paint(output::STRONG, cell(source, field))
            ))?;
            output::note("Keep the secret: it is not shown again.");
        }
    }
    Ok(())
}

/// A source that was found, and the client for requests about it.
struct Source {
    client: Client,
    path: String,
    json: bool,
}

impl One {
    async fn find(self) -> anyhow::Result<Source> {
        let client = Client::new(self.common.connection);
        let id = find(&client, &self.map, self.id).await?;
        Ok(Source { client, path: one(&self.map, &id), json: self.common.json })
    }
}

/// The id of the source with that id, or that beginning of an id.
async fn find(client: &Client, map: &str, text: String) -> anyhow::Result<String> {
    if text.parse::<SourceId>().is_ok() {
        return Ok(text);
    }
    let all = client.call(Method::GET, &path(map), None).await?;
    Ok(Among { kind: "ingest source", map, list: "ingest list" }.find(&all, &text)?)
}

fn path(map: &str) -> String {
    format!("/api/maps/{}/ingest", encoded(map))
}

fn one(map: &str, id: &str) -> String {
    format!("{}/{}", path(map), encoded(id))
}
