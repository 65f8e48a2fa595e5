//! The leader's part in the membership: it decides who is a member and who has a vote.

mod entry;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use openraft::ChangeMembers;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::error::{ClientWriteError, RaftError};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{sleep, timeout};

use self::entry::others_at;
use super::moves::Moves;
use crate::NodeId;
use crate::engine::Engine;
use crate::error::{ProposeError, Refused};
use crate::identity_key::PublicKey;
use crate::net::{Lane, LinkError};
use crate::observer::Observer;
use crate::reads::Reads;
use crate::status::Status;
use crate::store::Store;
use crate::types::{Member, Membership};
use crate::wire::{Announce, EntryData, JoinReply, KnownV1, Request};

/// How often the leader checks the membership.
const CARE: Duration = Duration::from_millis(200);
/// A learner this many entries behind, or fewer, has caught up.
const CAUGHT_UP: u64 = 256;
/// Longest that one change of the membership may take.
const CHANGE: Duration = Duration::from_secs(10);
/// Longest wait for another change of the members to end.
const TURN: Duration = Duration::from_secs(10);
/// Longest wait for a member to answer when it is checked.
const THERE: Duration = Duration::from_secs(1);

/// A change of the membership, as openraft takes it.
pub(crate) type Change = ChangeMembers<NodeId, Member>;

/// Makes all membership changes, one after another: it allocates ids from the log, adds newcomers as
/// learners, promotes them when they have caught up, replaces a member at the same address, and updates
/// addresses. It never allocates an id twice.
pub(crate) struct Members {
    engine: Arc<Engine>,
    store: Arc<Store>,
    reads: Arc<Reads>,
    observer: Arc<Observer>,
    moves: Arc<Moves>,
    /// One change at a time.
    changes: Mutex<()>,
}

impl Members {
    pub(crate) fn new(
        engine: Arc<Engine>,
        store: Arc<Store>,
        reads: Arc<Reads>,
        observer: Arc<Observer>,
        moves: Arc<Moves>,
    ) -> Arc<Self> {
        Arc::new(Self { engine, store, reads, observer, moves, changes: Mutex::default() })
    }

    /// The address that the caller should ask instead, if this node does not lead.
    fn elsewhere(&self) -> Option<JoinReply> {
        if self.engine.leads() {
            return None;
        }
        let leader = self.engine.leader();
        Some(JoinReply::Elsewhere {
            addr: leader.and_then(|id| self.engine.peers().addr(id)).unwrap_or_default(),
        })
    }

    /// Allocates an id for a newcomer. Only the node with this identity may join under it.
    pub(crate) async fn new_id(&self, member: Member, identity: PublicKey) -> JoinReply {
        if let Some(elsewhere) = self.elsewhere() {
            return elsewhere;
        }
        if member.peer_addr == self.engine.peers().me().addr {
            return JoinReply::Refused {
                reason: format!("{} is the leader's own address", member.peer_addr),
            };
        }
        let taken = others_at(self.engine.metrics().membership_config.membership(), 0, &member.peer_addr);
        if let Some(reason) = self.lives_there(&taken, &member.peer_addr).await {
            return JoinReply::Refused { reason };
        }
        let again = || JoinReply::Elsewhere { addr: String::new() };
        let Ok(data) = (EntryData::AllocateV1 { identity: identity.0 }).to_data() else {
            return again();
        };
        let _pass = self.engine.gate().pass().await;
        let Ok(Ok(written)) = timeout(CHANGE, self.engine.raft().client_write(data)).await else {
            return again();
        };
        let Some(id) = written.data.new_id else {
            return again();
        };
        tracing::info!(node = member.called(id), addr = member.peer_addr, %identity, "allocated a node id");
        JoinReply::Id { cluster_id: self.engine.peers().me().cluster_id, id, peers: self.everybody() }
    }

    /// All members, for a newcomer that must recognize them.
    fn everybody(&self) -> Vec<KnownV1> {
        let metrics = self.engine.metrics();
        let members = metrics.membership_config.membership().nodes();
        let known = |(id, member): (&NodeId, &Member)| {
            let identity = member.identity?.0;
            Some(KnownV1 { id: *id, addr: member.peer_addr.clone(), identity })
        };
        members.filter_map(known).collect()
    }

    fn own_identity(&self) -> PublicKey {
        self.engine.peers().secure().identity()
    }

    /// Makes the membership agree with what the node with this identity announced about itself.
    pub(crate) async fn announced(&self, announce: Announce, identity: PublicKey) -> JoinReply {
        let id = announce.id;
        if let Some(reply) =
            self.not_itself(self.engine.metrics().membership_config.membership(), id, identity)
        {
            return reply;
        }
        if let Some(reply) = self.not_moved(announce.id, &announce.member.peer_addr).await {
            return reply;
        }
        if let Some(elsewhere) = self.elsewhere() {
            return elsewhere;
        }
        if !self.engine.peers().secure().is_introduced() {
            return not_introduced();
        }
        let _one_at_a_time = self.changes.lock().await;
        let change = match self.due_to(announce, identity).await {
            Ok(change) => change,
            Err(reply) => return reply,
        };
        match self.change(change, false).await {
            Ok(position) => self.member(position, id, identity),
            Err(_) => JoinReply::Elsewhere { addr: String::new() },
        }
    }

    /// The reply to a node that is not the member with that id. Only this node itself may take another key.
    fn not_itself(&self, known: &Membership, id: NodeId, identity: PublicKey) -> Option<JoinReply> {
        let pinned = known.get_node(&id)?.identity;
        let differs = pinned != Some(identity) && identity != self.own_identity();
        differs.then(|| JoinReply::Refused { reason: format!("node {id} has another identity") })
    }

    /// Tells a node that it is a member, as of that index of the log, and introduces it to the others.
    fn member(&self, position: u64, id: NodeId, identity: PublicKey) -> JoinReply {
        let peers = self.engine.peers();
        let introductions = peers.secure().introduce(&peers.me().cluster_id, position, id, identity);
        introductions.map_or_else(not_introduced, |introductions| JoinReply::Member { introductions })
    }

    /// Introduces a member that asks for it, because it leads and the leader that admitted it could not tell
    /// it. Every member that was introduced itself may do so: the committed membership is the proof.
    pub(crate) fn introduction_of(&self, id: NodeId, identity: PublicKey) -> JoinReply {
        let metrics = self.engine.raft().server_metrics();
        let now = metrics.borrow_watched();
        let committed = &now.committed_membership_config;
        let member = committed.membership().get_node(&id);
        match committed.log_id() {
            Some(at) if member.is_some_and(|member| member.identity == Some(identity)) => {
                self.member(at.index, id, identity)
            }
            _ => JoinReply::NotNow { reason: format!("node {id} is not a member here yet") },
        }
    }

    /// Changes the membership; returns the index of the new one in the log. With `retain`, voters that are
    /// removed stay as learners.
    pub(crate) async fn change(&self, change: Change, retain: bool) -> Result<u64, ProposeError> {
        let _pass = self.engine.gate().pass().await;
        match timeout(CHANGE, self.engine.raft().change_membership(change, retain)).await {
            Ok(Ok(written)) => Ok(written.log_id.index),
            Ok(Err(error)) => {
                tracing::warn!(%error, "a membership change failed");
                Err(match error {
                    RaftError::APIError(
                        ClientWriteError::ForwardToLeader(_) | ClientWriteError::ChangeMembershipError(_),
                    ) => ProposeError::Unavailable,
                    _ => ProposeError::Unknown,
                })
            }
            Err(_) => Err(ProposeError::Unknown),
        }
    }

    /// The leader's periodic work on the membership: finishes interrupted changes and promotes learners.
    pub(crate) async fn care(self: Arc<Self>) {
        loop {
            sleep(CARE).await;
            if !self.engine.leads() {
                continue;
            }
            let _one_at_a_time = self.changes.lock().await;
            if let Some((change, retain)) = self.due_change().await {
                // Failures were logged; the next round does what is still missing.
                let _ = self.change(change, retain).await;
            }
        }
    }

    async fn due_change(&self) -> Option<(Change, bool)> {
        let metrics = self.engine.metrics();
        let known = metrics.membership_config.membership();
        if let [before, .., after] = known.get_joint_config().as_slice() {
            // The former leader died during a change. A demoted node stays as a learner; a removed node
            // leaves.
            let mut leaving = before.difference(after);
            let demoted = leaving.all(|id| known.get_node(id).is_some_and(|m| m.wishes.voter == Some(false)));
            return Some((ChangeMembers::AddVoterIds(BTreeSet::new()), demoted));
        }
        let replication = metrics.replication.as_ref()?;
        let last = metrics.last_log_index.unwrap_or(0);
        let ready: Vec<NodeId> = known
            .learner_ids()
            .filter(|id| {
                let wants = known.get_node(id).is_some_and(Member::wants_vote);
                let matched = replication.get(id).and_then(|m| m.as_ref()).map(|m| m.index);
                wants && matched.is_some_and(|at| at + CAUGHT_UP >= last)
            })
            .collect();
        // A vote for a node that has just died could cost the majority. Such a node must not delay the others
        // either.
        let there = join_all(ready.iter().map(|id| self.is_there(*id))).await;
        let ready = ready.into_iter().zip(there).find_map(|(id, there)| there.then_some(id))?;
        tracing::info!(node = self.engine.called(ready), "promoting a learner that has caught up");
        Some((ChangeMembers::AddVoterIds(BTreeSet::from([ready])), false))
    }

    /// The status of this node, if it leads.
    pub(super) fn as_leader(&self) -> Result<Status, Refused> {
        match self.engine.leader() {
            Some(id) if id == self.engine.id() => Ok(self.observer.describe()),
            other => Err(Refused::NotLeader(other)),
        }
    }

    /// Like [`Members::as_leader`], but every member is asked now whether it answers. That a member was heard
    /// a second ago is not enough to count it for a majority.
    pub(super) async fn fresh(&self) -> Result<Status, Refused> {
        let mut status = self.as_leader()?;
        let there =
            futures_util::future::join_all(status.members.iter().map(|member| self.is_there(member.id)))
                .await;
        status.members.iter_mut().zip(there).for_each(|(member, there)| member.reachable = there);
        self.as_leader()?;
        Ok(status)
    }

    /// Whether a member answers now.
    async fn is_there(&self, id: NodeId) -> bool {
        id == self.engine.id() || self.asked(id).await.is_ok()
    }

    /// Asks a node something to which every node has an answer, which does not matter here.
    async fn asked(&self, id: NodeId) -> Result<(), LinkError> {
        self.engine.ask(id, Lane::Pulse, &Request::ReadIndexV1, THERE).await.map(drop)
    }

    /// Waits until no other change is in progress; [`Refused::Busy`] after [`TURN`]. The guard keeps other
    /// changes away.
    pub(super) async fn turn(&self) -> Result<MutexGuard<'_, ()>, Refused> {
        timeout(TURN, self.changes.lock()).await.map_err(|_| Refused::Busy)
    }

    /// The change that replicates new wishes about a member.
    pub(super) fn wished(&self, id: NodeId, wish: impl FnOnce(&mut Member)) -> Result<Change, Refused> {
        let metrics = self.engine.metrics();
        let member = metrics.membership_config.membership().get_node(&id).cloned();
        let mut member = member.ok_or(Refused::UnknownNode(id))?;
        wish(&mut member);
        Ok(ChangeMembers::SetNodes(BTreeMap::from([(id, member)])))
    }
}

/// The reply of a leader that others have not introduced yet.
fn not_introduced() -> JoinReply {
    JoinReply::NotNow { reason: "the leader has just joined and waits for its own introduction".to_owned() }
}

/// Removes members, with their votes.
pub(super) fn removing(ids: &[NodeId], voters: &BTreeSet<NodeId>) -> Change {
    let (voters, learners): (BTreeSet<NodeId>, BTreeSet<NodeId>) =
        ids.iter().partition(|id| voters.contains(id));
    let mut changes = Vec::new();
    if !voters.is_empty() {
        changes.push(ChangeMembers::RemoveVoters(voters));
    }
    if !learners.is_empty() {
        changes.push(ChangeMembers::RemoveNodes(learners));
    }
    ChangeMembers::Batch(changes)
}
