//! Lanes: deliveries of the same lane go one after the other, in the order of their events.

use crate::core::endpoint::progress::Retry;
use std::collections::{BTreeMap, BTreeSet};

/// Who holds which lane: each delivery by its first seq and number, so that the earliest comes first.
#[derive(Debug, Default)]
pub(super) struct Lanes(BTreeMap<u64, BTreeSet<(u64, u64)>>);

impl Lanes {
    /// Nobody holds the lane.
    pub(super) fn is_free(&self, lane: u64) -> bool {
        !self.0.contains_key(&lane)
    }

    /// The delivery comes first in all its lanes.
    pub(super) fn may_start(&self, number: u64, lanes: &[u64]) -> bool {
        let first = |lane| self.0.get(lane).and_then(|holders| holders.first());
        lanes.iter().all(|lane| first(lane).is_none_or(|(_, holder)| *holder == number))
    }

    pub(super) fn hold(&mut self, number: u64, delivery: &Retry) {
        let seq = delivery.events.first().map_or(0, |event| event.seq);
        for lane in &delivery.lanes {
            self.0.entry(*lane).or_default().insert((seq, number));
        }
    }

    pub(super) fn release(&mut self, number: u64, delivery: &Retry) {
        for lane in &delivery.lanes {
            if let Some(holders) = self.0.get_mut(lane) {
                holders.retain(|(_, holder)| *holder != number);
                if holders.is_empty() {
                    self.0.remove(lane);
                }
            }
        }
    }
}
