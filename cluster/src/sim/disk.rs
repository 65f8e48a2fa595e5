//! The disk budget of a simulated node: there is always enough space. Full disks are tested on real ones.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::error::StartError;
use crate::log::Log;
use crate::store::Store;

/// Bytes that an entry takes in addition to its content.
pub(crate) const HEAD: u64 = 64;

/// How much disk space a node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Room {
    pub(crate) total: u64,
    pub(crate) free: u64,
    pub(crate) reusable: u64,
    pub(crate) lent: u64,
    pub(crate) reserve: u64,
    pub(crate) is_full: bool,
    pub(crate) is_closed: bool,
}

/// How far a node has processed the entries that it took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {}

/// The disk under a data directory.
pub(crate) struct Disk;

impl Disk {
    pub(crate) fn new(_root: &Path, _reserve: u64) -> Self {
        Self
    }

    pub(crate) fn measure(&self, _progress: Progress) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn enough_to_start(&self, _replay: u64) -> io::Result<()> {
        Ok(())
    }
}

/// Decides what a node may still write.
pub(crate) struct DiskBudget;

impl DiskBudget {
    pub(crate) fn new(_disk: Disk, _log: Log, _store: Arc<Store>) -> Arc<Self> {
        Arc::new(Self)
    }

    pub(crate) async fn enough_to_start(&self) -> Result<(), StartError> {
        Ok(())
    }

    pub(crate) fn room(&self) -> Room {
        Room { total: u64::MAX, free: u64::MAX, ..Room::default() }
    }

    pub(crate) async fn take(&self, _bytes: u64) -> bool {
        true
    }

    pub(crate) async fn take_for_snapshot(&self, _bytes: u64) -> bool {
        true
    }

    pub(crate) fn take_at_once(self: &Arc<Self>, _bytes: u64) -> bool {
        true
    }

    pub(crate) fn may_begin_snapshot(&self) -> bool {
        true
    }

    pub(crate) fn snapshot_found_no_room(&self, _free: u64) {}

    pub(crate) async fn measure(&self) {}

    pub(crate) fn is_near_full(&self) -> bool {
        false
    }
}

pub(crate) fn used(_dir: &Path) -> u64 {
    0
}

pub(crate) fn set_aside_folders(_root: &Path) -> u64 {
    0
}

pub(crate) fn older_folders(_root: &Path) -> u64 {
    0
}
