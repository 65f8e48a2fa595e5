//! Replays: which events they have, and their form in answers: how far they are, and how much of them is left.

use super::error::Problem;
use super::state_of;
use crate::core::consumer::progress::{NumberedCommand, OwnerCommand, Replay, Track};
use crate::core::ids::TopicId;
use crate::core::time::iso_millis;
use crate::core::webhook::Webhook;
use crate::edge::context::Edge;
use crate::hub::WebhookState;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A range of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) from_seq: u64,
    /// One past the last seq. `u64::MAX` means the end of the stream.
    pub(super) until_seq: u64,
    pub(super) failed_only: bool,
}

impl Wanted {
    /// How many events it has. `None` if that is not known yet: their end, or which of them are dead letters.
    pub(super) fn events(self) -> Option<u64> {
        let is_known = !self.failed_only && self.until_seq < u64::MAX;
        is_known.then(|| self.until_seq.saturating_sub(self.from_seq))
    }
}

/// What the stored records beside a replay's own say of it.
#[derive(Clone, Copy, Debug, Default)]
struct Rest {
    /// Its events that wait for another attempt. `None` if it does not run.
    retrying: Option<u64>,
    /// The dead letters that it has yet to read, if it reads dead letters alone.
    dead: u64,
}

/// All replays that are remembered or that the owner has not taken up yet, newest first.
pub(super) async fn all(edge: &Edge, topic: TopicId, webhook: &Webhook) -> Result<Vec<Value>, Problem> {
    let state = state_of(edge, webhook)?;
    let running = state.progress.replays.iter().find(|replay| replay.ended_ms.is_none());
    let running = running.map(|replay| replay.id).filter(|_| state.progress.waiting.events > 0);
    let retrying = match running {
        Some(id) => edge.hub.webhooks().replay_waits(webhook.id, id).await?,
        None => 0,
    };
    let mut dead = BTreeMap::new();
    for (number, track, until_seq) in reading_dead_letters(&state) {
        dead.insert(number, edge.hub.webhooks().dead_left(webhook.id, track, until_seq).await?);
    }
    let mut all = listed(&state, retrying, &dead);
    for shown in &mut all {
        shown["from_at"] = match shown["from_seq"].as_u64() {
            Some(seq) if seq > 1 => first_time(edge, topic, seq).await?.into(),
            _ => Value::Null,
        };
    }
    Ok(all)
}

/// The time of the first event from that seq on that is kept.
async fn first_time(edge: &Edge, topic: TopicId, seq: u64) -> Result<Option<String>, Problem> {
    let page = edge.hub.archive().with_backlog().read(topic, seq, 1, 1, None).await?;
    Ok(page.events.first().map(|event| iso_millis(event.time_ms)))
}

/// The replays of dead letters alone that have not come to their end: their numbers, how far they are, and where
/// they end.
fn reading_dead_letters(state: &WebhookState) -> Vec<(u64, Track, u64)> {
    let is_open = |replay: &&Replay| replay.failed_only && (replay.ended_ms.is_none() || replay.cancelled);
    let open = state.progress.replays.iter().filter(is_open);
    let taken_up = open.map(|replay| (replay.id, replay.track.clone(), replay.until_seq));
    let waiting = asked(state).filter(|(_, wanted)| wanted.failed_only);
    let waiting =
        waiting.map(|(order, wanted)| (order.number, Track::new(wanted.from_seq), wanted.until_seq));
    taken_up.chain(waiting).collect()
}

/// The replays that the owner has not taken up yet.
fn asked(state: &WebhookState) -> impl Iterator<Item = (&NumberedCommand, Wanted)> {
    let done = state.progress.commands_done;
    state.commands.iter().filter(move |order| order.number > done).filter_map(|order| match order.command {
        OwnerCommand::Replay { from_seq, until_seq, failed_only } => {
            Some((order, Wanted { from_seq, until_seq, failed_only }))
        }
        _ => None,
    })
}

/// All replays, newest first. `retrying` events of the running one wait for another attempt; `dead` has the
/// dead letters that are left to replays of dead letters.
fn listed(state: &WebhookState, retrying: u64, dead: &BTreeMap<u64, u64>) -> Vec<Value> {
    let dead_of = |number: u64| dead.get(&number).copied();
    let waiting = asked(state).map(|(order, wanted)| {
        let total = dead_of(order.number).or(wanted.events());
        waiting(order.number, order.at_ms, wanted, total)
    });
    let replays = &state.progress.replays;
    let running = replays.iter().find(|replay| replay.ended_ms.is_none()).map(|replay| replay.id);
    let taken_up = replays.iter().map(|shown| {
        let retrying = (running == Some(shown.id)).then_some(retrying);
        replay(shown, Rest { retrying, dead: dead_of(shown.id).unwrap_or(0) })
    });
    let mut all: Vec<Value> = taken_up.chain(waiting).collect();
    all.reverse();
    all
}

/// How many events a replay has, and how many of them are not finished. An event that waits for another attempt
/// is read, and not finished. Of a replay of dead letters, these alone are events: those that it has read, and
/// those that are left.
fn counts(replay: &Replay, rest: Rest) -> (u64, u64) {
    let retrying = rest.retrying.unwrap_or(0);
    if replay.failed_only {
        let left = rest.dead + retrying;
        return (replay.delivered + replay.failed + left, left);
    }
    let total = replay.until_seq.saturating_sub(replay.from_seq);
    let above: u64 = replay.track.above.iter().map(|(from, to)| to - from).sum();
    let read = replay.track.next.saturating_sub(replay.from_seq) + above;
    (total, total.saturating_sub(read.saturating_sub(retrying)))
}

/// A replay that the owner has taken up. Replays run one after the other.
fn replay(replay: &Replay, rest: Rest) -> Value {
    let (total, left) = counts(replay, rest);
    let progress = if total == 0 { 1.0 } else { (total - left) as f64 / total as f64 };
    let state = match (replay.cancelled, replay.ended_ms) {
        (true, _) => "cancelled",
        (_, Some(_)) => "done",
        _ if rest.retrying.is_some() => "running",
        _ => "waiting",
    };
    json!({
        "id": replay.id,
        "state": state,
        "failed_only": replay.failed_only,
        "from_seq": replay.from_seq,
        "until_seq": replay.until_seq,
        "next_seq": replay.track.next,
        "progress": if state == "done" { 1.0 } else { progress },
        "total": total,
        "left": if replay.ended_ms.is_some() { 0 } else { left },
        "delivered": replay.delivered,
        "failed": replay.failed,
        "retrying": rest.retrying.unwrap_or(0),
        "missed": replay.missed,
        "started_at": iso_millis(replay.started_ms),
        "ended_at": replay.ended_ms.map(iso_millis),
    })
}

/// A replay that the owner has not taken up yet, with as many events.
pub(super) fn waiting(number: u64, at_ms: u64, wanted: Wanted, total: Option<u64>) -> Value {
    json!({
        "id": number,
        "state": "waiting",
        "failed_only": wanted.failed_only,
        "from_seq": wanted.from_seq,
        "until_seq": (wanted.until_seq < u64::MAX).then_some(wanted.until_seq),
        "next_seq": wanted.from_seq,
        "from_at": null,
        "progress": 0.0,
        "total": total,
        "left": total,
        "delivered": 0,
        "failed": 0,
        "retrying": 0,
        "missed": 0,
        "started_at": iso_millis(at_ms),
        "ended_at": null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Replay {
        let mut track = Track::new(1);
        track.settle_range(1..9);
        Replay {
            id: 7,
            failed_only: false,
            from_seq: 1,
            until_seq: 11,
            track,
            delivered: 2,
            failed: 1,
            missed: 0,
            started_ms: 1,
            ended_ms: None,
            cancelled: false,
        }
    }

    fn running(retrying: u64, dead: u64) -> Rest {
        Rest { retrying: Some(retrying), dead }
    }

    #[test]
    fn what_waits_for_another_attempt_is_not_finished() {
        let mut known = known();
        let shown = replay(&known, running(5, 0));
        assert_eq!((&shown["state"], &shown["retrying"]), (&json!("running"), &json!(5)));
        assert_eq!(
            (&shown["progress"], &shown["total"], &shown["left"]),
            (&json!(0.3), &json!(10), &json!(7))
        );
        assert_eq!(replay(&known, Rest::default())["state"], "waiting");
        known.ended_ms = Some(2);
        let ended = replay(&known, Rest::default());
        assert_eq!((&ended["progress"], &ended["left"]), (&json!(1.0), &json!(0)));
    }

    #[test]
    fn a_replay_of_dead_letters_counts_them_alone() {
        let mut known = Replay { failed_only: true, until_seq: 5_641, delivered: 0, failed: 0, ..known() };
        let counts = |known: &Replay, rest: Rest| {
            let shown = replay(known, rest);
            (shown["progress"].as_f64(), shown["total"].as_u64(), shown["left"].as_u64())
        };
        assert_eq!(counts(&known, running(0, 3)), (Some(0.0), Some(3), Some(3)), "it has just begun");
        assert_eq!(counts(&known, running(2, 1)), (Some(0.0), Some(3), Some(3)), "two are tried again");
        known.delivered = 3;
        known.failed = 1;
        assert_eq!(counts(&known, running(0, 0)), (Some(1.0), Some(4), Some(0)));
        known.ended_ms = Some(2);
        assert_eq!(counts(&known, Rest::default()), (Some(1.0), Some(4), Some(0)));
        known.cancelled = true;
        let cancelled = Rest { retrying: None, dead: 4 };
        assert_eq!(counts(&known, cancelled), (Some(0.5), Some(8), Some(0)), "nothing waits any more");
        known.cancelled = false;
        let none = Replay { delivered: 0, failed: 0, ..known };
        assert_eq!(counts(&none, Rest::default()), (Some(1.0), Some(0), Some(0)), "there was none");
    }

    #[test]
    fn a_replay_that_waits_has_its_events_if_they_are_known() {
        let wanted = Wanted { from_seq: 11, until_seq: u64::MAX, failed_only: true };
        let shown = waiting(7, 1, wanted, Some(3));
        assert_eq!(
            (&shown["total"], &shown["left"], &shown["until_seq"]),
            (&json!(3), &json!(3), &Value::Null)
        );
        assert_eq!(waiting(7, 1, wanted, None)["total"], Value::Null);
    }

    #[test]
    fn what_is_not_known_is_not_counted() {
        let wanted = Wanted { from_seq: 11, until_seq: 31, failed_only: false };
        assert_eq!(wanted.events(), Some(20));
        assert_eq!(Wanted { until_seq: u64::MAX, ..wanted }.events(), None);
        assert_eq!(Wanted { failed_only: true, ..wanted }.events(), None);
    }
}
