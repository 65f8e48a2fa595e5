//! The newest chunks of entries, in memory until they are written to the file together: a transaction costs
//! much more than the few records of one entry.
//!
//! Nothing is lost with it. Without a checkpoint, a crash takes the file back to the last checkpoint anyway,
//! and the log has the entries since.

use redb::{Database, Durability};

use super::layers::Writes;
use super::{DATA, begin, failed, guarded, runs, write_state};
use crate::error::StoreError;
use crate::wire::SystemV1;

/// A group with this many bytes or records is written. In the simulation groups are small, so that it has
/// many.
const MOST_BYTES: usize = 256 * 1024;
const MOST_RECORDS: usize = if cfg!(any(test, feature = "sim")) { 16 } else { 1024 };

/// Chunks of entries that the file does not have yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    pub(super) writes: Writes,
    /// The crate's own record after the last chunk.
    pub(super) state: SystemV1,
    /// Whether there is a chunk, which need not have writes.
    has_chunks: bool,
}

impl Group {
    /// A group without chunks, over a file with that record.
    pub(super) fn empty(state: SystemV1) -> Self {
        Self { state, ..Self::default() }
    }

    /// Adds the writes of a chunk, and the record after it.
    pub(super) fn add(&mut self, writes: Writes, state: SystemV1) {
        self.writes.extend(writes);
        self.state = state;
        self.has_chunks = true;
    }

    /// Whether it is to be written.
    pub(super) fn is_full(&self) -> bool {
        self.writes.bytes() >= MOST_BYTES || self.writes.count() >= MOST_RECORDS
    }

    pub(super) fn has_chunks(&self) -> bool {
        self.has_chunks
    }

    /// Writes it to the file in one transaction, without waiting for the disk.
    pub(super) fn write(&self, db: &Database) -> Result<(), StoreError> {
        guarded(|| {
            let txn = begin(db, Durability::None)?;
            {
                let mut table = txn.open_table(DATA).map_err(failed)?;
                runs::write(&mut table, self.writes.iter())?;
            }
            write_state(&txn, &self.state)?;
            txn.commit().map_err(failed)
        })
    }
}

#[cfg(all(test, not(feature = "sim")))]
mod tests;
