//! The disk budget, and what happens when the disk is full.
//!
//! A committed entry must be applied, and a store that cannot grow ends the node. So before the log takes an
//! entry, the space for everything that the entry will need is reserved.

mod account;

#[cfg(test)]
mod tests;

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
use account::{Account, IN_STORE};

pub(crate) use account::{Progress, Room};

/// Name of the ballast file in the data directory.
const BALLAST: &str = "reserve";
/// A caller that finds no space measures again, but not more often than this.
const AGAIN: Duration = Duration::from_millis(50);
/// When a snapshot that found no space is tried again, if no more space is free than before.
const SNAPSHOT_AGAIN: Duration = Duration::from_secs(30);
/// Bytes that an entry takes in addition to its content.
pub(crate) const HEAD: u64 = 64;
/// Bytes that a node writes when it starts, in addition to the entries that it applies again.
const START: u64 = 1 << 20;

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
    /// and the store. Returns false, and counts nothing, if they would leave less than the floor.
    fn take(&self, bytes: u64) -> bool {
        let mut account = locked(&self.account);
        let fits = account.after(bytes) >= account.measured.floor();
        if fits {
            account.add(bytes);
        }
        fits
    }

    /// The same for bytes of new files.
    fn take_for_files(&self, bytes: u64) -> bool {
        let mut account = locked(&self.account);
        let fits = account.after_in_files(bytes) >= account.measured.floor();
        if fits {
            account.add(bytes);
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
        let coming = IN_STORE * progress.unwritten + progress.waiting + account.settle(taken, progress);
        let before = account.measured;
        account.set_measured(total, (available + ballast).saturating_sub(coming), reserve);
        let Room { free, lent, is_full, is_closed, .. } = account.measured;
        if is_full != before.is_full || is_closed != before.is_closed {
            tracing::warn!(free, lent, reserve, full = is_full, closed = is_closed, "room on the disk");
        }
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
    pub(crate) async fn take(self: &Arc<Self>, bytes: u64) -> bool {
        bytes == 0 || self.disk.take(bytes) || self.measured_anew().await && self.disk.take(bytes)
    }

    /// The same for `bytes` of a snapshot that is being received: it is a file of its own.
    pub(crate) async fn take_for_snapshot(self: &Arc<Self>, bytes: u64) -> bool {
        let disk = &self.disk;
        bytes == 0 || disk.take_for_files(bytes) || self.measured_anew().await && disk.take_for_files(bytes)
    }

    /// Measures, unless nothing can have changed or another caller has just measured.
    async fn measured_anew(self: &Arc<Self>) -> bool {
        let turn = self.disk.may_measure();
        if turn {
            self.measure().await;
        }
        turn
    }

    /// The same without waiting, for appends: they keep their order, so one that waited would hold up all behind
    /// it. A caller that is refused finds a new measurement at its next try.
    pub(crate) fn take_at_once(self: &Arc<Self>, bytes: u64) -> bool {
        let fits = bytes == 0 || self.disk.take(bytes);
        if !fits && self.disk.may_measure() {
            let budget = self.clone();
            tokio::spawn(here(async move { budget.measure().await }));
        }
        fits
    }

    /// Whether a snapshot may begin. After one that found too little space, another may begin at once only with more
    /// free space, by the floor, since the present state stays beside it, and sending it costs both nodes much.
    pub(crate) fn may_begin_snapshot(&self) -> bool {
        let room = self.room();
        let hopeless =
            |(at, free): (Instant, u64)| at.elapsed() < SNAPSHOT_AGAIN && room.free <= free + room.floor();
        !room.is_closed && !locked(&self.cramped).is_some_and(hopeless)
    }

    /// A snapshot that began with `free` bytes found too little space.
    pub(crate) fn snapshot_found_no_room(&self, free: u64) {
        *locked(&self.cramped) = Some((Instant::now(), free));
    }

    /// Measures the disk; what was taken and is on disk by now no longer counts.
    pub(crate) async fn measure(self: &Arc<Self>) {
        let applied = *self.store.applied().borrow();
        let last = self.log.last().max(self.log.purged()).map_or(0, |id| id.index);
        let unwritten = self.store.not_in_file();
        let progress = Progress { applied, unwritten, waiting: self.log.waiting(), last };
        let disk = self.disk.clone();
        match spawn_blocking(move || disk.measure(progress)).await {
            Ok(Ok(room)) if room.is_short() => self.look_for_reusable(),
            Ok(Err(error)) => tracing::debug!(%error, "cannot measure the disk"),
            Ok(Ok(_)) | Err(_) => {}
        }
    }

    /// Counts, in the background, what the store can use again.
    fn look_for_reusable(self: &Arc<Self>) {
        if !locked(&self.disk.account).reusable.begin_look(Instant::now()) {
            return;
        }
        let budget = self.clone();
        tokio::spawn(here(async move {
            let store = budget.store.clone();
            let looked = spawn_blocking(move || store.reusable()).await.ok();
            if let Some(Err(error)) = &looked {
                tracing::debug!(%error, "cannot count the pages that the store can use again");
            }
            let bytes = looked.and_then(Result::ok);
            locked(&budget.disk.account).reusable.looked(bytes, Instant::now());
        }));
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
    folders(root, "damaged-")
}

/// Number of those of them that hold the log of a data directory that was older than what its node had
/// acknowledged.
pub(crate) fn older_folders(root: &Path) -> u64 {
    folders(root, crate::older::ASIDE)
}

fn folders(root: &Path, prefix: &str) -> u64 {
    let Ok(entries) = std::fs::read_dir(root) else { return 0 };
    entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix)).count() as u64
}
