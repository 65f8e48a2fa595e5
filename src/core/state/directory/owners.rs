//! Which nodes deliver, and therefore which node owns what. Every change begins a new epoch.

use super::{Directory, StateError, keys};
use crate::core::codec;
use crate::core::command::{Refusal, Reply};
use crate::core::consumer::ownership::{Busy, Owners};
use crate::core::ids::{NodeId, WebhookId};
use crate::core::lease::Incarnation;
use crate::core::store::WriteStore;
use crate::core::webhook::directory::WebhookChange;
use std::collections::BTreeSet;

impl Directory {
    /// Makes the node a candidate, in that incarnation.
    pub(super) fn node_delivers<S: WriteStore>(
        &mut self,
        now_ms: u64,
        node: NodeId,
        incarnation: Incarnation,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let mut owners = self.webhooks.owners().clone();
        match owners.node_joined(node, incarnation, now_ms) {
            Ok(changed) => self.keep_owners(changed, owners, store),
            Err(Busy) => Ok(Reply::Refused(Refusal::Busy)),
        }
    }

    /// Ends the node's candidacy.
    pub(super) fn node_rests<S: WriteStore>(
        &mut self,
        node: NodeId,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let mut owners = self.webhooks.owners().clone();
        let changed = owners.node_left(node);
        self.keep_owners(changed, owners, store)
    }

    /// Notes that a node has released the webhooks that are moving away from it, except for those in `but`.
    pub(super) fn hand_over<S: WriteStore>(
        &mut self,
        node: NodeId,
        incarnation: Incarnation,
        but: &BTreeSet<WebhookId>,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let mut owners = self.webhooks.owners().clone();
        let changed = owners.handed_over(node, incarnation, but);
        self.keep_owners(changed, owners, store)
    }

    /// Ends a handover that takes too long.
    pub(super) fn time_passes_for_owners<S: WriteStore>(
        &mut self,
        now_ms: u64,
        store: &mut S,
    ) -> Result<(), StateError> {
        if self.webhooks.owners().handover.is_some() {
            let mut owners = self.webhooks.owners().clone();
            let changed = owners.time_passes(now_ms);
            self.keep_owners(changed, owners, store)?;
        }
        Ok(())
    }

    fn keep_owners<S: WriteStore>(
        &mut self,
        changed: bool,
        owners: Owners,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        if changed {
            store.put(keys::OWNERS, &codec::encode(&owners)?)?;
            self.change_webhooks(WebhookChange::Owners(owners));
        }
        Ok(Reply::Done)
    }
}
