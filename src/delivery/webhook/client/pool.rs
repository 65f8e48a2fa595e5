//! Connections that wait to carry another request of the same webhook to the same place.
//!
//! Owns how many there are and how long they wait. Only a connection on which nothing of the last exchange is left gets
//! here ([`Exchange`](super::exchange::Exchange) sees to that), and only one on which nothing has come meanwhile leaves
//! for another request. No webhook gets a connection that carried another's requests: whatever a receiver sends out of
//! turn, no webhook sees an answer to another's request.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rustc_hash::FxHashMap;

use crate::core::ids::EndpointId;
use crate::delivery::webhook::{
    dial::Wire,
    guard::{Host, Target},
};

/// Longest that a connection waits.
pub(super) const IDLE: Duration = Duration::from_secs(30);
/// Longest that one waits for a request that can't be repeated: the receiver's own limit must not end it under way.
const IDLE_ONCE: Duration = Duration::from_secs(1);
/// Longest life of a connection: its receiver's addresses may change, and it is judged again only when dialled.
const LIFE: Duration = Duration::from_secs(300);

/// Whose connection it is, and where it leads.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    webhook: EndpointId,
    tls: bool,
    host: Host,
    port: u16,
}

impl Key {
    pub(super) fn new(webhook: EndpointId, target: &Target) -> Self {
        Self { webhook, tls: target.tls(), host: target.host().clone(), port: target.port() }
    }
}

struct Idle {
    key: Key,
    wire: Wire,
    since: Instant,
    /// How long it may wait.
    limit: Duration,
}

/// The connections of one client.
pub(super) struct Pool {
    /// By a number that counts up: the first is the one that waits longest.
    idle: BTreeMap<u64, Idle>,
    /// The numbers of a webhook's connections, the last one's at the end.
    of: FxHashMap<Key, Vec<u64>>,
    next: u64,
    most: usize,
}

impl Pool {
    pub(super) fn new(most: usize) -> Self {
        Self { idle: BTreeMap::new(), of: FxHashMap::default(), next: 0, most }
    }

    /// A connection that is open and silent, for a request that may or may not be repeated.
    pub(super) fn take(&mut self, key: &Key, repeatable: bool) -> Option<Wire> {
        loop {
            let number = *self.of.get(key)?.last()?;
            let idle = self.remove(number)?;
            let limit = if repeatable { idle.limit } else { idle.limit.min(IDLE_ONCE) };
            if idle.since.elapsed() < limit && idle.wire.age() < LIFE && idle.wire.is_quiet() {
                return Some(idle.wire);
            }
        }
    }

    /// Keeps a connection for so long at most; the one that has waited longest makes room.
    pub(super) fn put(&mut self, key: Key, wire: Wire, limit: Duration) {
        self.tidy();
        if self.idle.len() >= self.most
            && let Some(oldest) = self.idle.keys().next().copied()
        {
            self.remove(oldest);
        }
        let number = self.next;
        self.next += 1;
        self.of.entry(key.clone()).or_default().push(number);
        self.idle.insert(number, Idle { key, wire, since: Instant::now(), limit });
    }

    /// Closes those that have waited as long as any may.
    pub(super) fn tidy(&mut self) {
        while let Some((oldest, idle)) = self.idle.first_key_value()
            && idle.since.elapsed() >= IDLE
        {
            let oldest = *oldest;
            self.remove(oldest);
        }
    }

    fn remove(&mut self, number: u64) -> Option<Idle> {
        let idle = self.idle.remove(&number)?;
        if let Some(numbers) = self.of.get_mut(&idle.key) {
            numbers.retain(|other| *other != number);
            if numbers.is_empty() {
                self.of.remove(&idle.key);
            }
        }
        Some(idle)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.idle.len()
    }

    /// As if all had waited for so long.
    #[cfg(test)]
    pub(super) fn age(&mut self, waited: Duration) {
        let now = Instant::now();
        self.idle.values_mut().for_each(|idle| idle.since = now.checked_sub(waited).unwrap_or(now));
    }
}
