//! How far the log is written, and how far it is on disk.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::wire::StoredMark;

/// Positions in the log, in bytes since its beginning.
#[derive(Debug)]
pub(super) struct Positions {
    written: AtomicU64,
    synced: AtomicU64,
    /// The end of the last mark. A mark that is on disk is not worth another one.
    marked: AtomicU64,
}

impl Positions {
    /// The positions of a log that is on disk up to its end.
    pub(super) fn new(end: u64) -> Self {
        Self { written: AtomicU64::new(end), synced: AtomicU64::new(end), marked: AtomicU64::new(0) }
    }

    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// The log is written up to this position.
    pub(super) fn set_written(&self, position: u64) {
        self.written.fetch_max(position, Ordering::AcqRel);
    }

    /// The log is on disk up to this position.
    pub(super) fn set_synced(&self, position: u64) {
        self.synced.fetch_max(position, Ordering::AcqRel);
    }

    /// The log has a mark that ends at this position.
    pub(super) fn set_marked(&self, position: u64) {
        self.marked.fetch_max(position, Ordering::AcqRel);
    }

    /// The next mark, if more than the last one is on disk.
    pub(super) fn next_mark(&self) -> Option<StoredMark> {
        let named = if crate::failpoint!("mark-before-sync") { &self.written } else { &self.synced };
        let position = named.load(Ordering::Acquire);
        (self.marked.load(Ordering::Acquire) < position).then_some(StoredMark(position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_names_what_is_synced_and_no_other_mark() {
        let positions = Positions::new(10);
        assert_eq!(positions.next_mark(), Some(StoredMark(10)));
        positions.set_written(15);
        positions.set_marked(15);
        positions.set_synced(15);
        assert_eq!(positions.next_mark(), None);
        positions.set_written(40);
        assert_eq!(positions.next_mark(), None);
        positions.set_synced(30);
        positions.set_synced(20);
        assert_eq!((positions.written(), positions.next_mark()), (40, Some(StoredMark(30))));
    }
}
