//! What the application brings: the machine that is replicated and the handler of its requests.

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::error::StoreError;
use crate::store::{Txn, View};
use crate::wire::StampV1;
use crate::{FIRST_GROUP, GroupId, NodeId};

/// Why [`StateMachine::load`] is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// The node starts.
    Start,
    /// A snapshot has replaced the whole store; nothing of the former in-memory state holds.
    Snapshot,
}

/// The deterministic machine that is replicated.
///
/// Runs on one operating system thread of its own, so it may block on the store. A panic or an error in it
/// aborts the process: a node whose state is in doubt must not go on.
pub trait StateMachine: Send + 'static {
    /// (Re)builds in-memory state from the store.
    fn load(&mut self, view: &View, why: Load) -> Result<(), StoreError>;

    /// Applies one command; its only inputs are `ctx`, `command` and `txn`, so every node does the same.
    /// A malformed command gets a deterministic reply, never an error.
    fn apply(
        &mut self,
        ctx: &mut ApplyContext,
        command: &[u8],
        txn: &mut Txn<'_>,
    ) -> Result<Vec<u8>, StoreError>;

    /// The store transaction is about to be committed: the last chance to write what waited for its end.
    fn flush(&mut self, txn: &mut Txn<'_>) -> Result<(), StoreError> {
        let _ = txn;
        Ok(())
    }

    /// Everything up to the log index `applied` is now visible to readers. Called once per store transaction,
    /// before the proposers get their answers.
    fn committed(&mut self, applied: u64);
}

/// Where and when a command is applied; the same on every node.
#[derive(Debug, Clone)]
pub struct ApplyContext {
    group: GroupId,
    index: u64,
    time_ms: u64,
    id_ms: u64,
    expiry_ms: u64,
    next_place: u32,
}

impl ApplyContext {
    /// For tests of machines: the context of the first command of entry `index`, with all clocks at
    /// `time_ms`.
    pub fn new(index: u64, time_ms: u64) -> Self {
        Self { group: FIRST_GROUP, index, time_ms, id_ms: time_ms, expiry_ms: time_ms, next_place: 0 }
    }

    pub(crate) fn at(index: u64, stamp: StampV1, id_ms: u64) -> Self {
        Self {
            group: FIRST_GROUP,
            index,
            time_ms: stamp.time_ms,
            id_ms,
            expiry_ms: stamp.expiry_ms,
            next_place: 0,
        }
    }

    /// The group whose log has the entry.
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// Index of the log entry.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The entry's time (ms since 1970), as a majority's clocks have it. It may go back from entry to entry.
    pub fn time_ms(&self) -> u64 {
        self.time_ms
    }

    /// The highest time of an entry up to this one (ms since 1970): for ids that never go back.
    pub fn id_ms(&self) -> u64 {
        self.id_ms
    }

    /// The clock that things expire by (ms). It never goes back, and runs no faster than a monotonic clock,
    /// whatever wall clocks say; its zero means nothing.
    pub fn expiry_ms(&self) -> u64 {
        self.expiry_ms
    }

    /// Takes `n` consecutive places of the entry and returns the first; the counter starts at 0 with each
    /// entry.
    pub fn take_places(&mut self, n: u32) -> u32 {
        let first = self.next_place;
        self.next_place = self.next_place.saturating_add(n);
        first
    }
}

/// Answers application requests of other nodes.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request of node `from`. Runs on the cluster's runtime: it must not block.
    fn handle(&self, from: NodeId, body: Bytes) -> BoxFuture<'static, Bytes>;
}

/// A handler that answers nothing, for applications without requests of their own.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHandler;

impl Handler for NoHandler {
    fn handle(&self, _from: NodeId, _body: Bytes) -> BoxFuture<'static, Bytes> {
        Box::pin(std::future::ready(Bytes::new()))
    }
}
