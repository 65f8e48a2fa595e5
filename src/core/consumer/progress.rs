//! How far a consumer is: what only its owner moves, and what is kept of what was given up.
//!
//! Owns the replicated records that consumers of every kind have. Never decides anything: the [`engine`](super::engine)
//! does.

use crate::core::event::NewEvent;
use crate::core::ids::{ConsumerId, EventId, NodeId};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Replays remembered of a consumer, running and ended.
pub const KEPT_REPLAYS: usize = 8;
/// Longest error in words that is remembered, bytes.
pub const KEPT_ERROR: usize = 300;
/// Where a reader of the topic is: everything before `next` is settled, and the ranges above it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Track {
    /// First seq that is not settled.
    pub next: u64,
    /// Settled ranges above: first, and one past the last. Sorted, with holes between.
    pub above: Vec<(u64, u64)>,
}

impl Track {
    /// Nothing settled from `next` on.
    pub fn new(next: u64) -> Self {
        Self { next, above: Vec::new() }
    }

    /// Whether `seq` is settled.
    pub fn is_settled(&self, seq: u64) -> bool {
        seq < self.next || self.above.iter().any(|(from, to)| (*from..*to).contains(&seq))
    }

    /// How many of `from..to` are not settled.
    pub fn unsettled(&self, from: u64, to: u64) -> u64 {
        let from = from.max(self.next);
        let overlap = |(a, b): &(u64, u64)| to.min(*b).saturating_sub(from.max(*a));
        to.saturating_sub(from) - self.above.iter().map(overlap).sum::<u64>()
    }

    /// Settles `seq`.
    pub fn settle(&mut self, seq: u64) {
        self.settle_range(seq..seq + 1);
    }

    /// Settles all of these, at the cost of the ranges that they touch.
    pub fn settle_range(&mut self, seqs: Range<u64>) {
        let (from, to) = (seqs.start.max(self.next), seqs.end);
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
        let (from, to) = (from.min(first), to.max(last));
        if from == self.next {
            self.above.drain(touched);
            self.next = to;
        } else {
            self.above.splice(touched, [(from, to)]);
        }
    }
}

/// An event by place and id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRef {
    /// Its place in the topic.
    pub seq: u64,
    /// Its id.
    pub id: EventId,
}

/// A delivery that waits: to be tried again, or behind an earlier one of its lane. The cursor has passed its events, so
/// it is a replicated record of its own, under a number of the consumer's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// The events, in order; several in a batch, which is repeated as it was.
    pub events: Vec<EventRef>,
    /// Attempts so far; none where it waited for its lane alone.
    pub attempts: u32,
    /// When the next is due, Unix milliseconds.
    pub due_ms: u64,
    /// When the first was made, Unix milliseconds; 0 where there was none.
    pub first_ms: u64,
    /// The lane of each event; empty where events wait for nothing.
    pub lanes: Vec<u64>,
    /// Where it comes from.
    pub source: Source,
}

/// What waits of a consumer, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingSummary {
    /// Events that wait, whatever for.
    pub events: u64,
    /// Those of them that were tried before.
    pub retrying: u64,
    /// Those of them that were asked for by name.
    pub asked: u64,
    /// The first seq of them.
    pub oldest_seq: Option<u64>,
    /// When the next attempt is due, Unix milliseconds.
    pub due_ms: Option<u64>,
}

/// Where a delivery comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Source {
    /// The topic, in its order.
    Live,
    /// Asked for by name.
    Asked,
    /// The replay of that number.
    Replay(u64),
}

/// Events delivered again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// Number: the log index of the order.
    pub id: u64,
    /// Only what had failed for good.
    pub failed_only: bool,
    /// The first seq of it.
    pub from_seq: u64,
    /// One past the last seq of it.
    pub until_seq: u64,
    /// How far it is.
    pub track: Track,
    /// Events delivered.
    pub delivered: u64,
    /// Events that failed for good again.
    pub failed: u64,
    /// Events that retention removed before they were read again.
    pub missed: u64,
    /// Unix milliseconds.
    pub started_ms: u64,
    /// Unix milliseconds; `None` while it runs.
    pub ended_ms: Option<u64>,
    /// It was stopped before its end.
    pub cancelled: bool,
}

/// A consumer's delivery state. Moved by its owner alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The topic's own events.
    pub track: Track,
    /// What waits, in numbers; each of it is a record of its own (see [`Retry`]).
    pub waiting: WaitingSummary,
    /// Number of the last record of what waits.
    pub last_number: u64,
    /// Records of the topic's own events with a smaller number count no more: the cursor was moved since.
    pub live_from: u64,
    /// Batches under way for the first time, by ranges of seqs (the first, and one past the last): the next owner
    /// repeats them as they were.
    pub batches: Vec<Vec<(u64, u64)>>,
    /// Lanes in which an event was given up, and the id of the last: told with the lane's next delivery.
    pub gaps: Vec<(u64, EventId)>,
    /// Replays, oldest first.
    pub replays: Vec<Replay>,
    /// Orders up to this number are taken up.
    pub commands_done: u64,
    /// Since when every attempt has failed, Unix milliseconds.
    pub failing_since_ms: Option<u64>,
    /// The last failure that was the receiver's, Unix milliseconds.
    pub last_failure_ms: Option<u64>,
    /// Failed attempts in a row.
    pub failures: u32,
    /// How much of the time until it is disabled was announced, percent.
    pub announced_percent: u8,
    /// Nothing is sent before this, as the receiver asked; Unix milliseconds.
    pub hold_until_ms: u64,
    /// Number of the next attempt.
    pub next_attempt: u64,
    /// Events delivered since it was made.
    pub delivered: u64,
    /// Requests that failed since it was made.
    pub failed_attempts: u64,
    /// Events given up since it was made.
    pub buried: u64,
    /// Events that retention removed before they were delivered.
    pub missed: u64,
    /// Unix milliseconds.
    pub last_delivery_ms: Option<u64>,
    /// The last error, in words, until something is delivered.
    pub last_error: Option<String>,
    /// Counts what the owner told: what arrives late does not undo what came after it.
    pub reports: u64,
}

impl Progress {
    /// With all readings of the expiry clock shifted by so many milliseconds: as times to show.
    pub fn shifted(mut self, by_ms: i64) -> Self {
        let move_one = |ms: &mut u64| {
            // 0 says that there is none.
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

    /// A consumer that gets what comes from `next_seq` on.
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
            buried: 0,
            missed: 0,
            last_delivery_ms: None,
            last_error: None,
            reports: 0,
        }
    }

    /// Events up to `head_seq` that are not settled, whether or not they are wanted.
    pub fn behind(&self, head_seq: u64) -> u64 {
        let settled: u64 = self.track.above.iter().map(|(from, to)| to - from).sum();
        (head_seq + 1).saturating_sub(self.track.next).saturating_sub(settled)
    }

    /// The first seq that is needed: of the topic's own events, and of what waits.
    pub fn oldest_seq(&self) -> u64 {
        self.waiting.oldest_seq.unwrap_or(u64::MAX).min(self.track.next)
    }

    /// Whether its owner has nothing to do before something new comes; `head_seq` is the topic's newest.
    pub fn is_idle(&self, head_seq: u64) -> bool {
        self.track.next > head_seq
            && self.waiting.events == 0
            && self.replays.iter().all(|replay| replay.ended_ms.is_some())
    }
}

/// The beginning of a text, at most so many bytes.
pub fn clipped(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// Why an event was given up. `C` is what the worker says of a failure, in terms of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason<C> {
    /// The last attempt failed.
    Failed(C),
    /// Somebody asked to go on behind it.
    Skipped,
    /// Too many events waited: it made room.
    Overflow,
}

/// An event that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter<C> {
    /// The event's place in the topic.
    pub seq: u64,
    /// The event's id.
    pub event_id: EventId,
    /// The event's type.
    pub kind: String,
    /// Attempts made.
    pub attempts: u32,
    /// The first attempt, Unix milliseconds.
    pub first_ms: u64,
    /// When it was given up, Unix milliseconds.
    pub buried_ms: u64,
    /// Why.
    pub reason: Reason<C>,
}

/// A change of the dead letters; several are carried out in the order in which they came to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeadLetterChange<C> {
    /// The event was given up.
    Added(DeadLetter<C>),
    /// The event of that seq was delivered after all.
    Removed(u64),
}

/// A consumer is to be disabled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disable {
    /// In words.
    pub why: String,
    /// What the map is told of it.
    pub news: Option<NewEvent>,
}

/// Something asked of a consumer's owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Go on from that seq; what failed before is given up where it lies before it. Asks for the topic's end when it
    /// is `u64::MAX` (then the place at which it is applied counts).
    Seek(u64),
    /// Deliver these events again, whatever became of them.
    Redeliver(Vec<u64>),
    /// Deliver all events, or what had failed, of `from_seq..until_seq`.
    Replay {
        /// The first.
        from_seq: u64,
        /// One past the last; `u64::MAX` is the topic's end at that place in the log.
        until_seq: u64,
        /// Only dead letters.
        failed_only: bool,
    },
    /// Stop a replay.
    Cancel(u64),
    /// Go on where it stopped, as if nothing had failed.
    Resume,
}

/// An order with its number, the log index it came with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberedCommand {
    /// Counts up over all consumers.
    pub number: u64,
    /// When it was given, Unix milliseconds.
    pub at_ms: u64,
    /// What.
    pub order: Order,
}

/// What an owner tells the cluster of its consumers. `A` is what is remembered of an attempt, `C` what
/// is kept of a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressReport<A, C> {
    /// The owner.
    pub node: NodeId,
    /// The epoch under which it owns them; refused under another one.
    pub epoch: u64,
    /// Its run: an earlier one owns nothing.
    pub run: u64,
    /// A consumer each.
    pub updates: Vec<Update<A, C>>,
}

/// How far one consumer is now. Reporting it twice does no harm; updates of one owner are told in order, and none is left
/// out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update<A, C> {
    /// The consumer.
    pub consumer: ConsumerId,
    /// Which consumer of that id (one made anew under the same id is another).
    pub born: u64,
    /// All of its progress.
    pub progress: Progress,
    /// What waits now, new or changed since: records by number.
    pub kept: Vec<(u64, Retry)>,
    /// Records of what waited that are needed no more.
    pub dropped: Vec<u64>,
    /// Attempts made since.
    pub attempts: Vec<A>,
    /// What became of dead letters since, in order.
    pub dead_letters: Vec<DeadLetterChange<C>>,
    /// Disable it, unless somebody asked meanwhile that it goes on.
    pub disable: Option<Disable>,
    /// Events to tell the map of it.
    pub news: Vec<NewEvent>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn a_track_knows_what_is_settled(seqs in prop::collection::vec(1u64..60, 0..80)) {
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
        fn a_range_is_settled_as_its_seqs_one_by_one(ranges in prop::collection::vec((1u64..60, 0u64..12), 0..30)) {
            let (mut by_range, mut one_by_one) = (Track::new(3), Track::new(3));
            for (from, count) in ranges {
                by_range.settle_range(from..from + count);
                (from..from + count).for_each(|seq| one_by_one.settle(seq));
                prop_assert_eq!(&by_range, &one_by_one);
            }
        }
    }
}
