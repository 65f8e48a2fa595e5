//! Lanes: deliveries of the same lane go one after the other, in the order of their events.

use crate::core::consumer::progress::Retry;
use std::collections::BTreeSet;

/// Who holds which lane: lane, first seq, number of the delivery; so the earliest of a lane comes first.
#[derive(Debug, Default)]
pub(super) struct Lanes(BTreeSet<(u64, u64, u64)>);

impl Lanes {
    /// Nobody holds the lane.
    pub(super) fn is_free(&self, lane: u64) -> bool {
        self.first(lane).is_none()
    }

    /// The delivery that comes first in the lane.
    pub(super) fn first(&self, lane: u64) -> Option<u64> {
        self.0.range((lane, 0, 0)..=(lane, u64::MAX, u64::MAX)).next().map(|(_, _, number)| *number)
    }

    /// All that hold the lane, in order.
    pub(super) fn holders(&self, lane: u64) -> impl Iterator<Item = u64> {
        self.0.range((lane, 0, 0)..=(lane, u64::MAX, u64::MAX)).map(|(_, _, number)| *number)
    }

    /// The delivery comes first in all its lanes.
    pub(super) fn may_start(&self, number: u64, lanes: &[u64]) -> bool {
        lanes.iter().all(|lane| self.first(*lane).is_none_or(|first| first == number))
    }

    pub(super) fn hold(&mut self, number: u64, delivery: &Retry) {
        self.0.extend(holdings(number, delivery));
    }

    pub(super) fn release(&mut self, number: u64, delivery: &Retry) {
        for held in holdings(number, delivery) {
            self.0.remove(&held);
        }
    }
}

fn holdings(number: u64, delivery: &Retry) -> impl Iterator<Item = (u64, u64, u64)> {
    delivery.lanes.iter().zip(&delivery.events).map(move |(lane, event)| (*lane, event.seq, number))
}
