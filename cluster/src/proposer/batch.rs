//! Groups of commands, the batches that they form, and the outcome of each group.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::shares::Share;
use super::turns::{Line, Waits};
use crate::NodeId;
use crate::flow::Flow;

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
}

/// State of a [`Ticket`]: the group waits and may be withdrawn.
pub(super) const QUEUED: u8 = 0;
/// The group is being proposed.
pub(super) const UNDER_WAY: u8 = 1;
/// The group was withdrawn.
const ABANDONED: u8 = 2;

/// Whether a group may still be withdrawn.
#[derive(Debug, Default)]
pub(crate) struct Ticket(AtomicU8);

impl Ticket {
    pub(super) fn swap(&self, from: u8, to: u8) -> bool {
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

/// Commands that are proposed together and answered together.
pub(super) struct Group {
    pub(super) commands: Vec<Bytes>,
    /// The group came from another node: it must not be forwarded again.
    pub(super) forwarded: bool,
    pub(super) deadline: Instant,
    pub(super) ticket: Arc<Ticket>,
    pub(super) done: oneshot::Sender<Outcome>,
    /// What the group holds of the queue, until it is answered.
    pub(super) share: Share,
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

/// Groups that form one log entry.
pub(super) struct Batch {
    pub(super) position: u64,
    pub(super) groups: Vec<Group>,
}

impl Batch {
    /// Drops groups whose caller no longer waits and those whose deadline has passed.
    pub(super) fn prune(&mut self) {
        let now = Instant::now();
        self.groups.retain(|g| !g.done.is_closed() && (g.deadline > now || !g.ticket.abandon()));
    }

    pub(super) fn answer(self, outcome: impl Fn() -> Outcome) {
        for group in self.groups {
            // The caller may have gone.
            let _ = group.done.send(outcome());
        }
    }

    /// The log has the batch: its lines may send more, although the callers still wait for this node.
    pub(super) fn committed(&mut self) {
        self.groups.iter_mut().for_each(|group| group.share.report_to_line());
    }

    /// Gives each group its share of the replies.
    pub(super) fn done(self, index: u64, time_ms: u64, replies: Vec<Vec<u8>>) {
        if replies.len() != self.groups.iter().map(|g| g.commands.len()).sum::<usize>() {
            return self.answer(|| Outcome::Unknown);
        }
        let mut replies = replies.into_iter();
        for group in self.groups {
            let replies = replies.by_ref().take(group.commands.len()).collect();
            let _ = group.done.send(Outcome::Done { index, time_ms, replies });
        }
    }

    /// Bytes of its commands.
    pub(super) fn bytes(&self) -> usize {
        self.groups.iter().map(Group::bytes).sum()
    }

    pub(super) fn deadline(&self) -> Instant {
        self.groups.iter().map(|g| g.deadline).max().unwrap_or_else(Instant::now)
    }

    /// The flow of all its commands, if there is only one.
    pub(super) fn flow(&self) -> Option<Flow> {
        let Line::Flow(flow) = self.groups.first()?.line() else { return None };
        self.groups.iter().all(|group| group.line() == Line::Flow(flow)).then_some(flow)
    }

    pub(super) fn commands(&self) -> Vec<Bytes> {
        self.groups.iter().flat_map(|g| g.commands.iter().cloned()).collect()
    }
}

/// Allows the groups to be withdrawn again.
pub(super) fn requeue(batch: &Batch) {
    for group in &batch.groups {
        group.ticket.swap(UNDER_WAY, QUEUED);
    }
}

/// Refuses groups of other nodes, which are not forwarded again: those nodes must ask the leader themselves.
pub(super) fn refuse_forwarded(batch: &mut Batch, leader: Option<NodeId>) {
    for group in batch.groups.extract_if(.., |g| g.forwarded) {
        let _ = group.done.send(Outcome::NotStored { leader, overloaded: false });
    }
}
