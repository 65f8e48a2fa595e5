//! Becoming and staying a member.
//!
//! Owns every membership change, one after another: ids from the log, newcomers as learners, promotion when they have
//! caught up, replacement of a member at the same address, changed addresses. Never gives an id out twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use openraft::ChangeMembers;
use openraft::error::{ClientWriteError, RaftError};
use tokio::time::{Instant, sleep, timeout};

use crate::NodeId;
use crate::error::ProposeError;
use crate::net::{Lane, ask_guest};
use crate::node::Node;
use crate::types::{Member, Membership};
use crate::wire::{Announce, Answer, EntryData, JoinReply, Request};

/// How often the leader looks after the membership.
const CARE: Duration = Duration::from_millis(200);
/// A learner this many entries behind, or fewer, has caught up.
const CAUGHT_UP: u64 = 256;
/// Longest that one exchange about membership may take.
const ASK: Duration = Duration::from_secs(10);

/// How often to look whether anybody leads.
const LOOK: Duration = Duration::from_millis(500);
/// A node announces itself again when nobody led for so long.
const LEADERLESS: Duration = Duration::from_secs(1);
/// Pause before a node that was refused asks again.
const REFUSED: Duration = Duration::from_secs(30);

/// What came of telling the leader about this node.
enum Announced {
    Member,
    NotYet,
    Refused,
}

pub(crate) type Change = ChangeMembers<NodeId, Member>;

impl Node {
    /// Where the caller should ask instead, if this node does not lead.
    fn elsewhere(&self) -> Option<JoinReply> {
        let leader = self.leader();
        if leader == Some(self.id()) {
            return None;
        }
        Some(JoinReply::Elsewhere { addr: leader.and_then(|id| self.peers.addr(id)).unwrap_or_default() })
    }

    /// Gives a newcomer an id.
    pub(crate) async fn new_id(&self, member: Member) -> JoinReply {
        if let Some(elsewhere) = self.elsewhere() {
            return elsewhere;
        }
        if member.peer_addr == self.member.peer_addr {
            return JoinReply::Refused { reason: format!("{} is the leader's own address", member.peer_addr) };
        }
        let taken = others_at(self.metrics().membership_config.membership(), 0, &member.peer_addr);
        if let Some(reason) = self.lives_there(&taken).await {
            return JoinReply::Refused { reason };
        }
        let again = || JoinReply::Elsewhere { addr: String::new() };
        let Ok(data) = EntryData::AllocateV1.to_data() else {
            return again();
        };
        let Ok(Ok(written)) = timeout(ASK, self.raft.client_write(data)).await else {
            return again();
        };
        let Some(id) = written.data.new_id else {
            return again();
        };
        let mut peers = self.peers.addrs();
        peers.push((self.id(), self.member.peer_addr.clone()));
        tracing::info!(id, addr = member.peer_addr, "gave out a node id");
        JoinReply::Id { cluster_id: self.peers.me().cluster_id, id, peers }
    }

    /// Makes the membership agree with what a node says of itself.
    pub(crate) async fn announced(&self, announce: Announce) -> JoinReply {
        // Where many moved at once nobody leads yet, and this is how they find each other again.
        let members = self.metrics().membership_config;
        if announce.id != self.id() && members.get_node(&announce.id).is_some() {
            self.peers.learn(announce.id, &announce.member.peer_addr);
        }
        if let Some(elsewhere) = self.elsewhere() {
            return elsewhere;
        }
        let _one_at_a_time = self.changes.lock().await;
        let (id, mut member) = (announce.id, Member::from(announce.member));
        let metrics = self.metrics();
        let known = metrics.membership_config.membership();
        // What was decided by hand is not the node's to say.
        member.wishes = known.get_node(&id).map(|present| present.wishes.clone()).unwrap_or_default();
        let taken = others_at(known, id, &member.peer_addr);
        let change = match known.get_node(&id) {
            Some(present) if *present == member => return JoinReply::Member,
            Some(present) => {
                if present.peer_addr != member.peer_addr
                    && let Some(reason) = self.lives_there(&taken).await
                {
                    return JoinReply::NotNow { reason };
                }
                ChangeMembers::SetNodes(BTreeMap::from([(id, member)]))
            }
            None if !announce.join => {
                // A leader of former days, cut off, must not tell anybody that it is out.
                if self.read_index().await.is_none() {
                    return JoinReply::Elsewhere { addr: String::new() };
                }
                return JoinReply::Refused { reason: format!("node {id} is no member of this cluster any more") };
            }
            None if id > self.store.state().last_node_id => {
                return JoinReply::Refused { reason: format!("node id {id} was never given out") };
            }
            None => {
                if let Some(reason) = self.lives_there(&taken).await {
                    return JoinReply::Refused { reason };
                }
                if let Err(refused) = self.may_replace(&taken).await {
                    return JoinReply::NotNow { reason: refused.to_string() };
                }
                let voters: BTreeSet<NodeId> = known.voter_ids().collect();
                tracing::info!(id, addr = member.peer_addr, replaced = ?taken, "a node joins");
                adding(id, member, &taken, &voters)
            }
        };
        match self.change(change, false).await {
            Ok(()) => JoinReply::Member,
            Err(_) => JoinReply::Elsewhere { addr: String::new() },
        }
    }

    /// Why the address of these members is not free: one of them answers there, under its own id.
    async fn lives_there(&self, members: &[NodeId]) -> Option<String> {
        let there = join_all(members.iter().map(|id| self.is_there(*id))).await;
        let id = members.iter().zip(there).find_map(|(id, there)| there.then_some(id))?;
        Some(format!("node {id} lives at that address; set advertise_peer_addr (WAYPOST_ADVERTISE_PEER_ADDR)"))
    }

    /// Changes the membership; `retain` keeps voters that are removed as learners.
    pub(crate) async fn change(&self, change: Change, retain: bool) -> Result<(), ProposeError> {
        match timeout(ASK, self.raft.change_membership(change, retain)).await {
            Ok(Ok(_)) => Ok(()),
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

    /// The leader's care for the membership: finishes interrupted changes and promotes learners.
    pub(crate) async fn care_for_members(self: Arc<Self>) {
        loop {
            sleep(CARE).await;
            if self.leader() != Some(self.id()) {
                continue;
            }
            let _one_at_a_time = self.changes.lock().await;
            if let Some((change, retain)) = self.due_change().await {
                // Failures were logged; the next round sees what is left to do.
                let _ = self.change(change, retain).await;
            }
        }
    }

    async fn due_change(&self) -> Option<(Change, bool)> {
        let metrics = self.metrics();
        let known = metrics.membership_config.membership();
        if let [before, .., after] = known.get_joint_config().as_slice() {
            // The leader before died half-way. Who was demoted stays as a learner, who was removed goes.
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
        // A vote for one that has just died could cost the majority; nor must it hold up the others.
        let there = join_all(ready.iter().map(|id| self.is_there(*id))).await;
        let ready = ready.into_iter().zip(there).find_map(|(id, there)| there.then_some(id))?;
        tracing::info!(id = ready, "promoting a learner that has caught up");
        Some((ChangeMembers::AddVoterIds(BTreeSet::from([ready])), false))
    }

    /// Tells the leader what this node is, until the membership says so; and again when nobody leads for long: the
    /// cluster may have removed it, or moved away, while it was not listening.
    pub(crate) async fn announce(self: Arc<Self>) {
        let mut pause = Duration::from_millis(50);
        let mut is_compared = false;
        loop {
            match self.announce_once().await {
                Announced::Member => {
                    self.note_removed(false);
                    if !std::mem::replace(&mut is_compared, true) {
                        self.refuse_older_data().await;
                    }
                    self.leaderless().await;
                    pause = Duration::from_millis(50);
                }
                Announced::NotYet => {}
                Announced::Refused => pause = REFUSED,
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }

    /// Waits until nothing was heard of a leader for a while.
    async fn leaderless(&self) {
        let mut since = None;
        loop {
            sleep(LOOK).await;
            let silent = Duration::from_millis(self.config.election_max_ms * 2);
            if self.leader() == Some(self.id())
                || self.leader_heard_ms().is_some_and(|ms| u128::from(ms) < silent.as_millis())
            {
                since = None;
            } else if since.get_or_insert_with(Instant::now).elapsed() >= LEADERLESS {
                return;
            }
        }
    }

    /// Where the cluster goes on without this node, it must not ask for votes.
    fn note_removed(&self, removed: bool) {
        if self.removed.swap(removed, Ordering::Relaxed) != removed {
            self.raft.runtime_config().elect(!removed);
        }
    }

    async fn announce_once(&self) -> Announced {
        let join = !self.identity.lock().unwrap_or_else(std::sync::PoisonError::into_inner).joined;
        let announce = Announce { id: self.id(), member: (&self.member).into(), join };
        for reply in self.ask_about(announce).await {
            match reply {
                JoinReply::Member => {
                    // From then on an empty log counts as damaged: it must have something first, on disk.
                    if self.log.is_pristine() || self.log.sync().await.is_err() {
                        return Announced::NotYet;
                    }
                    if let Err(error) = self.update_identity(|identity| identity.joined = true) {
                        tracing::error!(%error, "cannot write the identity");
                        return Announced::NotYet;
                    }
                    tracing::info!(id = self.id(), "is a member");
                    return Announced::Member;
                }
                JoinReply::Refused { reason } => {
                    tracing::error!(reason, "the cluster refuses this node");
                    if !join {
                        self.note_removed(true);
                    }
                    return Announced::Refused;
                }
                JoinReply::NotNow { reason } => {
                    tracing::warn!(reason, "the cluster does not take what this node says of itself, yet");
                }
                JoinReply::Id { .. } | JoinReply::Elsewhere { .. } => {}
            }
        }
        Announced::NotYet
    }

    /// Asks whoever leads; where that is unknown, everybody.
    async fn ask_about(&self, announce: Announce) -> Vec<JoinReply> {
        match self.leader() {
            Some(id) if id == self.id() => return vec![self.announced(announce).await],
            Some(id) => {
                let request = Request::AnnounceV1(announce.clone());
                let asked = self.peers.link(id, Lane::Work).ask_node(&request, ASK).await;
                // To who is no member yet nobody says that another leads by now: what it knows may be of former days.
                let reply = asked.ok().and_then(joined).filter(|reply| !matches!(reply, JoinReply::Elsewhere { .. }));
                if let Some(reply) = reply {
                    return vec![reply];
                }
            }
            None => {}
        }
        // A member hears from its leader by itself. One that isn't yet, or has moved, must make itself known.
        let mut replies = Vec::new();
        let mut addrs: BTreeSet<String> = self.peers.addrs().into_iter().map(|(_, addr)| addr).collect();
        addrs.extend(self.config.join.iter().cloned());
        addrs.remove(&self.member.peer_addr);
        for addr in addrs {
            replies.extend(self.ask_at(&addr, &announce).await);
        }
        replies
    }

    async fn ask_at(&self, addr: &str, announce: &Announce) -> Option<JoinReply> {
        let (cluster, own) = (self.peers.me().cluster_id, &self.member.peer_addr);
        let request = Request::AnnounceV1(announce.clone());
        let reply = joined(ask_guest(self.peers.secure(), addr, cluster, own, &request, ASK).await.ok()?)?;
        match reply {
            JoinReply::Elsewhere { addr } if !addr.is_empty() && addr != *own => {
                joined(ask_guest(self.peers.secure(), &addr, cluster, own, &request, ASK).await.ok()?)
            }
            other => Some(other),
        }
    }
}

fn joined(answer: Answer) -> Option<JoinReply> {
    match answer {
        Answer::JoinV1(reply) => Some(reply),
        _ => None,
    }
}

/// The members other than `id` that are to be found at `addr`.
fn others_at(known: &Membership, id: NodeId, addr: &str) -> Vec<NodeId> {
    known.nodes().filter(|(other, member)| **other != id && member.peer_addr == addr).map(|(other, _)| *other).collect()
}

/// Adds a learner, and in the same change removes those that it replaces.
fn adding(id: NodeId, member: Member, replaced: &[NodeId], voters: &BTreeSet<NodeId>) -> Change {
    let add = ChangeMembers::AddNodes(BTreeMap::from([(id, member)]));
    if replaced.is_empty() { add } else { ChangeMembers::Batch(vec![add, removing(replaced, voters)]) }
}

pub(crate) fn removing(ids: &[NodeId], voters: &BTreeSet<NodeId>) -> Change {
    let (voters, learners): (BTreeSet<NodeId>, BTreeSet<NodeId>) = ids.iter().partition(|id| voters.contains(id));
    let mut changes = Vec::new();
    if !voters.is_empty() {
        changes.push(ChangeMembers::RemoveVoters(voters));
    }
    if !learners.is_empty() {
        changes.push(ChangeMembers::RemoveNodes(learners));
    }
    ChangeMembers::Batch(changes)
}

#[cfg(all(test, not(feature = "sim")))]
mod tests;
