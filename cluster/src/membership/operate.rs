//! What operators do to the cluster: they remove members, give and take votes, drain members and hand over
//! the lead.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use openraft::ChangeMembers;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::lead::Lead;
use super::members::{Members, removing};
use super::voters::{known, may_lead, without};
use crate::NodeId;
use crate::engine::Engine;
use crate::error::Refused;
use crate::status::Status;
use crate::time::ClusterClock;

/// Longest wait for a promoted learner to get its vote.
const PROMOTION: Duration = Duration::from_secs(10);
/// Longest wait for the next leader to catch up.
const LEAD: Duration = Duration::from_secs(5);

/// The operations. New variants are only ever added at the end, because nodes send them to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Removes a member permanently; its id is never allocated again.
    Remove(NodeId),
    /// Gives a learner a vote, even if it asked to be without.
    Promote(NodeId),
    /// Takes the vote: the member stays as a learner until it is promoted.
    Demote(NodeId),
    /// The member serves no clients until it is undrained. `force`: even if no other member is left to serve
    /// them.
    Drain {
        /// The member.
        node: NodeId,
        /// Drain even if no other member serves clients.
        force: bool,
    },
    /// The member serves clients again.
    Undrain(NodeId),
    /// Hands the lead to that voter, or to the most suitable one.
    Lead(Option<NodeId>),
    /// Changes nothing: checks whether [`Operation::Remove`] would be refused.
    MayRemove(NodeId),
}

/// Carries operations out, on the leader. It checks each operation and reports the reason if it is refused.
/// It never leaves the cluster with a set of voters without a reachable majority.
pub(crate) struct Operations {
    engine: Arc<Engine>,
    pub(super) members: Arc<Members>,
    lead: Arc<Lead>,
    clock: Arc<ClusterClock>,
}

impl Operations {
    pub(crate) fn new(
        engine: Arc<Engine>,
        members: Arc<Members>,
        lead: Arc<Lead>,
        clock: Arc<ClusterClock>,
    ) -> Self {
        Self { engine, members, lead, clock }
    }

    /// Carries out an operation, on the leader only.
    pub(crate) async fn carry_out(&self, operation: Operation) -> Result<(), Refused> {
        match operation {
            Operation::Remove(id) => self.take_vote(id, true).await,
            Operation::Demote(id) => self.take_vote(id, false).await,
            Operation::Promote(id) => self.give_vote(id).await,
            Operation::Drain { node, force } => self.drain(node, force).await,
            Operation::Undrain(id) => self.undrain(id).await,
            Operation::Lead(to) => self.lead_to(to).await,
            Operation::MayRemove(id) => {
                let status = self.members.fresh().await?;
                if known(&status, id)?.voter { without(&status, &[id]) } else { Ok(()) }
            }
        }
    }

    /// Takes a vote away; with `out`, the membership too.
    async fn take_vote(&self, id: NodeId, out: bool) -> Result<(), Refused> {
        let turn = self.members.turn().await?;
        let status = self.members.fresh().await?;
        let member = known(&status, id)?;
        if member.voter {
            without(&status, &[id])?;
        } else if !out && !member.wants_vote {
            return Ok(());
        }
        if id == self.engine.id() {
            drop(turn);
            self.pass_on(&status).await?;
            return Err(Refused::NotLeader(self.engine.leader()));
        }
        let voters: BTreeSet<NodeId> = status.members.iter().filter(|m| m.voter).map(|m| m.id).collect();
        let (change, retain) = if out {
            (removing(&[id], &voters), false)
        } else {
            let wish = self.members.wished(id, |member| member.wishes.voter = Some(false))?;
            let less = ChangeMembers::RemoveVoters(BTreeSet::from([id]));
            (ChangeMembers::Batch(if member.voter { vec![wish, less] } else { vec![wish] }), true)
        };
        self.members.change(change, retain).await.map(drop).map_err(|_| Refused::Failed)
    }

    async fn give_vote(&self, id: NodeId) -> Result<(), Refused> {
        {
            let _turn = self.members.turn().await?;
            let status = self.members.fresh().await?;
            let member = known(&status, id)?;
            if member.voter {
                return Ok(());
            }
            if !member.reachable {
                return Err(Refused::Unreachable(id));
            }
            let wish = self.members.wished(id, |member| member.wishes.voter = Some(true))?;
            self.members.change(wish, true).await.map_err(|_| Refused::Failed)?;
        }
        // The leader's periodic work promotes the learner once it has caught up.
        let deadline = Instant::now() + PROMOTION;
        loop {
            let status = self.members.as_leader()?;
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
        let turn = self.members.turn().await?;
        let status = self.members.fresh().await?;
        if known(&status, id)?.drained_ms.is_some() {
            return Ok(());
        }
        let others = status.members.iter().any(|m| m.id != id && m.reachable && m.drained_ms.is_none());
        if !others && !force {
            return Err(Refused::LastServing(id));
        }
        if id == self.engine.id() && status.members.iter().any(|m| may_lead(&status, m).is_ok()) {
            drop(turn);
            self.pass_on(&status).await?;
            return Err(Refused::NotLeader(self.engine.leader()));
        }
        let wish =
            self.members.wished(id, |member| member.wishes.drained_ms = Some(self.clock.now().time_ms))?;
        self.members.change(wish, true).await.map(drop).map_err(|_| Refused::Failed)
    }

    async fn undrain(&self, id: NodeId) -> Result<(), Refused> {
        let _turn = self.members.turn().await?;
        let status = self.members.as_leader()?;
        if known(&status, id)?.drained_ms.is_none() {
            return Ok(());
        }
        let wish = self.members.wished(id, |member| member.wishes.drained_ms = None)?;
        self.members.change(wish, true).await.map(drop).map_err(|_| Refused::Failed)
    }

    async fn lead_to(&self, to: Option<NodeId>) -> Result<(), Refused> {
        let _turn = self.members.turn().await?;
        let status = self.members.fresh().await?;
        let Some(to) = to else {
            return self.pass_on(&status).await;
        };
        if to == self.engine.id() {
            return Ok(());
        }
        may_lead(&status, known(&status, to)?)?;
        self.lead.give(to, LEAD).await?;
        if self.engine.leader() == Some(to) { Ok(()) } else { Err(Refused::Failed) }
    }

    async fn pass_on(&self, status: &Status) -> Result<(), Refused> {
        if !status.members.iter().any(|member| may_lead(status, member).is_ok()) {
            return Err(Refused::NoSuccessor);
        }
        self.lead.give_to_any(LEAD).await
    }
}
