//! Groups of commands, the batches that they form, and the outcome of each group.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::numbers::Number;
use super::shares::Share;
use super::turns::{Line, Waits};
use crate::NodeId;
use crate::flow::Flow;
use crate::store::{AppliedHere, Waiter, Waiters};
use crate::types::{Data, ProposalReply};
use crate::wire::{self, EntryData, IncarnationV1, PartV1, ProposalV1, Request, StampV1, WireError};

/// The outcome of a group of commands.
#[derive(Debug)]
pub(crate) enum Outcome {
    Done {
        index: u64,
        time_ms: u64,
        replies: Vec<Vec<u8>>,
    },
    /// Certainly not stored.
    NotStored {
        leader: Option<NodeId>,
        overloaded: bool,
    },
    /// Certainly not stored: the leader's disk is full.
    NoRoom,
    Unknown,
    /// Not stored: another incarnation of the node that proposes it, with this ordinal, is in force.
    Superseded {
        ordinal: u64,
    },
    /// Nothing more will be known about it.
    Forgotten,
}

impl From<ProposalReply> for Outcome {
    fn from(reply: ProposalReply) -> Self {
        match reply {
            ProposalReply::Applied { index, time_ms, replies } => Self::Done { index, time_ms, replies },
            ProposalReply::Forgotten => Self::Forgotten,
            ProposalReply::Superseded { ordinal } => Self::Superseded { ordinal },
            ProposalReply::Refused => Self::NotStored { leader: None, overloaded: false },
        }
    }
}

/// State of a [`Ticket`]: the group waits and may be withdrawn.
const QUEUED: u8 = 0;
/// The group is being proposed.
const UNDER_WAY: u8 = 1;
/// The group was withdrawn.
const ABANDONED: u8 = 2;

/// Whether a group may still be withdrawn.
#[derive(Debug, Default)]
pub(crate) struct Ticket(AtomicU8);

impl Ticket {
    fn swap(&self, from: u8, to: u8) -> bool {
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Whether it was withdrawn and will never be proposed.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.0.load(Ordering::Acquire) == ABANDONED
    }

    /// Withdraws the group; true if it was still queued and will never be proposed.
    pub(crate) fn abandon(&self) -> bool {
        self.swap(QUEUED, ABANDONED)
    }
}

/// Where a group comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A caller of this node.
    Here,
    /// Another node, which gave it that name. It must not be forwarded again.
    Node { id: NodeId, proposal: ProposalV1 },
}

/// Commands that are proposed together and answered together.
pub(super) struct Group {
    pub(super) commands: Vec<Bytes>,
    pub(super) origin: Origin,
    pub(super) deadline: Instant,
    pub(super) ticket: Arc<Ticket>,
    pub(super) done: oneshot::Sender<Outcome>,
    /// What the group holds of the queue, until it is answered.
    pub(super) share: Share,
}

impl Group {
    fn answer(self, outcome: Outcome) {
        // The caller may have gone.
        let _ = self.done.send(outcome);
    }

    /// Whether its caller still waits.
    fn is_wanted(&self, now: Instant) -> bool {
        !self.done.is_closed() && self.deadline > now
    }

    fn is_foreign(&self) -> bool {
        matches!(self.origin, Origin::Node { .. })
    }
}

impl Waits for Group {
    fn line(&self) -> Line {
        self.share.line()
    }

    fn bytes(&self) -> usize {
        self.share.bytes()
    }

    fn commands(&self) -> usize {
        self.commands.len()
    }
}

/// Groups that form one log entry. Those of this node are one proposal together, which may be sent several
/// times and is applied once. Those of other nodes are proposals of their nodes.
pub(super) struct Batch {
    pub(super) number: Number,
    own: Vec<Group>,
    foreign: Vec<Group>,
    /// The name of the proposal, from its first sending on.
    name: Option<ProposalV1>,
    /// The encoded request, as long as the groups stay the same.
    request: Option<Bytes>,
    /// It was sent, and it is unknown whether that sending will be applied. Then its groups must stay.
    in_doubt: bool,
    /// Waits until this node has applied it under its present name, from its first sending to a leader on.
    here: Option<Waiter>,
}

impl Batch {
    pub(super) fn new(number: Number, groups: Vec<Group>) -> Self {
        let (foreign, own) = groups.into_iter().partition(Group::is_foreign);
        Self { number, own, foreign, name: None, request: None, in_doubt: false, here: None }
    }

    fn groups(&self) -> impl Iterator<Item = &Group> {
        self.own.iter().chain(&self.foreign)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups().next().is_none()
    }

    /// Whether it is unknown if an earlier sending will be applied.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// Whether a caller still waits. Drops groups whose caller does not, and those whose deadline has passed,
    /// except if they may be stored.
    pub(super) fn is_wanted(&mut self) -> bool {
        let now = Instant::now();
        if self.in_doubt {
            return self.own.iter().any(|group| group.is_wanted(now));
        }
        self.retain(|group| group.is_wanted(now) || !group.done.is_closed() && !group.ticket.abandon());
        !self.is_empty()
    }

    fn retain(&mut self, keep: impl Fn(&Group) -> bool) {
        let before = self.own.len();
        self.own.retain(&keep);
        self.foreign.retain(&keep);
        if self.own.len() != before {
            self.request = None;
        }
    }

    /// Refuses groups of other nodes, which are not forwarded again: those nodes must ask the leader.
    pub(super) fn refuse_foreign(&mut self, leader: Option<NodeId>) {
        for group in self.foreign.drain(..) {
            group.answer(Outcome::NotStored { leader, overloaded: false });
        }
    }

    /// From now on, a caller that gives up cannot know whether its command is stored. Returns whether a group
    /// is left.
    pub(super) fn set_out(&mut self) -> bool {
        if !self.in_doubt {
            self.retain(|group| group.ticket.swap(QUEUED, UNDER_WAY));
        }
        !self.is_empty()
    }

    /// It was certainly not stored by the last sending: it is at this node again. If that is true of all
    /// sendings, its groups may be withdrawn.
    pub(super) fn came_back(&mut self) {
        self.number.came_back();
        if !self.in_doubt {
            for group in self.groups() {
                group.ticket.swap(UNDER_WAY, QUEUED);
            }
        }
    }

    /// It is unknown whether the last sending will be applied. Other nodes are told, and send theirs again.
    pub(super) fn doubt(&mut self) {
        self.in_doubt = true;
        for group in self.foreign.drain(..) {
            group.answer(Outcome::Unknown);
        }
    }

    /// Another incarnation of this node, with that ordinal, is in force. Returns whether none of the sendings
    /// was or will be applied: then it gets another name.
    pub(super) fn superseded(&mut self, ordinal: u64) -> bool {
        // The first incarnation with an ordinal keeps it: this one never was in force.
        let never = self.name.as_ref().is_some_and(|name| name.incarnation.ordinal == ordinal);
        if never || !self.in_doubt {
            self.name = None;
            self.request = None;
            self.in_doubt = false;
            self.here = None;
        }
        !self.in_doubt
    }

    /// From now on it is known when this node has applied it. Comes before it is sent.
    pub(super) fn await_here(&mut self, node: NodeId, waiters: &Arc<Waiters>) {
        if self.here.is_none()
            && let Some(name) = &self.name
        {
            self.here = Some(waiters.wait_for(node, name));
        }
    }

    /// Waits until this node has applied it. Does not end if that will never be known here.
    pub(super) async fn applied_here(&mut self) -> AppliedHere {
        match &mut self.here {
            Some(waiter) => waiter.applied().await,
            None => pending().await,
        }
    }

    /// What this node has applied of it by now, whichever sending that was.
    pub(super) fn take_applied(&mut self) -> Option<AppliedHere> {
        self.here.as_mut()?.get()
    }

    pub(super) fn answer(self, outcome: impl Fn() -> Outcome) {
        for group in self.own.into_iter().chain(self.foreign) {
            group.answer(outcome());
        }
    }

    /// The proposal is committed: its lines may send more, although the callers may still wait for this node.
    pub(super) fn committed(&mut self) {
        self.number.is_answered();
        self.own.iter_mut().for_each(|group| group.share.report_to_line());
    }

    /// Gives each group of this node its share of the replies.
    pub(super) fn done(self, index: u64, time_ms: u64, replies: Vec<Vec<u8>>) {
        if replies.len() != self.own.iter().map(|group| group.commands.len()).sum::<usize>() {
            return self.answer(|| Outcome::Unknown);
        }
        let mut replies = replies.into_iter();
        for group in self.own {
            let replies = replies.by_ref().take(group.commands.len()).collect();
            group.answer(Outcome::Done { index, time_ms, replies });
        }
    }

    /// Answers the groups of other nodes with what an entry replied, and returns the reply to this node's
    /// proposal. The order is that of [`Batch::entry`].
    pub(super) fn applied(&mut self, replies: Vec<ProposalReply>) -> Option<ProposalReply> {
        let mut replies = replies.into_iter();
        let own = if self.own.is_empty() { None } else { replies.next() };
        for (group, reply) in self.foreign.drain(..).zip(replies) {
            group.answer(reply.into());
        }
        own
    }

    /// Bytes of its commands.
    pub(super) fn bytes(&self) -> usize {
        self.groups().map(Group::bytes).sum()
    }

    pub(super) fn deadline(&self) -> Instant {
        self.groups().map(|group| group.deadline).max().unwrap_or_else(Instant::now)
    }

    /// The flow of all its commands, if there is only one.
    fn flow(&self) -> Option<Flow> {
        let Line::Flow(flow) = self.own.first()?.line() else { return None };
        self.own.iter().all(|group| group.line() == Line::Flow(flow)).then_some(flow)
    }

    /// The name of its proposal, which stays the same from sending to sending.
    fn name(&mut self, incarnation: IncarnationV1) -> ProposalV1 {
        let number = &self.number;
        let new = || ProposalV1 { incarnation, number: number.get(), open: number.open_below() };
        self.name.get_or_insert_with(new).clone()
    }

    /// The entry of all groups, for this node's own log.
    pub(super) fn entry(
        &mut self,
        node: NodeId,
        incarnation: IncarnationV1,
        stamp: StampV1,
    ) -> Result<Data, WireError> {
        let name = self.name(incarnation);
        let own = self.own.iter().flat_map(commands).collect();
        let own = PartV1 { node, proposal: name, commands: own };
        let foreign = self.foreign.iter().filter_map(|group| match &group.origin {
            Origin::Here => None,
            Origin::Node { id, proposal } => {
                Some(PartV1 { node: *id, proposal: proposal.clone(), commands: commands(group).collect() })
            }
        });
        let parts = (!self.own.is_empty()).then_some(own).into_iter().chain(foreign).collect();
        EntryData::CommandsV2 { stamp, parts }.to_data()
    }

    /// The request that asks a leader to propose the groups of this node. It is encoded once.
    pub(super) fn request(&mut self, incarnation: IncarnationV1) -> Result<Bytes, WireError> {
        if let Some(request) = &self.request {
            return Ok(request.clone());
        }
        let proposal = self.name(incarnation);
        let commands = self.own.iter().flat_map(|group| &group.commands).cloned().collect();
        let request = Request::ForwardV2 { flow: self.flow().map(|flow| flow.0), proposal, commands };
        let request = Bytes::from(wire::encode(&request)?);
        self.request = Some(request.clone());
        Ok(request)
    }
}

fn commands(group: &Group) -> impl Iterator<Item = &serde_bytes::Bytes> {
    group.commands.iter().map(|command| serde_bytes::Bytes::new(command))
}

#[cfg(test)]
mod tests;
