//! Lifecycle events that this node sees: connections, subscriptions and client events.
//!
//! Each map has a bounded queue and one publish under way. A publish whose outcome is unknown is repeated under
//! its key, so it is stored once.

use super::super::error::HubError;
use super::super::health::Health;
use super::super::log::Log;
use crate::core::command::{Command, IdempotencyKey, Publish, Refusal};
use crate::core::event::NewEvent;
use crate::core::ids::MapId;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// The most bytes of facts that wait for one map.
const MOST_WAITING: usize = 1 << 20;
/// The most bytes of one publish, roughly.
const MOST_BYTES: usize = 128 * 1024;
/// The most facts of one publish.
const MOST_FACTS: usize = 500;
/// What an event has beside its texts (bytes), at most.
const OF_EVENT: usize = 64;
/// For how long a publish is tried before its facts are given up.
const TRIED_FOR: Duration = Duration::from_secs(60);
/// Pause before a publish is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(300);
/// For how long the key of a publish is remembered (ms): longer than it is tried.
const KEY_MS: u64 = 120_000;

/// What waits for one map.
#[derive(Default)]
struct Waiting {
    events: VecDeque<NewEvent>,
    bytes: usize,
    /// A publish of the map is under way.
    is_busy: bool,
    /// Facts that found the queue full since the last publish.
    lost: u64,
}

/// The facts that wait to be published; cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Notes(Arc<Queues>);

#[derive(Default)]
struct Queues {
    maps: Mutex<BTreeMap<MapId, Waiting>>,
    some: Notify,
}

fn size(event: &NewEvent) -> usize {
    OF_EVENT + event.len_bytes()
}

impl Notes {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<MapId, Waiting>> {
        self.0.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a fact. A fact that finds the map's queue full is lost, and the log says so.
    pub(super) fn add(&self, map: MapId, event: NewEvent) {
        let mut maps = self.lock();
        let waiting = maps.entry(map).or_default();
        if waiting.bytes >= MOST_WAITING {
            waiting.lost += 1;
            return;
        }
        waiting.bytes += size(&event);
        waiting.events.push_back(event);
        drop(maps);
        self.0.some.notify_one();
    }

    /// Takes what one publish of each idle map can carry.
    fn take(&self) -> Vec<(MapId, Vec<NewEvent>)> {
        let mut ready = Vec::new();
        for (map, waiting) in self.lock().iter_mut().filter(|(_, waiting)| !waiting.is_busy) {
            let mut bytes = 0;
            let mut events = Vec::new();
            while bytes < MOST_BYTES
                && events.len() < MOST_FACTS
                && let Some(event) = waiting.events.pop_front()
            {
                bytes += size(&event);
                events.push(event);
            }
            waiting.bytes = waiting.bytes.saturating_sub(bytes);
            if !events.is_empty() {
                waiting.is_busy = true;
                ready.push((*map, events));
            }
        }
        ready
    }

    /// The map's publish has ended.
    fn done(&self, map: MapId) {
        let mut maps = self.lock();
        let Some(waiting) = maps.get_mut(&map) else { return };
        waiting.is_busy = false;
        if waiting.lost > 0 {
            tracing::warn!(%map, lost = waiting.lost, "lifecycle events were lost: too many wait to be stored");
            waiting.lost = 0;
        }
        if waiting.events.is_empty() {
            maps.remove(&map);
        }
    }

    /// Publishes what is added; runs as long as the node.
    pub(super) async fn run(self, log: Log, health: Health) {
        let mut under_way = FuturesUnordered::new();
        loop {
            for (map, events) in self.take() {
                under_way.push(publish(&log, &health, map, events));
            }
            tokio::select! {
                () = self.0.some.notified() => {}
                Some(map) = under_way.next(), if !under_way.is_empty() => self.done(map),
            }
        }
    }
}

/// Publishes facts of a map, and tries again while the disks have no room or the outcome is unknown.
async fn publish(log: &Log, health: &Health, map: MapId, events: Vec<NewEvent>) -> MapId {
    let key = key();
    let mut publish = Publish { map, by: None, events, key };
    let give_up = Instant::now() + TRIED_FOR;
    while Instant::now() < give_up {
        if !health.has_room() {
            sleep(RETRY_PAUSE).await;
            continue;
        }
        match log.propose(&Command::Publish(publish.clone())).await {
            Ok(_) | Err(HubError::Refused(Refusal::UnknownMap)) => return map,
            // The map's own publishers use up its keys. Nothing is stored yet.
            Err(HubError::Refused(Refusal::TooManyKeys { .. })) if publish.key.is_some() => {
                publish.key = None;
            }
            Err(error @ (HubError::Refused(_) | HubError::TooLarge(_) | HubError::Internal(_))) => {
                tracing::error!(%map, %error, "lifecycle events were refused");
                return map;
            }
            // Without a key a repetition might be stored twice.
            Err(HubError::Unknown) if publish.key.is_none() => return map,
            Err(_) => sleep(RETRY_PAUSE).await,
        }
    }
    tracing::warn!(%map, lost = publish.events.len(), "lifecycle events were lost: the cluster did not store them");
    map
}

/// A key that no other publish has; `None` without random numbers.
fn key() -> Option<IdempotencyKey> {
    let mut key = [0; 16];
    getrandom::fill(&mut key).ok()?;
    Some(IdempotencyKey { key, fingerprint: key, ttl_ms: KEY_MS })
}
