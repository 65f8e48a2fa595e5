//! What maps and tokens may use up: connections in the cluster, expressions and patterns on this node, requests and
//! ephemeral events in a time.

mod conditions;
mod patterns;
pub(super) mod rates;

pub use conditions::TooManyConditions;
pub use patterns::{PatternsInUse, TooManyPatterns};

use super::error::HubError;
use super::leases::{Connection, Leases};
use crate::core::access::Map;
use crate::core::command::Refusal;
use crate::core::expression::{Condition, Expression};
use crate::core::ids::{MapId, TokenId};
use crate::core::subject::Selector;
use conditions::Conditions;
use patterns::Patterns;
use rates::Rates;
use std::sync::Arc;

/// Counts what maps and tokens use, and refuses what is beyond a limit; cheap to clone.
#[derive(Clone)]
pub struct Quotas {
    leases: Leases,
    rates: Rates,
    conditions: Arc<Conditions>,
    patterns: Patterns,
    /// Different expressions that subscriptions to one map may have on this node, and different patterns of subjects.
    most_expressions: usize,
}

impl Quotas {
    pub(super) fn new(rates: Rates, leases: Leases, most_expressions: usize) -> Self {
        Self { leases, rates, conditions: Arc::default(), patterns: Patterns::default(), most_expressions }
    }

    /// Counts one more connection of the map, opened by that token (`None`: the admin's); `Err(limit)` when the cluster
    /// has as many as the map may have.
    pub async fn take_connection(&self, map: MapId, token: Option<TokenId>) -> Result<Connection, u32> {
        self.leases.take((map, token)).await
    }

    /// The condition for a subscription to the map, whatever its subjects. It counts for the map's limit until all who
    /// have it let it go.
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

    /// Charges one API request of a token that may make `permits` a minute; `Err` is the wait in milliseconds.
    pub async fn charge_request(&self, token: TokenId, permits: u32) -> Result<(), u64> {
        self.rates.charge(token, permits).await
    }

    /// Charges events that are published past the log to a map that takes `permits` a second.
    pub(super) async fn charge_publish(&self, map: MapId, permits: u32, events: u32) -> Result<(), HubError> {
        let charged = self.rates.charge_publish(map, permits, events).await;
        charged.map_err(|wait_ms| HubError::Refused(Refusal::Rate(wait_ms)))
    }
}
