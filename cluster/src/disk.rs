//! The disk budget, and what happens when the disk is full.
//!
//! A committed entry must be applied, and a store that cannot grow ends the node. So before the log takes an
//! entry, the space for everything that the entry will need is reserved.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use openraft::EntryPayload;
use openraft::storage::RaftLogReader;
use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::error::StartError;
use crate::log::Log;
use crate::os::{here, spawn_blocking};
use crate::store::Store;

/// Name of the ballast file in the data directory.
const BALLAST: &str = "reserve";
/// Bytes in the store per byte of an entry: page sizes are powers of two, and a page is written beside its
/// old version.
const IN_STORE: u64 = 2;
/// Bytes on disk per byte of an entry: the log holds it, too.
const IN_ALL: u64 = 1 + IN_STORE;
/// A caller that finds no space measures again, but not more often than this.
const AGAIN: Duration = Duration::from_millis(50);
/// Most debts that are kept separately.
const DEBTS: usize = 64;
/// When a snapshot that found no space is tried again, if no more space is free than before.
const SNAPSHOT_AGAIN: Duration = Duration::from_secs(30);
/// Bytes that an entry takes in addition to its content.
pub(crate) const HEAD: u64 = 64;
/// Bytes that a node writes when it starts, in addition to the entries that it applies again.
const START: u64 = 1 << 20;

/// How much disk space a node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Room {
    /// Size of the file system (bytes).
    pub(crate) total: u64,
    /// Free bytes, including the ballast and excluding what is about to be written.
    pub(crate) free: u64,
    /// Bytes that must stay free.
    pub(crate) reserve: u64,
    /// Less than `reserve` is free: nothing that can be deferred should be stored.
    pub(crate) is_full: bool,
    /// Less than half of `reserve` is free: the log takes no entry.
    pub(crate) is_closed: bool,
}

/// How far a node has processed the entries that it took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    /// Index of the last applied entry. Read it before the other fields.
    pub(crate) applied: u64,
    /// Bytes of applied entries that the store still holds only in memory.
    pub(crate) unwritten: u64,
    /// Index of the last entry in the log.
    pub(crate) last: u64,
}

/// Bytes that were taken between two measurements.
#[derive(Debug)]
struct Debt {
    bytes: u64,
    /// The log holds them at this index or before; `None`: they may still be on their way to the log.
    upto: Option<u64>,
}

/// What is known about the disk space: the last measurement, and the bytes taken since.
#[derive(Debug, Default)]
struct Account {
    measured: Room,
    /// When a measurement last began.
    at: Option<Instant>,
    /// Bytes taken since the last measurement.
    taken: u64,
    /// Bytes that were taken before and may not be applied yet, oldest first.
    debts: VecDeque<Debt>,
}

impl Account {
    /// The bytes that are free after `bytes` more are taken.
    fn after(&self, bytes: u64) -> u64 {
        self.measured.free.saturating_sub(IN_ALL * (self.taken + bytes))
    }

    fn room(&self) -> Room {
        let (free, room) = (self.after(0), self.measured);
        Room {
            free,
            is_full: room.is_full || free < room.reserve,
            is_closed: room.is_closed || free < room.reserve / 2,
            ..room
        }
    }

    /// Drops the debts that are applied and adds what was taken up to this measurement. Returns the bytes
    /// that all remaining debts still need.
    fn settle(&mut self, taken: u64, progress: Progress) -> u64 {
        for debt in &mut self.debts {
            // A new leader may have removed entries from the end of the log meanwhile.
            debt.upto = Some(debt.upto.map_or(progress.last, |upto| upto.min(progress.last)));
        }
        while self.debts.front().is_some_and(|debt| debt.upto <= Some(progress.applied)) {
            self.debts.pop_front();
        }
        self.taken -= taken;
        if taken > 0 {
            let joined = if self.debts.len() >= DEBTS { self.debts.pop_back() } else { None };
            let bytes = taken + joined.map_or(0, |debt| debt.bytes);
            self.debts.push_back(Debt { bytes, upto: None });
        }
        self.debts.iter().map(|debt| debt.bytes * if debt.upto.is_some() { IN_STORE } else { IN_ALL }).sum()
    }
}

/// The disk under a data directory: measures it, and keeps account of what was taken since.
///
/// The ballast is a file of reserved blocks. It is removed when the disk fills up. So a node that takes no
/// more entries can still write votes and checkpoints, and it recovers by itself when space becomes free. No
/// other file is ever removed.
pub(crate) struct Disk {
    root: PathBuf,
    reserve: u64,
    /// Held while measuring: one measurement at a time.
    turn: Mutex<()>,
    account: Mutex<Account>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    /// `reserve`: bytes to keep free, limited to a tenth of the file system.
    pub(crate) fn new(root: &Path, reserve: u64) -> Self {
        Self { root: root.to_owned(), reserve, turn: Mutex::default(), account: Mutex::default() }
    }

    /// The last measurement, minus what was taken since.
    pub(crate) fn room(&self) -> Room {
        locked(&self.account).room()
    }

    /// Counts `bytes` of entries that are about to be written, with the space that they will need in the log
    /// and the store. Returns false, and counts nothing, if they would leave less than half of the reserve.
    fn take(&self, bytes: u64) -> bool {
        let mut account = locked(&self.account);
        let fits = account.after(bytes) >= account.measured.reserve / 2;
        if fits {
            account.taken += bytes;
        }
        fits
    }

    /// Whether a caller that found no space should measure: a measurement may find more space than the last
    /// one, and no other caller has just measured.
    fn may_measure(&self) -> bool {
        let mut account = locked(&self.account);
        let stale = account.taken > 0 || !account.debts.is_empty();
        let turn = stale && account.at.is_none_or(|at| at.elapsed() >= AGAIN);
        if turn {
            account.at = Some(Instant::now());
        }
        turn
    }

    /// Measures, and removes or recreates the ballast. Blocks.
    pub(crate) fn measure(&self, progress: Progress) -> io::Result<Room> {
        let _turn = locked(&self.turn);
        // Bytes that are taken from here on stay counted, whether this measurement includes them or not.
        let taken = locked(&self.account).taken;
        let (total, available) = self.look()?;
        let reserve = self.reserve.min(total / 10);
        let ballast = self.keep_ballast(available, reserve);
        let mut account = locked(&self.account);
        let coming = IN_STORE * progress.unwritten + account.settle(taken, progress);
        let (free, room) = ((available + ballast).saturating_sub(coming), account.measured);
        // The full state ends only when an eighth more than the reserve is free, so that it does not flicker.
        let enough = if room.is_full { reserve + reserve / 8 } else { reserve };
        let next = Room { total, free, reserve, is_full: free < enough, is_closed: free < reserve / 2 };
        if next.is_full != room.is_full || next.is_closed != room.is_closed {
            tracing::warn!(free, reserve, full = next.is_full, closed = next.is_closed, "room on the disk");
        }
        account.measured = next;
        account.at = Some(Instant::now());
        Ok(account.room())
    }

    /// Refuses to start if the disk would fill up while `replay` bytes of entries are applied again. Removes
    /// the ballast if that helps. Blocks.
    pub(crate) fn enough_to_start(&self, replay: u64) -> io::Result<()> {
        let wanted = IN_STORE * replay + START;
        let (_, mut available) = self.look()?;
        if available < wanted && std::fs::remove_file(self.root.join(BALLAST)).is_ok() {
            available = self.look()?.1;
        }
        if available >= wanted || self.reserve == 0 {
            return Ok(());
        }
        let what = format!(
            "the disk is full: {available} bytes are left, and starting takes {wanted}; make room on the file system of {}",
            self.root.display()
        );
        Err(io::Error::new(io::ErrorKind::StorageFull, what))
    }

    /// Size of the file system, and its free bytes.
    fn look(&self) -> io::Result<(u64, u64)> {
        let stat = statvfs(&self.root)?;
        Ok((stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize))
    }

    /// Keeps or removes the ballast, and returns the size that counts in addition to `available`.
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
            // The next measurement shows what was freed or taken; the sum stays the same.
            Ok(()) => size,
            Err(error) => {
                tracing::debug!(%error, "cannot write the reserve on the disk");
                0
            }
        }
    }
}

/// Reserves real blocks, because a file with holes would reserve nothing.
fn set_aside(path: &Path, size: u64) -> io::Result<()> {
    let file = File::options().create(true).write(true).truncate(true).open(path)?;
    fallocate(&file, FallocateFlags::empty(), 0, size).map_err(|error| {
        let _ = std::fs::remove_file(path);
        error.into()
    })
}

/// Decides what a node may still write: entries, and snapshots of the state. One for each node.
pub(crate) struct DiskBudget {
    disk: Arc<Disk>,
    log: Log,
    store: Arc<Store>,
    /// When a snapshot last found too little space, and the free bytes when it began.
    cramped: Mutex<Option<(Instant, u64)>>,
}

impl DiskBudget {
    pub(crate) fn new(disk: Disk, log: Log, store: Arc<Store>) -> Arc<Self> {
        Arc::new(Self { disk: Arc::new(disk), log, store, cramped: Mutex::default() })
    }

    /// Refuses to start if the disk cannot take the entries that are in the log but not in the store. That is
    /// better than ending while applying them.
    pub(crate) async fn enough_to_start(&self) -> Result<(), StartError> {
        let after = self.store.state().applied.map_or(Bound::Unbounded, |id| Bound::Excluded(id.index));
        let mut log = self.log.clone();
        let mut entries = pin!(log.entries_stream((after, Bound::Unbounded)).await);
        let mut bytes = 0;
        while let Some(entry) = entries.next().await {
            bytes += HEAD;
            if let EntryPayload::Normal(data) = &entry?.payload {
                bytes += data.0.len() as u64;
            }
        }
        Ok(self.disk.enough_to_start(bytes)?)
    }

    /// The last measurement, minus what was taken since.
    pub(crate) fn room(&self) -> Room {
        self.disk.room()
    }

    /// Reserves space for `bytes` of entries; false if they must not be taken. Measures again before it
    /// returns false.
    pub(crate) async fn take(&self, bytes: u64) -> bool {
        if bytes == 0 || self.disk.take(bytes) {
            return true;
        }
        if !self.disk.may_measure() {
            return false;
        }
        self.measure().await;
        self.disk.take(bytes)
    }

    /// The same without waiting, for appends, which must keep their order. If an append waited, the next one
    /// would overtake it, and the leader would conclude that the log lost entries. A caller that is refused
    /// finds a new measurement at its next try.
    pub(crate) fn take_at_once(self: &Arc<Self>, bytes: u64) -> bool {
        let fits = bytes == 0 || self.disk.take(bytes);
        if !fits && self.disk.may_measure() {
            let budget = self.clone();
            tokio::spawn(here(async move { budget.measure().await }));
        }
        fits
    }

    /// Whether a snapshot may begin. After one that found too little space, another may begin only with more
    /// free space, since the present state stays beside it, and sending it costs both nodes much.
    pub(crate) fn may_begin_snapshot(&self) -> bool {
        let room = self.room();
        let hopeless = |(at, free): (Instant, u64)| {
            at.elapsed() < SNAPSHOT_AGAIN && room.free <= free + room.reserve / 2
        };
        !room.is_closed && !locked(&self.cramped).is_some_and(hopeless)
    }

    /// A snapshot that began with `free` bytes found too little space.
    pub(crate) fn snapshot_found_no_room(&self, free: u64) {
        *locked(&self.cramped) = Some((Instant::now(), free));
    }

    /// Measures the disk; what was taken and is on disk by now no longer counts.
    pub(crate) async fn measure(&self) {
        let applied = *self.store.applied().borrow();
        let last = self.log.last().max(self.log.purged()).map_or(0, |id| id.index);
        let progress = Progress { applied, unwritten: self.store.unwritten(), last };
        let disk = self.disk.clone();
        if let Ok(Err(error)) = spawn_blocking(move || disk.measure(progress)).await {
            tracing::debug!(%error, "cannot measure the disk");
        }
    }

    /// Measures as a node with this progress would.
    #[cfg(test)]
    pub(crate) fn measure_with(&self, progress: Progress) -> io::Result<Room> {
        self.disk.measure(progress)
    }

    /// Whether the data that the store holds in memory is large compared with the free space. Only a guess of
    /// the space that it will take.
    pub(crate) fn is_near_full(&self) -> bool {
        let room = self.room();
        room.is_full || (room.free < 2 * room.reserve && IN_STORE * self.store.unwritten() > room.reserve / 4)
    }
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

/// Number of folders with files that were set aside as damaged.
pub(crate) fn set_aside_folders(root: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(root) else { return 0 };
    entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("damaged-")).count()
        as u64
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_ballast_follows_the_free_space() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, file) = (Disk::new(dir.path(), 1 << 20), dir.path().join(BALLAST));
        assert_eq!(disk.keep_ballast(10 << 20, 1 << 20), 0, "there was no ballast before");
        assert_eq!(file.metadata().unwrap().len(), 1 << 18);
        assert_eq!(disk.keep_ballast(1 << 19, 1 << 20), 1 << 18, "kept while some space is free");
        assert_eq!(disk.keep_ballast(1000, 1 << 20), 1 << 18);
        assert!(!file.exists(), "removed");
        assert_eq!(disk.keep_ballast(1 << 20, 1 << 20), 0, "not created from the reserve");
        assert!(!file.exists());
        assert!(disk.measure(Progress::default()).unwrap().total > 0);
    }

    #[test]
    fn a_disk_with_less_than_the_reserve_is_full() {
        let dir = tempfile::tempdir().unwrap();
        // The reserve is limited to a tenth of the file system, so the disk is not full unless more than that
        // is in use.
        let room = Disk::new(dir.path(), u64::MAX).measure(Progress::default()).unwrap();
        assert_eq!(room.reserve, room.total / 10);
        assert_eq!(room.is_full, room.free < room.reserve);
        assert!(!Disk::new(dir.path(), 0).measure(Progress::default()).unwrap().is_full);
    }

    /// A disk whose measurement found `free` bytes, of which 1000 must stay free.
    fn measured(free: u64) -> Disk {
        let disk = Disk::new(Path::new("/nowhere"), 1000);
        locked(&disk.account).measured = Room { total: 100_000, free, reserve: 1000, ..Room::default() };
        disk
    }

    #[test]
    fn bytes_taken_since_the_measurement_count_as_used() {
        let disk = measured(1700);
        assert!(disk.take(200), "1700 - 600 is enough");
        let room = disk.room();
        assert_eq!((room.free, room.is_full, room.is_closed), (1100, false, false));
        assert!(disk.take(200));
        let room = disk.room();
        assert_eq!((room.free, room.is_full, room.is_closed), (500, true, false));
        assert!(!disk.take(1), "half of the reserve stays free");
        assert_eq!(disk.room(), room, "refused bytes are not counted");
        assert!(disk.may_measure(), "a measurement may find that the entries took less");
        assert!(!disk.may_measure(), "another caller has just measured");
        assert!(!measured(0).may_measure());
    }

    #[test]
    fn bytes_taken_are_owed_until_they_are_applied() {
        let disk = measured(1 << 20);
        assert!(disk.take(100));
        let mut account = locked(&disk.account);
        let at = |last, applied| Progress { applied, unwritten: 0, last };
        assert_eq!(account.settle(100, at(5, 5)), 300, "it may not be in the log yet");
        assert_eq!(account.taken, 0);
        assert_eq!(account.settle(0, at(9, 5)), 200, "in the log, not in the store");
        account.taken = 50;
        assert_eq!(account.settle(40, at(12, 8)), 200 + 120);
        assert_eq!(account.taken, 10, "taken during the measurement");
        assert_eq!(account.settle(0, at(12, 9)), 80, "the first is applied");
        assert_eq!(account.settle(0, at(11, 11)), 0, "the log lost an entry that was never committed");
        account.taken = 1000;
        for last in 0..1000 {
            account.settle(1, at(last, 0));
        }
        assert!(account.debts.len() <= DEBTS);
        assert_eq!(account.debts.iter().map(|debt| debt.bytes).sum::<u64>(), 1000);
    }

    #[test]
    fn a_node_without_disk_space_does_not_start() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::new(dir.path(), 1 << 20);
        std::fs::write(dir.path().join(BALLAST), "blocks").unwrap();
        disk.enough_to_start(0).unwrap();
        assert!(dir.path().join(BALLAST).exists(), "there is enough space without removing the ballast");
        let refused = disk.enough_to_start(1 << 60).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
        assert!(refused.to_string().contains("make room"), "{refused}");
        assert!(!dir.path().join(BALLAST).exists(), "the ballast was removed first");
    }
}
