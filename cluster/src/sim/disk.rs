//! Room on a simulated disk: there is always enough. What a full one does is tried on real ones.

use std::io;
use std::path::Path;

/// What a byte of an entry comes to in the store.
pub(crate) const IN_STORE: u64 = 2;

/// How much room a node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Room {
    pub(crate) total: u64,
    pub(crate) free: u64,
    pub(crate) reserve: u64,
    pub(crate) is_full: bool,
    pub(crate) is_closed: bool,
}

/// How far a node is with what it took.
#[derive(Debug, Clone, Copy, Default)]
#[expect(dead_code, reason = "there is always enough")]
pub(crate) struct Progress {
    pub(crate) applied: u64,
    pub(crate) unwritten: u64,
    pub(crate) last: u64,
}

/// The disk under a data directory.
pub(crate) struct Disk;

impl Disk {
    pub(crate) fn new(_root: &Path, _reserve: u64) -> Self {
        Self
    }

    pub(crate) fn room(&self) -> Room {
        Room { total: u64::MAX, free: u64::MAX, ..Room::default() }
    }

    pub(crate) fn take(&self, _bytes: u64) -> bool {
        true
    }

    pub(crate) fn may_measure(&self) -> bool {
        false
    }

    pub(crate) fn measure(&self, _progress: Progress) -> io::Result<Room> {
        Ok(self.room())
    }

    pub(crate) fn enough_to_start(&self, _replay: u64) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn used(_dir: &Path) -> u64 {
    0
}

pub(crate) fn set_aside_folders(_root: &Path) -> u64 {
    0
}
