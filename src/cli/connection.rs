//! `waypost connection list|closed|close`: the connections of a map's clients.

use http::Method;
use serde_json::{Value, json};
use std::cmp::Reverse;

use super::{
    client::{Client, Connection, encoded},
    common::Common,
    confirm::Confirm,
    output,
};

/// Commands for the connections of a map's clients. They need the admin token, or one that may manage the
/// map.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the connections on all nodes, with age and lag; the furthest behind first
    List(List),
    /// List those that nodes closed lately because their clients read too slowly, the newest first
    Closed(Closed),
    /// Close a connection; its client connects again, unless its token was revoked
    Close(Close),
}

/// The connections to list.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Map: id or slug
    map: String,
    /// Only connections of this protocol: phoenix, longpoll, pusher, live, sse or ingest
    #[arg(long, value_name = "NAME")]
    protocol: Option<String>,
    /// Only connections that get the events of this subject
    #[arg(long)]
    subject: Option<String>,
    /// Read and list at most this many, of which the furthest behind stands first
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1000)]
    limit: usize,
    #[command(flatten)]
    common: Common,
}

/// The closed connections to list.
#[derive(Debug, clap::Args)]
pub(super) struct Closed {
    /// Map: id or slug
    map: String,
    /// List at most this many; nodes remember no more than 64 for each of their threads
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    common: Common,
}

/// The connection to close.
#[derive(Debug, clap::Args)]
pub(super) struct Close {
    /// Map: id or slug
    map: String,
    /// Id of the connection, as `connection list` shows it
    id: String,
    #[command(flatten)]
    confirm: Confirm,
    #[command(flatten)]
    connection: Connection,
}

/// Columns of the list.
const COLUMNS: [(&str, &str); 8] = [
    ("ID", "id"),
    ("NODE", "node.name"),
    ("PROTOCOL", "protocol"),
    ("ADDRESS", "address"),
    ("AGE S", "age_seconds"),
    ("LAG", "lag_events"),
    ("LAG BYTES", "lag_bytes"),
    ("SUBJECTS", "subjects"),
];
/// Further columns of the wide list.
const MORE: [(&str, &str); 8] = [
    ("PORT", "port"),
    ("USER AGENT", "user_agent"),
    ("TOKEN", "token"),
    ("APP", "app.key"),
    ("USER", "user"),
    ("UNSENT BYTES", "unsent_bytes"),
    ("WAITING S", "waiting_seconds"),
    ("SUBJECTS IN ALL", "subjects_total"),
];
/// Columns of the list of those that were closed.
const OF_CLOSED: [(&str, &str); 8] = [
    ("CLOSED", "closed_at"),
    ("NODE", "node.name"),
    ("PROTOCOL", "protocol"),
    ("ADDRESS", "address"),
    ("USER", "user"),
    ("REASON", "reason"),
    ("LAG", "lag_events"),
    ("LAG BYTES", "lag_bytes"),
];
/// Further columns of its wide form.
const MORE_OF_CLOSED: [(&str, &str); 6] = [
    ("PORT", "port"),
    ("USER AGENT", "user_agent"),
    ("TOKEN", "token"),
    ("APP", "app.key"),
    ("AGE S", "age_seconds"),
    ("SUBJECTS", "subjects"),
];

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List(args) => list(args).await,
        Command::Closed(Closed { map, limit, common }) => {
            let path = format!("{}/closed", path(&map));
            let found = Client::new(common.connection).gathered(&path, limit).await?;
            output::list(&found.data, common.json, &OF_CLOSED, &MORE_OF_CLOSED)?;
            found.note_missing();
            Ok(())
        }
        Command::Close(args) => {
            let Close { map, id, confirm, connection } = args;
            confirm.ask(&format!("this closes the connection {id} of the map {map}"))?;
            let path = format!("{}/{}", path(&map), encoded(&id));
            Client::new(connection).call(Method::DELETE, &path, None).await?;
            output::note(format_args!("closed the connection {id} of the map {map}"));
            Ok(())
        }
    }
}

async fn list(args: List) -> anyhow::Result<()> {
    let List { map, protocol, subject, limit, common } = args;
    let given = [("protocol", protocol), ("subject", subject)];
    let given = given.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", encoded(&value?))));
    let query = given.collect::<Vec<_>>().join("&");
    let path = if query.is_empty() { path(&map) } else { format!("{}?{query}", path(&map)) };
    let mut found = Client::new(common.connection).gathered(&path, limit).await?;
    if let Some(connections) = found.data.as_array_mut() {
        connections.sort_by_key(|connection| Reverse(lag(connection)));
    }
    if output::for_people(common.json) {
        let rows = found.data.as_array_mut().into_iter().flatten();
        let subjects = rows.filter_map(|row| row["subjects"].as_array_mut()).flatten();
        subjects
            .filter(|subject| subject.as_str() == Some(""))
            .for_each(|own| *own = json!(output::OWN_SUBJECT));
    }
    output::list(&found.data, common.json, &COLUMNS, &MORE)?;
    found.note_missing();
    Ok(())
}

/// How far a connection is behind: events, and then bytes.
fn lag(connection: &Value) -> (u64, u64) {
    let number = |field: &str| connection[field].as_u64().unwrap_or_default();
    (number("lag_events"), number("lag_bytes"))
}

fn path(map: &str) -> String {
    format!("/api/maps/{}/connections", encoded(map))
}
