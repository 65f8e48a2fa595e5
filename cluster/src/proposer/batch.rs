//! Groups of commands, the batches that they form, and the outcome of each group.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::NodeId;
use crate::config::Config;

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
    pub(super) _weight: Weight,
}

impl Group {
    fn bytes(&self) -> usize {
        self.commands.iter().map(Bytes::len).sum()
    }
}

/// Bytes that count against the queue's limit as long as the group exists.
pub(super) struct Weight {
    pub(super) bytes: usize,
    pub(super) total: Arc<AtomicUsize>,
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Groups that form one log entry.
pub(super) struct Batch {
    pub(super) place: u64,
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

/// Adds waiting groups, up to the limits of an entry; returns the group that did not fit.
pub(super) fn gather(config: &Config, batch: &mut Batch, queue: &mut mpsc::Receiver<Group>) -> Option<Group> {
    let mut bytes = batch.bytes();
    let mut commands: usize = batch.groups.iter().map(|g| g.commands.len()).sum();
    while let Ok(group) = queue.try_recv() {
        bytes += group.bytes();
        commands += group.commands.len();
        if bytes > config.max_entry_bytes || commands > config.max_entry_commands {
            return Some(group);
        }
        batch.groups.push(group);
    }
    None
}
