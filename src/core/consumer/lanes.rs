//! Lanes: deliveries of the same lane go one after another, in the order of their events.
//!
//! This file tracks which delivery holds which lane, and the gap that each lane's next delivery has to
//! report. A delivery holds its lanes from when it begins or waits until it is delivered, or until the
//! cluster knows that it was given up.

use super::progress::Retry;
use crate::core::ids::EventId;
use std::collections::BTreeSet;

/// The largest number of lanes whose last given-up event is remembered.
const MAX_GAPS: usize = 64;

/// The holders of lanes, and one gap for each lane, at most [`MAX_GAPS`] of them.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    /// Lane, first seq, number of the delivery: the earliest delivery of a lane comes first.
    holders: BTreeSet<(u64, u64, u64)>,
    /// Lanes in which an event was given up, with the id of the last one.
    gaps: Vec<(u64, EventId)>,
}

impl Lanes {
    pub(super) fn new(gaps: Vec<(u64, EventId)>) -> Self {
        Self { holders: BTreeSet::new(), gaps }
    }

    /// Returns whether no delivery holds the lane.
    pub(super) fn is_free(&self, lane: u64) -> bool {
        self.first(lane).is_none()
    }

    /// Returns the delivery that comes first in the lane.
    pub(super) fn first(&self, lane: u64) -> Option<u64> {
        self.holders(lane).next()
    }

    /// Returns all deliveries that hold the lane, in order.
    pub(super) fn holders(&self, lane: u64) -> impl Iterator<Item = u64> {
        self.holders.range((lane, 0, 0)..=(lane, u64::MAX, u64::MAX)).map(|(_, _, number)| *number)
    }

    /// Returns whether the delivery comes first in all its lanes.
    pub(super) fn may_start(&self, number: u64, lanes: &[u64]) -> bool {
        lanes.iter().all(|lane| self.first(*lane).is_none_or(|first| first == number))
    }

    pub(super) fn hold(&mut self, number: u64, delivery: &Retry) {
        self.holders.extend(holdings(number, delivery));
    }

    /// Releases the delivery's lanes.
    pub(super) fn release(&mut self, number: u64, delivery: &Retry) {
        for held in holdings(number, delivery) {
            let was_held = self.holders.remove(&held);
            debug_assert!(was_held, "{held:?} was not held");
        }
    }

    /// Returns the gaps, as the cluster stores them.
    pub(super) fn gaps(&self) -> &[(u64, EventId)] {
        &self.gaps
    }

    /// Returns the first of these lanes that has a gap to report.
    pub(super) fn with_gap(&self, lanes: &[u64]) -> Option<u64> {
        lanes.iter().copied().find(|lane| self.gap(*lane).is_some())
    }

    /// Returns the last event that was given up in the lane and that no delivery has reported yet.
    pub(super) fn gap(&self, lane: u64) -> Option<EventId> {
        self.gaps.iter().find(|(gap, _)| *gap == lane).map(|(_, event)| *event)
    }

    /// Records that events of the lanes were given up. The next delivery in each lane reports it. The oldest
    /// gaps are dropped.
    pub(super) fn given_up(&mut self, delivery: &Retry) {
        for (lane, event) in delivery.lanes.iter().zip(&delivery.events) {
            self.reported_gap(*lane);
            self.gaps.push((*lane, event.id));
        }
        let excess = self.gaps.len().saturating_sub(MAX_GAPS);
        self.gaps.drain(..excess);
    }

    /// Removes the lane's gap: a delivery that reported it succeeded.
    pub(super) fn reported_gap(&mut self, lane: u64) {
        self.gaps.retain(|(gap, _)| *gap != lane);
    }
}

fn holdings(number: u64, delivery: &Retry) -> impl Iterator<Item = (u64, u64, u64)> {
    delivery.lanes.iter().zip(&delivery.events).map(move |(lane, event)| (*lane, event.seq, number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::consumer::progress::{EventRef, Source};

    fn delivery(events: &[(u64, u64)]) -> Retry {
        let lanes = events.iter().map(|(lane, _)| *lane).collect();
        let events =
            events.iter().map(|(_, seq)| EventRef { seq: *seq, id: EventId::new(1, *seq, 0) }).collect();
        Retry { events, attempts: 0, due_ms: 0, first_ms: 0, lanes, source: Source::Live }
    }

    #[test]
    fn the_earliest_event_of_a_lane_comes_first_whatever_its_number_is() {
        let mut lanes = Lanes::default();
        let late = delivery(&[(7, 20)]);
        let early = delivery(&[(7, 10), (8, 11)]);
        lanes.hold(1, &late);
        assert!(lanes.may_start(1, &[7]) && lanes.is_free(8));
        lanes.hold(2, &early);
        assert!(!lanes.may_start(1, &[7]) && lanes.may_start(2, &[7, 8]));
        assert_eq!(lanes.holders(7).collect::<Vec<_>>(), [2, 1]);
        lanes.release(2, &early);
        assert!(lanes.may_start(1, &[7]) && lanes.is_free(8));
    }

    #[test]
    fn a_lane_has_one_gap_and_gaps_are_bounded() {
        let mut lanes = Lanes::default();
        lanes.given_up(&delivery(&[(1, 10), (2, 11), (1, 12)]));
        assert_eq!(lanes.gap(1), Some(EventId::new(1, 12, 0)), "the last event");
        assert_eq!(lanes.with_gap(&[5, 2, 1]), Some(2));
        lanes.reported_gap(2);
        assert_eq!((lanes.gap(2), lanes.with_gap(&[5, 2])), (None, None));
        for lane in 100..100 + MAX_GAPS as u64 {
            lanes.given_up(&delivery(&[(lane, lane)]));
        }
        assert_eq!((lanes.gaps().len(), lanes.gap(1)), (MAX_GAPS, None), "the oldest is dropped");
    }
}
