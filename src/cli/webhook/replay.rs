//! `waypost webhook replay|replays`: delivers events again, and shows the progress.

use std::time::Duration;

use anyhow::bail;
use http::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use super::{
    super::{
        Usage,
        client::{ClientError, encoded},
        output::{self, cell},
        replayed, since,
    },
    One, Webhook,
};
use crate::core::text::counted;

/// Shortest and longest pause between two requests for the replay. They make far fewer requests in a minute
/// than a token may.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));
/// Requests in a row that may fail.
const MOST_FAILURES: u32 = 60;
/// Requests for the replay between two for the webhook itself.
const LOOKS_PER_STATE: u32 = 10;
/// Why a command can't wait for single events.
pub(super) const NOT_SINGLE: &str = "--wait is for replays and for all dead letters: single events go among the new ones, \
    and nothing tells when they are done; `waypost webhook tail` shows their attempts";
/// Steps of the bar.
const PARTS: f64 = 1000.0;

/// The events to deliver again.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["since", "after", "events", "failed"]))]
pub(in crate::cli) struct Start {
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
    /// Wait until it has ended
    #[arg(long)]
    wait: bool,
    /// Say how many events it would have, and begin nothing
    #[arg(long, conflicts_with_all = ["events", "wait"])]
    count: bool,
}

/// The webhook whose replays are listed.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    one: One,
    /// Only replays that started at this time or later, as in 1h (an hour ago)
    #[arg(long, value_name = "TIME", value_parser = since::time)]
    since: Option<String>,
    /// Cancel the replay with this id
    #[arg(long, value_name = "ID")]
    cancel: Option<u64>,
}

pub(super) async fn start(args: Start) -> anyhow::Result<()> {
    if args.wait && args.events.is_some() {
        return Err(Usage(NOT_SINGLE.into()).into());
    }
    let given = [
        ("since", args.since.map(Value::from)),
        ("after", args.after.map(Value::from)),
        ("event_ids", args.events.map(Value::from)),
        ("until", args.until.map(Value::from)),
        ("failed_only", args.failed.then(|| true.into())),
    ];
    let body: Map<String, Value> =
        given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    let webhook = args.one.find().await?;
    if args.count {
        let plan = webhook.call(Method::GET, &replayed::path(&body), None).await?;
        if output::for_people(webhook.json) {
            return Ok(output::line(replayed::words(&plan))?);
        }
        return Ok(output::json(&plan)?);
    }
    if args.failed
        && let Some(told) = nothing_to_do(&webhook).await?
    {
        return Ok(output::line(told)?);
    }
    let begun = webhook.call(Method::POST, "/replay", Some(&body.into())).await?;
    follow(&webhook, begun, args.wait).await
}

/// What people are told in place of a replay of dead letters, if the webhook has none. Programs get the replay in
/// any case.
pub(super) async fn nothing_to_do(webhook: &Webhook) -> Result<Option<String>, ClientError> {
    if !output::for_people(webhook.json) {
        return Ok(None);
    }
    let shown = webhook.call(Method::GET, "", None).await?;
    let hint = format!("`waypost webhook enable {}` has what waits tried at once", webhook.called);
    Ok(no_dead_letters(&shown, &hint))
}

/// The same by the state of a webhook or a consumer. `hint` says what can be done about events that wait.
pub(in crate::cli) fn no_dead_letters(state: &Value, hint: &str) -> Option<String> {
    if state["dead_letters"] != 0 {
        return None;
    }
    Some(match state["retrying"].as_u64() {
        None | Some(0) => "no dead letters: there is nothing to deliver again".to_owned(),
        Some(waits) => {
            let events = counted(waits, "event still waits", "events still wait");
            format!("no dead letters; {events} for a retry: {hint}")
        }
    })
}

/// Shows a replay that has begun. With `wait`, waits for its end first, and fails if events have failed
/// again.
pub(super) async fn follow(webhook: &Webhook, begun: Value, wait: bool) -> anyhow::Result<()> {
    let ended = if wait { watch(webhook, begun).await? } else { begun };
    if output::for_people(webhook.json) {
        output::line(words(&ended))?;
    } else {
        output::json(&ended)?;
    }
    match (wait, ended["state"].as_str(), ended["failed"].as_u64().unwrap_or(0)) {
        (true, Some("cancelled"), _) => bail!("the replay was cancelled"),
        (true, _, failed) if failed > 0 => {
            let events = counted(failed, "event", "events");
            bail!("{events} failed again: `waypost webhook dead-letters list` shows why")
        }
        _ => Ok(()),
    }
}

async fn watch(webhook: &Webhook, mut replay: Value) -> anyhow::Result<Value> {
    let path = format!("/replays/{}", encoded(&cell(&replay, "id")));
    let bar = bar();
    let mut looks = 0;
    let mut failures = 0;
    let mut pause = PAUSES.0;
    let mut is_reported = false;
    while matches!(replay["state"].as_str(), Some("waiting" | "running")) {
        let done = replay["progress"].as_f64().unwrap_or(0.0);
        bar.set_position((done * PARTS) as u64);
        bar.set_message(counts(&replay));
        if looks % LOOKS_PER_STATE == 0
            && !is_reported
            && let Some(reason) = rests(webhook).await
        {
            bar.suspend(|| output::note(reason));
            is_reported = true;
        }
        looks += 1;
        sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
        replay = match webhook.call(Method::GET, &path, None).await {
            Ok(replay) => replay,
            // The replay goes on at the node; a later request will show its progress.
            Err(error) if error.passes() && failures < MOST_FAILURES => {
                failures += 1;
                sleep(error.retry_after().unwrap_or(PAUSES.1)).await;
                continue;
            }
            Err(error) => return Err(gone(error)),
        };
        failures = 0;
    }
    bar.finish_and_clear();
    Ok(replay)
}

/// Why the replay makes no progress now; `None` if it does, or if the webhook can't be read. It is read again
/// later.
async fn rests(webhook: &Webhook) -> Option<String> {
    let shown = webhook.call(Method::GET, "", None).await.ok()?;
    let state = cell(&shown, "state");
    matches!(state.as_str(), "paused" | "disabled").then(|| {
        let why = cell(&shown, "disabled_reason");
        let why = if why == "-" { String::new() } else { format!(" ({why})") };
        format!(
            "the webhook is {state}{why}: the replay waits until `waypost webhook enable {}`",
            webhook.called
        )
    })
}

fn gone(error: ClientError) -> anyhow::Error {
    match error {
        ClientError::Refused { status: 404, .. } => {
            anyhow::Error::from(error).context("the replay is no longer remembered")
        }
        other => other.into(),
    }
}

/// A bar on standard error. It is hidden if that is not a terminal.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new(PARTS as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent}%  {msg}  {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn counts(replay: &Value) -> String {
    let number = |field: &str| replay[field].as_u64().unwrap_or(0);
    if replay["failed_only"] == true {
        let dead = counted(number("total"), "dead letter", "dead letters");
        let (delivered, failed) = (number("delivered"), number("failed"));
        return format!("{delivered} delivered, {failed} failed, {} of {dead} left", number("left"));
    }
    let looked_at = number("next_seq").saturating_sub(number("from_seq"));
    let looked_at = match number("until_seq").checked_sub(number("from_seq")) {
        Some(total) => format!("{looked_at} of {}", counted(total, "event", "events")),
        None => counted(looked_at, "event", "events"),
    };
    let retrying = match number("retrying") {
        0 => String::new(),
        retrying => format!("{}, ", counted(retrying, "waits for another try", "wait for another try")),
    };
    let missed = match number("missed") {
        0 => String::new(),
        missed => format!("{missed} removed by retention, "),
    };
    format!(
        "{} delivered, {} failed, {retrying}{missed}{looked_at} looked at",
        number("delivered"),
        number("failed")
    )
}

fn words(replay: &Value) -> String {
    if let Some(events) = replay["events"].as_u64() {
        return format!("{} delivered again", counted(events, "event is", "events are"));
    }
    let last = replay["until_seq"]
        .as_u64()
        .map_or("the end".to_owned(), |until| until.saturating_sub(1).to_string());
    let stretch = format!("seq {} to {last}", cell(replay, "from_seq"));
    format!("replay {} of {stretch} is {}: {}", cell(replay, "id"), cell(replay, "state"), counts(replay))
}

pub(super) async fn list(args: List) -> anyhow::Result<()> {
    let webhook = args.one.find().await?;
    if let Some(id) = args.cancel {
        webhook.call(Method::DELETE, &format!("/replays/{id}"), None).await?;
        output::note(format_args!("cancelled {id}"));
        return Ok(());
    }
    let mut replays = webhook.call(Method::GET, "/replays", None).await?;
    since::keep(&mut replays, "started_at", args.since.as_deref());
    if !output::for_people(webhook.json) {
        return Ok(output::json(&replays)?);
    }
    let row = |replay: &Value| {
        let done = replay["progress"].as_f64().unwrap_or(0.0) * 100.0;
        let mut shown = replay.clone();
        shown["progress"] = json!(format!("{done:.0}%"));
        [
            "id",
            "state",
            "progress",
            "delivered",
            "failed",
            "missed",
            "from_seq",
            "until_seq",
            "started_at",
            "ended_at",
        ]
        .map(|field| cell(&shown, field))
        .to_vec()
    };
    let rows: Vec<_> = replays.as_array().into_iter().flatten().map(row).collect();
    let headings = [
        "ID",
        "STATE",
        "DONE",
        "DELIVERED",
        "FAILED",
        "MISSED",
        "FROM SEQ",
        "BEFORE SEQ",
        "STARTED",
        "ENDED",
    ];
    Ok(output::line(output::table(&headings, &rows))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_dead_letters_there_is_nothing_to_deliver_again() {
        let state = |dead: u64, retrying: u64| json!({"dead_letters": dead, "retrying": retrying});
        assert_eq!(no_dead_letters(&state(1, 5), "x"), None);
        let told = no_dead_letters(&state(0, 0), "x");
        assert_eq!(told.as_deref(), Some("no dead letters: there is nothing to deliver again"));
        let told = no_dead_letters(&state(0, 5), "x");
        assert_eq!(told.as_deref(), Some("no dead letters; 5 events still wait for a retry: x"));
        let told = no_dead_letters(&state(0, 1), "x");
        assert_eq!(told.as_deref(), Some("no dead letters; 1 event still waits for a retry: x"));
    }

    #[test]
    fn the_texts_of_a_replay() {
        let mut replay = json!({"id": 3, "state": "running", "from_seq": 11, "until_seq": 31, "next_seq": 21,
                                "delivered": 4, "failed": 1});
        let shown = "replay 3 of seq 11 to 30 is running: 4 delivered, 1 failed, 10 of 20 events looked at";
        assert_eq!(words(&replay), shown);
        replay["missed"] = json!(2);
        assert!(words(&replay).ends_with("1 failed, 2 removed by retention, 10 of 20 events looked at"));
        replay["until_seq"] = Value::Null;
        assert!(
            words(&replay).contains("seq 11 to the end") && counts(&replay).ends_with("10 events looked at")
        );
        replay["next_seq"] = json!(12);
        replay["retrying"] = json!(1);
        assert!(counts(&replay).contains("1 waits for another try, "), "{replay}");
        assert!(counts(&replay).ends_with(", 1 event looked at"), "{replay}");
        replay["until_seq"] = json!(12);
        assert!(counts(&replay).ends_with(", 1 of 1 event looked at"), "{replay}");
        assert_eq!(words(&json!({"events": 1})), "1 event is delivered again");
        let dead = json!({"failed_only": true, "delivered": 2, "failed": 0, "total": 3, "left": 1});
        assert_eq!(counts(&dead), "2 delivered, 0 failed, 1 of 3 dead letters left");
    }
}
