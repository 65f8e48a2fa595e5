//! Operations on the cluster that an operator starts, on any node.
//!
//! Finds the node that can carry out an operation, and drains a node before it is removed. The cluster
//! decides which operations are allowed.

use super::health::Health;
use super::log::Log;
use super::peers::{Lane, PeerRequest, Peers};
use super::timeline::Timeline;
use super::webhooks::WebhookStore;
use crate::core::ids::NodeId;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use waypost_cluster::{BackupError, BackupKey, Cluster, Operation, Refused, Status, StoreError};

/// Longest time that an operation may take, without a drain before it.
const OPERATION: Duration = Duration::from_secs(25);
/// Longest wait until a node that is to be removed has no clients.
const DRAIN: Duration = Duration::from_secs(15);
const ASK_TIMEOUT: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_millis(150);

/// The bytes of a backup, block by block. An error is the last item.
pub type Blocks = mpsc::Receiver<Result<Bytes, StoreError>>;

/// Asks the leader to carry out an operation.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Operate(Operation);

impl PeerRequest for Operate {
    /// The result of the operation.
    type Answer = Result<(), Refused>;
    const KIND: u16 = 6;
    const LANE: Lane = Lane::quick(8, 8);
}

/// Asks a node to make its state durable and to compact its log.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Snapshot;

impl PeerRequest for Snapshot {
    /// The index up to which the store is durable, and the index up to which the log was removed.
    type Answer = Option<(u64, u64)>;
    const KIND: u16 = 7;
    const LANE: Lane = Lane::quick(1, 7);
}

fn serve(peers: &Peers, cluster: &Cluster) {
    let here = cluster.admin();
    peers.serve(move |_, Operate(operation)| {
        let here = here.clone();
        async move { here.operate(operation).await }
    });
    let here = cluster.admin();
    peers.serve(move |_, Snapshot| {
        let here = here.clone();
        async move { here.snapshot().await.ok() }
    });
}

/// Carries out operations for operators; cheap to clone.
#[derive(Clone)]
pub struct Operations {
    cluster: Cluster,
    peers: Peers,
    log: Log,
    health: Health,
    webhooks: WebhookStore,
    timeline: Timeline,
}

impl Operations {
    /// Also registers the handlers for the requests of other nodes.
    pub(super) fn new(
        cluster: Cluster,
        peers: &Peers,
        log: &Log,
        health: &Health,
        webhooks: &WebhookStore,
        timeline: Timeline,
    ) -> Self {
        serve(peers, &cluster);
        let (peers, log, health) = (peers.clone(), log.clone(), health.clone());
        Self { cluster, peers, log, health, webhooks: webhooks.clone(), timeline }
    }

    /// Follows an event over all nodes.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Carries out an operation on the node that must do it.
    ///
    /// # Errors
    /// Why the operation was refused. [`Refused::NotLeader`]: there was no leader for as long as this call
    /// waited.
    pub async fn operate(&self, operation: Operation) -> Result<(), Refused> {
        let deadline = Instant::now() + OPERATION;
        // A removal was begun, and may have taken effect.
        let mut begun = false;
        loop {
            // A node that was removed is answered by nobody but about that.
            if operation == Operation::Remove(self.cluster.node_id()) && self.cluster.is_removed() {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let done = match self.cluster.status().leader {
                Some(leader) if leader == self.cluster.node_id() => {
                    self.cluster.admin().operate(operation).await
                }
                Some(leader) => match self.peers.ask(leader, &Operate(operation), left).await {
                    Ok(done) => done,
                    // Each of these operations has the same result when it is done twice.
                    _ => {
                        begun = true;
                        Err(Refused::NotLeader(None))
                    }
                },
                None => Err(Refused::NotLeader(None)),
            };
            let removes = matches!(operation, Operation::Remove(_));
            match done {
                Err(Refused::UnknownNode(_)) if removes && begun => return Ok(()),
                Err(Refused::Failed) if removes && Instant::now() + AGAIN < deadline => {
                    begun = true;
                    tokio::time::sleep(AGAIN).await;
                }
                Err(Refused::NotLeader(_)) if Instant::now() + AGAIN < deadline => {
                    tokio::time::sleep(AGAIN).await
                }
                done => return done,
            }
        }
    }

    /// Removes a member. If it is reachable and `at_once` is not set, it is drained first.
    ///
    /// # Errors
    /// As [`Operations::operate`].
    pub async fn remove_node(&self, node: NodeId, at_once: bool) -> Result<(), Refused> {
        self.operate(Operation::MayRemove(node)).await?;
        if !at_once && self.health.node_info(node, ASK_TIMEOUT).await.is_some() {
            match self.operate(Operation::Drain { node, force: false }).await {
                Ok(()) => self.wait_drained(node).await,
                // No other node can take its clients, so it can't be drained.
                Err(Refused::LastServing(_)) => {}
                Err(refused) => return Err(refused),
            }
        }
        self.operate(Operation::Remove(node)).await
    }

    async fn wait_drained(&self, node: NodeId) {
        let deadline = Instant::now() + DRAIN;
        while Instant::now() < deadline {
            match self.health.node_info(node, ASK_TIMEOUT).await {
                Some(info) if info.draining && info.connections == 0 && !self.delivers(node) => return,
                None => return,
                Some(_) => tokio::time::sleep(AGAIN).await,
            }
        }
        let node = self.peers.called(node);
        tracing::warn!(node, "the node still has clients; it is removed nevertheless");
    }

    /// Reads this node's peer certificate again, and logs the result.
    pub async fn renew_peer_certificate(&self) {
        self.cluster.admin().renew_certificate().await;
    }

    /// Hands the lead to another node, if this node has it.
    pub async fn hand_over(&self, within: Duration) -> bool {
        self.cluster.admin().hand_over(within).await
    }

    /// Hands the lead to a voter that serves clients, if there is one. Among drained voters, the lead would
    /// only be passed around.
    pub async fn lead_elsewhere(&self, within: Duration) {
        if has_serving_voter(&self.cluster.status()) {
            self.hand_over(within).await;
        }
    }

    /// Whether that node owns webhooks or could own some.
    pub fn delivers(&self, node: NodeId) -> bool {
        self.webhooks.directory().owners().nodes.contains_key(&node)
    }

    /// Makes a node's state durable and compacts its log. Returns the indexes of both; `None` if the node
    /// doesn't answer.
    pub async fn snapshot_on(&self, node: NodeId) -> Option<(u64, u64)> {
        if node == self.cluster.node_id() {
            return self.cluster.admin().snapshot().await.ok();
        }
        self.peers.ask(node, &Snapshot, OPERATION).await.ok().flatten()
    }

    /// Begins a backup of this node's state, with the key that encrypts webhooks if it is in `files`. Also
    /// returns whether the backup contains everything that was acknowledged anywhere before. Without a
    /// majority, this can't be known. The key proves which cluster the backup is from.
    ///
    /// # Errors
    /// Why the backup can't be made.
    pub async fn backup(
        &self,
        files: Vec<(String, Vec<u8>)>,
        key: Option<BackupKey>,
    ) -> Result<(bool, Blocks), BackupError> {
        let current = self.log.barrier().await.is_ok();
        Ok((current, self.cluster.admin().backup(files, key).await?))
    }

    /// Since when this node must not serve clients: it was drained by an operator (Unix milliseconds), or it
    /// is no longer a member (0).
    pub fn resting_since(&self) -> Option<u64> {
        resting(&self.cluster.status())
    }

    /// Resolves when [`Operations::resting_since`] differs from `from`.
    pub async fn resting_changes(&self, from: Option<u64>) -> Option<u64> {
        let mut changes = self.cluster.watch();
        loop {
            let status = self.cluster.status();
            let now = resting(&status);
            // A node that knows no members knows nothing about itself yet.
            if now != from && (status.removed || status.member(status.node_id).is_some()) {
                return now;
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

fn resting(status: &Status) -> Option<u64> {
    if status.removed { Some(0) } else { status.member(status.node_id).and_then(|me| me.drained_ms) }
}

/// Whether another voter is reachable and not drained.
fn has_serving_voter(status: &Status) -> bool {
    status.members.iter().any(|m| m.voter && m.id != status.node_id && m.reachable && m.drained_ms.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use waypost_cluster::MemberStatus;

    fn three() -> Status {
        let member = |id| MemberStatus { id, voter: true, reachable: true, ..MemberStatus::default() };
        Status { node_id: 1, members: (1..=3).map(member).collect(), ..Status::default() }
    }

    #[test]
    fn the_lead_goes_only_to_a_voter_that_serves_clients() {
        let mut status = three();
        assert!(has_serving_voter(&status));
        status.members[1].drained_ms = Some(1);
        status.members[2].reachable = false;
        assert!(!has_serving_voter(&status), "one is drained, one is away");
        status.members[2].reachable = true;
        assert!(has_serving_voter(&status));
        status.members[2].voter = false;
        assert!(!has_serving_voter(&status), "a learner can't lead");
    }

    #[test]
    fn a_removed_node_rests_like_a_drained_node() {
        let mut status = three();
        assert_eq!(resting(&status), None);
        status.members[0].drained_ms = Some(7);
        assert_eq!(resting(&status), Some(7));
        status = Status { removed: true, ..three() };
        assert_eq!(resting(&status), Some(0));
        status.members.clear();
        assert_eq!(resting(&status), Some(0));
    }
}
