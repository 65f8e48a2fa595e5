//! Progress: the replicated records that consumers of every kind have. Only the consumer's owner changes
//! them.
//!
//! This file decides nothing: the [`engine`](super::engine) does.

use crate::core::event::NewEvent;
use crate::core::ids::{ConsumerId, EventId, NodeId};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The largest number of replays remembered of a consumer, running and ended.
pub const KEPT_REPLAYS: usize = 8;
/// The longest error text that is remembered, in bytes.
pub const KEPT_ERROR: usize = 300;
/// The settled seqs of a source: everything before `next`, and the ranges above it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Track {
    /// The first seq that is not settled.
    pub next: u64,
    /// Settled ranges above it: the first seq, and the seq after the last. They are sorted, with gaps between
    /// them.
    pub above: Vec<(u64, u64)>,
}

impl Track {
    /// Returns a track on which nothing from `next` on is settled.
    pub fn new(next: u64) -> Self {
        Self { next, above: Vec::new() }
    }

    /// Returns whether `seq` is settled.
    pub fn is_settled(&self, seq: u64) -> bool {
        seq < self.next || self.above.iter().any(|(from, to)| (*from..*to).contains(&seq))
    }

    /// Returns how many seqs of `from..to` are not settled.
    pub fn unsettled(&self, from: u64, to: u64) -> u64 {
        let from = from.max(self.next);
        let overlap = |(a, b): &(u64, u64)| to.min(*b).saturating_sub(from.max(*a));
        to.saturating_sub(from) - self.above.iter().map(overlap).sum::<u64>()
    }

    /// Settles `seq`.
    pub fn settle(&mut self, seq: u64) {
        self.settle_range(seq..seq + 1);
    }

    /// Settles a range. It costs only the ranges that it touches.
    pub fn settle_range(&mut self, seqs: Range<u64>) {
        let from = seqs.start.max(self.next);
        let to = seqs.end;
        if from >= to {
            return;
        }
        let touched = self.above.partition_point(|(_, end)| *end < from)
            ..self.above.partition_point(|(start, _)| *start <= to);
        let (first, last) = match &self.above[touched.clone()] {
            [(first, last)] => (*first, *last),
            [(first, _), .., (_, last)] => (*first, *last),
            [] => (from, to),
        };
        let from = from.min(first);
        let to = to.max(last);
        if from == self.next {
            self.above.drain(touched);
            self.next = to;
        } else {
            self.above.splice(touched, [(from, to)]);
        }
    }
}

/// An event by seq and id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRef {
    /// Its position in the stream.
    pub seq: u64,
    /// Its id.
    pub id: EventId,
}

/// A waiting delivery: it waits for a retry, or behind an earlier delivery of its lane. The cursor has passed
/// its events, so it is a replicated record of its own, under a number that is unique for the consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// The events, in order. Several are a batch, which is repeated unchanged.
    pub events: Vec<EventRef>,
    /// Attempts so far; 0 if it only waited for its lane.
    pub attempts: u32,
    /// When the next attempt is due (Unix milliseconds).
    pub due_ms: u64,
    /// When the first attempt was made (Unix milliseconds); 0 if there was none.
    pub first_ms: u64,
    /// The lane of each event; empty if there are no lanes.
    pub lanes: Vec<u64>,
    /// The source of its events.
    pub source: Source,
}

/// A summary of a consumer's waiting deliveries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingSummary {
    /// The number of waiting events.
    pub events: u64,
    /// How many of them were tried before.
    pub retrying: u64,
    /// How many of them somebody requested to redeliver.
    pub asked: u64,
    /// The lowest seq of them.
    pub oldest_seq: Option<u64>,
    /// When the next attempt is due (Unix milliseconds), after the pause that a failing receiver gets.
    pub due_ms: Option<u64>,
}

/// The source of a delivery's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Source {
    /// The stream, in its order.
    Live,
    /// A request to redeliver named events.
    Asked,
    /// The replay with that number.
    Replay(u64),
}

/// A replay: events that are delivered again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// Its number: that of the owner command.
    pub id: u64,
    /// Whether only dead letters are delivered again.
    pub failed_only: bool,
    /// The first seq.
    pub from_seq: u64,
    /// The seq after the last.
    pub until_seq: u64,
    /// Its progress.
    pub track: Track,
    /// The number of delivered events.
    pub delivered: u64,
    /// The number of events that were given up again.
    pub failed: u64,
    /// The number of events that retention removed before they were read again.
    pub missed: u64,
    /// When it started (Unix milliseconds).
    pub started_ms: u64,
    /// When it ended (Unix milliseconds); `None` while it runs.
    pub ended_ms: Option<u64>,
    /// Whether it was stopped before its end.
    pub cancelled: bool,
}

/// A consumer's delivery state. Only its owner changes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Progress on the stream's own events.
    pub track: Track,
    /// Summary of what waits. Each waiting delivery is a record of its own (see [`Retry`]).
    pub waiting: WaitingSummary,
    /// The number of the last waiting record.
    pub last_number: u64,
    /// Records of the stream's own events with a lower number are invalid: the cursor was moved since.
    pub live_from: u64,
    /// Batches that are under way for the first time, as ranges of seqs (the first seq, and the seq after the
    /// last). The next owner repeats them unchanged.
    pub batches: Vec<Vec<(u64, u64)>>,
    /// Lanes in which an event was given up, with the id of the last one. The lane's next delivery reports
    /// it.
    pub gaps: Vec<(u64, EventId)>,
    /// Replays, oldest first.
    pub replays: Vec<Replay>,
    /// The number of the last owner command that was carried out.
    pub commands_done: u64,
    /// Since when every attempt has failed (Unix milliseconds).
    pub failing_since_ms: Option<u64>,
    /// The last failure for which the receiver is to blame (Unix milliseconds).
    pub last_failure_ms: Option<u64>,
    /// Consecutive failed attempts.
    pub failures: u32,
    /// How much of the time until the consumer is disabled was announced (percent).
    pub announced_percent: u8,
    /// Nothing is sent before this time, at the receiver's request (Unix milliseconds).
    pub hold_until_ms: u64,
    /// The number of the next attempt.
    pub next_attempt: u64,
    /// Events delivered since the consumer was created.
    pub delivered: u64,
    /// Requests that failed since the consumer was created.
    pub failed_attempts: u64,
    /// Events given up since the consumer was created.
    pub given_up: u64,
    /// Events that retention removed before they were delivered.
    pub missed: u64,
    /// The last success (Unix milliseconds).
    pub last_delivery_ms: Option<u64>,
    /// The last error, as text, until something is delivered.
    pub last_error: Option<String>,
    /// Counts the owner's reports. A report that arrives late does not undo a later one.
    pub reports: u64,
}

impl Progress {
    /// Returns the progress with all readings of the expiry clock shifted by this number of milliseconds: as
    /// times for display.
    pub fn shifted(mut self, by_ms: i64) -> Self {
        let move_one = |ms: &mut u64| {
            // 0 means that there is none.
            *ms = if *ms == 0 { 0 } else { ms.saturating_add_signed(by_ms) };
        };
        let optional = [&mut self.failing_since_ms, &mut self.last_failure_ms, &mut self.last_delivery_ms];
        optional.into_iter().flatten().for_each(move_one);
        move_one(&mut self.hold_until_ms);
        self.waiting.due_ms.iter_mut().for_each(move_one);
        for replay in &mut self.replays {
            move_one(&mut replay.started_ms);
            replay.ended_ms.iter_mut().for_each(move_one);
        }
        self
    }

    /// Returns the progress of a consumer that starts with `next_seq`.
    pub fn new(next_seq: u64) -> Self {
        Self {
            track: Track::new(next_seq),
            waiting: WaitingSummary::default(),
            last_number: 0,
            live_from: 0,
            batches: Vec::new(),
            gaps: Vec::new(),
            replays: Vec::new(),
            commands_done: 0,
            failing_since_ms: None,
            last_failure_ms: None,
            failures: 0,
            announced_percent: 0,
            hold_until_ms: 0,
            next_attempt: 1,
            delivered: 0,
            failed_attempts: 0,
            given_up: 0,
            missed: 0,
            last_delivery_ms: None,
            last_error: None,
            reports: 0,
        }
    }

    /// Returns how many events up to `head_seq` are not settled, whether or not the consumer wants them.
    pub fn behind(&self, head_seq: u64) -> u64 {
        let settled: u64 = self.track.above.iter().map(|(from, to)| to - from).sum();
        (head_seq + 1).saturating_sub(self.track.next).saturating_sub(settled)
    }

    /// Returns the first seq that is needed, of the stream's own events and of what waits.
    pub fn oldest_seq(&self) -> u64 {
        self.waiting.oldest_seq.unwrap_or(u64::MAX).min(self.track.next)
    }

    /// Returns whether the owner has nothing to do until a new event comes. `head_seq` is the stream's newest
    /// seq.
    pub fn is_idle(&self, head_seq: u64) -> bool {
        self.track.next > head_seq
            && self.waiting.events == 0
            && self.replays.iter().all(|replay| replay.ended_ms.is_some())
    }
}

/// Returns the beginning of a text, at most `max` bytes.
pub fn clipped(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// Why an event was given up. `C` is the cause of a failure, in the worker's own terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason<C> {
    /// The last attempt failed.
    Failed(C),
    /// Somebody requested to continue behind it.
    Skipped,
    /// Too many events waited, and it made room for others.
    Overflow,
}

/// A dead letter: an event that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter<C> {
    /// The event's position in the stream.
    pub seq: u64,
    /// The event's id.
    pub event_id: EventId,
    /// The event's type.
    pub kind: String,
    /// The number of attempts.
    pub attempts: u32,
    /// When the first attempt was made (Unix milliseconds).
    pub first_ms: u64,
    /// When it was given up (Unix milliseconds).
    pub given_up_ms: u64,
    /// Why it was given up.
    pub reason: Reason<C>,
}

/// A change of the dead letters. Several changes are applied in the order in which they happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeadLetterChange<C> {
    /// An event was given up.
    Added(DeadLetter<C>),
    /// The event of that seq was delivered after all.
    Removed(u64),
}

/// A decision to disable a consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disable {
    /// The reason, as text.
    pub why: String,
    /// The event that tells the map.
    pub news: Option<NewEvent>,
}

/// An owner command: a request to a consumer's owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OwnerCommand {
    /// Continue from that seq. Failed events before it are given up. `u64::MAX` asks for the stream's end, at
    /// the position in the log where the command is applied.
    Seek(u64),
    /// Deliver these events again, whatever their state is.
    Redeliver(Vec<u64>),
    /// Deliver the events, or the dead letters, of `from_seq..until_seq` again.
    Replay {
        /// The first seq.
        from_seq: u64,
        /// The seq after the last; `u64::MAX` is the stream's end, at the position in the log where the
        /// command is applied.
        until_seq: u64,
        /// Whether only dead letters are delivered.
        failed_only: bool,
    },
    /// Stop the replay with that number.
    Cancel(u64),
    /// Continue where deliveries stopped, as if nothing had failed.
    Resume,
}

/// An owner command with its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberedCommand {
    /// Unique and ascending over all consumers: made of the log index and the slot in the log entry.
    pub number: u64,
    /// When it was given (Unix milliseconds).
    pub at_ms: u64,
    /// The command.
    pub command: OwnerCommand,
}

/// An owner's report of the progress of its consumers. `A` is the record of an attempt, `C` the cause of a
/// failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressReport<A, C> {
    /// The owner.
    pub node: NodeId,
    /// The epoch in which it owns them. The report is refused in any other epoch.
    pub epoch: u64,
    /// The owner's incarnation. The report is refused for any other incarnation.
    pub incarnation: u64,
    /// One update for each consumer.
    pub updates: Vec<Update<A, C>>,
}

/// The present progress of one consumer. Repeating an update is harmless. The updates of one owner are
/// reported in order, and none is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update<A, C> {
    /// The consumer.
    pub consumer: ConsumerId,
    /// Which consumer of that id: one that was created again under the same id is another consumer.
    pub born: u64,
    /// The complete progress.
    pub progress: Progress,
    /// Waiting deliveries, by number, that are new or changed since the last update.
    pub kept: Vec<(u64, Retry)>,
    /// Numbers of waiting records that are no longer needed.
    pub dropped: Vec<u64>,
    /// Attempts since the last update.
    pub attempts: Vec<A>,
    /// Changes of dead letters since the last update, in order.
    pub dead_letters: Vec<DeadLetterChange<C>>,
    /// Disable the consumer, unless somebody requested meanwhile that it continue.
    pub disable: Option<Disable>,
    /// Events that tell the map about the consumer.
    pub news: Vec<NewEvent>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn a_track_knows_the_settled_seqs(seqs in prop::collection::vec(1u64..60, 0..80)) {
            let mut track = Track::new(1);
            let mut settled = BTreeSet::new();
            for seq in seqs {
                track.settle(seq);
                settled.insert(seq);
                for probe in 1..62 {
                    prop_assert_eq!(track.is_settled(probe), settled.contains(&probe), "{} in {:?}", probe, track);
                    let open = (probe / 2..probe).filter(|seq| *seq > 0 && !settled.contains(seq)).count() as u64;
                    prop_assert_eq!(track.unsettled(probe / 2, probe), open, "{} in {:?}", probe, track);
                }
                prop_assert!(!settled.contains(&track.next));
                prop_assert!(track.above.first().is_none_or(|(from, _)| *from > track.next));
                prop_assert!(track.above.windows(2).all(|pair| pair[0].1 < pair[1].0));
            }
        }

        #[test]
        fn settling_a_range_settles_each_of_its_seqs(
            ranges in prop::collection::vec((1u64..60, 0u64..12), 0..30),
        ) {
            let mut by_range = Track::new(3);
            let mut one_by_one = Track::new(3);
            for (from, count) in ranges {
                by_range.settle_range(from..from + count);
                (from..from + count).for_each(|seq| one_by_one.settle(seq));
                prop_assert_eq!(&by_range, &one_by_one);
            }
        }
    }
}
