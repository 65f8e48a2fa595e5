//! What is done to the cluster by hand: members out, votes given and taken, members drained, the lead handed over.
//!
//! Owns the judgement of what may be done, with the reason where it may not; the changes themselves are `membership`'s.
//! Works on the leader. Never leaves the cluster with a set of voters of which no majority can be reached.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::ChangeMembers;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};

use crate::NodeId;
use crate::membership::removing;
use crate::net::Lane;
use crate::node::Node;
use crate::status::{MemberStatus, Status};
use crate::types::Member;
use crate::wire::Request;

/// Longest wait for another change of the members to end.
const TURN: Duration = Duration::from_secs(10);
/// Longest wait for a promoted learner to get its vote.
const PROMOTION: Duration = Duration::from_secs(10);
/// Longest wait for a member to show that it is there.
const THERE: Duration = Duration::from_secs(1);
/// Longest that handing over the lead may take.
const LEAD: Duration = Duration::from_secs(5);
/// A voter this many entries behind is not handed the lead.
const BEHIND: u64 = 10_000;

/// What can be asked. Variants are only ever added at the end: nodes pass them on to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Out of the cluster for good; its id is never given out again.
    Remove(NodeId),
    /// A vote for a learner, also for one that asked to be without.
    Promote(NodeId),
    /// No vote any more: it goes on as a learner until it is promoted.
    Demote(NodeId),
    /// It serves no clients until it is undrained. `force`: also if no other member is left to serve them.
    Drain {
        /// The member.
        node: NodeId,
        /// See above.
        force: bool,
    },
    /// It serves clients again.
    Undrain(NodeId),
    /// The lead to that voter, or to the one that is best.
    Lead(Option<NodeId>),
    /// Changes nothing: whether [`Operation::Remove`] would be refused.
    MayRemove(NodeId),
}

/// Why an operation was not carried out. Nothing was changed, but for [`Refused::Failed`] where that is unknown.
/// Variants are only ever added at the end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Refused {
    /// Another node leads, if any is known.
    #[error("another node leads")]
    NotLeader(Option<NodeId>),
    /// No such member.
    #[error("node {0} is no member of this cluster")]
    UnknownNode(NodeId),
    /// It is the only one with a vote.
    #[error("node {0} is the last voter")]
    LastVoter(NodeId),
    /// Too few of the voters that would be left can be reached.
    #[error("of the {voters} voters that would be left only {reachable} can be reached, and {needed} are needed")]
    Majority {
        /// Voters that would be left.
        voters: u64,
        /// Those of them that were heard from lately.
        reachable: u64,
        /// How many make a majority.
        needed: u64,
    },
    /// A learner can't lead.
    #[error("node {0} is a learner: it has no vote and cannot lead")]
    Learner(NodeId),
    /// It was not heard from lately.
    #[error("node {0} cannot be reached")]
    Unreachable(NodeId),
    /// Too many entries of the log are missing there.
    #[error("node {node} is {entries} log entries behind")]
    Behind {
        /// The member.
        node: NodeId,
        /// How many it lacks.
        entries: u64,
    },
    /// No other member would be left for clients.
    #[error("no other node that serves clients can be reached")]
    LastServing(NodeId),
    /// Nobody can take the lead.
    #[error("no other voter can take the lead")]
    NoSuccessor,
    /// Another change is under way.
    #[error("another change of the members is under way")]
    Busy,
    /// It was begun, and it is unknown whether it took effect.
    #[error("it was not confirmed in time")]
    Failed,
}

impl Node {
    /// Carries out an operation; on the leader only.
    pub(crate) async fn operate(&self, operation: Operation) -> Result<(), Refused> {
        match operation {
            Operation::Remove(id) => self.take_vote(id, true).await,
            Operation::Demote(id) => self.take_vote(id, false).await,
            Operation::Promote(id) => self.give_vote(id).await,
            Operation::Drain { node, force } => self.drain(node, force).await,
            Operation::Undrain(id) => self.undrain(id).await,
            Operation::Lead(to) => self.lead_to(to).await,
            Operation::MayRemove(id) => {
                let status = self.fresh().await?;
                if known(&status, id)?.voter { without(&status, &[id]) } else { Ok(()) }
            }
        }
    }

    /// What this node knows, if it leads.
    fn as_leader(&self) -> Result<Status, Refused> {
        match self.leader() {
            Some(id) if id == self.id() => Ok(self.describe(&self.metrics())),
            other => Err(Refused::NotLeader(other)),
        }
    }

    /// As [`Node::as_leader`], with every member asked now whether it is there: that one was heard a second ago is not
    /// enough to build a majority on.
    async fn fresh(&self) -> Result<Status, Refused> {
        let mut status = self.as_leader()?;
        let there = futures_util::future::join_all(status.members.iter().map(|member| self.is_there(member.id))).await;
        status.members.iter_mut().zip(there).for_each(|(member, there)| member.reachable = there);
        self.as_leader()?;
        Ok(status)
    }

    /// A member answers, now.
    pub(crate) async fn is_there(&self, id: NodeId) -> bool {
        // What it answers says nothing here: that it does is enough.
        id == self.id() || self.peers.link(id, Lane::Pulse).ask(self.group, &Request::ReadIndexV1, THERE).await.is_ok()
    }

    async fn turn(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, Refused> {
        timeout(TURN, self.changes.lock()).await.map_err(|_| Refused::Busy)
    }

    /// Takes a vote away, and the membership too if `out`.
    async fn take_vote(&self, id: NodeId, out: bool) -> Result<(), Refused> {
        let turn = self.turn().await?;
        let status = self.fresh().await?;
        let member = known(&status, id)?;
        if member.voter {
            without(&status, &[id])?;
        } else if !out && !member.wants_vote {
            return Ok(());
        }
        if id == self.id() {
            drop(turn);
            self.pass_on(&status).await?;
            return Err(Refused::NotLeader(self.leader()));
        }
        let voters: BTreeSet<NodeId> = status.members.iter().filter(|m| m.voter).map(|m| m.id).collect();
        let (change, retain) = if out {
            (removing(&[id], &voters), false)
        } else {
            let wish = self.wished(id, |member| member.wishes.voter = Some(false))?;
            let less = ChangeMembers::RemoveVoters(BTreeSet::from([id]));
            (ChangeMembers::Batch(if member.voter { vec![wish, less] } else { vec![wish] }), true)
        };
        self.change(change, retain).await.map_err(|_| Refused::Failed)
    }

    /// Whether these members, which don't answer, may be replaced by another node.
    pub(crate) async fn may_replace(&self, ids: &[NodeId]) -> Result<(), Refused> {
        if ids.is_empty() {
            return Ok(());
        }
        let status = self.fresh().await?;
        let voters: Vec<NodeId> =
            status.members.iter().filter(|m| m.voter && ids.contains(&m.id)).map(|m| m.id).collect();
        if voters.is_empty() { Ok(()) } else { without(&status, &voters) }
    }

    async fn give_vote(&self, id: NodeId) -> Result<(), Refused> {
        {
            let _turn = self.turn().await?;
            let status = self.fresh().await?;
            let member = known(&status, id)?;
            if member.voter {
                return Ok(());
            }
            if !member.reachable {
                return Err(Refused::Unreachable(id));
            }
            let wish = self.wished(id, |member| member.wishes.voter = Some(true))?;
            self.change(wish, true).await.map_err(|_| Refused::Failed)?;
        }
        // The leader's care promotes it once it has caught up.
        let deadline = Instant::now() + PROMOTION;
        loop {
            let status = self.as_leader()?;
            let member = known(&status, id)?;
            if member.voter {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let entries = status.last_log.saturating_sub(member.matched.unwrap_or(0));
                return Err(Refused::Behind { node: id, entries });
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn drain(&self, id: NodeId, force: bool) -> Result<(), Refused> {
        let turn = self.turn().await?;
        let status = self.fresh().await?;
        if known(&status, id)?.drained_ms.is_some() {
            return Ok(());
        }
        let others = status.members.iter().any(|m| m.id != id && m.reachable && m.drained_ms.is_none());
        if !others && !force {
            return Err(Refused::LastServing(id));
        }
        if id == self.id() && status.members.iter().any(|m| may_lead(&status, m).is_ok()) {
            drop(turn);
            self.pass_on(&status).await?;
            return Err(Refused::NotLeader(self.leader()));
        }
        let wish = self.wished(id, |member| member.wishes.drained_ms = Some(self.time().time_ms))?;
        self.change(wish, true).await.map_err(|_| Refused::Failed)
    }

    async fn undrain(&self, id: NodeId) -> Result<(), Refused> {
        let _turn = self.turn().await?;
        let status = self.as_leader()?;
        if known(&status, id)?.drained_ms.is_none() {
            return Ok(());
        }
        let wish = self.wished(id, |member| member.wishes.drained_ms = None)?;
        self.change(wish, true).await.map_err(|_| Refused::Failed)
    }

    /// The change that makes other wishes about a member known.
    fn wished(&self, id: NodeId, wish: impl FnOnce(&mut Member)) -> Result<crate::membership::Change, Refused> {
        let metrics = self.metrics();
        let member = metrics.membership_config.membership().get_node(&id).cloned();
        let mut member = member.ok_or(Refused::UnknownNode(id))?;
        wish(&mut member);
        Ok(ChangeMembers::SetNodes(BTreeMap::from([(id, member)])))
    }

    async fn lead_to(&self, to: Option<NodeId>) -> Result<(), Refused> {
        let _turn = self.turn().await?;
        let status = self.fresh().await?;
        let Some(to) = to else {
            return self.pass_on(&status).await;
        };
        if to == self.id() {
            return Ok(());
        }
        may_lead(&status, known(&status, to)?)?;
        self.transfer(to, LEAD).await;
        if self.leader() == Some(to) { Ok(()) } else { Err(Refused::Failed) }
    }

    async fn pass_on(&self, status: &Status) -> Result<(), Refused> {
        if !status.members.iter().any(|member| may_lead(status, member).is_ok()) {
            return Err(Refused::NoSuccessor);
        }
        if self.hand_over(LEAD).await { Ok(()) } else { Err(Refused::Failed) }
    }

    /// Hands the lead to the voter that is best; true when this node leads no more.
    pub(crate) async fn hand_over(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while self.leader() == Some(self.id()) {
            let status = self.describe(&self.metrics());
            let best = status.members.iter().filter(|m| m.voter && m.id != self.id());
            // Who was not heard from lately, or serves no clients, only for want of another.
            let best = best.max_by_key(|m| (m.reachable, m.drained_ms.is_none(), m.matched));
            let left = deadline.saturating_duration_since(Instant::now());
            match best.map(|m| m.id) {
                Some(to) if !left.is_zero() => self.transfer(to, left).await,
                _ => return false,
            }
        }
        true
    }

    /// The best of `ids` to lead in place of this node.
    pub(crate) fn successor(&self, ids: &[NodeId]) -> Option<NodeId> {
        let status = self.describe(&self.metrics());
        let able = status.members.iter().filter(|m| ids.contains(&m.id) && may_lead(&status, m).is_ok());
        able.max_by_key(|m| (m.drained_ms.is_none(), m.matched)).map(|m| m.id)
    }

    /// Asks voter `to` to take the lead and waits for what comes of it, an election's time at most.
    pub(crate) async fn transfer(&self, to: NodeId, limit: Duration) {
        if self.raft.trigger().transfer_leader(to).await.is_err() {
            return;
        }
        let deadline = Instant::now() + limit.min(Duration::from_millis(self.config.election_max_ms));
        while self.leader().is_none_or(|id| id == self.id()) && Instant::now() < deadline {
            self.leader_change(deadline.saturating_duration_since(Instant::now())).await;
        }
    }
}

fn known(status: &Status, id: NodeId) -> Result<&MemberStatus, Refused> {
    status.member(id).ok_or(Refused::UnknownNode(id))
}

/// Whether that member could lead in place of this one.
fn may_lead(status: &Status, member: &MemberStatus) -> Result<(), Refused> {
    let behind = status.last_log.saturating_sub(member.matched.unwrap_or(0));
    if !member.voter {
        Err(Refused::Learner(member.id))
    } else if member.id == status.node_id {
        Err(Refused::NoSuccessor)
    } else if !member.reachable {
        Err(Refused::Unreachable(member.id))
    } else if behind > BEHIND {
        Err(Refused::Behind { node: member.id, entries: behind })
    } else {
        Ok(())
    }
}

/// Refuses where no majority of the other voters can be reached.
fn without(status: &Status, ids: &[NodeId]) -> Result<(), Refused> {
    let left: Vec<&MemberStatus> = status.members.iter().filter(|m| m.voter && !ids.contains(&m.id)).collect();
    if left.is_empty() {
        return Err(Refused::LastVoter(ids.first().copied().unwrap_or_default()));
    }
    let (voters, needed) = (left.len() as u64, left.len() as u64 / 2 + 1);
    let reachable = left.iter().filter(|m| m.reachable).count() as u64;
    if reachable < needed { Err(Refused::Majority { voters, reachable, needed }) } else { Ok(()) }
}

#[cfg(all(test, not(feature = "sim")))]
mod tests {
    use super::*;

    fn status(members: &[(NodeId, bool, bool)]) -> Status {
        let member = |(id, voter, reachable): &(NodeId, bool, bool)| MemberStatus {
            id: *id,
            voter: *voter,
            reachable: *reachable,
            ..MemberStatus::default()
        };
        Status { node_id: 1, members: members.iter().map(member).collect(), ..Status::default() }
    }

    #[test]
    fn a_majority_of_who_is_left_must_be_there() {
        let three = status(&[(1, true, true), (2, true, true), (3, true, false)]);
        assert_eq!(without(&three, &[3]), Ok(()), "one that is gone goes");
        assert_eq!(without(&three, &[2]), Err(Refused::Majority { voters: 2, reachable: 1, needed: 2 }));
        assert_eq!(without(&status(&[(1, true, true), (2, false, true)]), &[1]), Err(Refused::LastVoter(1)));
        assert_eq!(without(&status(&[(1, true, true), (2, true, true)]), &[2]), Ok(()));
    }

    #[test]
    fn only_a_voter_that_is_there_may_lead() {
        let mut four = status(&[(1, true, true), (2, true, true), (3, true, false), (4, false, true)]);
        let may = |status: &Status, id| may_lead(status, known(status, id)?);
        assert_eq!(may(&four, 1), Err(Refused::NoSuccessor));
        assert_eq!(may(&four, 2), Ok(()));
        assert_eq!(may(&four, 3), Err(Refused::Unreachable(3)));
        assert_eq!(may(&four, 4), Err(Refused::Learner(4)));
        assert_eq!(may(&four, 5), Err(Refused::UnknownNode(5)));
        four.last_log = BEHIND + 1;
        assert_eq!(may(&four, 2), Err(Refused::Behind { node: 2, entries: BEHIND + 1 }));
    }
}
