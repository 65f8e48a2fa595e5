//! Room for what a node is about to write: asked for before an entry or a chunk is taken.
//!
//! Owns what the disk's account is told, never the account (`disk`). An entry that is committed must be applied, and a
//! store that can't grow ends the node: so all that an entry will come to is set aside before the log takes it.

use std::ops::Bound;
use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use openraft::EntryPayload;
use openraft::storage::RaftLogReader;
use tokio::time::Instant;

use crate::disk::{Disk, IN_STORE, Progress};
use crate::error::StartError;
use crate::log::Log;
use crate::node::Node;
use crate::os::{here, spawn_blocking};
use crate::store::Store;

/// When a snapshot that found no room is tried again, where there is no more than before.
const AGAIN: Duration = Duration::from_secs(30);

/// What an entry takes beside its content (bytes).
pub(crate) const HEAD: u64 = 64;

impl Node {
    /// Sets room aside for `bytes` of entries; false where they must not be taken. Measures again before it says so.
    pub(crate) async fn take_room(&self, bytes: u64) -> bool {
        if bytes == 0 || self.disk.take(bytes) {
            return true;
        }
        if !self.disk.may_measure() {
            return false;
        }
        self.measure_disk().await;
        self.disk.take(bytes)
    }

    /// The same without a wait, for what must keep its order: an append that waited would be overtaken by the next, which
    /// the leader would take for a log that lost entries. Who is refused finds it measured when he comes again.
    pub(crate) fn take_room_at_once(self: &Arc<Self>, bytes: u64) -> bool {
        let fits = bytes == 0 || self.disk.take(bytes);
        if !fits && self.disk.may_measure() {
            let node = self.clone();
            tokio::spawn(here(async move { node.measure_disk().await }));
        }
        fits
    }

    /// Whether a snapshot may begin. After one that found too little only with more room: the present state stays beside
    /// it, and sending it costs both sides much.
    pub(crate) fn may_begin_snapshot(&self) -> bool {
        let room = self.disk.room();
        let cramped = *self.cramped.lock().unwrap_or_else(PoisonError::into_inner);
        let hopeless = cramped.is_some_and(|(at, free)| at.elapsed() < AGAIN && room.free <= free + room.reserve / 2);
        !room.is_closed && !hopeless
    }

    /// A snapshot that began with `free` bytes found too little room.
    pub(crate) fn snapshot_found_no_room(&self, free: u64) {
        *self.cramped.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), free));
    }

    /// Measures the disk; what was taken and is on it by now counts no more.
    pub(crate) async fn measure_disk(&self) {
        let applied = *self.store.applied().borrow();
        let last = self.log.last().max(self.log.purged()).map_or(0, |id| id.index);
        let progress = Progress { applied, unwritten: self.store.unwritten(), last };
        let disk = self.disk.clone();
        if let Ok(Err(error)) = spawn_blocking(move || disk.measure(progress)).await {
            tracing::debug!(%error, "the disk can't be measured");
        }
    }

    /// Whether what the store holds in memory is much beside the room that is left: only a guess of what it will take.
    pub(crate) fn is_near_full(&self) -> bool {
        let room = self.disk.room();
        room.is_full || (room.free < 2 * room.reserve && IN_STORE * self.store.unwritten() > room.reserve / 4)
    }
}

/// Refuses to start where the disk can't take what the log has and the store doesn't: better than to end in the middle.
pub(crate) async fn enough_to_start(disk: &Disk, log: &Log, store: &Store) -> Result<(), StartError> {
    let after = store.state().applied.map_or(Bound::Unbounded, |id| Bound::Excluded(id.index));
    let mut log = log.clone();
    let mut entries = pin!(log.entries_stream((after, Bound::Unbounded)).await);
    let mut bytes = 0;
    while let Some(entry) = entries.next().await {
        bytes += HEAD;
        if let EntryPayload::Normal(data) = &entry?.payload {
            bytes += data.0.len() as u64;
        }
    }
    Ok(disk.enough_to_start(bytes)?)
}
