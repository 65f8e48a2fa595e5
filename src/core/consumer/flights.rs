//! Flights: the requests under way.

use super::progress::{EventRef, Retry, Source};
use std::collections::BTreeMap;
use std::ops::Range;

/// A request under way.
#[derive(Debug)]
pub(super) struct Flying {
    pub(super) delivery: Retry,
    /// Types of its events, if it is new.
    pub(super) kinds: Vec<u32>,
    /// Whether it is new: it was not tried before and did not wait.
    pub(super) is_fresh: bool,
    /// The lane whose gap it reports.
    pub(super) gap_lane: Option<u64>,
    /// The number of counted failures when it began: several requests that were under way together fail for
    /// the same cause.
    pub(super) failures_before: u64,
    /// Events before this seq are not retried: meanwhile somebody requested to continue from there.
    skip_below: u64,
}

impl Flying {
    pub(super) fn new(delivery: Retry, kinds: Vec<u32>, is_fresh: bool) -> Self {
        Self { delivery, kinds, is_fresh, gap_lane: None, failures_before: 0, skip_below: 0 }
    }

    /// Returns whether the event must not be retried.
    pub(super) fn skips(&self, event: &EventRef) -> bool {
        self.delivery.source == Source::Live && event.seq < self.skip_below
    }
}

/// Requests under way, by the number of their delivery. A delivery is under way once at a time.
#[derive(Debug, Default)]
pub(super) struct Flights {
    flying: BTreeMap<u64, Flying>,
    /// The events under way by their source, each with the number of requests that carry it: there may be
    /// thousands of requests.
    carried: BTreeMap<(Source, u64), u32>,
}

impl Flights {
    pub(super) fn begin(&mut self, number: u64, flying: Flying) {
        debug_assert!(!flying.delivery.events.is_empty());
        for event in &flying.delivery.events {
            *self.carried.entry((flying.delivery.source, event.seq)).or_default() += 1;
        }
        let before = self.flying.insert(number, flying);
        debug_assert!(before.is_none(), "{number} is under way already");
    }

    pub(super) fn end(&mut self, number: u64) -> Option<Flying> {
        let ended = self.flying.remove(&number)?;
        for event in &ended.delivery.events {
            let of = (ended.delivery.source, event.seq);
            match self.carried.get_mut(&of) {
                Some(requests) if *requests > 1 => *requests -= 1,
                _ => drop(self.carried.remove(&of)),
            }
        }
        Some(ended)
    }

    pub(super) fn len(&self) -> usize {
        self.flying.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.flying.is_empty()
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        self.flying.contains_key(&number)
    }

    /// Returns whether none of them is new.
    pub(super) fn are_tried_before(&self) -> bool {
        self.flying.values().all(|flying| !flying.is_fresh)
    }

    /// Returns whether a request from that source is under way.
    pub(super) fn has(&self, source: Source) -> bool {
        self.carried.range((source, 0)..=(source, u64::MAX)).next().is_some()
    }

    /// Returns whether a request from that source carries the event.
    pub(super) fn carry_of(&self, source: Source, seq: u64) -> bool {
        self.carried.contains_key(&(source, seq))
    }

    /// Returns the events of that range that requests from that source carry, in order.
    pub(super) fn carried_of(&self, source: Source, seqs: &Range<u64>) -> Vec<u64> {
        if seqs.is_empty() {
            return Vec::new();
        }
        self.carried.range((source, seqs.start)..(source, seqs.end)).map(|((_, seq), _)| *seq).collect()
    }

    /// Returns whether any request carries the event.
    pub(super) fn carry(&self, seq: u64) -> bool {
        let mut of_replays = self.carried.range((Source::Replay(0), 0)..);
        self.carry_of(Source::Live, seq)
            || self.carry_of(Source::Asked, seq)
            || of_replays.any(|((_, carried), _)| *carried == seq)
    }

    /// Marks the stream's own events before `seq` as not to be retried if they fail.
    pub(super) fn skip_below(&mut self, seq: u64) {
        self.flying.values_mut().for_each(|flying| flying.skip_below = seq);
    }

    /// Returns the batches of the stream's own events that are under way for the first time, as ranges of
    /// seqs.
    pub(super) fn batches(&self) -> impl Iterator<Item = Vec<(u64, u64)>> {
        let first = |flying: &&Flying| flying.is_fresh && flying.delivery.source == Source::Live;
        let batches = self.flying.values().filter(first).map(|flying| &flying.delivery.events);
        batches.filter(|events| events.len() > 1).map(|events| ranges(events.iter().map(|event| event.seq)))
    }
}

/// Returns ascending seqs as ranges: the first seq, and the seq after the last.
pub(super) fn ranges(seqs: impl Iterator<Item = u64>) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for seq in seqs {
        match ranges.last_mut() {
            Some((_, end)) if *end == seq => *end += 1,
            _ => ranges.push((seq, seq + 1)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ids::EventId;

    fn flying(seqs: &[u64], source: Source, is_fresh: bool) -> Flying {
        let events = seqs.iter().map(|seq| EventRef { seq: *seq, id: EventId::ZERO }).collect();
        let delivery = Retry { events, attempts: 0, due_ms: 0, first_ms: 0, lanes: Vec::new(), source };
        Flying::new(delivery, Vec::new(), is_fresh)
    }

    #[test]
    fn only_new_batches_of_the_stream_are_repeated_unchanged() {
        let mut flights = Flights::default();
        flights.begin(1, flying(&[1, 2, 4], Source::Live, true));
        flights.begin(2, flying(&[5], Source::Live, true));
        flights.begin(3, flying(&[6, 7], Source::Live, false));
        flights.begin(4, flying(&[1, 2], Source::Replay(9), true));
        assert_eq!(flights.batches().collect::<Vec<_>>(), [vec![(1, 3), (4, 5)]]);
        assert!(
            flights.carry(7)
                && flights.carry_of(Source::Replay(9), 2)
                && !flights.carry_of(Source::Replay(9), 4)
        );
        assert!(!flights.are_tried_before());
        [1, 2, 4].into_iter().for_each(|number| drop(flights.end(number)));
        assert!(flights.are_tried_before() && !flights.has(Source::Replay(9)));
    }

    #[test]
    fn only_the_streams_own_events_are_skipped() {
        let mut flights = Flights::default();
        flights.begin(1, flying(&[3, 5], Source::Live, true));
        flights.begin(2, flying(&[3], Source::Asked, true));
        flights.skip_below(5);
        for (number, expected) in [(1, vec![true, false]), (2, vec![false])] {
            let ended = flights.end(number);
            let skipped: Option<Vec<bool>> =
                ended.map(|ended| ended.delivery.events.iter().map(|event| ended.skips(event)).collect());
            assert_eq!(skipped, Some(expected));
        }
    }
}
