//! Events whose lane is held by an earlier one: they make room for those of other lanes.

use super::{Engine, MAX_READY, Ready};
use std::collections::{BTreeMap, VecDeque};

/// Events by lane, in order. A lane has an entry only while it has events.
#[derive(Debug, Default)]
pub(super) struct Parked {
    lanes: BTreeMap<u64, VecDeque<Ready>>,
    events: usize,
}

impl Parked {
    pub(super) fn len(&self) -> usize {
        self.events
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether some wait for that lane.
    fn has(&self, lane: u64) -> bool {
        self.lanes.contains_key(&lane)
    }
}

impl Engine {
    /// Puts an event where it waits for its turn.
    pub(super) fn make_ready(&mut self, ready: Ready) {
        match ready.lane.filter(|lane| self.parks() && (!self.lanes.is_free(*lane) || self.parked.has(*lane))) {
            Some(lane) => {
                self.parked.lanes.entry(lane).or_default().push_back(ready);
                self.parked.events += 1;
            }
            None => self.ready.push_back(ready),
        }
    }

    /// The lanes are held now: what is ready in them waits elsewhere, before what waits there already.
    pub(super) fn park(&mut self, lanes: &[u64]) {
        if !self.parks() {
            return;
        }
        for at in (0..self.ready.len()).rev() {
            let Some(lane) = self.ready.get(at).and_then(|ready| ready.lane).filter(|lane| lanes.contains(lane)) else {
                continue;
            };
            if let Some(ready) = self.ready.remove(at) {
                self.parked.lanes.entry(lane).or_default().push_front(ready);
                self.parked.events += 1;
            }
        }
    }

    /// The lane is free: the next of its events are ready, at their places among the others.
    pub(super) fn unpark(&mut self, lane: u64) {
        let Some(waiting) = self.parked.lanes.get_mut(&lane) else { return };
        let next: Vec<Ready> = waiting.drain(..waiting.len().min(MAX_READY)).collect();
        if waiting.is_empty() {
            self.parked.lanes.remove(&lane);
        }
        self.parked.events -= next.len();
        for ready in next {
            let at = self.ready.partition_point(|other| other.event.seq < ready.event.seq);
            self.ready.insert(at, ready);
        }
    }

    /// Only where there are many lanes: with one, all would wait for it anyway.
    fn parks(&self) -> bool {
        self.plan.parked < usize::MAX
    }
}
