//! Events that were read and have not begun. They are ready, or parked behind an event of their lane that is
//! under way.
//!
//! A parked event waits for a request that is under way, so it waits for a bounded time. An event that waits
//! longer becomes a record (see [`super::retry`]).

use super::progress::EventRef;
use std::collections::{BTreeMap, VecDeque};

/// The number of events that are read and not yet sent, unless a batch takes more.
pub(super) const MAX_READY: usize = 256;

/// An event that was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ready {
    pub(super) event: EventRef,
    pub(super) lane: Option<u64>,
    pub(super) kind: u32,
    pub(super) since_ms: u64,
}

/// The events of one source. Each event is in it once: ready or parked.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Sorted by seq.
    ready: VecDeque<Ready>,
    /// Sorted by lane and seq.
    parked: BTreeMap<(u64, u64), Ready>,
}

impl Queue {
    pub(super) fn ready(&self) -> &VecDeque<Ready> {
        &self.ready
    }

    pub(super) fn parked(&self) -> usize {
        self.parked.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.parked.is_empty()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Returns whether the event is ready.
    pub(super) fn is_ready(&self, seq: u64) -> bool {
        self.ready.iter().any(|ready| ready.event.seq == seq)
    }

    /// Inserts an event among the ready ones, in the order of seqs.
    pub(super) fn push(&mut self, ready: Ready) {
        let at = match self.ready.back() {
            Some(last) if last.event.seq > ready.event.seq => {
                self.ready.partition_point(|other| other.event.seq < ready.event.seq)
            }
            _ => self.ready.len(),
        };
        self.ready.insert(at, ready);
    }

    /// Returns whether events are parked in that lane.
    pub(super) fn has_parked(&self, lane: u64) -> bool {
        self.parked.range((lane, 0)..=(lane, u64::MAX)).next().is_some()
    }

    pub(super) fn park(&mut self, lane: u64, ready: Ready) {
        self.parked.insert((lane, ready.event.seq), ready);
    }

    /// Parks the ready events of these lanes.
    pub(super) fn park_lanes(&mut self, lanes: &[u64]) {
        let (stay, go): (VecDeque<Ready>, VecDeque<Ready>) =
            self.ready.drain(..).partition(|ready| ready.lane.is_none_or(|lane| !lanes.contains(&lane)));
        self.ready = stay;
        go.into_iter().for_each(|ready| ready.lane.into_iter().for_each(|lane| self.park(lane, ready)));
    }

    /// Takes up to `max` events that are parked in the lane, in order.
    pub(super) fn take_parked(&mut self, lane: u64, max: usize) -> Vec<Ready> {
        let found: Vec<u64> =
            self.parked.range((lane, 0)..=(lane, u64::MAX)).take(max).map(|((_, seq), _)| *seq).collect();
        found.into_iter().filter_map(|seq| self.parked.remove(&(lane, seq))).collect()
    }

    /// Takes the events at these indexes, which ascend.
    pub(super) fn take(&mut self, indexes: &[usize]) -> Vec<Ready> {
        let mut taken: Vec<Ready> =
            indexes.iter().rev().filter_map(|index| self.ready.remove(*index)).collect();
        taken.reverse();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ids::EventId;

    fn ready(seq: u64, lane: Option<u64>) -> Ready {
        Ready { event: EventRef { seq, id: EventId::ZERO }, lane, kind: 0, since_ms: 0 }
    }

    fn seqs(queue: &Queue) -> Vec<u64> {
        queue.ready().iter().map(|ready| ready.event.seq).collect()
    }

    #[test]
    fn ready_events_stay_in_order_wherever_they_come_from() {
        let mut queue = Queue::default();
        [(1, None), (2, Some(7)), (3, Some(8)), (5, Some(7))]
            .into_iter()
            .for_each(|(seq, lane)| queue.push(ready(seq, lane)));
        queue.park_lanes(&[7]);
        queue.park(7, ready(9, Some(7)));
        assert_eq!((seqs(&queue), queue.parked(), queue.has_parked(7)), (vec![1, 3], 3, true));
        queue.take_parked(7, 2).into_iter().for_each(|ready| queue.push(ready));
        assert_eq!((seqs(&queue), queue.has_parked(7)), (vec![1, 2, 3, 5], true));
        let taken: Vec<u64> = queue.take(&[1, 3]).iter().map(|ready| ready.event.seq).collect();
        assert_eq!((taken, seqs(&queue)), (vec![2, 5], vec![1, 3]));
        assert!(queue.is_ready(3) && !queue.is_ready(9) && !queue.is_empty());
    }
}
