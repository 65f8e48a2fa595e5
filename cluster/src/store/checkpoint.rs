//! Makes the store durable while entries are applied.

use std::mem::take;

use redb::Durability;

use super::{OpenFile, begin, failed, guarded};
use crate::error::StoreError;
use crate::wire::SystemV1;

/// Everything that was applied up to some entry, on its way to the disk. It is held until the log is on disk
/// up to that entry: a node whose store is ahead of its log would seem to have lost entries that it
/// acknowledged, and would have to join again. Meanwhile further entries are applied.
///
/// If it is dropped before its end, the store's file stays as it is for ever, and nothing can be applied.
pub(super) struct Checkpoint {
    open: OpenFile,
    state: SystemV1,
    /// What releases it.
    hold: u64,
    /// The step with which it is durable.
    last: u64,
    is_open: bool,
}

impl Checkpoint {
    /// Commits everything so far. Called by the thread that applies entries, so `state` is that of the
    /// commit.
    pub(super) fn begin(open: OpenFile, state: SystemV1) -> Result<Self, StoreError> {
        let hold = open.file.hold();
        let mut checkpoint = Self { open, state, hold, last: 0, is_open: true };
        guarded(|| {
            let txn = begin(&checkpoint.open.db, Durability::Immediate)?;
            txn.commit().map_err(failed)
        })?;
        checkpoint.last = checkpoint.open.file.last();
        Ok(checkpoint)
    }

    /// A checkpoint that makes nothing durable.
    pub(super) fn of_nothing(open: OpenFile, state: SystemV1) -> Self {
        Self { open, state, hold: 0, last: 0, is_open: false }
    }

    /// What was committed, which does not wait for the log.
    pub(super) fn of_committed(open: OpenFile, state: SystemV1) -> Self {
        let last = open.file.last();
        Self { open, state, hold: 0, last, is_open: false }
    }

    /// The log is on disk: lets the store follow.
    fn release(&mut self) {
        if take(&mut self.is_open) {
            self.open.file.release(self.hold);
        }
    }

    /// The log is on disk: waits until the store is too.
    pub(super) async fn finish(mut self) -> Result<SystemV1, StoreError> {
        self.release();
        self.open.file.taken(self.last).await?;
        Ok(take(&mut self.state))
    }

    /// The same, on a thread that may block.
    pub(super) fn finish_here(mut self) -> Result<SystemV1, StoreError> {
        self.release();
        self.open.file.wait_taken(self.last)?;
        Ok(take(&mut self.state))
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        if self.is_open {
            self.open.file.give_up("a checkpoint was given up");
        }
    }
}
