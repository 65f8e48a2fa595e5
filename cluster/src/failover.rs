//! Noticing at once that the leader's process is gone.
//!
//! Owns a standing connection to the leader. When it breaks and the leader's host refuses a new one, nobody listens
//! there any more: the node asks for votes without waiting for the election timeout. A voter passes over the lease only
//! when it has seen the same itself, so a leader that merely is slow or cut off keeps its time.

use std::sync::Arc;
use std::time::Duration;

use openraft::ServerState;
use tokio::time::sleep;

use crate::NodeId;
use crate::net::{Lane, LinkError};
use crate::node::Node;

/// How often to look for a leader to watch.
const LOOK: Duration = Duration::from_millis(200);
/// Time for the others to see the same, before asking for their votes.
const SETTLE: Duration = Duration::from_millis(20);
/// Between the attempts of one voter and the next.
const STAGGER: Duration = Duration::from_millis(120);

impl Node {
    /// Watches whoever leads.
    pub(crate) async fn watch_leader(self: Arc<Self>) {
        loop {
            let metrics = self.metrics();
            let Some(leader) = metrics.current_leader.filter(|id| *id != self.id()) else {
                self.leader_change(LOOK).await;
                continue;
            };
            let term = metrics.current_term;
            let link = self.peers.link(leader, Lane::Work);
            let gone = tokio::select! {
                broken = link.broken() => match broken {
                    Ok(()) => refused(&self, leader).await,
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

    /// Waits until another leads.
    async fn other_leader(&self, leader: NodeId) {
        while self.leader() == Some(leader) {
            self.leader_change(LOOK).await;
        }
    }

    /// Asks for votes in place of a leader that is gone, one voter after another.
    async fn succeed(&self, leader: NodeId, term: u64) {
        self.leader_gone(leader, term);
        let metrics = self.metrics();
        let mut voters: Vec<NodeId> = metrics.membership_config.membership().voter_ids().collect();
        voters.retain(|id| *id != leader);
        voters.sort_unstable();
        let Some(turn) = voters.iter().position(|id| *id == self.id()) else {
            return;
        };
        let turn = u32::try_from(turn).unwrap_or(u32::MAX);
        sleep(SETTLE + STAGGER.saturating_mul(turn)).await;
        let now = self.metrics();
        let same = now.current_leader == Some(leader) && now.current_term == term;
        if same && now.state == ServerState::Follower && !self.is_stopping() && refused(self, leader).await {
            tracing::info!(leader, term, "the leader's process is gone; asking for votes");
            // Where the engine has stopped there is nothing to elect.
            let _ = self.raft.trigger().elect(false).await;
        }
    }
}

/// Nobody listens at the leader's address.
async fn refused(node: &Node, leader: NodeId) -> bool {
    let Some(addr) = node.peers.addr(leader) else {
        return false;
    };
    let probe = crate::os::TcpStream::connect(addr);
    match tokio::time::timeout(Duration::from_millis(500), probe).await {
        Ok(Err(error)) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        _ => false,
    }
}
