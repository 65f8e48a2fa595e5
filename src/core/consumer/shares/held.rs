//! The permits that are held: how many, by whom, and who may take one more.

use super::{Claim, Speed};
use crate::core::ids::MapId;
use std::collections::BTreeMap;

/// A map may take a permit while it holds less than a quarter of what is free: one map alone gets a fifth of
/// all permits.
const OF_MAP: usize = 4;
/// The same for a receiver, so that one receiver that hangs leaves its map half of the map's share.
const OF_RECEIVER: usize = 8;
/// Of both shares, half is for consumers whose speed is known and quick.
const UNPROVEN: usize = 2;
/// All slow consumers together hold at most a third of what is free: a quarter of all permits.
const OF_SLOW: usize = 3;

/// Held permits of a map, a receiver, or all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    all: usize,
    /// Those of consumers that are not known to be quick.
    unproven: usize,
    slow: usize,
}

impl Tally {
    fn add(&mut self, speed: Speed) {
        self.all += 1;
        self.unproven += usize::from(speed != Speed::Quick);
        self.slow += usize::from(speed == Speed::Slow);
    }

    fn subtract(&mut self, speed: Speed) {
        debug_assert!(self.all > 0, "what was not taken is not given back");
        self.all -= 1;
        self.unproven -= usize::from(speed != Speed::Quick);
        self.slow -= usize::from(speed == Speed::Slow);
    }
}

/// All permits that are held.
#[derive(Debug)]
pub(super) struct Held<R> {
    total: usize,
    all: Tally,
    /// Maps and receivers that hold some.
    maps: BTreeMap<MapId, Tally>,
    receivers: BTreeMap<R, Tally>,
}

impl<R: Clone + Ord> Held<R> {
    pub(super) fn new(total: usize) -> Self {
        Self { total, all: Tally::default(), maps: BTreeMap::new(), receivers: BTreeMap::new() }
    }

    pub(super) fn count(&self) -> usize {
        self.all.all
    }

    fn free(&self) -> usize {
        self.total.saturating_sub(self.all.all)
    }

    pub(super) fn may_begin(&self, claim: &Claim<R>, speed: Speed) -> bool {
        self.has_room(speed)
            && self.map_has_room(&claim.map, speed)
            && self.receiver_has_room(&claim.receiver, speed)
    }

    /// Returns whether any consumer of that speed may begin.
    pub(super) fn has_room(&self, speed: Speed) -> bool {
        let free = self.free();
        free > 0 && (speed != Speed::Slow || self.all.slow < share(free, OF_SLOW))
    }

    pub(super) fn map_has_room(&self, map: &MapId, speed: Speed) -> bool {
        self.has_room_for(self.maps.get(map), OF_MAP, speed)
    }

    pub(super) fn receiver_has_room(&self, receiver: &R, speed: Speed) -> bool {
        self.has_room_for(self.receivers.get(receiver), OF_RECEIVER, speed)
    }

    fn has_room_for(&self, tally: Option<&Tally>, part: usize, speed: Speed) -> bool {
        let (free, Tally { all, unproven, .. }) = (self.free(), tally.copied().unwrap_or_default());
        all < share(free, part) && (speed == Speed::Quick || unproven < share(free, part * UNPROVEN))
    }

    pub(super) fn take(&mut self, claim: &Claim<R>, speed: Speed) {
        self.all.add(speed);
        self.maps.entry(claim.map).or_default().add(speed);
        self.receivers.entry(claim.receiver.clone()).or_default().add(speed);
    }

    pub(super) fn give_back(&mut self, claim: &Claim<R>, speed: Speed) {
        self.all.subtract(speed);
        subtract(&mut self.maps, &claim.map, speed);
        subtract(&mut self.receivers, &claim.receiver, speed);
    }

    /// Whether the numbers are those of the given requests under way.
    #[cfg(test)]
    pub(super) fn is_of(&self, held: &[(Claim<R>, Speed)]) -> bool {
        let mut counted = Self::new(self.total);
        held.iter().for_each(|(claim, speed)| counted.take(claim, *speed));
        counted.all == self.all && counted.maps == self.maps && counted.receivers == self.receivers
    }
}

fn share(free: usize, part: usize) -> usize {
    free.div_ceil(part)
}

fn subtract<K: Ord>(tallies: &mut BTreeMap<K, Tally>, key: &K, speed: Speed) {
    if let Some(tally) = tallies.get_mut(key) {
        tally.subtract(speed);
        if tally.all == 0 {
            tallies.remove(key);
        }
    }
}
