//! The health of the nodes: each node regularly asks the others for a report.
//!
//! Owns the last report of every member and the time at which it arrived. From these it derives how long a
//! node has been silent, and whether the disks of a majority have space. Never decides who leads or who is a
//! member.

mod info;
mod members;
mod reach;
mod sight;
mod survey;

#[cfg(test)]
pub(super) use info::AskAbout;
pub use info::NodeInfo;
pub(super) use info::{AskInfo, Counts};
pub use members::Seen;
pub use sight::Sight;
pub use survey::Report;

use super::peers::Peers;
use super::topics::Topics;
use crate::core::ids::NodeId;
use info::ClientCertificate;
use members::Members;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use waypost_cluster::{Cluster, Operation, Status};

/// How often the members are asked.
const ROUND: Duration = Duration::from_secs(2);
/// Longest wait for the answer of one member.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);
/// A report older than this says nothing about the present.
const STALE: Duration = Duration::from_secs(10);
/// How often a leader without a majority is asked whether it has one again.
const LOOK: Duration = Duration::from_millis(200);

/// The health of this node and of the others; cheap to clone.
#[derive(Clone)]
pub struct Health {
    cluster: Cluster,
    peers: Peers,
    topics: Topics,
    counts: Arc<Counts>,
    members: Arc<Members>,
}

impl Health {
    /// Also answers other nodes that ask for this node's report.
    pub(super) fn new(cluster: Cluster, peers: Peers, topics: Topics, counts: Arc<Counts>) -> Self {
        let health = Self { cluster, peers, topics, counts, members: Arc::default() };
        let here = health.clone();
        health.peers.serve(move |_, AskInfo| {
            std::future::ready(serde_json::to_vec(&here.own_info()).unwrap_or_default().into())
        });
        survey::serve(&health);
        health
    }

    /// The cluster as this node sees it.
    pub fn status(&self) -> Status {
        let mut status = self.cluster.status();
        // A follower hears from the leader. Whether a majority does, only the leader knows.
        if status.leader.is_some_and(|leader| leader != status.node_id && self.members.leads_alone(leader)) {
            status.has_quorum = false;
        }
        status
    }

    /// Whether this node may act for the cluster: it has lately heard from a majority or from the leader.
    pub fn in_touch(&self) -> bool {
        self.cluster.status().has_quorum
    }

    /// Whether this node has heard of no majority for so long that it is of no use to wait a little longer.
    pub fn has_lost_contact(&self) -> bool {
        self.cluster.has_lost_contact()
    }

    /// Whether the cluster removed this node. Its state then grows old, including its knowledge of revoked
    /// tokens.
    pub fn is_removed(&self) -> bool {
        self.cluster.is_removed()
    }

    /// Waits until the consensus engine and the thread of the topics answer; returns whether they do.
    pub async fn answers(&self) -> bool {
        let admin = self.cluster.admin();
        let (engine, topics) = tokio::join!(admin.answers(), self.topics.answers());
        engine && topics
    }

    /// Whether this node accepts no new clients.
    pub fn is_draining(&self) -> bool {
        self.counts.draining.load(Ordering::Relaxed)
    }

    /// Sets whether this node refuses new clients.
    pub fn set_draining(&self, draining: bool) {
        self.counts.draining.store(draining, Ordering::Relaxed);
    }

    /// The number of client connections that are open here.
    pub fn connections(&self) -> u64 {
        self.counts.connections.load(Ordering::Relaxed)
    }

    /// Counts one more connection.
    pub fn connection_opened(&self) {
        self.counts.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one connection less.
    pub fn connection_closed(&self) {
        self.counts.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Reports the hashes of the settings that shall be the same on all nodes. Only the first call counts.
    pub(super) fn report_settings(&self, hashes: BTreeMap<String, String>) {
        let _ = self.counts.settings.set(hashes);
    }

    /// Reports from now on how many lines of the audit log this node could not write, by that counter. Only
    /// the first call counts.
    pub fn report_audit_lost(&self, lines: Arc<AtomicU64>) {
        let _ = self.counts.audit_lost.set(lines);
    }

    /// Reports from now on whether the process before this one ended without being told to. Only the first call
    /// counts.
    pub fn report_end_before(&self, was_crash: bool) {
        let _ = self.counts.after_crash.set(was_crash);
    }

    /// Reports what clients of this node lack because it may open too few files. Only the first call counts.
    pub fn report_short_of_files(&self, what: String) {
        let _ = self.counts.short_of_files.set(what);
    }

    /// Reports from now on when the certificate ends that clients see (seconds since 1970), as that function
    /// tells it. Only the first call counts.
    pub fn report_client_certificate(&self, until: impl Fn() -> Option<u64> + Send + Sync + 'static) {
        let _ = self.counts.client_certificate.set(ClientCertificate(Box::new(until)));
    }

    /// The present report of a node: this node's own, or the last one of another node unless that is old.
    /// With it comes the node's clock minus this node's clock (milliseconds).
    pub(super) fn present_info(&self, node: NodeId) -> Option<(NodeInfo, i64)> {
        if node == self.cluster.node_id() {
            return Some((self.own_info(), 0));
        }
        let seen = self.last_seen(node).filter(|seen| seen.age < STALE)?;
        Some((seen.info, seen.clock_ms))
    }

    fn own_info(&self) -> NodeInfo {
        let status = self.status();
        let topics = self.topics.count() as u64;
        self.counts.tell(&status, topics, self.members.sights(Instant::now()))
    }

    /// Asks a node for its report; `None` if it does not answer in time.
    pub async fn node_info(&self, node: NodeId, timeout: Duration) -> Option<NodeInfo> {
        if node == self.cluster.node_id() {
            let info = self.own_info();
            self.note_progress(node, &info);
            return Some(info);
        }
        let began = Instant::now();
        let answer = self.peers.ask(node, &AskInfo, timeout).await;
        self.members.note_sight(node, &answer, Instant::now());
        let answer = answer.ok()?;
        let info: NodeInfo = serde_json::from_slice(&answer).ok()?;
        self.members.note(node, info.clone(), began.elapsed());
        self.note_progress(node, &info);
        Some(info)
    }

    fn note_progress(&self, node: NodeId, info: &NodeInfo) {
        let status = self.cluster.status();
        let committed = status.committed.max(status.applied);
        self.members.note_progress(node, info.applied_index, committed, Instant::now());
    }

    /// For how long a node has lacked entries without applying any, as far as this node knows.
    pub fn stands_still(&self, node: NodeId) -> Duration {
        self.members.stands_still(node, Instant::now())
    }

    /// The last report of a node.
    pub fn last_seen(&self, node: NodeId) -> Option<Seen> {
        self.members.seen(node)
    }

    /// Whether the disks of the leader and of a majority have space for more events, as far as this node
    /// knows.
    pub fn has_room(&self) -> bool {
        self.members.has_room()
    }

    /// Asks all members periodically, as long as the node runs.
    pub(super) async fn watch(self) {
        let mut last_disk_full = false;
        loop {
            let status = self.status();
            let members = status.members.iter().map(|member| member.id);
            self.members.retain(|node| status.member(node).is_some());
            futures_util::future::join_all(members.map(|node| self.node_info(node, ASK_TIMEOUT))).await;
            self.measure().await;
            self.check_room().await;
            // The next round starts at once if this node's disk becomes full or has space again. Meanwhile, a
            // leader without a majority is asked more often.
            for _ in 0..ROUND.as_millis() / LOOK.as_millis() {
                tokio::time::sleep(LOOK).await;
                let status = self.cluster.status();
                if status.disk_full != last_disk_full {
                    break;
                }
                if let Some(leader) = status.leader.filter(|leader| self.members.leads_alone(*leader)) {
                    self.node_info(leader, ASK_TIMEOUT).await;
                }
            }
            last_disk_full = self.status().disk_full;
        }
    }

    async fn measure(&self) {
        let cluster = self.cluster.clone();
        let measured = actix_rt::task::spawn_blocking(move || {
            let admin = cluster.admin();
            (admin.disk_use(), admin.older_logs())
        });
        if let Ok(((used, damaged), older)) = measured.await {
            self.counts.disk_used.store(used, Ordering::Relaxed);
            self.counts.damaged.store(damaged, Ordering::Relaxed);
            self.counts.older.store(older, Ordering::Relaxed);
        }
    }

    fn is_full(&self, status: &Status, node: NodeId) -> bool {
        if node == status.node_id {
            return status.disk_full;
        }
        self.last_seen(node).is_some_and(|seen| seen.age < STALE && seen.info.disk_full)
    }

    /// Keeps the answer of [`Health::has_room`] up to date. A leader without space hands the lead to a voter
    /// that has some.
    async fn check_room(&self) {
        let status = self.status();
        let (full, roomy): (Vec<_>, Vec<_>) =
            status.members.iter().filter(|m| m.voter).partition(|m| self.is_full(&status, m.id));
        let needed = (full.len() + roomy.len()) / 2 + 1;
        let leader_full = status.leader.is_some_and(|leader| full.iter().any(|m| m.id == leader));
        // Before any member is known, nothing is known of disks.
        let no_room = (roomy.len() < needed && !full.is_empty()) || leader_full;
        if self.members.set_no_room(no_room) {
            tracing::warn!(refused = no_room, "disk space: publishing is refused, or accepted again");
        }
        if leader_full && status.is_leader() && roomy.len() >= needed {
            let best =
                roomy.iter().filter(|m| m.reachable).max_by_key(|m| (m.drained_ms.is_none(), m.matched));
            if let Some(to) = best {
                tracing::warn!(
                    to = to.called(),
                    "this leader's disk is full: the lead goes to a node with space"
                );
                let _ = self.cluster.admin().operate(Operation::Lead(Some(to.id))).await;
            }
        }
    }
}
