//! Room on the disk, and what happens when it runs out.
//!
//! An entry that is committed must be applied, and a store that can't grow ends the node: so all that an
//! entry will come to is set aside before the log takes it.

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

/// Name of the ballast in the data directory.
const BALLAST: &str = "reserve";
/// What a byte of an entry comes to in the store: its pages come in powers of two and are written beside
/// their old selves.
const IN_STORE: u64 = 2;
/// What a byte of an entry comes to at all: it is in the log, too.
const IN_ALL: u64 = 1 + IN_STORE;
/// Whoever finds no room measures again, but not more often.
const AGAIN: Duration = Duration::from_millis(50);
/// Most debts that are kept apart.
const DEBTS: usize = 64;
/// When a snapshot that found no room is tried again, where there is no more than before.
const SNAPSHOT_AGAIN: Duration = Duration::from_secs(30);
/// What an entry takes beside its content (bytes).
pub(crate) const HEAD: u64 = 64;
/// What a node writes when it starts, beside the entries that it applies again (bytes).
const START: u64 = 1 << 20;

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

/// How far a node is with what it took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    /// Index of the last entry applied; to be read before the others.
    pub(crate) applied: u64,
    /// Bytes of applied entries that the store holds in memory yet.
    pub(crate) unwritten: u64,
    /// Index of the last entry in the log.
    pub(crate) last: u64,
}

/// Bytes that were taken between two measurings.
#[derive(Debug)]
struct Debt {
    bytes: u64,
    /// They are in the log, at this index or before; `None`: perhaps on their way there.
    upto: Option<u64>,
}

/// What is known of the room: the last measuring, and what was taken since.
#[derive(Debug, Default)]
struct Account {
    measured: Room,
    /// When somebody last began one.
    at: Option<Instant>,
    /// Bytes taken since.
    taken: u64,
    /// What was taken before and may not be applied yet, oldest first.
    debts: VecDeque<Debt>,
}

impl Account {
    /// What is left once `bytes` more are taken.
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

    /// Lets go of what is applied and adds what was taken up to this measuring; what is still to come of all
    /// that (bytes).
    fn settle(&mut self, taken: u64, progress: Progress) -> u64 {
        for debt in &mut self.debts {
            // Entries may have been cut off the log's end meanwhile.
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

/// The disk under a data directory: measures it, and keeps the account of what was taken since.
///
/// Its ballast is a file of reserved blocks that is given up when the disk fills, so that a node which takes
/// no more entries can still write votes and checkpoints, and goes on by itself when there is room again.
/// Nothing but the ballast is ever removed.
pub(crate) struct Disk {
    root: PathBuf,
    reserve: u64,
    /// One measuring at a time.
    turn: Mutex<()>,
    account: Mutex<Account>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    /// `reserve`: bytes to keep free; a tenth of the file system at most.
    pub(crate) fn new(root: &Path, reserve: u64) -> Self {
        Self { root: root.to_owned(), reserve, turn: Mutex::default(), account: Mutex::default() }
    }

    /// As last measured, without what was taken since.
    pub(crate) fn room(&self) -> Room {
        locked(&self.account).room()
    }

    /// Counts `bytes` of entries that are about to be written, at what they will come to in log and store;
    /// false, and nothing is counted, where they would leave less than half of what must be left.
    fn take(&self, bytes: u64) -> bool {
        let mut account = locked(&self.account);
        let fits = account.after(bytes) >= account.measured.reserve / 2;
        if fits {
            account.taken += bytes;
        }
        fits
    }

    /// Whether whoever found no room should measure: more may be found than the last time, and nobody just
    /// did.
    fn may_measure(&self) -> bool {
        let mut account = locked(&self.account);
        let stale = account.taken > 0 || !account.debts.is_empty();
        let turn = stale && account.at.is_none_or(|at| at.elapsed() >= AGAIN);
        if turn {
            account.at = Some(Instant::now());
        }
        turn
    }

    /// Measures, and gives the ballast up or gets it back. Blocks.
    pub(crate) fn measure(&self, progress: Progress) -> io::Result<Room> {
        let _turn = locked(&self.turn);
        // What is taken from here on counts on, whether this measuring sees it or not.
        let taken = locked(&self.account).taken;
        let (total, available) = self.look()?;
        let reserve = self.reserve.min(total / 10);
        let ballast = self.keep_ballast(available, reserve);
        let mut account = locked(&self.account);
        let coming = IN_STORE * progress.unwritten + account.settle(taken, progress);
        let (free, room) = ((available + ballast).saturating_sub(coming), account.measured);
        // A little more than is needed ends it: it shall not flicker.
        let enough = if room.is_full { reserve + reserve / 8 } else { reserve };
        let next = Room { total, free, reserve, is_full: free < enough, is_closed: free < reserve / 2 };
        if next.is_full != room.is_full || next.is_closed != room.is_closed {
            tracing::warn!(free, reserve, full = next.is_full, closed = next.is_closed, "room on the disk");
        }
        account.measured = next;
        account.at = Some(Instant::now());
        Ok(account.room())
    }

    /// Refuses to start where applying `replay` bytes of entries again would end the node in the middle.
    /// Takes the ballast where that helps. Blocks.
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

    /// Size of the file system, and what is left of it (bytes).
    fn look(&self) -> io::Result<(u64, u64)> {
        let stat = statvfs(&self.root)?;
        Ok((stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize))
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

/// What a node may still write: entries, and snapshots of the state. One for each node.
pub(crate) struct DiskBudget {
    disk: Arc<Disk>,
    log: Log,
    store: Arc<Store>,
    /// When a snapshot last found too little room, and what was free when it began (bytes).
    cramped: Mutex<Option<(Instant, u64)>>,
}

impl DiskBudget {
    pub(crate) fn new(disk: Disk, log: Log, store: Arc<Store>) -> Arc<Self> {
        Arc::new(Self { disk: Arc::new(disk), log, store, cramped: Mutex::default() })
    }

    /// Refuses to start where the disk can't take what the log has and the store doesn't: better than to end
    /// in the middle.
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

    /// As last measured, without what was taken since.
    pub(crate) fn room(&self) -> Room {
        self.disk.room()
    }

    /// Sets room aside for `bytes` of entries; false where they must not be taken. Measures again before it
    /// says so.
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

    /// The same without a wait, for what must keep its order: an append that waited would be overtaken by the
    /// next, which the leader would take for a log that lost entries. Who is refused finds the disk measured
    /// at the next try.
    pub(crate) fn take_at_once(self: &Arc<Self>, bytes: u64) -> bool {
        let fits = bytes == 0 || self.disk.take(bytes);
        if !fits && self.disk.may_measure() {
            let budget = self.clone();
            tokio::spawn(here(async move { budget.measure().await }));
        }
        fits
    }

    /// Whether a snapshot may begin. After one that found too little only with more room: the present state
    /// stays beside it, and sending it costs both sides much.
    pub(crate) fn may_begin_snapshot(&self) -> bool {
        let room = self.room();
        let hopeless = |(at, free): (Instant, u64)| {
            at.elapsed() < SNAPSHOT_AGAIN && room.free <= free + room.reserve / 2
        };
        !room.is_closed && !locked(&self.cramped).is_some_and(hopeless)
    }

    /// A snapshot that began with `free` bytes found too little room.
    pub(crate) fn snapshot_found_no_room(&self, free: u64) {
        *locked(&self.cramped) = Some((Instant::now(), free));
    }

    /// Measures the disk; what was taken and is on it by now counts no more.
    pub(crate) async fn measure(&self) {
        let applied = *self.store.applied().borrow();
        let last = self.log.last().max(self.log.purged()).map_or(0, |id| id.index);
        let progress = Progress { applied, unwritten: self.store.unwritten(), last };
        let disk = self.disk.clone();
        if let Ok(Err(error)) = spawn_blocking(move || disk.measure(progress)).await {
            tracing::debug!(%error, "the disk can't be measured");
        }
    }

    /// Measures as a node would that is so far.
    #[cfg(test)]
    pub(crate) fn measure_with(&self, progress: Progress) -> io::Result<Room> {
        self.disk.measure(progress)
    }

    /// Whether what the store holds in memory is much beside the room that is left: only a guess of what it
    /// will take.
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

/// Folders of files that were set aside as damaged.
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
        assert!(disk.measure(Progress::default()).unwrap().total > 0);
    }

    #[test]
    fn a_disk_with_less_than_the_reserve_is_full() {
        let dir = tempfile::tempdir().unwrap();
        // A tenth of any file system is what is asked for, unless more is in use.
        let room = Disk::new(dir.path(), u64::MAX).measure(Progress::default()).unwrap();
        assert_eq!(room.reserve, room.total / 10);
        assert_eq!(room.is_full, room.free < room.reserve);
        assert!(!Disk::new(dir.path(), 0).measure(Progress::default()).unwrap().is_full);
    }

    /// A disk that was found with `free` bytes, of which 1000 must be left.
    fn measured(free: u64) -> Disk {
        let disk = Disk::new(Path::new("/nowhere"), 1000);
        locked(&disk.account).measured = Room { total: 100_000, free, reserve: 1000, ..Room::default() };
        disk
    }

    #[test]
    fn what_was_taken_since_counts_as_gone() {
        let disk = measured(1700);
        assert!(disk.take(200), "1700 - 600 is enough");
        let room = disk.room();
        assert_eq!((room.free, room.is_full, room.is_closed), (1100, false, false));
        assert!(disk.take(200));
        let room = disk.room();
        assert_eq!((room.free, room.is_full, room.is_closed), (500, true, false));
        assert!(!disk.take(1), "half of the reserve stays");
        assert_eq!(disk.room(), room, "what was refused is not counted");
        assert!(disk.may_measure(), "another measuring may find that it took less");
        assert!(!disk.may_measure(), "one at a time");
        assert!(!measured(0).may_measure());
    }

    #[test]
    fn what_was_taken_is_owed_until_it_is_applied() {
        let disk = measured(1 << 20);
        assert!(disk.take(100));
        let mut account = locked(&disk.account);
        let at = |last, applied| Progress { applied, unwritten: 0, last };
        assert_eq!(account.settle(100, at(5, 5)), 300, "it may not be in the log yet");
        assert_eq!(account.taken, 0);
        assert_eq!(account.settle(0, at(9, 5)), 200, "in the log, not in the store");
        account.taken = 50;
        assert_eq!(account.settle(40, at(12, 8)), 200 + 120);
        assert_eq!(account.taken, 10, "taken while it was measured");
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
    fn a_node_without_room_does_not_start() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::new(dir.path(), 1 << 20);
        std::fs::write(dir.path().join(BALLAST), "blocks").unwrap();
        disk.enough_to_start(0).unwrap();
        assert!(dir.path().join(BALLAST).exists(), "there is room without it");
        let refused = disk.enough_to_start(1 << 60).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
        assert!(refused.to_string().contains("make room"), "{refused}");
        assert!(!dir.path().join(BALLAST).exists(), "it was worth a try");
    }
}
