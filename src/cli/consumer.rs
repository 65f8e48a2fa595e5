//! `waypost consumer …`: creates and watches the consumers of a map, and reads them.
//!
//! Each command is one or more requests of the API.

mod lag;

use std::time::Duration;

use http::Method;
use serde_json::{Map, Value, json};

use super::{
    client::{ANSWER, Client, encoded},
    cluster::named::called_by,
    common::Common,
    confirm::Confirm,
    output::{self, cell},
    replayed, since,
    webhook::no_dead_letters,
};
use crate::core::consumer::reading::MAX_WAIT_MS;

/// Commands for the consumers of a map: named cursors that clients read and acknowledge. To read needs the scope
/// subscribe, the rest the scope manage.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Create a consumer
    Create(Box<Create>),
    /// List the consumers of a map. LAG: events that are not looked at or not acknowledged yet
    List(List),
    /// Show one consumer
    Show(One),
    /// Delete a consumer with its dead letters
    Delete(Delete),
    /// Take events and print them; with -o json each as a line of JSON
    Pull(Pull),
    /// Acknowledge events
    Ack(Ack),
    /// Show how far a consumer is behind, and how fast it is read
    Lag(lag::Args),
    /// Hand events over again
    Replay(Replay),
}

/// A new consumer.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "As in: waypost consumer create demo billing --subjects 'orders-*' --ordering key --ordering-key subject"
)]
pub(super) struct Create {
    /// Map: id or slug
    map: String,
    /// Name: what its readers ask for
    name: String,
    /// Event types, with commas; * stands for any characters [default: *]
    #[arg(long, value_name = "TYPES", value_delimiter = ',')]
    events: Option<Vec<String>>,
    /// Subjects and patterns of subjects, with commas [default: the map's own subject]
    #[arg(long, value_name = "SUBJECTS", value_delimiter = ',')]
    subjects: Option<Vec<String>>,
    /// Only events for which this expression is true
    #[arg(long, value_name = "CEL")]
    filter: Option<String>,
    /// Which events wait for each other
    #[arg(long, value_parser = ["none", "key", "strict"])]
    ordering: Option<String>,
    /// With --ordering key: events with the same value of this expression wait for each other
    #[arg(long, value_name = "CEL")]
    ordering_key: Option<String>,
    /// How long a reader has an event alone [default: 30000]
    #[arg(long, value_name = "MS")]
    visibility_ms: Option<u64>,
    /// How often an event is handed over again before it becomes a dead letter [default: 3]
    #[arg(long, value_name = "N")]
    max_retries: Option<u64>,
    /// The delay after the first refusal [default: 1000]
    #[arg(long, value_name = "MS")]
    initial_delay_ms: Option<u64>,
    /// How much longer each further delay is [default: 2]
    #[arg(long, value_name = "FACTOR")]
    backoff_multiplier: Option<f64>,
    /// The most events that its readers may have unacknowledged [default: 1000]
    #[arg(long, value_name = "N")]
    max_in_flight: Option<u64>,
    /// Begin with the events that are published from now on, or with all that the map has
    #[arg(long, value_parser = ["new", "all"], conflicts_with = "after")]
    start: Option<String>,
    /// Begin after the event with this id
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// The map whose consumers are listed.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Map: id or slug
    map: String,
    #[command(flatten)]
    common: Common,
}

/// An existing consumer.
#[derive(Debug, clap::Args)]
pub(super) struct One {
    /// Map: id or slug
    map: String,
    /// Name of the consumer
    name: String,
    #[command(flatten)]
    common: Common,
}

/// A consumer to delete.
#[derive(Debug, clap::Args)]
pub(super) struct Delete {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    confirm: Confirm,
}

/// A read.
#[derive(Debug, clap::Args)]
pub(super) struct Pull {
    #[command(flatten)]
    one: One,
    /// The most events
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=500))]
    max: u64,
    /// Seconds to wait for the first event
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=MAX_WAIT_MS / 1000))]
    wait: u64,
    /// Acknowledge the events once they are printed
    #[arg(long)]
    ack: bool,
}

/// Events to acknowledge.
#[derive(Debug, clap::Args)]
pub(super) struct Ack {
    #[command(flatten)]
    one: One,
    /// Ack ids, as `consumer pull` prints them
    #[arg(required = true)]
    ids: Vec<String>,
}

/// The events to hand over again.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["since", "after", "events", "failed"]))]
pub(super) struct Replay {
    #[command(flatten)]
    one: One,
    /// Events from this time on, as in 1h (an hour ago) or 2026-01-31T12:00:00Z, or from the event with this id
    #[arg(long, value_name = "TIME|ID", value_parser = since::time_or_id)]
    #[arg(conflicts_with_all = ["after", "events"])]
    since: Option<String>,
    /// Events after the one with this id
    #[arg(long, value_name = "ID", conflicts_with = "events")]
    after: Option<String>,
    /// These events, by their ids, with commas
    #[arg(long, value_name = "IDS", value_delimiter = ',', conflicts_with_all = ["failed", "until"])]
    events: Option<Vec<String>>,
    /// Events before this time, as in 5m (five minutes ago)
    #[arg(long, value_name = "TIME", value_parser = since::time)]
    until: Option<String>,
    /// Only dead letters: all of them, unless --since or --after says where to start
    #[arg(long)]
    failed: bool,
    /// Say how many events it would have, and begin nothing
    #[arg(long, conflicts_with = "events")]
    count: bool,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create(args) => create(*args).await,
        Command::List(args) => {
            let consumers =
                Client::new(args.common.connection).call(Method::GET, &base(&args.map), None).await?;
            list(&consumers, args.common.json)
        }
        Command::Show(one) => {
            let consumer = one.open();
            show(&consumer.call(Method::GET, "", None).await?, consumer.json)
        }
        Command::Delete(args) => delete(args).await,
        Command::Pull(args) => pull(args).await,
        Command::Ack(args) => ack(args).await,
        Command::Lag(args) => lag::run(args).await,
        Command::Replay(args) => replay(args).await,
    }
}

/// The path of a map's consumers.
fn base(map: &str) -> String {
    format!("/api/maps/{}/consumers", encoded(map))
}

/// A consumer, and the client for requests about it.
struct Consumer {
    client: Client,
    name: String,
    path: String,
    json: bool,
}

impl One {
    fn open(self) -> Consumer {
        let path = format!("{}/{}", base(&self.map), encoded(&self.name));
        let Common { connection, json } = self.common;
        Consumer { client: Client::new(connection), name: self.name, path, json }
    }
}

impl Consumer {
    /// Sends a request. `rest` is its path below that of the consumer.
    async fn call(&self, method: Method, rest: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        Ok(self.client.call(method, &format!("{}{rest}", self.path), body).await?)
    }
}

/// The given values by their names.
fn given(values: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    let given = values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(given.collect::<Map<String, Value>>())
}

async fn create(args: Create) -> anyhow::Result<()> {
    let filter =
        given([("subjects", args.subjects.map(Value::from)), ("expression", args.filter.map(Value::from))]);
    let has_filter = filter.as_object().is_some_and(|filter| !filter.is_empty());
    let body = given([
        ("name", Some(args.name.into())),
        ("events", args.events.map(Value::from)),
        ("filter", has_filter.then_some(filter)),
        ("ordering", args.ordering.map(Value::from)),
        ("ordering_key", args.ordering_key.map(Value::from)),
        ("visibility_ms", args.visibility_ms.map(Value::from)),
        ("max_retries", args.max_retries.map(Value::from)),
        ("initial_delay_ms", args.initial_delay_ms.map(Value::from)),
        ("backoff_multiplier", args.backoff_multiplier.map(Value::from)),
        ("max_in_flight", args.max_in_flight.map(Value::from)),
        ("start", args.start.map(Value::from)),
        ("after", args.after.map(Value::from)),
    ]);
    let client = Client::new(args.common.connection);
    let made = client.call(Method::POST, &base(&args.map), Some(&body)).await?;
    show(&made, args.common.json)
}

/// The consumers with what people call their owners in place of the numbers.
fn with_owners(consumers: &Value) -> Value {
    let mut shown = consumers.clone();
    for consumer in shown.as_array_mut().into_iter().flatten() {
        let owner = called_by(&consumer["state"], "owner", "owner_name");
        consumer["state"]["owner"] = owner.into();
    }
    shown
}

fn list(consumers: &Value, json: bool) -> anyhow::Result<()> {
    const COLUMNS: [(&str, &str); 7] = [
        ("NAME", "name"),
        ("STATE", "state.state"),
        ("ORDERING", "ordering"),
        ("LAG", "state.lag"),
        ("OLDEST", "state.oldest_at"),
        ("DEAD LETTERS", "state.dead_letters"),
        ("OWNER", "state.owner"),
    ];
    const MORE: [(&str, &str); 6] = [
        ("EVENTS", "events"),
        ("SUBJECTS", "filter.subjects"),
        ("ACKNOWLEDGED", "state.acknowledged"),
        ("MISSED", "state.missed"),
        ("LAST ACK", "state.last_ack_at"),
        ("CREATED", "inserted_at"),
    ];
    if !output::for_people(json) {
        return Ok(output::json(consumers)?);
    }
    Ok(output::list(&with_owners(consumers), json, &COLUMNS, &MORE)?)
}

fn show(consumer: &Value, json: bool) -> anyhow::Result<()> {
    if !output::for_people(json) {
        return Ok(output::json(consumer)?);
    }
    let of = |object: &Value| -> Vec<Vec<String>> {
        let fields = object.as_object().into_iter().flatten();
        let plain = fields.filter(|(_, value)| !value.is_object());
        plain.map(|(name, _)| vec![name.clone(), cell(object, name)]).collect()
    };
    let rows = [of(consumer), of(&consumer["filter"]), of(&consumer["state"])].concat();
    output::line(output::table(&["FIELD", "VALUE"], &rows))?;
    Ok(())
}

async fn delete(args: Delete) -> anyhow::Result<()> {
    let One { map, name, .. } = &args.one;
    args.confirm
        .ask(&format!("this deletes the consumer {name} of the map {map} with its dead letters, for ever"))?;
    let consumer = args.one.open();
    consumer.call(Method::DELETE, "", None).await?;
    output::note(format_args!("deleted the consumer {}", consumer.name));
    Ok(())
}

async fn pull(args: Pull) -> anyhow::Result<()> {
    let consumer = args.one.open();
    let path = format!("{}/pull?wait={}&max={}", consumer.path, args.wait, args.max);
    // The node answers when there is an event, or when the wait is over.
    let limit = ANSWER + Duration::from_secs(args.wait);
    let events = consumer.client.call_within(Method::POST, &path, None, limit).await?;
    const COLUMNS: [(&str, &str); 5] = [
        ("ACK ID", "ack_id"),
        ("SEQ", "event.seq"),
        ("SUBJECT", "event.subject"),
        ("TYPE", "event.type"),
        ("PAYLOAD", "event.payload"),
    ];
    const MORE: [(&str, &str); 4] =
        [("ATTEMPT", "attempt"), ("GAP", "gap"), ("TIME", "event.ts"), ("ID", "event.id")];
    output::list(&events, consumer.json, &COLUMNS, &MORE)?;
    let events = events.as_array().map_or(&[][..], Vec::as_slice);
    if args.ack && !events.is_empty() {
        let ids: Vec<Value> = events.iter().map(|event| event["ack_id"].clone()).collect();
        settled(&consumer.call(Method::POST, "/ack", Some(&json!({ "ack_ids": ids }))).await?)?;
    }
    Ok(())
}

async fn ack(args: Ack) -> anyhow::Result<()> {
    let consumer = args.one.open();
    let body = json!({ "ack_ids": args.ids });
    settled(&consumer.call(Method::POST, "/ack", Some(&body)).await?)
}

/// Says what was acknowledged. The command fails if not all was.
fn settled(answer: &Value) -> anyhow::Result<()> {
    output::note(format_args!("acknowledged {}", cell(answer, "settled")));
    let unknown = answer["unknown"].as_array().map_or(0, Vec::len);
    if unknown > 0 {
        anyhow::bail!(
            "{unknown} were settled before, or were handed over again: {}",
            cell(answer, "unknown")
        );
    }
    Ok(())
}

async fn replay(args: Replay) -> anyhow::Result<()> {
    let body = given([
        ("since", args.since.map(Value::from)),
        ("after", args.after.map(Value::from)),
        ("event_ids", args.events.map(Value::from)),
        ("until", args.until.map(Value::from)),
        ("failed_only", args.failed.then(|| true.into())),
    ]);
    let consumer = args.one.open();
    let people = output::for_people(consumer.json);
    if let Some(body) = body.as_object().filter(|_| args.count) {
        let plan = consumer.call(Method::GET, &replayed::path(body), None).await?;
        if people {
            return Ok(output::line(replayed::words(&plan))?);
        }
        return Ok(output::json(&plan)?);
    }
    if people && args.failed {
        let shown = consumer.call(Method::GET, "", None).await?;
        if let Some(told) = no_dead_letters(&shown["state"], "each is handed over again at its time") {
            return Ok(output::line(told)?);
        }
    }
    let begun = consumer.call(Method::POST, "/replay", Some(&body)).await?;
    if !people {
        return Ok(output::json(&begun)?);
    }
    output::line(format_args!("replay {} is {}", cell(&begun, "id"), cell(&begun, "state")))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_given_is_sent() {
        let body = given([("a", Some(1.into())), ("b", None), ("c", Some(json!(["x"])))]);
        assert_eq!(body, json!({"a": 1, "c": ["x"]}));
    }

    #[test]
    fn owners_are_listed_with_their_names() {
        let state = |owner: Value, name: Value| json!({"state": {"owner": owner, "owner_name": name}});
        let all = json!([state(3.into(), "berlin-2".into()), state(Value::Null, Value::Null)]);
        let shown = with_owners(&all);
        assert_eq!(
            (&shown[0]["state"]["owner"], &shown[1]["state"]["owner"]),
            (&json!("3 (berlin-2)"), &json!("-"))
        );
    }

    #[test]
    fn what_was_not_acknowledged_is_a_failure() {
        assert!(settled(&json!({"settled": 2, "unknown": []})).is_ok());
        let failed = settled(&json!({"settled": 1, "unknown": ["1-2-3"]}));
        assert!(failed.is_err_and(|error| error.to_string().contains("1-2-3")));
    }
}
