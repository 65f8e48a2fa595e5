//! How the webhooks and consumers of all maps stand, counted by map: for the list of maps, and for the state of
//! the cluster.
//!
//! Nothing is counted while events go. Whoever asks gets counts that are some seconds old. If they are older, a
//! thread for blocking work counts everything anew: one at a time, and never for more than a small part of the
//! time, however many webhooks there are and however many callers ask.

mod look;

pub use look::{counted, of_map};

use crate::core::ids::MapId;
use crate::core::webhook::standing::{Standings, WebhookStanding};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::OwnedMutexGuard;

/// Counts younger than this are good enough.
const YOUNG: Duration = Duration::from_secs(2);
/// Counts are good enough for so many times as long as it took to count them.
const SHARE: u32 = 20;

/// How the webhooks and consumers of all maps stood at a time.
#[derive(Debug, Default)]
pub struct Counted {
    /// Those of the maps that have any.
    of_maps: FxHashMap<MapId, Standings>,
    all: Standings,
    at_ms: u64,
}

impl Counted {
    /// The counts of maps at that time (Unix milliseconds of the cluster's time).
    fn new(of_maps: FxHashMap<MapId, Standings>, at_ms: u64) -> Self {
        let mut all = Standings::default();
        of_maps.values().for_each(|of_map| all.add(of_map));
        Self { of_maps, all, at_ms }
    }

    /// Those of one map.
    pub fn of_map(&self, map: MapId) -> Standings {
        self.of_maps.get(&map).copied().unwrap_or_default()
    }

    /// Those of all maps together.
    pub fn all(&self) -> &Standings {
        &self.all
    }

    /// The maps with webhooks that stand so.
    pub fn with_webhooks(&self, standing: WebhookStanding) -> impl Iterator<Item = MapId> + '_ {
        self.of_maps.iter().filter(move |(_, of_map)| of_map.webhooks(standing) > 0).map(|(map, _)| *map)
    }

    /// When they were counted, Unix milliseconds of the cluster's time.
    pub fn at_ms(&self) -> u64 {
        self.at_ms
    }

    /// The maps with something that is wrong or late, the worst first, at most so many.
    pub fn worst(&self, most: usize) -> Vec<(MapId, Standings)> {
        let troubled = self.of_maps.iter().filter(|(_, of_map)| of_map.troubles() != (0, 0));
        let mut worst: Vec<(MapId, Standings)> = troubled.map(|(map, of_map)| (*map, *of_map)).collect();
        worst.sort_unstable_by_key(|(map, of_map)| (Reverse(of_map.troubles()), *map));
        worst.truncate(most);
        worst
    }
}

/// The last counts of this node.
#[derive(Debug, Default)]
pub struct LastStandings {
    last: Mutex<Option<Last>>,
    /// Held by whoever counts.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct Last {
    counted: Arc<Counted>,
    /// Until when they are good enough.
    good_until: Instant,
}

impl LastStandings {
    /// The last counts, if they are good enough.
    fn good(&self, now: Instant) -> Option<Arc<Counted>> {
        self.lock().as_ref().filter(|last| now < last.good_until).map(|last| last.counted.clone())
    }

    /// The last counts, however old they are.
    fn last(&self) -> Option<Arc<Counted>> {
        self.lock().as_ref().map(|last| last.counted.clone())
    }

    /// Waits for the turn to count.
    async fn turn(&self) -> OwnedMutexGuard<()> {
        self.turn.clone().lock_owned().await
    }

    /// Keeps new counts, which it took so long to count.
    fn keep(&self, counted: Counted, took: Duration, now: Instant) {
        let good_until = now + YOUNG.max(took.saturating_mul(SHARE));
        *self.lock() = Some(Last { counted: Arc::new(counted), good_until });
    }

    fn lock(&self) -> MutexGuard<'_, Option<Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
