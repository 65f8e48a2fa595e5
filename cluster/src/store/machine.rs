//! openraft's view of the store.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{Stream, StreamExt};
use openraft::storage::EntryResponder;
use openraft::{OptionalSend, RaftSnapshotBuilder, Snapshot};

use super::incoming::SnapshotData;
use super::worker::{Item, Worker};
use super::{Store, View};
use crate::error::StoreError;
use crate::types::{LeaderId, LogId, Member, SnapshotMeta, StoredMembership, Types};
use crate::wire::SystemV1;

/// Most entries of one store transaction.
const CHUNK_ENTRIES: usize = 256;
/// Most bytes of entries in one store transaction, exceeded by at most one entry.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// openraft's state machine: turns openraft's calls into jobs for the applying thread, so that none blocks
/// the runtime.
#[derive(Clone)]
pub(crate) struct Machine {
    store: Arc<Store>,
    worker: Worker,
    /// Whether the engine has started.
    has_started: Arc<AtomicBool>,
}

impl Machine {
    pub(crate) fn new(store: Arc<Store>, worker: Worker) -> Self {
        Self { store, worker, has_started: Arc::default() }
    }

    /// The engine has started.
    pub(crate) fn started(&self) {
        self.has_started.store(true, Ordering::Release);
    }

    fn current(&self) -> Result<Option<Snapshot<LeaderId, u64, Member, SnapshotData>>, StoreError> {
        let view = View::of(&self.store)?;
        if view.state().applied.is_none() {
            return Ok(None);
        }
        let meta = meta(view.state())?;
        Ok(Some(Snapshot { meta, snapshot: SnapshotData::Live(Arc::new(view)) }))
    }
}

/// openraft's description of a state.
pub(crate) fn meta(state: &SystemV1) -> Result<SnapshotMeta, StoreError> {
    Ok(SnapshotMeta {
        last_log_id: state.applied.map(Into::into),
        last_membership: state.membership.clone().into_stored().map_err(StoreError::corrupt)?,
    })
}

impl openraft::storage::RaftStateMachine<Types> for Machine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        let meta = meta(&self.store.state())?;
        Ok((meta.last_log_id, meta.last_membership))
    }

    async fn apply<S>(&mut self, entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        let mut entries = entries.fuse();
        loop {
            let (mut items, mut bytes): (Vec<Item>, usize) = (Vec::new(), 0);
            while items.len() < CHUNK_ENTRIES && bytes < CHUNK_BYTES {
                let Some(item) = entries.next().await else {
                    break;
                };
                let item = item?;
                if let openraft::EntryPayload::Normal(data) = &item.0.payload {
                    bytes += data.0.len();
                }
                items.push(item);
            }
            if items.is_empty() {
                return Ok(());
            }
            self.worker.apply(items).await?;
        }
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(
        &mut self,
        _meta: &SnapshotMeta,
        snapshot: SnapshotData,
    ) -> Result<(), io::Error> {
        Ok(self.worker.install(snapshot).await?)
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<Snapshot<LeaderId, u64, Member, SnapshotData>>, io::Error> {
        // The engine asks at its start, after it has applied the entries of the log again. It treats the
        // result as a snapshot and purges the log up to it, so the state must be on disk. Later it asks only
        // for what to send to another node, and applies nothing meanwhile.
        let starts = !self.has_started.load(Ordering::Acquire);
        if starts && !crate::failpoint!("restart-without-checkpoint") {
            self.worker.checkpoint().await?;
        }
        Ok(self.current()?)
    }
}

// The store is its own snapshot: building one makes it durable, and the log may then be purged up to that
// entry.
impl RaftSnapshotBuilder<Types> for Machine {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> Result<Snapshot<LeaderId, u64, Member, SnapshotData>, io::Error> {
        let state = self.worker.checkpoint().await?;
        let view = View::of(&self.store)?;
        Ok(Snapshot { meta: meta(&state)?, snapshot: SnapshotData::Live(Arc::new(view)) })
    }
}
