//! Detects at once that the leader's process is gone.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::time::{Instant, sleep};

use crate::NodeId;
use crate::engine::Engine;
use crate::net::{Lane, LinkError, dial};

/// How often to check for a leader to watch.
const LOOK: Duration = Duration::from_millis(200);
/// Time for the other nodes to detect the same, before this node asks for their votes.
const SETTLE: Duration = Duration::from_millis(20);
/// Longest wait for the leader's host to refuse a connection.
const KNOCK: Duration = Duration::from_millis(500);
/// Time between the attempts of two voters.
const STAGGER: Duration = Duration::from_millis(120);

/// A standing connection to the leader. If it breaks and the leader's host refuses a new one, no process
/// listens there any more. Then the node asks for votes without waiting for the election timeout. A voter
/// ignores the leader's lease only if it has itself detected the same, so a leader that is merely slow or cut
/// off keeps its lease.
pub(crate) struct Failover {
    engine: Arc<Engine>,
    /// The leader (with its term) whose process was found gone, and when.
    gone: Mutex<Option<(NodeId, u64, Instant)>>,
}

impl Failover {
    pub(crate) fn new(engine: Arc<Engine>) -> Arc<Self> {
        Arc::new(Self { engine, gone: Mutex::default() })
    }

    /// Whether this node has itself found, a moment ago, that the present leader's process is gone.
    pub(crate) fn saw_leader_gone(&self) -> bool {
        let Some((leader, term, at)) = *self.gone.lock().unwrap_or_else(PoisonError::into_inner) else {
            return false;
        };
        let metrics = self.engine.raft().server_metrics();
        let now = metrics.borrow_watched();
        let same = now.current_leader == Some(leader) && now.vote.leader_id.term == term;
        same && at.elapsed() < Duration::from_millis(self.engine.config().election_max_ms * 2)
    }

    /// Watches the present leader, as long as the node runs.
    pub(crate) async fn watch(self: Arc<Self>) {
        let engine = &self.engine;
        loop {
            let metrics = engine.metrics();
            let Some(leader) = metrics.current_leader.filter(|id| *id != engine.id()) else {
                engine.leader_change(LOOK).await;
                continue;
            };
            let term = metrics.current_term;
            let link = engine.peers().link(leader, Lane::Work);
            let gone = tokio::select! {
                broken = link.broken() => match broken {
                    Ok(()) => self.refused(leader).await,
                    Err(LinkError::Refused) => true,
                    Err(_) => false,
                },
                () = self.other_leader(leader) => continue,
            };
            if gone {
                self.succeed(leader, term).await;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until another node leads.
    async fn other_leader(&self, leader: NodeId) {
        while self.engine.leader() == Some(leader) {
            self.engine.leader_change(LOOK).await;
        }
    }

    /// Asks for votes to replace a leader that is gone, one voter after another.
    async fn succeed(&self, leader: NodeId, term: u64) {
        *self.gone.lock().unwrap_or_else(PoisonError::into_inner) = Some((leader, term, Instant::now()));
        let metrics = self.engine.metrics();
        let mut voters: Vec<NodeId> = metrics.membership_config.membership().voter_ids().collect();
        voters.retain(|id| *id != leader);
        voters.sort_unstable();
        let Some(turn) = voters.iter().position(|id| *id == self.engine.id()) else {
            return;
        };
        let turn = u32::try_from(turn).unwrap_or(u32::MAX);
        sleep(SETTLE + STAGGER.saturating_mul(turn)).await;
        let now = self.engine.metrics();
        let same = now.current_leader == Some(leader) && now.current_term == term;
        let is_able = !self.engine.is_stopping() && !self.engine.stands_aside();
        let may_ask = same && now.state == ServerState::Follower && is_able;
        if may_ask && self.refused(leader).await {
            tracing::info!(
                leader = self.engine.called(leader),
                term,
                "the leader's process is gone; asking for votes"
            );
            // If the engine has stopped, there is nothing to elect.
            let _ = self.engine.raft().trigger().elect(false).await;
        }
    }

    /// Whether no process listens at the leader's address.
    async fn refused(&self, leader: NodeId) -> bool {
        let Some(addr) = self.engine.peers().addr(leader) else {
            return false;
        };
        dial::is_refused(&addr, KNOCK).await
    }
}
