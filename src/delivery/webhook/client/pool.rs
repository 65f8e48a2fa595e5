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

use crate::core::ids::WebhookId;
use crate::delivery::webhook::{dial::Wire, guard::Target};

use super::{Requester, line::Line};

/// Longest that a connection waits.
pub(super) const IDLE: Duration = Duration::from_secs(30);
/// Longest that one waits for a request that can't be repeated: the receiver's own limit must not end it under way.
const IDLE_ONCE: Duration = Duration::from_secs(1);
/// Longest that one that waits keeps its codec, whose buffers are a hundred times its size.
const CODEC: Duration = Duration::from_secs(1);
/// Longest life of a connection: its receiver's addresses may change, and it is checked again only when dialled.
const LIFE: Duration = Duration::from_secs(300);

/// A connection that waits.
pub(super) enum Kept {
    /// With its codec.
    Line(Line),
    /// Without: it has waited for a while.
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
    /// How long it may wait.
    limit: Duration,
}

/// The connections of one client.
pub(super) struct Pool {
    /// By a number that counts up: the first is the one that waits longest.
    idle: BTreeMap<u64, Idle>,
    /// Those below have no codec.
    with_codec: u64,
    /// The numbers of a webhook's connections, the last one's at the end.
    of: FxHashMap<WebhookId, Vec<u64>>,
    next: u64,
    most: usize,
}

impl Pool {
    pub(super) fn new(most: usize) -> Self {
        Self { idle: BTreeMap::new(), with_codec: 0, of: FxHashMap::default(), next: 0, most }
    }

    /// A connection that is open and silent, for a request of the webhook to this target.
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

    /// Keeps a connection for so long at most; the one that has waited longest makes room.
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

    /// Closes those that have waited as long as any may, and frees the codecs of those that have waited for a while.
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

    /// How many have their codec.
    #[cfg(test)]
    pub(super) fn codecs(&self) -> usize {
        self.idle.values().filter(|idle| matches!(idle.kept, Kept::Line(_))).count()
    }

    /// As if all had waited for so long.
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
