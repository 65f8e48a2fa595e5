//! Hands the lead to another voter.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::voters::may_lead;
use crate::NodeId;
use crate::engine::Engine;
use crate::observer::Observer;

/// Gives away the lead of this node.
pub(crate) struct Lead {
    engine: Arc<Engine>,
    observer: Arc<Observer>,
}

impl Lead {
    pub(crate) fn new(engine: Arc<Engine>, observer: Arc<Observer>) -> Arc<Self> {
        Arc::new(Self { engine, observer })
    }

    /// Hands the lead to the most suitable voter; true if this node no longer leads.
    pub(crate) async fn hand_over(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while self.engine.leads() {
            let status = self.observer.describe();
            let best = status.members.iter().filter(|m| m.voter && m.id != self.engine.id());
            // A voter that was not heard from lately, or is drained, is chosen only if there is no other.
            let best = best.max_by_key(|m| (m.reachable, m.drained_ms.is_none(), m.matched));
            let left = deadline.saturating_duration_since(Instant::now());
            match best.map(|m| m.id) {
                Some(to) if !left.is_zero() => self.transfer(to, left).await,
                _ => return false,
            }
        }
        true
    }

    /// The most suitable of `ids` to lead instead of this node.
    pub(crate) fn successor(&self, ids: &[NodeId]) -> Option<NodeId> {
        let status = self.observer.describe();
        let able = status.members.iter().filter(|m| ids.contains(&m.id) && may_lead(&status, m).is_ok());
        able.max_by_key(|m| (m.drained_ms.is_none(), m.matched)).map(|m| m.id)
    }

    /// Asks voter `to` to take the lead and waits for the result, for at most one election timeout.
    pub(crate) async fn transfer(&self, to: NodeId, limit: Duration) {
        if self.engine.raft().trigger().transfer_leader(to).await.is_err() {
            return;
        }
        let deadline =
            Instant::now() + limit.min(Duration::from_millis(self.engine.config().election_max_ms));
        while self.engine.leader().is_none_or(|id| id == self.engine.id()) && Instant::now() < deadline {
            self.engine.leader_change(deadline.saturating_duration_since(Instant::now())).await;
        }
    }
}
