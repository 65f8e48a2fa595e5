//! What the application provides: the machine that is replicated, and the handler of requests.

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::error::StoreError;
use crate::store::{Txn, View};
use crate::wire::{StampV1, StoredLogId};
use crate::{FIRST_GROUP, GroupId, NodeId};

/// Why [`StateMachine::load`] is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// The node starts.
    Start,
    /// A snapshot has replaced the whole store; the former in-memory state is no longer valid.
    Snapshot,
}

/// The deterministic machine that is replicated.
///
/// It runs on an operating system thread of its own, so it may block on the store. A panic or an error in it
/// aborts the process, because a node whose state is in doubt must not go on.
pub trait StateMachine: Send + 'static {
    /// Builds or rebuilds the in-memory state from the store.
    fn load(&mut self, view: &View, why: Load) -> Result<(), StoreError>;

    /// Applies one command. Its only inputs are `ctx`, `command` and `txn`, so every node computes the same
    /// result. A malformed command gets a deterministic reply, never an error. `command` shares the memory
    /// of its entry.
    fn apply(
        &mut self,
        ctx: &mut ApplyContext,
        command: &Bytes,
        txn: &mut Txn<'_>,
    ) -> Result<Vec<u8>, StoreError>;

    /// Called at the end of a transaction, before it becomes visible: the last chance to write what was kept
    /// until then.
    fn flush(&mut self, txn: &mut Txn<'_>) -> Result<(), StoreError> {
        let _ = txn;
        Ok(())
    }

    /// Called when everything up to the log index `applied` has become visible to readers: once per store
    /// transaction, before the proposers get their answers.
    fn committed(&mut self, applied: u64);
}

/// The name of a proposal: the node that made it, and which of its proposals it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProposalName {
    /// The node.
    pub node: NodeId,
    /// The ordinal of the node's incarnation.
    pub incarnation: u64,
    /// The number in that incarnation, from 1.
    pub number: u64,
}

/// Where and when a command is applied. All but [`ApplyContext::is_from_before`] is the same on every node.
#[derive(Debug, Clone)]
pub struct ApplyContext {
    group: GroupId,
    index: u64,
    time_ms: u64,
    id_ms: u64,
    expiry_ms: u64,
    next_slot: u32,
    leader: NodeId,
    proposal: Option<ProposalName>,
    is_from_before: bool,
}

impl ApplyContext {
    /// For tests of state machines: the context of the first command of entry `index`, with all clocks at
    /// `time_ms`.
    pub fn new(index: u64, time_ms: u64) -> Self {
        Self {
            group: FIRST_GROUP,
            index,
            time_ms,
            id_ms: time_ms,
            expiry_ms: time_ms,
            next_slot: 0,
            leader: 0,
            proposal: None,
            is_from_before: false,
        }
    }

    /// The context of the entry `at`. `last_before` is the last entry that this node's log had when its process
    /// started. A later leader may have put another entry in the place of one that was not committed.
    pub(crate) fn at(at: StoredLogId, last_before: StoredLogId, stamp: StampV1, id_ms: u64) -> Self {
        Self {
            group: FIRST_GROUP,
            index: at.index,
            time_ms: stamp.time_ms,
            id_ms,
            expiry_ms: stamp.expiry_ms,
            next_slot: 0,
            leader: at.node,
            proposal: None,
            is_from_before: at.index <= last_before.index && at.term <= last_before.term,
        }
    }

    /// The commands that follow belong to that proposal.
    pub(crate) fn enter(&mut self, proposal: ProposalName) {
        self.proposal = Some(proposal);
    }

    /// The group whose log contains the entry.
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// Index of the log entry.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The entry's time (ms since 1970), agreed by a majority's clocks. It may go back from one entry to the
    /// next.
    pub fn time_ms(&self) -> u64 {
        self.time_ms
    }

    /// The highest time of any entry up to this one (ms since 1970). Ids use it, so that they never go back.
    pub fn id_ms(&self) -> u64 {
        self.id_ms
    }

    /// The clock by which things expire (ms). It never goes back, and it runs no faster than a monotonic
    /// clock, whatever the wall clocks show. Its zero has no meaning.
    pub fn expiry_ms(&self) -> u64 {
        self.expiry_ms
    }

    /// The leader that put the entry into the log.
    pub fn leader(&self) -> NodeId {
        self.leader
    }

    /// The proposal that the command belongs to; `None` in entries of older logs, whose proposals had no name.
    pub fn proposal(&self) -> Option<ProposalName> {
        self.proposal
    }

    /// Whether this node's log had the entry before its process started, so that the node may have applied the
    /// entry before. Nothing that is replicated may depend on it.
    pub fn is_from_before(&self) -> bool {
        self.is_from_before
    }

    /// The next position in the entry that [`ApplyContext::take_slots`] returns.
    pub fn next_slot(&self) -> u32 {
        self.next_slot
    }

    /// Takes `n` consecutive positions in the entry and returns the first. The counter starts at 0 with each
    /// entry.
    pub fn take_slots(&mut self, n: u32) -> u32 {
        let first = self.next_slot;
        self.next_slot = self.next_slot.saturating_add(n);
        first
    }
}

/// Answers application requests of other nodes.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request of node `from`. Runs on the cluster's runtime: it must not block.
    fn handle(&self, from: NodeId, body: Bytes) -> BoxFuture<'static, Bytes>;
}

/// A handler whose answers are empty, for applications that have no requests of their own.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHandler;

impl Handler for NoHandler {
    fn handle(&self, _from: NodeId, _body: Bytes) -> BoxFuture<'static, Bytes> {
        Box::pin(std::future::ready(Bytes::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_a_later_leader_is_not_from_before() {
        let entry = |term, index| StoredLogId { term, node: 1, index };
        let is_from_before = |at| ApplyContext::at(at, entry(5, 10), StampV1::default(), 0).is_from_before();
        assert!(is_from_before(entry(5, 10)) && is_from_before(entry(3, 2)));
        assert!(!is_from_before(entry(5, 11)) && !is_from_before(entry(6, 10)));
    }
}
