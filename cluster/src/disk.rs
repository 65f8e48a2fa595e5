//! Room on the disk, and what happens when it runs out.
//!
//! Owns the measuring and the ballast: a file of reserved blocks that is given up when the disk fills, so that a node which
//! takes no more entries can still write votes and checkpoints, and goes on by itself when there is room again. Never
//! removes anything but the ballast.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

/// Name of the ballast in the data directory.
const BALLAST: &str = "reserve";

/// How much room a node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Room {
    /// Size of the file system (bytes).
    pub(crate) total: u64,
    /// What is left, with the ballast and without what is about to be written (bytes).
    pub(crate) free: u64,
    /// What must be left (bytes).
    pub(crate) reserve: u64,
    /// Less is left than must be: nothing that can wait should be stored.
    pub(crate) is_full: bool,
    /// Less than half of that is left: no entry of the log is taken.
    pub(crate) is_closed: bool,
}

/// The disk under a data directory.
pub(crate) struct Disk {
    root: PathBuf,
    reserve: u64,
    room: Mutex<Room>,
}

impl Disk {
    /// `reserve`: bytes to keep free; a tenth of the file system at most.
    pub(crate) fn new(root: &Path, reserve: u64) -> Self {
        Self { root: root.to_owned(), reserve, room: Mutex::default() }
    }

    /// As last measured.
    pub(crate) fn room(&self) -> Room {
        *self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Measures, and gives the ballast up or gets it back. `unwritten`: bytes that the store holds in memory yet. Blocks.
    pub(crate) fn measure(&self, unwritten: u64) -> io::Result<Room> {
        let stat = statvfs(&self.root)?;
        let (total, available) = (stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize);
        let reserve = self.reserve.min(total / 10);
        let ballast = self.keep_ballast(available, reserve);
        // Each page is written beside its old self.
        let free = (available + ballast).saturating_sub(2 * unwritten);
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        // A little more than is needed ends it: it shall not flicker.
        let enough = if room.is_full { reserve + reserve / 8 } else { reserve };
        let next = Room { total, free, reserve, is_full: free < enough, is_closed: free < reserve / 2 };
        if next.is_full != room.is_full || next.is_closed != room.is_closed {
            tracing::warn!(free, reserve, full = next.is_full, closed = next.is_closed, "room on the disk");
        }
        *room = next;
        Ok(next)
    }

    /// Size of the ballast as it is counted beside `available`.
    fn keep_ballast(&self, available: u64, reserve: u64) -> u64 {
        let path = self.root.join(BALLAST);
        let size = std::fs::metadata(&path).map_or(0, |meta| meta.len());
        let wanted = reserve / 4;
        let done = if size > 0 && (available < reserve / 8 || wanted == 0) {
            tracing::warn!(size, "giving up the reserve on the disk");
            std::fs::remove_file(&path)
        } else if size != wanted && available >= reserve + wanted {
            set_aside(&path, wanted)
        } else {
            return size;
        };
        match done {
            // What was freed or taken shows at the next measuring; the sum is the same.
            Ok(()) => size,
            Err(error) => {
                tracing::debug!(%error, "the reserve on the disk");
                0
            }
        }
    }
}

/// Reserves real blocks: a file with holes would hold nothing.
fn set_aside(path: &Path, size: u64) -> io::Result<()> {
    let file = File::options().create(true).write(true).truncate(true).open(path)?;
    fallocate(&file, FallocateFlags::empty(), 0, size).map_err(|error| {
        let _ = std::fs::remove_file(path);
        error.into()
    })
}

/// Bytes of all files below a directory.
pub(crate) fn used(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => used(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.flatten().filter(|entry| entry.file_name() != BALLAST).map(size).sum()
}

/// Folders of files that were set aside as damaged.
pub(crate) fn set_aside_folders(root: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(root) else { return 0 };
    entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("damaged-")).count() as u64
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_ballast_comes_and_goes_with_the_room() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, file) = (Disk::new(dir.path(), 1 << 20), dir.path().join(BALLAST));
        assert_eq!(disk.keep_ballast(10 << 20, 1 << 20), 0, "as it was before");
        assert_eq!(file.metadata().unwrap().len(), 1 << 18);
        assert_eq!(disk.keep_ballast(1 << 19, 1 << 20), 1 << 18, "kept while there is some room");
        assert_eq!(disk.keep_ballast(1000, 1 << 20), 1 << 18);
        assert!(!file.exists(), "given up");
        assert_eq!(disk.keep_ballast(1 << 20, 1 << 20), 0, "not taken from what must be free");
        assert!(!file.exists());
        assert!(disk.measure(0).unwrap().total > 0);
    }

    #[test]
    fn a_disk_with_less_than_the_reserve_is_full() {
        let dir = tempfile::tempdir().unwrap();
        // A tenth of any file system is what is asked for, unless more is in use.
        let room = Disk::new(dir.path(), u64::MAX).measure(0).unwrap();
        assert_eq!(room.reserve, room.total / 10);
        assert_eq!(room.is_full, room.free < room.reserve);
        assert!(!Disk::new(dir.path(), 0).measure(0).unwrap().is_full);
    }
}
