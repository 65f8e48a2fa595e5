//! Limits on what maps and tokens use: connections in the cluster, expressions and patterns on this node, and
//! the rates of requests, publishes and joins. What maps have used is counted beside it.

mod conditions;
mod gate;
mod patterns;
pub(super) mod rates;

pub use conditions::TooManyConditions;
pub use gate::{PublishCharge, TooManyJoins};
pub use patterns::{PatternsInUse, TooManyPatterns};

use super::HubConfig;
use super::error::HubError;
use super::leases::{Connection, Leases};
use super::usage::Usage;
use crate::core::access::Map;
use crate::core::expression::{Condition, Expression};
use crate::core::ids::{MapId, TokenId};
use crate::core::rate::Amount;
use crate::core::subject::Selector;
use conditions::Conditions;
use gate::Gate;
use patterns::Patterns;
use rates::Rates;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long a newcomer waits for a connection of its map to end before it is refused.
pub const FULL_WAIT: Duration = Duration::from_millis(500);

/// Counts what maps and tokens use, and refuses what exceeds a limit; cheap to clone.
#[derive(Clone)]
pub struct Quotas {
    leases: Leases,
    rates: Rates,
    conditions: Arc<Conditions>,
    patterns: Patterns,
    gate: Arc<Gate>,
    usage: Usage,
    /// Most distinct expressions, and most distinct patterns of subjects, that subscriptions to one map may
    /// have on this node.
    most_expressions: usize,
}

impl Quotas {
    pub(super) fn new(rates: Rates, leases: Leases, usage: Usage, config: &HubConfig) -> Self {
        let (conditions, patterns, gate) = Default::default();
        let most_expressions = config.expressions_per_topic;
        Self { leases, rates, conditions, patterns, gate, usage, most_expressions }
    }

    /// What maps have used.
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Counts one more connection of the map, opened by that token (`None`: the admin token). `Err(limit)` if
    /// the map has as many connections in the cluster as it may have. Before that, it waits a moment: a page
    /// that is loaded again closes its connection and opens another at once.
    pub async fn take_connection(&self, map: MapId, token: Option<TokenId>) -> Result<Connection, u32> {
        let until = Instant::now() + FULL_WAIT;
        loop {
            // Listens before it asks: then no end of a connection is missed.
            let mut ends = self.leases.ends();
            match self.leases.take((map, token)).await {
                Err(_) if Instant::now() < until => drop(timeout_at(until, ends.of(map)).await),
                taken => return taken,
            }
        }
    }

    /// The condition for a subscription to the map, whatever its subjects. It counts towards the map's limit
    /// until all its holders have dropped it.
    pub fn take_condition(
        &self,
        map: &Map,
        expression: Expression,
    ) -> Result<Arc<Condition>, TooManyConditions> {
        self.conditions.take((map.topic, map.id), expression, self.most_expressions)
    }

    /// Counts the patterns of a subscription to the map, if it has any.
    pub fn take_patterns(
        &self,
        map: &Map,
        selector: &Selector,
    ) -> Result<Option<PatternsInUse>, TooManyPatterns> {
        let Selector::Several(several) = selector else { return Ok(None) };
        if several.patterns().is_empty() {
            return Ok(None);
        }
        self.patterns.take(map.topic, several.clone(), self.most_expressions).map(Some)
    }

    /// Charges one API request to a token that may make `permits` per minute; `Err` is the wait in
    /// milliseconds.
    pub async fn charge_request(&self, token: TokenId, permits: u32) -> Result<(), u64> {
        self.rates.charge(token, permits).await
    }

    /// Charges ephemeral events to the map's publish rates.
    pub(super) async fn charge_ephemeral(&self, map: &Map, amount: Amount) -> Result<(), HubError> {
        let rates = map.limits.publish_rates();
        if !rates.limit_something() {
            return Ok(());
        }
        // Maps without rates hold no room for it.
        let charged = Box::pin(self.rates.charge_publish(map.id, rates, amount)).await;
        charged.map_err(|exceeded| HubError::TooFast { exceeded, rates })
    }

    /// Charges events that are to be proposed to the map's publish rates, as far as this node can tell.
    pub(super) fn enter_log(&self, map: &Map, amount: Amount) -> Result<Option<PublishCharge<'_>>, HubError> {
        let rates = map.limits.publish_rates();
        self.gate.enter(map, amount).map_err(|exceeded| HubError::TooFast { exceeded, rates })
    }

    /// Counts a socket that joins the map with that token (`None`: the admin token).
    pub fn join(&self, map: &Map, token: Option<TokenId>) -> Result<(), TooManyJoins> {
        self.gate.join(map, token)
    }
}
