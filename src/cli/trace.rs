//! `waypost trace`: what became of an event, as a timeline.

use http::Method;
use serde_json::Value;

use super::{
    Usage,
    client::{Client, ClientError, encoded},
    common::Common,
    output::{self, cell},
    webhook,
};
use crate::core::ids::EventId;
use crate::core::text::counted;
use crate::core::time::parse_iso;

/// Shows what became of an event: publish, log, nodes, sockets, webhooks and consumers. It needs a token that may
/// manage the map.
#[derive(Debug, clap::Args)]
#[command(after_help = "As in: waypost trace 01JY97R74N0000000000070003 --map demo")]
pub(super) struct Args {
    /// Id of the event, as its publisher and its readers get it
    event: String,
    /// Map: id or slug [default: every map is asked, which needs the admin token]
    #[arg(long, value_name = "MAP")]
    map: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// Maps that are asked for at once.
const PAGE: usize = 100;

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let Args { event, map, common } = args;
    let Ok(id) = event.parse::<EventId>() else {
        return Err(Usage(format!("{event:?} is not the id of an event: it has 26 characters")).into());
    };
    let timeline = match map {
        Some(map) => of_map(&Client::new(common.connection), &map, &event).await?,
        None => of_any(&Client::of_admin(common.connection), &event).await?,
    };
    if !output::for_people(common.json) {
        return Ok(output::json(&timeline)?);
    }
    show(&timeline, id)
}

async fn of_map(client: &Client, map: &str, event: &str) -> Result<Value, ClientError> {
    let path = format!("/api/maps/{}/events/{}/trace", encoded(map), encoded(event));
    client.call(Method::GET, &path, None).await
}

/// Asks for the event in one map after the other. A map that was deleted meanwhile does not have it.
async fn of_any(client: &Client, event: &str) -> anyhow::Result<Value> {
    for map in client.pages("/api/maps", PAGE).await? {
        match of_map(client, map["id"].as_str().unwrap_or_default(), event).await {
            Err(ClientError::Refused { status: 404, .. }) => {}
            found => return Ok(found?),
        }
    }
    anyhow::bail!("no map has the event {event}, and nothing is known of it any more")
}

fn show(timeline: &Value, id: EventId) -> anyhow::Result<()> {
    let event = &timeline["event"];
    if !event.is_null() {
        for (name, field) in
            [("event", "id"), ("seq", "seq"), ("subject", "subject"), ("type", "type"), ("time", "ts")]
        {
            let value = match cell(event, field) {
                own if own.is_empty() && field == "subject" => output::OWN_SUBJECT.to_owned(),
                value => value,
            };
            output::line(format_args!("{name:8} {value}"))?;
        }
        output::line("")?;
    }
    let steps = timeline["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !steps.is_empty() {
        let rows = rows(published(event, steps, id), steps);
        output::line(output::table(&["AFTER", "STEP", "NODE", "TOOK", "WHAT"], &rows))?;
    }
    for receiver in timeline["not_chosen"].as_array().into_iter().flatten() {
        output::note(format!("Not for {}: {}", self::receiver(receiver), cell(receiver, "why")));
    }
    for sentence in timeline["gone"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        output::note(format!("Not known: {}", output::printable(sentence)));
    }
    for node in timeline["unreachable"].as_array().into_iter().flatten() {
        output::note(format!("No answer from node {}: what it knows is missing", named(node)));
    }
    Ok(())
}

/// A moment in Unix microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Moment {
    us: i64,
    /// Whether it is known to the microsecond, and not only to the millisecond.
    is_exact: bool,
}

/// When the event was published: when the publish came to its node, if that is still known. Otherwise it is
/// the time of the event, and of an event that is no longer stored, that of its id.
fn published(event: &Value, steps: &[Value], id: EventId) -> Option<Moment> {
    let received = steps.iter().find(|step| step["kind"] == "received").and_then(moment);
    let of_event = || {
        let ms = event["ts"].as_str().and_then(parse_iso).unwrap_or(id.id_ms());
        Some(Moment { us: i64::try_from(ms).ok()?.checked_mul(1000)?, is_exact: false })
    };
    received.or_else(of_event)
}

/// A row for each step: the time since the publish, and how long the step took.
fn rows(published: Option<Moment>, steps: &[Value]) -> Vec<Vec<String>> {
    let row = |step: &Value| {
        let after = published.zip(moment(step)).map_or("-".to_owned(), |(from, to)| between(from, to));
        let kind = step["kind"].as_str().unwrap_or_default();
        let node = if step["node"].is_null() { "-".to_owned() } else { named(&step["node"]) };
        vec![after, output::printable(kind), node, span(took(steps, step, kind)), what(step, kind)]
    };
    steps.iter().map(row).collect()
}

/// The time from one moment to another, for people: no more exact than both of them are.
fn between(from: Moment, to: Moment) -> String {
    if from.is_exact && to.is_exact {
        return span(Some(to.us - from.us));
    }
    match to.us.div_euclid(1000) - from.us.div_euclid(1000) {
        ms if ms.abs() < 1000 => format!("{ms} ms"),
        ms => format!("{:.1} s", ms as f64 / 1e3),
    }
}

/// A node or a receiver for people: its name, or else its id.
fn named(of: &Value) -> String {
    match cell(of, "name") {
        none if none.is_empty() || none == "-" => cell(of, "id"),
        name => name,
    }
}

/// When a step was, in Unix microseconds.
fn micros(step: &Value) -> Option<i64> {
    let at = step["at"].as_str()?;
    let ms = parse_iso(&format!("{}Z", at.get(..23)?))?;
    Some(i64::try_from(ms).ok()? * 1000 + at.get(23..26)?.parse::<i64>().ok()?)
}

/// The moment of a step. Attempts and what follows them have the cluster's time, in milliseconds.
fn moment(step: &Value) -> Option<Moment> {
    let is_coarse = ["attempt", "acknowledged", "dead_letter"].iter().any(|kind| step["kind"] == *kind);
    Some(Moment { us: micros(step)?, is_exact: !is_coarse })
}

/// How long a step took, in microseconds: a number that it has, or the time since the stage before it. The
/// clocks of two nodes may differ by more than that; then it is not known.
fn took(steps: &[Value], step: &Value, kind: &str) -> Option<i64> {
    let before = match kind {
        "proposed" => "received",
        "committed" => "proposed",
        "applied" => "committed",
        "delivered" => return step["slowest_us"].as_i64(),
        "attempt" => return step["duration_ms"].as_i64().map(|ms| ms * 1000),
        _ => return None,
    };
    let before = steps.iter().find(|other| other["kind"] == before)?;
    Some(micros(step)? - micros(before)?).filter(|took| *took >= 0)
}

/// A duration for people.
fn span(us: Option<i64>) -> String {
    match us {
        None => "-".to_owned(),
        Some(us) if us.abs() < 1000 => format!("{us} µs"),
        Some(us) if us.abs() < 1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        Some(us) => format!("{:.1} s", us as f64 / 1e6),
    }
}

fn what(step: &Value, kind: &str) -> String {
    match kind {
        "received" => {
            let by = if step["by"].is_null() { "the admin".to_owned() } else { cell(step, "by") };
            format!("by {by} over {}", cell(step, "protocol"))
        }
        "proposed" => format!("proposal {}", cell(step, "proposal")),
        "committed" => format!("log entry {}", cell(step, "log_index")),
        "applied" => String::new(),
        "delivered" => {
            let sockets = if step["sockets"] == 1 { "socket" } else { "sockets" };
            format!("{} {sockets}, {} waiting", cell(step, "sockets"), cell(step, "waiting"))
        }
        "attempt" => format!(
            "{}{}, attempt {}: {}, {}",
            receiver(step),
            if step["replay"] == true { ", replay" } else { "" },
            cell(step, "attempt"),
            cell(step, "outcome"),
            end(step)
        ),
        "pending" => match waits(step) {
            Some(why) => format!("{}: {why}", receiver(step)),
            None => receiver(step),
        },
        _ => receiver(step),
    }
}

/// How an attempt ended: the status of the answer, or why it failed. An older node tells the status alone.
fn end(step: &Value) -> String {
    match step["class"].as_str() {
        None | Some("delivered") => format!("status {}", cell(step, "status")),
        Some(_) => webhook::reason(step),
    }
}

/// Why an event waits, for people.
fn waits(step: &Value) -> Option<String> {
    Some(match step["reason"].as_str()? {
        "paused" => "it is paused".to_owned(),
        "disabled" => "it is disabled".to_owned(),
        "retry" => format!("it is tried again at {}", cell(step, "next_attempt_at")),
        "order" => "an earlier event is before it in its order".to_owned(),
        "pause" => format!("the receiver asked for a pause until {}", cell(step, "next_attempt_at")),
        "unread" => "no reader has acknowledged it".to_owned(),
        "behind" => {
            format!("it has to look at {} first", counted(step["ahead"].as_u64()?, "event", "events"))
        }
        "next" => "it is next".to_owned(),
        other => output::printable(other),
    })
}

fn receiver(step: &Value) -> String {
    let kind = if step["consumer"].is_null() { "webhook" } else { "consumer" };
    format!("{kind} {}", named(&step[kind]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_step_has_its_time_and_how_long_it_took() {
        let node = json!({"id": 3, "name": "node-3"});
        let step = |at: &str, mut what: Value| {
            what["at"] = format!("2026-11-30T17:00:{at}Z").into();
            what["node"] = node.clone();
            what
        };
        let delivered = json!({"kind": "delivered", "sockets": 2, "slowest_us": 80, "waiting": 0});
        let attempt = json!({
            "kind": "attempt", "webhook": {"id": "a", "name": "bot"}, "attempt": 1, "status": null,
            "class": "timeout", "error": "no answer came", "outcome": "failed", "duration_ms": 12,
        });
        let consumer = json!({"id": "b", "name": ""});
        let steps = [
            step("00.000100", json!({"kind": "received", "by": null, "protocol": "rest"})),
            step("00.000400", json!({"kind": "proposed", "proposal": "3-1-9"})),
            step("00.002500", json!({"kind": "committed", "log_index": 7})),
            step("00.002000", json!({"kind": "applied"})),
            step("00.003000", delivered),
            step("01.500000", attempt),
            json!({"at": null, "kind": "pending", "node": null, "consumer": consumer}),
        ];
        let expected = [
            ["0 µs", "received", "node-3", "-", "by the admin over rest"],
            ["300 µs", "proposed", "node-3", "300 µs", "proposal 3-1-9"],
            ["2.4 ms", "committed", "node-3", "2.1 ms", "log entry 7"],
            ["1.9 ms", "applied", "node-3", "-", ""],
            ["2.9 ms", "delivered", "node-3", "80 µs", "2 sockets, 0 waiting"],
            [
                "1.5 s",
                "attempt",
                "node-3",
                "12.0 ms",
                "webhook bot, attempt 1: failed, timeout: no answer came",
            ],
            ["-", "pending", "-", "-", "consumer b"],
        ];
        let id = EventId::new(1, 2, 3);
        let first = published(&Value::Null, &steps, id);
        assert_eq!(rows(first, &steps), expected.map(|row| row.map(str::to_owned).to_vec()));
        assert_eq!(named(&json!({"id": 1, "name": null})), "1");
    }

    #[test]
    fn what_waits_says_why() {
        let pending = |reason: Value| {
            let mut step = json!({"kind": "pending", "webhook": {"id": "a", "name": "bot"}, "ahead": 7_200});
            step["reason"] = reason;
            step["next_attempt_at"] = "2026-11-30T17:00:00.000Z".into();
            what(&step, "pending")
        };
        assert_eq!(pending("behind".into()), "webhook bot: it has to look at 7200 events first");
        let retried = "webhook bot: it is tried again at 2026-11-30T17:00:00.000Z";
        assert_eq!(pending("retry".into()), retried);
        assert_eq!(pending(Value::Null), "webhook bot", "an older node does not say it");
    }

    #[test]
    fn without_the_publish_the_time_of_the_event_counts() {
        let attempt = json!({
            "kind": "attempt", "at": "2026-12-01T09:51:55.272000Z", "node": null, "attempt": 1,
            "webhook": {"id": "a", "name": "bot"}, "status": 200, "outcome": "delivered", "replay": true,
            "duration_ms": 9,
        });
        let applied = json!({"kind": "applied", "at": "2026-12-01T09:49:59.405900Z", "node": null});
        let steps = [applied, attempt];
        let event = json!({"ts": "2026-12-01T09:49:59.403Z"});
        let id = EventId::new(parse_iso("2026-12-01T09:49:59.404Z").unwrap_or_default(), 2, 3);
        let after = |event: &Value| -> Vec<String> {
            let rows = rows(published(event, &steps, id), &steps);
            rows.into_iter().map(|row| row[0].clone()).collect()
        };
        assert_eq!(after(&event), ["2 ms", "115.9 s"]);
        assert_eq!(after(&Value::Null), ["1 ms", "115.9 s"], "the event is not stored any more");
        assert_eq!(what(&steps[1], "attempt"), "webhook bot, replay, attempt 1: delivered, status 200");
    }

    #[test]
    fn an_attempt_ends_with_a_status_or_with_a_reason() {
        let step = |class: Value, status: Value, error: Value| {
            let mut step = json!({"class": class, "status": status});
            step["error"] = error;
            step
        };
        let refused = step("connect".into(), Value::Null, "connection refused".into());
        assert_eq!(end(&refused), "connect: connection refused");
        assert_eq!(end(&step("status".into(), 503.into(), "status 503".into())), "status 503");
        assert_eq!(end(&step("timeout".into(), Value::Null, Value::Null)), "timeout");
        assert_eq!(end(&step("delivered".into(), 200.into(), Value::Null)), "status 200");
        assert_eq!(end(&step(Value::Null, 503.into(), Value::Null)), "status 503", "an older node");
    }

    #[test]
    fn a_time_is_as_exact_as_its_ends() {
        let exact = |us| Moment { us, is_exact: true };
        let coarse = |us| Moment { us, is_exact: false };
        assert_eq!(between(exact(1_900), exact(2_100)), "200 µs");
        assert_eq!(between(exact(1_900), coarse(1_000)), "0 ms", "it is not before the publish");
        assert_eq!(between(coarse(1_000), exact(3_900)), "2 ms");
        assert_eq!(between(exact(2_000), exact(1_700)), "-300 µs", "the other node's clock is behind");
    }
}
