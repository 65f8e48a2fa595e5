//! The end of what a node's earlier incarnations hold of presence: all of it when the node is gone, and what its
//! present incarnation did not state again once that has stated everything.
//!
//! A node may hold very much, so it ends in pieces: the first with the entry that ends it, the others with the
//! commands that end grace periods. Each piece is an entry of the log, so members and channels go in the same
//! order on every node. Until then they are there as before, for every reader and every fact.

use super::super::{Directory, StateError, keys};
use super::subscriptions::Of;
use crate::core::codec;
use crate::core::ids::NodeId;
use crate::core::store::WriteStore;
use serde::{Deserialize, Serialize};

/// The most holds that one command looks at, and the most grace periods that it ends.
pub(super) const MOST_ENDS: usize = 1024;

/// What a node's earlier incarnations hold and is still to be ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ending {
    /// When it ended (milliseconds of the expiry clock): grace periods begin there.
    ended_ms: u64,
    next: Next,
}

/// What is looked at next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Next {
    /// The holds of members, from this key on.
    Members(Vec<u8>),
    /// The counts of subscriptions, after this one.
    Counts(Option<Of>),
}

impl Directory {
    /// A node begins another incarnation. What it held before stays until the new one has stated everything.
    pub(super) fn begin_presence<S: WriteStore>(
        &mut self,
        node: NodeId,
        store: &mut S,
    ) -> Result<(), StateError> {
        self.leases.presence_holders.remove(&node);
        store.delete(&keys::presence_holder(node))?;
        // The end of the statement ends it anew, with what the incarnation in between held.
        self.leases.endings.remove(&node);
        Ok(store.delete(&keys::ending(node))?)
    }

    /// What the node holds ends, except for what its present incarnation has stated, if it has one.
    pub(super) fn end_earlier<S: WriteStore>(
        &mut self,
        now_ms: u64,
        node: NodeId,
        store: &mut S,
    ) -> Result<(), StateError> {
        self.leases.endings.insert(node, Ending { ended_ms: now_ms, next: Next::Members(Vec::new()) });
        self.end_pieces(node, MOST_ENDS, store).map(drop)
    }

    /// Ends a bounded part of what is still to be ended. Returns whether there is more.
    pub(super) fn end_holds<S: WriteStore>(&mut self, store: &mut S) -> Result<bool, StateError> {
        let mut left = MOST_ENDS;
        while left > 0
            && let Some((&node, _)) = self.leases.endings.first_key_value()
        {
            left -= self.end_pieces(node, left, store)?;
        }
        Ok(!self.leases.endings.is_empty())
    }

    /// Looks at up to `max` holds of a node. Returns how many, and at least one.
    fn end_pieces<S: WriteStore>(
        &mut self,
        node: NodeId,
        max: usize,
        store: &mut S,
    ) -> Result<usize, StateError> {
        let Some(ending) = self.leases.endings.remove(&node) else { return Ok(max) };
        let Ending { ended_ms, mut next } = ending;
        let mut left = max;
        loop {
            let (looked, after) = self.end_piece((node, ended_ms), next, left, store)?;
            left -= looked;
            let Some(after) = after else {
                store.delete(&keys::ending(node))?;
                return Ok((max - left).max(1));
            };
            next = after;
            if left == 0 {
                let ending = Ending { ended_ms, next };
                store.put(&keys::ending(node), &codec::encode(&ending)?)?;
                self.leases.endings.insert(node, ending);
                return Ok(max);
            }
        }
    }

    /// Looks at up to `max` holds of one kind. Returns how many, and what comes next.
    fn end_piece<S: WriteStore>(
        &mut self,
        (node, ended_ms): (NodeId, u64),
        next: Next,
        max: usize,
        store: &mut S,
    ) -> Result<(usize, Option<Next>), StateError> {
        let of = (node, self.leases.holders.get(&node).map(|holder| holder.incarnation));
        match next {
            Next::Members(from) => {
                let swept = self.leases.members.end_holds(of, ended_ms, (&from, max), store)?;
                self.left(swept.gone, Vec::new(), store)?;
                let next = swept.next.map_or(Next::Counts(None), Next::Members);
                Ok((swept.looked, Some(next)))
            }
            Next::Counts(after) => {
                let looked = self.leases.subscriptions.end_counts(of, (after.as_ref(), max), store)?;
                self.left(Vec::new(), looked.changed, store)?;
                Ok((looked.looked, looked.last.map(|last| Next::Counts(Some(last)))))
            }
        }
    }
}
