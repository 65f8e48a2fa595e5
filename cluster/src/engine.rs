//! The consensus engine of a node, and its connections to the peers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::metrics::RaftServerMetrics;
use tokio::time::timeout;

use crate::catchup::CatchUps;
use crate::config::Config;
use crate::gate::Gate;
use crate::net::{Lane, LinkError, Peers};
use crate::store::Machine;
use crate::types::{LogId, Types};
use crate::wire::{Answer, Request};
use crate::{GroupId, NodeId};

/// openraft with this crate's types, network, log and store.
pub(crate) type Raft = openraft::Raft<Types, Machine>;

/// openraft's metrics, as a copy: a reference into them must never be held.
pub(crate) type Metrics = openraft::RaftMetrics<Types>;

/// The engine of one group on this node, with the node's settings and the connections to its peers. Every
/// other part of a node works with it. It lives from the start of the node until its last part is dropped.
pub(crate) struct Engine {
    config: Config,
    /// The group of this log and state.
    group: GroupId,
    raft: Raft,
    peers: Arc<Peers>,
    /// The run of this process: a random number.
    incarnation: u64,
    /// The members that this node brings up to date with a snapshot.
    catch_ups: Arc<CatchUps>,
    /// Closed while the lead of this node is handed over.
    gate: Gate,
    stopping: AtomicBool,
    /// Why the cluster goes on without this node, if it reported that.
    excluded: RwLock<Option<Exclusion>>,
    /// This node leaves elections to the others.
    aside: AtomicBool,
}

/// A node that leads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leadership {
    pub(crate) leader: NodeId,
    /// Its term. `None` as long as this node has not recorded that it follows this leader.
    term: Option<u64>,
}

impl Leadership {
    fn of(metrics: &RaftServerMetrics<Types>) -> Option<Self> {
        let leader = metrics.current_leader?;
        let vote = &metrics.vote;
        let is_durable = vote.committed && vote.leader_id.node_id == leader;
        Some(Self { leader, term: is_durable.then_some(vote.leader_id.term) })
    }

    #[cfg(test)]
    pub(crate) fn known(leader: NodeId, term: Option<u64>) -> Self {
        Self { leader, term }
    }

    /// Whether it is known to be another one.
    pub(crate) fn differs(self, other: Self) -> bool {
        let in_other_term = self.term.zip(other.term).is_some_and(|(term, other)| term != other);
        self.leader != other.leader || in_other_term
    }
}

/// Why a cluster goes on without a node that was a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Exclusion {
    /// The node was removed.
    Removed,
    /// Another process has the node's id, and answers at this address: this one runs on a copy of its data
    /// directory.
    Copied(String),
}

impl Engine {
    pub(crate) fn new(
        config: Config,
        group: GroupId,
        raft: Raft,
        peers: Arc<Peers>,
        incarnation: u64,
        catch_ups: Arc<CatchUps>,
    ) -> Arc<Self> {
        let gate = Gate::default();
        let stopping = AtomicBool::new(false);
        let excluded = RwLock::default();
        let aside = AtomicBool::new(false);
        Arc::new(Self { config, group, raft, peers, incarnation, catch_ups, gate, stopping, excluded, aside })
    }

    /// The run of this process.
    pub(crate) fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// The members that this node, if it leads, brings up to date with a snapshot.
    pub(crate) fn catch_ups(&self) -> &Arc<CatchUps> {
        &self.catch_ups
    }

    /// Where everybody passes who appends to the log as its leader.
    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// This node's id.
    pub(crate) fn id(&self) -> NodeId {
        self.peers.me().node_id
    }

    pub(crate) fn group(&self) -> GroupId {
        self.group
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn raft(&self) -> &Raft {
        &self.raft
    }

    pub(crate) fn peers(&self) -> &Arc<Peers> {
        &self.peers
    }

    pub(crate) fn metrics(&self) -> Metrics {
        self.raft.metrics().borrow_watched().clone()
    }

    /// A node for log lines: its id and, if it is a member with a name, its name, as in `3 (berlin-2)`.
    pub(crate) fn called(&self, id: NodeId) -> String {
        let metrics = self.metrics();
        let member = metrics.membership_config.membership().get_node(&id);
        member.map_or_else(|| id.to_string(), |member| member.called(id))
    }

    /// The leader, as far as this node knows.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        self.raft.server_metrics().borrow_watched().current_leader
    }

    /// Who leads, as far as this node knows.
    pub(crate) fn leadership(&self) -> Option<Leadership> {
        Leadership::of(&self.raft.server_metrics().borrow_watched())
    }

    /// Waits until this node knows of another leadership than `known`. It is not enough that nobody leads.
    pub(crate) async fn other_leadership(&self, known: Leadership) {
        let mut metrics = self.raft.server_metrics();
        while Leadership::of(&metrics.borrow_watched()).is_none_or(|now| !now.differs(known)) {
            if metrics.changed().await.is_err() {
                // The engine has ended: there will be no other.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The last entry of this node's log, as the engine last reported it.
    pub(crate) fn last_log(&self) -> Option<LogId> {
        self.raft.data_metrics().borrow_watched().last_log
    }

    /// The index of the last entry that is committed, as far as this node knows.
    pub(crate) fn committed(&self) -> u64 {
        index(&self.raft.data_metrics().borrow_watched().cluster_committed)
    }

    /// Whether this node leads, as far as it knows.
    pub(crate) fn leads(&self) -> bool {
        self.leader() == Some(self.id())
    }

    /// Waits for another leader, for at most `limit`.
    pub(crate) async fn leader_change(&self, limit: Duration) {
        let mut metrics = self.raft.server_metrics();
        let before = metrics.borrow_watched().current_leader;
        let changed = async {
            while metrics.borrow_watched().current_leader == before {
                if metrics.changed().await.is_err() {
                    // The engine has ended. A caller that got an answer at once would ask again in a busy
                    // loop.
                    std::future::pending::<()>().await;
                }
            }
        };
        // The result does not matter.
        let _ = timeout(limit, changed).await;
    }

    /// Sends a request about this group to another node, on the connection for `lane`.
    pub(crate) async fn ask(
        &self,
        id: NodeId,
        lane: Lane,
        request: &Request,
        limit: Duration,
    ) -> Result<Answer, LinkError> {
        self.peers.link(id, lane).ask(self.group, request, limit).await
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Marks the node as stopping; false if it already was.
    pub(crate) fn begin_stop(&self) -> bool {
        !self.stopping.swap(true, Ordering::AcqRel)
    }

    /// Whether the cluster reported that it goes on without this node.
    pub(crate) fn is_removed(&self) -> bool {
        self.excluded.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Why the cluster goes on without this node, if it reported that.
    pub(crate) fn excluded(&self) -> Option<Exclusion> {
        self.excluded.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records why the cluster goes on without this node, or that it does not. A node that the cluster goes on
    /// without must not ask for votes.
    pub(crate) fn exclude(&self, why: Option<Exclusion>) {
        let mut excluded = self.excluded.write().unwrap_or_else(PoisonError::into_inner);
        if excluded.is_some() != why.is_some() {
            self.raft.runtime_config().elect(why.is_none() && !self.stands_aside());
        }
        *excluded = why;
    }

    /// Whether this node leaves elections to the others.
    pub(crate) fn stands_aside(&self) -> bool {
        self.aside.load(Ordering::Acquire)
    }

    /// From now on this node leaves elections to the others, or does not.
    pub(crate) fn stand_aside(&self, aside: bool) {
        // Locked so that the two reasons are weighed together.
        let excluded = self.excluded.write().unwrap_or_else(PoisonError::into_inner);
        if self.aside.swap(aside, Ordering::AcqRel) != aside {
            self.raft.runtime_config().elect(excluded.is_none() && !aside);
        }
    }
}

/// The index of a log position; 0 if there is none.
pub(crate) fn index(id: &Option<LogId>) -> u64 {
    id.as_ref().map_or(0, |id| id.index)
}
