//! What maps publish and tokens join through this node alone.
//!
//! The replicated state holds the publish rates over the whole cluster. It refuses only what is in the log
//! already, so this node counts what it proposes itself, and remembers for how long the state refuses: what
//! exceeds a rate here exceeds it in the cluster too, and need not fill the log.

use super::rates::change;
use crate::core::access::Map;
use crate::core::ids::{MapId, TokenId};
use crate::core::rate::{Amount, Charged, Exceeded, PublishRates, Rate};
use rustc_hash::FxHashMap;
use std::convert::Infallible;
use std::sync::Mutex;
use std::time::Instant;

/// A token that joins more than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyJoins {
    /// The joins that a token has in a minute.
    pub limit: u32,
    /// Milliseconds until the next one.
    pub wait_ms: u64,
}

/// The counts of this node. Time is measured by the process's monotonic clock.
pub(super) struct Gate {
    began: Instant,
    publishes: Mutex<FxHashMap<MapId, Charged>>,
    /// By map and token; `None` stands for the admin token.
    joins: Mutex<FxHashMap<(MapId, Option<TokenId>), u64>>,
}

/// Events that are charged. If they are not stored, dropping this gives back what was charged.
pub struct PublishCharge<'g> {
    gate: &'g Gate,
    map: MapId,
    rates: PublishRates,
    amount: Amount,
    stays: bool,
}

impl Default for Gate {
    fn default() -> Self {
        Self { began: Instant::now(), publishes: Mutex::default(), joins: Mutex::default() }
    }
}

impl Gate {
    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// Charges events that are to be proposed. `None` if the map has no rate.
    pub(super) fn enter(&self, map: &Map, amount: Amount) -> Result<Option<PublishCharge<'_>>, Exceeded> {
        let rates = map.limits.publish_rates();
        if !rates.limit_something() {
            return Ok(None);
        }
        let now_ms = self.now_ms();
        let charge = |charged| rates.charge(charged, amount, now_ms);
        change(&self.publishes, map.id, |charged| charged.is_full(now_ms), charge)?;
        Ok(Some(PublishCharge { gate: self, map: map.id, rates, amount, stays: false }))
    }

    /// Counts a socket that joins a map. A map without a limit of connections has no limit of joins, because
    /// its joins are not written to the log; otherwise a token may join as many at once as the map may have.
    pub(super) fn join(&self, map: &Map, token: Option<TokenId>) -> Result<(), TooManyJoins> {
        let (Some(least), Some(limit)) = (map.limits.connections, map.limits.joins_per_minute) else {
            return Ok(());
        };
        let limit = limit.max(least);
        let rate = Rate { permits: limit, period_ms: 60_000 };
        let now_ms = self.now_ms();
        let charge = |full_at_us| rate.charge(full_at_us, 1, now_ms);
        change(&self.joins, (map.id, token), |full_at_us| *full_at_us <= now_ms * 1000, charge)
            .map_err(|wait_ms| TooManyJoins { limit, wait_ms })
    }
}

impl PublishCharge<'_> {
    /// The events are stored.
    pub(in crate::hub) fn stay(mut self) {
        self.stays = true;
    }

    /// The replicated state refused the events, because other nodes stored so many.
    pub(in crate::hub) fn refused(self, why: Exceeded) {
        let (gate, map, rates, amount) = (self.gate, self.map, self.rates, self.amount);
        drop(self);
        let now_ms = gate.now_ms();
        let learn = |charged| Ok::<_, Infallible>(rates.refused(charged, amount, why, now_ms));
        let Ok(()) = change(&gate.publishes, map, |charged| charged.is_full(now_ms), learn);
    }
}

impl Drop for PublishCharge<'_> {
    fn drop(&mut self) {
        if self.stays {
            return;
        }
        let refund = |charged| Ok::<_, Infallible>(self.rates.refund(charged, self.amount));
        let Ok(()) = change(&self.gate.publishes, self.map, |_| false, refund);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::access::{Limits, Retention, WebhookBacklog};
    use crate::core::channel_rules::ChannelRules;
    use crate::core::ids::TopicId;

    fn map(limits: Limits) -> Map {
        let webhook_backlog = WebhookBacklog::default();
        Map {
            id: MapId::from_bytes([1; 16]),
            slug: None,
            name: String::new(),
            topic: TopicId(1),
            limits,
            retention: Retention { events: None, age_seconds: None, bytes: None, webhook_backlog },
            rules: ChannelRules::default(),
            inserted_ms: 0,
            updated_ms: 0,
        }
    }

    #[test]
    fn what_was_not_stored_is_given_back() {
        let gate = Gate::default();
        let map = map(Limits { publish_bytes_per_second: Some(1), ..Limits::NONE });
        let amount = Amount { events: 1, bytes: 1000 };
        drop(gate.enter(&map, amount).unwrap());
        gate.enter(&map, amount).unwrap().unwrap().stay();
        assert!(matches!(gate.enter(&map, amount), Err(Exceeded::Bytes(wait_ms)) if wait_ms > 900_000));
    }

    #[test]
    fn what_the_cluster_refused_is_refused_here_meanwhile() {
        let gate = Gate::default();
        let map = map(Limits { publish_bytes_per_second: Some(1000), ..Limits::NONE });
        let amount = Amount { events: 1, bytes: 1000 };
        gate.enter(&map, amount).unwrap().unwrap().refused(Exceeded::Bytes(900_000));
        assert!(matches!(gate.enter(&map, amount), Err(Exceeded::Bytes(wait_ms)) if wait_ms > 800_000));
    }

    #[test]
    fn a_token_may_join_as_often_as_the_limit_says_and_at_least_as_often_as_the_map_has_connections() {
        let joins = |limits: Limits| {
            let gate = Gate::default();
            let map = map(limits);
            (0..50).filter(|_| gate.join(&map, None).is_ok()).count()
        };
        let limits = Limits { connections: Some(3), joins_per_minute: Some(7), ..Limits::NONE };
        assert_eq!(joins(limits.clone()), 7);
        assert_eq!(joins(Limits { connections: Some(9), ..limits.clone() }), 9);
        assert_eq!(joins(Limits { connections: None, ..limits.clone() }), 50);
        assert_eq!(joins(Limits { joins_per_minute: None, ..limits }), 50);
    }
}
