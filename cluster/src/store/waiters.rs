//! Who waits at this node until it has applied its own proposals.
//!
//! A node that does not lead sends its proposals to the leader, and applies them like every other node. Its
//! applying thread computes the same replies as the leader's, often before the leader's answer is here.
//!
//! - **Life**: a proposal is awaited from before it is sent until its [`Waiter`] is dropped. So what that
//!   sending puts into the log is not applied before somebody waits. It may never be applied by an entry,
//!   because a snapshot covers it: whoever waits needs another way to the answer.
//! - **Names**: a proposal is known by its node and its whole incarnation. So nobody gets the reply to a
//!   proposal of an earlier process, or of one that runs on a copy of the data directory.
//! - **What is told**: only that a proposal is applied. That holds however often it was sent. Any other reply
//!   concerns one entry, and another entry with the same proposal may be on its way.
//! - **When**: [`News`] keeps a reply while its entry is applied, and tells it when readers see the entry. An
//!   entry with a responder is answered by that.
//! - **Bounds**: a node waits for as many as it has proposals without an answer. For all others the applying
//!   thread only looks into this map.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use crate::NodeId;
use crate::types::ProposalReply;
use crate::wire::{PartV1, ProposalV1};

/// A proposal that this node has applied, and that its readers see.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AppliedHere {
    /// The entry that applied it.
    pub(crate) index: u64,
    /// The time of that entry (ms since 1970).
    pub(crate) time_ms: u64,
    /// One reply for each command.
    pub(crate) replies: Vec<Vec<u8>>,
}

type Teller = oneshot::Sender<AppliedHere>;

/// The name of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    node: NodeId,
    ordinal: u64,
    process: u64,
    number: u64,
}

impl Name {
    fn new(node: NodeId, proposal: &ProposalV1) -> Self {
        let ProposalV1 { incarnation, number, .. } = proposal;
        Self { node, ordinal: incarnation.ordinal, process: incarnation.process, number: *number }
    }
}

/// The proposals that are awaited.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Mutex<BTreeMap<Name, Teller>>);

impl Waiters {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Name, Teller>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to wait for a proposal of `node`. At any time one waits for it at most.
    pub(crate) fn wait_for(self: &Arc<Self>, node: NodeId, proposal: &ProposalV1) -> Waiter {
        let name = Name::new(node, proposal);
        let (teller, told) = oneshot::channel();
        self.all().insert(name, teller);
        Waiter { name, told: Some(told), all: self.clone() }
    }

    /// Ends the wait for a proposal.
    fn end(&self, name: Name) -> Option<Teller> {
        self.all().remove(&name)
    }
}

/// The wait for one proposal.
#[derive(Debug)]
pub(crate) struct Waiter {
    name: Name,
    /// `None` once nothing more will be told.
    told: Option<oneshot::Receiver<AppliedHere>>,
    all: Arc<Waiters>,
}

impl Waiter {
    /// Waits until the proposal is applied; this is told once. It does not end when that will never be known
    /// here. If it is cancelled, nothing is lost.
    pub(crate) async fn applied(&mut self) -> AppliedHere {
        if let Some(told) = &mut self.told {
            let told = told.await;
            self.told = None;
            if let Ok(applied) = told {
                return applied;
            }
        }
        pending().await
    }

    /// The same, if it was told by now.
    pub(crate) fn get(&mut self) -> Option<AppliedHere> {
        let told = self.told.as_mut()?.try_recv();
        if !matches!(told, Err(TryRecvError::Empty)) {
            self.told = None;
        }
        told.ok()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        drop(self.all.end(self.name));
    }
}

/// What the applying thread will tell when readers see the entries that it is applying.
#[derive(Debug)]
pub(crate) struct News {
    waiters: Arc<Waiters>,
    ready: Vec<(Teller, AppliedHere)>,
}

impl News {
    pub(crate) fn new(waiters: &Arc<Waiters>) -> Self {
        Self { waiters: waiters.clone(), ready: Vec::new() }
    }

    /// Keeps the reply to a part of an entry, if somebody waits for it.
    pub(crate) fn note(&mut self, part: &PartV1<'_>, reply: ProposalReply) {
        let ProposalReply::Applied { index, time_ms, replies } = reply else { return };
        if let Some(teller) = self.waiters.end(Name::new(part.node, &part.proposal)) {
            self.ready.push((teller, AppliedHere { index, time_ms, replies }));
        }
    }

    /// Tells everything that was noted. Readers must see it.
    pub(crate) fn tell(self) {
        for (teller, applied) in self.ready {
            // The waiter may have got its answer from the leader.
            let _ = teller.send(applied);
        }
    }
}

#[cfg(test)]
mod tests;
