//! `waypost publish`: publishes one event, or NDJSON from standard input in batches.
//!
//! Every request has an idempotency key. So a request whose answer was lost is repeated, at the next node if
//! necessary, and no event is stored twice. Without a majority it fails at once, unless it was told to wait.

use std::io::{self, IsTerminal};

use serde_json::{Value, json};

use self::{
    input::{Chunk, Input},
    progress::Progress,
};
use super::{
    Usage,
    client::{Body, ClientError, Connection},
    output::{self, cell},
};
use crate::core::text::counted;

mod input;
mod progress;
mod sender;

pub(super) use sender::{Patience, Sender};

/// Most events in one request.
const MAX_BATCH: u16 = 1000;
/// The code of the error about a key for events that are not remembered.
const EPHEMERAL: &str = "idempotency_of_ephemeral";

/// The events to publish, and their map.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without TYPE, reads lines like {\"type\":\"add_system\",\"payload\":{…}} from standard input; \"subject\" may stand there, too."
)]
pub(super) struct Args {
    /// Map: id or slug
    map: String,
    /// Type of the event, as in add_system
    #[arg(value_name = "TYPE", requires = "payload")]
    kind: Option<String>,
    /// Payload: JSON; - reads it from standard input
    payload: Option<String>,
    /// Subject of the event, as in orders-7 [default: the map's own]; a line names its own
    #[arg(long, value_name = "SUBJECT", requires = "kind")]
    subject: Option<String>,
    /// Most events in one request, when reading lines
    #[arg(long, default_value_t = MAX_BATCH)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_BATCH)))]
    batch: u16,
    /// While there is no majority or no node answers, try again for this long [default: fail at once]
    #[arg(long, value_name = "SECONDS", default_value_t = 0, hide_default_value = true)]
    wait: u64,
    #[command(flatten)]
    connection: Connection,
    /// The old name of -o json
    #[arg(long, hide = true)]
    json: bool,
}

impl Args {
    /// One event of a channel.
    pub(super) fn of_channel(
        map: String,
        channel: String,
        (kind, payload): (String, String),
        (connection, json): (Connection, bool),
    ) -> Self {
        let (kind, payload, subject) = (Some(kind), Some(payload), Some(channel));
        Self { map, kind, payload, subject, batch: MAX_BATCH, wait: 0, connection, json }
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let patience = Patience::Seconds(args.wait);
    let publisher = Publisher(Sender::new(&args.map, args.connection, patience));
    match (args.kind, args.payload) {
        (Some(kind), Some(payload)) => {
            publisher.one(&kind, args.subject.as_deref(), &payload, args.json).await
        }
        _ if io::stdin().is_terminal() => {
            Err(Usage("give TYPE and JSON, or lines of JSON on standard input".into()).into())
        }
        _ => publisher.lines(usize::from(args.batch), args.json).await,
    }
}

struct Publisher(Sender);

/// The result of the lines so far.
#[derive(Default)]
struct Tally {
    events: usize,
    first: Option<Value>,
    last: Value,
}

impl Publisher {
    async fn one(&self, kind: &str, subject: Option<&str>, payload: &str, json: bool) -> anyhow::Result<()> {
        // The payload is sent as it was written: the server checks numbers and depth, and has better
        // messages.
        let (origin, read) = match payload {
            "-" => (" on standard input", Some(input::whole()?)),
            _ => ("", None),
        };
        let text = read.as_deref().unwrap_or(payload);
        let raw: Box<serde_json::value::RawValue> = serde_json::from_str(text).map_err(|error| {
            let quoted = r#"a text needs quotes, as in '"text"'"#;
            Usage(format!("the payload{origin} is not JSON: {error}; {quoted}"))
        })?;
        let subject =
            subject.map(|subject| format!("\"subject\":{},", Value::from(subject))).unwrap_or_default();
        let text = format!("{{\"type\":{},{subject}\"payload\":{raw}}}", Value::from(kind));
        let body = Body { mime: "application/json", bytes: text.into(), key: Some(fresh_key()) };
        let event = match self.0.send(body.clone()).await {
            // Nothing was published: an ephemeral event takes no key.
            Err(ClientError::Refused { code, .. }) if code == EPHEMERAL => {
                self.0.send(Body { key: None, ..body }).await?
            }
            sent => sent?,
        };
        if !output::for_people(json) {
            return Ok(output::json(&event)?);
        }
        let id = cell(&event, "id");
        let done = match event["seq"].as_u64() {
            Some(seq) => format!("stored as {id} (seq {seq})"),
            None => format!("sent as {id}, not stored"),
        };
        Ok(output::line(done)?)
    }

    async fn lines(&self, batch: usize, json: bool) -> anyhow::Result<()> {
        let mut input = Input::start(batch)?;
        let mut tally = Tally::default();
        let mut progress = Progress::start();
        while let Some(chunk) = input.next().await {
            let chunk = chunk.map_err(|error| before(error, tally.events))?;
            let events = chunk.lines.len();
            let bytes = chunk.bytes.len();
            let stored = self.chunk(chunk, tally.events).await?;
            tally.events += events;
            tally.first.get_or_insert_with(|| json!({"id": stored["first_id"], "seq": stored["first_seq"]}));
            tally.last = json!({"id": stored["last_id"], "seq": stored["last_seq"]});
            progress.add(events, bytes);
        }
        progress.end();
        print(&tally, json)
    }

    async fn chunk(&self, chunk: Chunk, events_before: usize) -> anyhow::Result<Value> {
        let Chunk { bytes, lines } = chunk;
        let body = Body { mime: "application/x-ndjson", bytes, key: Some(fresh_key()) };
        self.0.send(body).await.map_err(|error| {
            let (index, stored) = match &error {
                ClientError::Refused { index, stored, .. } => (*index, stored.unwrap_or(0)),
                _ => (None, 0),
            };
            let number = |line: Option<&u64>| line.copied().unwrap_or(0);
            let which = match index.and_then(|index| lines.get(index)) {
                Some(line) => format!("line {line}"),
                None => format!("lines {} to {}", number(lines.first()), number(lines.last())),
            };
            before(anyhow::Error::from(error).context(which), events_before + stored)
        })
    }
}

fn before(error: impl Into<anyhow::Error>, events: usize) -> anyhow::Error {
    let stored = counted(events, "event was", "events were");
    error.into().context(format!("stopped after {stored} stored"))
}

fn print(tally: &Tally, json: bool) -> anyhow::Result<()> {
    let first = tally.first.clone().unwrap_or_default();
    if !output::for_people(json) {
        let summary = json!({
            "count": tally.events,
            "first_id": first["id"], "first_seq": first["seq"],
            "last_id": tally.last["id"], "last_seq": tally.last["seq"],
        });
        return Ok(output::json(&summary)?);
    }
    let range = format!("seq {} to {}", cell(&first, "seq"), cell(&tally.last, "seq"));
    Ok(output::line(format_args!("stored {} ({range})", counted(tally.events, "event", "events")))?)
}

/// An idempotency key of 122 random bits, so that no two requests have the same.
fn fresh_key() -> String {
    uuid::Uuid::new_v4().to_string()
}
