//! `waypost ingest create|list|show|update|delete|rotate|deliveries|send`.

mod send;
mod settings;

use http::Method;
use serde_json::{Value, json};

use super::{
    client::{Client, Connection, encoded},
    common::Common,
    output::{self, cell},
};
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
    Deliveries(One),
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
    /// Id of the source, as in wh_…
    id: String,
    #[command(flatten)]
    common: Common,
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
    /// Id of the source, as in wh_…
    id: String,
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
            let path = one(&args.map, &args.id);
            let source = Client::new(args.common.connection).call(Method::GET, &path, None).await?;
            print(&source, args.common.json)
        }
        Command::Update(args) => update(*args).await,
        Command::Delete(args) => {
            let path = one(&args.map, &args.id);
            Client::new(args.connection).call(Method::DELETE, &path, None).await?;
            output::note(format_args!("deleted {}", args.id));
            Ok(())
        }
        Command::Rotate(args) => rotate(args).await,
        Command::Deliveries(args) => {
            let path = format!("{}/deliveries", one(&args.map, &args.id));
            let all = Client::new(args.common.connection).call(Method::GET, &path, None).await?;
            deliveries(&all, args.common.json)
        }
        Command::Send(args) => send::run(args).await,
    }
}

async fn update(args: Update) -> anyhow::Result<()> {
    let mut body = args.settings.body()?;
    if let Some(active) = args.active {
        body["active"] = active.into();
    }
    let path = one(&args.one.map, &args.one.id);
    let client = Client::new(args.one.common.connection);
    let changed = client.call(Method::PATCH, &path, Some(&body)).await?;
    print(&changed, args.one.common.json)
}

async fn rotate(args: Rotate) -> anyhow::Result<()> {
    let path = format!("{}/rotate", one(&args.one.map, &args.one.id));
    let client = Client::new(args.one.common.connection);
    let source = if args.end {
        client.call(Method::DELETE, &path, None).await?
    } else {
        let mut body = json!({});
        args.secret.add_to(&mut body)?;
        if let Some(overlap) = args.overlap {
            body["overlapSeconds"] = overlap.into();
        }
        client.call(Method::POST, &path, Some(&body)).await?
    };
    print(&source, args.one.common.json)
}

fn list(sources: &Value, json: bool) -> anyhow::Result<()> {
    if !output::for_people(json) {
        return Ok(output::json(sources)?);
    }
    const FIELDS: [&str; 6] = ["id", "name", "authentication", "status", "eventsReceived", "lastEventAt"];
    let row = |source: &Value| FIELDS.map(|field| cell(source, field)).to_vec();
    let rows: Vec<_> = sources.as_array().into_iter().flatten().map(row).collect();
    output::line(output::table(&["ID", "NAME", "AUTHENTICATION", "STATUS", "EVENTS", "LAST EVENT"], &rows))?;
    Ok(())
}

fn deliveries(all: &Value, json: bool) -> anyhow::Result<()> {
    if !output::for_people(json) {
        return Ok(output::json(all)?);
    }
    const FIELDS: [&str; 6] = ["at", "address", "status", "verdict", "events", "message"];
    let row = |one: &Value| FIELDS.map(|field| cell(one, field)).to_vec();
    let rows: Vec<_> = all.as_array().into_iter().flatten().map(row).collect();
    output::line(output::table(&["TIME", "ADDRESS", "STATUS", "VERDICT", "EVENTS", "MESSAGE"], &rows))?;
    Ok(())
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

fn path(map: &str) -> String {
    format!("/api/maps/{}/ingest", encoded(map))
}

fn one(map: &str, id: &str) -> String {
    format!("{}/{}", path(map), encoded(id))
}
