//! Idle connections, each kept for another request of the same webhook to the same target.
//!
//! Owns their number and how long they stay idle. A connection is kept only if nothing of the last exchange
//! is left on it ([`Exchange`](super::exchange::Exchange) decides that). It is used again only if no byte has
//! come meanwhile. A webhook never gets a connection that carried another webhook's request. So whatever a
//! receiver sends, no webhook sees an answer to another webhook's request.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rustc_hash::FxHashMap;

use crate::core::ids::WebhookId;
use crate::delivery::webhook::{dial::Wire, guard::Target};

use super::{Requester, line::Line};

/// The longest time that a connection stays idle.
pub(super) const IDLE: Duration = Duration::from_secs(30);
/// The same for a request that can't be repeated: the receiver's own limit must not close the connection
/// under it.
const IDLE_ONCE: Duration = Duration::from_secs(1);
/// The longest time that an idle connection keeps its codec, whose buffers take a hundred times as much
/// memory.
const CODEC: Duration = Duration::from_secs(1);
/// The longest life of a connection. The receiver's addresses may change, and they are checked only when
/// dialled.
const LIFE: Duration = Duration::from_secs(300);

/// An idle connection.
pub(super) enum Kept {
    /// With its codec.
    Line(Line),
    /// Without its codec: it has been idle for a while.
    Wire(Wire),
}

impl Kept {
    pub(super) fn wire(&self) -> &Wire {
        match self {
            Self::Line(line) => line.wire(),
            Self::Wire(wire) => wire,
        }
    }
}

struct Idle {
    webhook: WebhookId,
    kept: Kept,
    since: Instant,
    /// How long it may be idle.
    limit: Duration,
}

/// The idle connections of one client.
pub(super) struct Pool {
    /// By a number that counts up: the first one has been idle for longest.
    idle: BTreeMap<u64, Idle>,
    /// Connections with a smaller number have no codec.
    with_codec: u64,
    /// The numbers of each webhook's connections; the newest is at the end.
    of: FxHashMap<WebhookId, Vec<u64>>,
    next: u64,
    most: usize,
}

impl Pool {
    pub(super) fn new(most: usize) -> Self {
        Self { idle: BTreeMap::new(), with_codec: 0, of: FxHashMap::default(), next: 0, most }
    }

    /// Takes a connection of the webhook to this target that is open and has nothing to read.
    pub(super) fn take(&mut self, webhook: Requester, to: &Target, now: Instant) -> Option<Kept> {
        loop {
            let number = self.newest(webhook.id, to)?;
            let idle = self.remove(number)?;
            let limit = if webhook.ambiguous { idle.limit } else { idle.limit.min(IDLE_ONCE) };
            let wire = idle.kept.wire();
            if idle.waited(now) < limit && wire.age(now) < LIFE && wire.is_quiet() {
                return Some(idle.kept);
            }
        }
    }

    fn newest(&self, webhook: WebhookId, to: &Target) -> Option<u64> {
        let leads = |number: &u64| self.idle.get(number).is_some_and(|idle| idle.kept.wire().leads_to(to));
        self.of.get(&webhook)?.iter().rev().copied().find(leads)
    }

    /// Keeps a connection for at most `limit`. If the pool is full, the connection that has been idle for
    /// longest is closed.
    pub(super) fn put(&mut self, webhook: WebhookId, line: Line, limit: Duration, now: Instant) {
        self.tidy(now);
        if self.idle.len() >= self.most
            && let Some(oldest) = self.idle.keys().next().copied()
        {
            self.remove(oldest);
        }
        let number = self.next;
        self.next += 1;
        self.of.entry(webhook).or_default().push(number);
        self.idle.insert(number, Idle { webhook, kept: Kept::Line(line), since: now, limit });
    }

    /// Closes connections that have been idle for the longest time allowed, and frees the codecs of those
    /// that have been idle for a while.
    pub(super) fn tidy(&mut self, now: Instant) {
        while let Some((oldest, idle)) = self.idle.first_key_value()
            && idle.waited(now) >= IDLE
        {
            let oldest = *oldest;
            self.remove(oldest);
        }
        for (number, idle) in self.idle.range_mut(self.with_codec..) {
            if idle.waited(now) < CODEC {
                break;
            }
            idle.kept = Kept::Wire(idle.kept.wire().clone());
            self.with_codec = number + 1;
        }
    }

    fn remove(&mut self, number: u64) -> Option<Idle> {
        let idle = self.idle.remove(&number)?;
        if let Some(numbers) = self.of.get_mut(&idle.webhook) {
            numbers.retain(|other| *other != number);
            if numbers.is_empty() {
                self.of.remove(&idle.webhook);
            }
        }
        Some(idle)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.idle.len()
    }

    /// How many connections have their codec.
    #[cfg(test)]
    pub(super) fn codecs(&self) -> usize {
        self.idle.values().filter(|idle| matches!(idle.kept, Kept::Line(_))).count()
    }

    /// Makes all connections `waited` older.
    #[cfg(test)]
    pub(super) fn age(&mut self, waited: Duration) {
        let now = Instant::now();
        self.idle.values_mut().for_each(|idle| idle.since = now.checked_sub(waited).unwrap_or(now));
    }
}

impl Idle {
    fn waited(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }
}
