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
use crate::core::lifecycle::{Lifecycle, LifecycleKind};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// The most bytes of facts that wait for one map when another one comes that tells of an event.
const MOST_WAITING: usize = 1 << 20;
/// The same for a fact that tells of a join or its end: the rate of joins bounds how fast they come, not how
/// long the cluster takes to store them.
const MOST_OF_JOINS: usize = 32 << 20;
/// While the facts of all maps have this many bytes, no map may have more than [`MOST_WAITING`].
const MOST_OF_ALL: usize = 64 << 20;
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
    maps: Mutex<Maps>,
    some: Notify,
}

/// What waits, by map.
#[derive(Default)]
struct Maps {
    waiting: BTreeMap<MapId, Waiting>,
    /// The bytes of all maps.
    bytes: usize,
}

fn size(event: &NewEvent) -> usize {
    OF_EVENT + event.len_bytes()
}

/// The bytes of one map that may wait when a fact of the kind comes, while all maps have `of_all`.
fn most_waiting(kind: LifecycleKind, of_all: usize) -> usize {
    match kind {
        LifecycleKind::ConnectionEstablished
        | LifecycleKind::ConnectionTerminated
        | LifecycleKind::Subscribe
        | LifecycleKind::Unsubscribe
            if of_all < MOST_OF_ALL =>
        {
            MOST_OF_JOINS
        }
        _ => MOST_WAITING,
    }
}

impl Notes {
    fn lock(&self) -> MutexGuard<'_, Maps> {
        self.0.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a fact. A fact that finds the map's queue full is lost, and the log says so.
    pub(super) fn add(&self, map: MapId, fact: &Lifecycle) {
        let event = fact.event();
        let mut maps = self.lock();
        let most = most_waiting(fact.kind(), maps.bytes);
        let waiting = maps.waiting.entry(map).or_default();
        if waiting.bytes >= most {
            waiting.lost += 1;
            return;
        }
        let bytes = size(&event);
        waiting.bytes += bytes;
        waiting.events.push_back(event);
        maps.bytes += bytes;
        drop(maps);
        self.0.some.notify_one();
    }

    /// Takes what one publish of each idle map can carry.
    fn take(&self) -> Vec<(MapId, Vec<NewEvent>)> {
        let mut ready = Vec::new();
        let mut maps = self.lock();
        let Maps { waiting, bytes: of_all } = &mut *maps;
        for (map, waiting) in waiting.iter_mut().filter(|(_, waiting)| !waiting.is_busy) {
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
            *of_all = of_all.saturating_sub(bytes);
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
        let Some(waiting) = maps.waiting.get_mut(&map) else { return };
        waiting.is_busy = false;
        if waiting.lost > 0 {
            tracing::warn!(%map, lost = waiting.lost, "lifecycle events were lost: too many wait to be stored");
            waiting.lost = 0;
        }
        if waiting.events.is_empty() {
            maps.waiting.remove(&map);
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::subject::Subject;

    #[test]
    fn many_maps_together_leave_each_of_them_little_room() {
        let of_join = LifecycleKind::Subscribe;
        assert_eq!(most_waiting(of_join, MOST_OF_ALL - 1), MOST_OF_JOINS);
        assert_eq!(most_waiting(of_join, MOST_OF_ALL), MOST_WAITING);
        assert_eq!(most_waiting(LifecycleKind::CacheMiss, 0), MOST_WAITING);
    }

    #[test]
    fn the_bytes_of_all_maps_are_those_that_wait() {
        let notes = Notes::default();
        let fact = Lifecycle::CacheMiss { channel: Subject::parse("cache-x").unwrap() };
        let maps = [1, 2].map(|n| MapId::from_bytes([n; 16]));
        for map in maps {
            (0..=MOST_FACTS).for_each(|_| notes.add(map, &fact));
        }
        let one = size(&fact.event());
        assert_eq!(notes.lock().bytes, 2 * (MOST_FACTS + 1) * one);
        assert_eq!(notes.take().len(), 2);
        assert_eq!(notes.lock().bytes, 2 * one, "what is taken waits no longer");
        maps.into_iter().for_each(|map| notes.done(map));
        while !notes.take().is_empty() {
            maps.into_iter().for_each(|map| notes.done(map));
        }
        assert_eq!(notes.lock().bytes, 0);
        assert!(notes.lock().waiting.is_empty());
    }
}
