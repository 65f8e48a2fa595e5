//! The replicated machine: `core`'s state over the cluster's store.
//!
//! Owns the adapters between the two; never decides anything itself.

use super::bridge::{Bridge, LeaseNews};
use super::timeline::notes::Applying;
use super::traced;
use crate::clock::now_ns;
use crate::core::ids::GroupId;
use crate::core::state::{Context, State, StateError};
use crate::core::store::{ReadStore, StoreError, Visit, WriteStore};
use crate::spans::Moment;
use bytes::Bytes;
use std::sync::Arc;
use waypost_cluster::{ApplyContext, Load, StateMachine, StoreError as DiskError, Txn, View};

/// The state machine that the cluster replicates.
pub(super) struct Replica {
    state: State,
    bridge: Arc<Bridge>,
    /// When the first command since the last commit of the store began to be applied, where spans are
    /// recorded.
    began: Option<Moment>,
    applying: Applying,
}

impl Replica {
    pub(super) fn new(bridge: Arc<Bridge>) -> Self {
        Self { state: State::default(), bridge, began: None, applying: Applying::default() }
    }
}

impl StateMachine for Replica {
    fn load(&mut self, view: &View, why: Load) -> Result<(), DiskError> {
        self.state = State::load(&ViewStore(view)).map_err(to_cluster_error)?;
        let access = self.state.access().clone();
        let webhooks = self.state.webhooks().clone();
        let from_snapshot = why == Load::Snapshot;
        self.bridge.reset(access, webhooks, from_snapshot);
        self.bridge.reset_presence(self.state.all_members());
        // The next incarnation states what is wanted, which is known only now.
        if from_snapshot {
            self.bridge.lease_news(LeaseNews::Skipped);
        }
        Ok(())
    }

    fn apply(
        &mut self,
        ctx: &mut ApplyContext,
        command: &Bytes,
        txn: &mut Txn<'_>,
    ) -> Result<Vec<u8>, DiskError> {
        self.began = self.began.or_else(Moment::if_recorded);
        let first_slot = ctx.next_slot();
        // What may have been applied before the process started is applied again, at another time.
        let is_noted = !ctx.is_from_before();
        if is_noted {
            self.applying.begin(now_ns);
        }
        let reply = self.state.apply(&mut EntryContext(ctx), command, &mut TxnStore(txn));
        if is_noted {
            let entry = (ctx.index(), ctx.leader());
            self.applying.applied(entry, ctx.proposal(), (first_slot, ctx.next_slot()));
        }
        reply.map_err(to_cluster_error)
    }

    fn flush(&mut self, txn: &mut Txn<'_>) -> Result<(), DiskError> {
        self.state.flush(&mut TxnStore(txn)).map_err(to_cluster_error)
    }

    fn committed(&mut self, applied: u64) {
        let changes = self.state.take_changes();
        if let Some(began) = self.began.take() {
            traced::applied(&changes, began, applied);
        }
        self.applying.commit(&self.bridge.notes, now_ns);
        self.bridge.publish(changes);
    }
}

/// A failure of the store is not damage: a full disk must not lead to the deletion of its files.
fn to_cluster_error(error: StateError) -> DiskError {
    match error {
        StateError::Store(StoreError::Failed(cause)) => match cause.downcast::<DiskError>() {
            Ok(cause) => *cause,
            Err(cause) => DiskError::Io(cause.to_string()),
        },
        other => DiskError::Corrupt(other.to_string()),
    }
}

fn to_store_error(error: DiskError) -> StoreError {
    match error {
        DiskError::Corrupt(_) => StoreError::Damaged(Box::new(error)),
        other => StoreError::Failed(Box::new(other)),
    }
}

struct EntryContext<'a>(&'a mut ApplyContext);

impl Context for EntryContext<'_> {
    fn group(&self) -> GroupId {
        self.0.group()
    }
    fn index(&self) -> u64 {
        self.0.index()
    }
    fn time_ms(&self) -> u64 {
        self.0.time_ms()
    }
    fn id_ms(&self) -> u64 {
        self.0.id_ms()
    }
    fn expiry_ms(&self) -> u64 {
        self.0.expiry_ms()
    }
    fn take_slots(&mut self, count: u32) -> u32 {
        self.0.take_slots(count)
    }
}

/// Adapts a read transaction of the cluster's store to the interface of `core`.
pub(super) struct ViewStore<'a>(pub(super) &'a View);

impl ReadStore for ViewStore<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.get(key).map_err(to_store_error)
    }
    fn scan(&self, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        self.0.scan(from..to, visit).map_err(to_store_error)
    }
    fn scan_back(&self, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        self.0.scan_back(from..to, visit).map_err(to_store_error)
    }
}

struct TxnStore<'a, 't>(&'a mut Txn<'t>);

impl ReadStore for TxnStore<'_, '_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.get(key).map_err(to_store_error)
    }
    fn scan(&self, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        self.0.scan(from..to, visit).map_err(to_store_error)
    }
    fn scan_back(&self, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        self.0.scan_back(from..to, visit).map_err(to_store_error)
    }
}

impl WriteStore for TxnStore<'_, '_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.0.put(key, value).map_err(to_store_error)
    }
    fn put_with(
        &mut self,
        key: &[u8],
        len: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Bytes, StoreError> {
        self.0.put_with(key, len, write).map_err(to_store_error)
    }
    fn delete(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.0.delete(key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_store_is_not_taken_for_a_damaged_one() {
        let there_and_back = |error| to_cluster_error(StateError::Store(to_store_error(error)));
        assert!(
            matches!(there_and_back(DiskError::Io("full".to_owned())), DiskError::Io(what) if what == "full")
        );
        assert!(matches!(there_and_back(DiskError::Corrupt("a page".to_owned())), DiskError::Corrupt(_)));
    }
}
