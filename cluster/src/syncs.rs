//! Measures how long this node's disk takes to make what was handed to the log durable.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a finished write counts as one of the last.
const LATELY: Duration = Duration::from_secs(60);

/// The writes that were handed to the log and are not on disk yet, and how long the last ones took.
pub(crate) struct Syncs {
    state: Mutex<State>,
}

struct State {
    /// In the order in which they become durable.
    waiting: VecDeque<Write>,
    slowest: Worst,
}

/// One write: its number, when it was handed over, and the last of its entries, if it has entries.
struct Write {
    number: u64,
    at: Instant,
    last: Option<u64>,
}

/// The longest duration that was noted lately: in the present period or the one before.
#[derive(Debug)]
pub(crate) struct Worst {
    period: Duration,
    since: Option<Instant>,
    now: Duration,
    before: Duration,
}

impl Worst {
    pub(crate) fn new(period: Duration) -> Self {
        Self { period, since: None, now: Duration::ZERO, before: Duration::ZERO }
    }

    pub(crate) fn note(&mut self, duration: Duration, at: Instant) {
        self.turn(at);
        self.now = self.now.max(duration);
    }

    pub(crate) fn get(&mut self, at: Instant) -> Duration {
        self.turn(at);
        self.now.max(self.before)
    }

    /// Begins another period when the present one is over.
    fn turn(&mut self, at: Instant) {
        let since = *self.since.get_or_insert(at);
        let gone = at.saturating_duration_since(since);
        if gone >= self.period {
            self.before = if gone < self.period * 2 { self.now } else { Duration::ZERO };
            self.now = Duration::ZERO;
            self.since = Some(at);
        }
    }
}

/// How far this node's disk is behind, and how far a majority of the nodes is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Lag {
    /// The age of the oldest write that is not on this node's disk.
    pub(crate) own: Duration,
    /// The age of the oldest of them with entries that are committed: a majority had them without this disk.
    pub(crate) alone: Duration,
    /// The age of the oldest of them with entries that are not committed.
    pub(crate) others: Duration,
}

/// How long the log's disk takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SyncTimes {
    /// The slowest write of the last minute or two.
    pub(crate) slowest: Duration,
    /// The age of the oldest write that is not on disk.
    pub(crate) oldest: Duration,
}

impl State {
    fn new() -> Self {
        Self { waiting: VecDeque::new(), slowest: Worst::new(LATELY) }
    }

    fn finish(&mut self, upto: u64, now: Instant) {
        while let Some(write) = self.waiting.pop_front_if(|write| write.number <= upto) {
            self.slowest.note(now.saturating_duration_since(write.at), now);
        }
    }

    fn lag(&self, committed: u64, now: Instant) -> Lag {
        let age = |write: Option<&Write>| {
            write.map_or(Duration::ZERO, |write| now.saturating_duration_since(write.at))
        };
        let mut waiting = self.waiting.iter();
        Lag {
            own: age(self.waiting.front()),
            alone: age(waiting.clone().find(|write| write.last.is_some_and(|last| last <= committed))),
            others: age(waiting.find(|write| write.last.is_some_and(|last| last > committed))),
        }
    }

    fn times(&mut self, now: Instant) -> SyncTimes {
        SyncTimes { slowest: self.slowest.get(now), oldest: self.lag(0, now).own }
    }
}

impl Syncs {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State::new()) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A write was handed to the log; `last` is the last of its entries. Numbers only grow.
    pub(crate) fn begun(&self, number: u64, last: Option<u64>) {
        self.lock().waiting.push_back(Write { number, at: Instant::now(), last });
    }

    /// All writes up to that number are on disk.
    pub(crate) fn finished(&self, upto: u64) {
        self.lock().finish(upto, Instant::now());
    }

    /// How far the disk is behind, if everything up to `committed` is committed.
    pub(crate) fn lag(&self, committed: u64) -> Lag {
        self.lock().lag(committed, Instant::now())
    }

    /// How long the disk takes.
    pub(crate) fn times(&self) -> SyncTimes {
        self.lock().times(Instant::now())
    }
}

#[cfg(all(test, not(feature = "sim")))]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_hangs_is_told_from_a_cluster_that_does() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let seconds = |own, alone, others| Lag {
            own: Duration::from_secs(own),
            alone: Duration::from_secs(alone),
            others: Duration::from_secs(others),
        };
        let mut state = State::new();
        // A vote, and two entries.
        state.waiting.push_back(Write { number: 1, at: at(0), last: None });
        assert_eq!(state.lag(9, at(3)), seconds(3, 0, 0), "a vote says nothing of the others");
        state.waiting.push_back(Write { number: 2, at: at(1), last: Some(10) });
        state.waiting.push_back(Write { number: 3, at: at(2), last: Some(11) });
        assert_eq!(state.lag(9, at(3)), seconds(3, 0, 2), "nobody has the entries on disk");
        assert_eq!(state.lag(10, at(3)), seconds(3, 2, 1), "a majority has the first");
        assert_eq!(state.lag(11, at(3)), seconds(3, 2, 0), "a majority has both");
        state.finish(2, at(3));
        assert_eq!(state.lag(11, at(3)), seconds(1, 1, 0));
        assert_eq!(state.times(at(3)).oldest, Duration::from_secs(1));
        state.finish(3, at(3));
        assert_eq!(state.lag(0, at(3)), Lag::default());
        assert_eq!(state.times(at(3)).slowest.as_secs(), 3);
        assert_eq!(state.times(at(3) + LATELY).slowest.as_secs(), 3, "the period before still counts");
        assert_eq!(state.times(at(3) + LATELY * 4).slowest, Duration::ZERO, "old durations do not");
    }
}
