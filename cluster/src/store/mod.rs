//! The applied state on disk.

mod behind;
mod checkpoint;
mod group;
mod guard;
mod incoming;
mod layers;
mod machine;
mod proposals;
mod runs;
mod txn;
mod view;
mod waiters;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

#[cfg(not(feature = "sim"))]
use redb::ReadableTableMetadata;
use redb::{Database, Durability, ReadableDatabase, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::dir::sync_dir;
use crate::error::StoreError;
use crate::os;
use crate::time::Stamp;
use crate::wire::{self, StoredLogId, SystemV1};

use self::behind::Behind;
use self::checkpoint::Checkpoint;
use self::group::Group;
use self::guard::guarded;
use self::layers::Writes;

pub(crate) use incoming::{Incoming, Received, SnapshotData, check, chunk_after, chunk_crc, export};
pub(crate) use machine::{Machine, meta};
pub(crate) use proposals::{MOST_OPEN, ordinal_of};
pub use txn::Txn;
pub use view::{Pair, Reader, View};
pub(crate) use waiters::{AppliedHere, News, Waiter, Waiters};
pub(crate) use worker::{CheckpointAfter, Worker};

type Bytes = &'static [u8];
const DATA: TableDefinition<'static, Bytes, Bytes> = TableDefinition::new("data");
const SYSTEM: TableDefinition<'static, Bytes, Bytes> = TableDefinition::new("system");
const SYSTEM_KEY: &[u8] = b"v1";
const INSTALLED_KEY: &[u8] = b"installed";

/// Largest key (bytes). Keys that begin with the byte 255 belong to this crate.
pub const MAX_KEY: usize = 4 * 1024;
/// Largest value (bytes).
pub const MAX_VALUE: usize = 2 * 1024 * 1024;

/// Bytes of the checksum in front of each value.
const CHECKSUM: usize = 4;

/// The file that is open, and redb on it.
#[derive(Clone)]
struct OpenFile {
    db: Arc<Database>,
    file: Behind,
}

/// The file that is open, and the newest chunks over it.
struct Present {
    open: OpenFile,
    group: Arc<Group>,
}

/// The open store, shared by the applying thread and all readers: a redb file with two tables, and a checksum
/// in every record. The newest applied chunks are in memory; a group of them is committed to the file without
/// waiting for the disk. A [`Checkpoint`] makes everything so far durable, and holds up neither applying nor
/// reading; only then may the log purge those entries.
pub(crate) struct Store {
    path: PathBuf,
    cache_bytes: usize,
    present: RwLock<Present>,
    state: Mutex<SystemV1>,
    applied: watch::Sender<u64>,
    waiters: Arc<Waiters>,
    /// Applied bytes that are in no checkpoint yet, and those in the checkpoint that is under way.
    unwritten: AtomicU64,
    underway: AtomicU64,
    /// The position of the snapshot that the file was made from, if any.
    installed: Option<StoredLogId>,
}

impl Store {
    /// Opens or creates the file. With `verify`, every page is read and compared with its checksum. A new file
    /// is in its directory for good when this returns: what is made durable in it later must not vanish with it.
    pub(crate) fn open(path: &Path, cache_bytes: usize, verify: bool) -> Result<Self, StoreError> {
        let open = guarded(|| open_file(path, cache_bytes, verify))?;
        sync_dir(path.parent())?;
        let state = guarded(|| read_state(&open.db))?;
        let installed = guarded(|| read_installed(&open.db))?;
        let applied = state.applied.map_or(0, |id| id.index);
        Ok(Self {
            path: path.to_owned(),
            cache_bytes,
            present: RwLock::new(Present { open, group: Arc::new(Group::empty(state.clone())) }),
            state: Mutex::new(state),
            applied: watch::Sender::new(applied),
            waiters: Arc::default(),
            unwritten: AtomicU64::new(0),
            underway: AtomicU64::new(0),
            installed,
        })
    }

    fn present(&self) -> RwLockReadGuard<'_, Present> {
        self.present.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_file(&self) -> OpenFile {
        self.present().open.clone()
    }

    fn database(&self) -> Arc<Database> {
        self.open_file().db
    }

    /// Changes the group over the file.
    fn change_group<T>(&self, change: impl FnOnce(&mut Arc<Group>) -> T) -> T {
        change(&mut self.present.write().unwrap_or_else(PoisonError::into_inner).group)
    }

    /// Lays the writes of a chunk over what was applied before; `state` is the record after it. Readers see
    /// them when this returns. Only the applying thread calls it. Returns whether the group is to be written.
    fn add(&self, writes: Writes, state: SystemV1) -> bool {
        self.change_group(|group| {
            // Open views keep the group as it was.
            let group = Arc::make_mut(group);
            group.add(writes, state);
            group.is_full()
        })
    }

    /// Writes the newest chunks to the file, without waiting for the disk. Only the applying thread calls it.
    /// Between the two steps a reader finds them twice, in the file and over it.
    fn write_group(&self) -> Result<(), StoreError> {
        let group = self.present().group.clone();
        if group.has_chunks() {
            group.write(&self.database())?;
            self.change_group(|present| *present = Arc::new(Group::empty(group.state.clone())));
        }
        Ok(())
    }

    fn state_mut(&self) -> MutexGuard<'_, SystemV1> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The crate's own record, as of the last committed transaction.
    pub(crate) fn state(&self) -> SystemV1 {
        self.state_mut().clone()
    }

    /// The newest applied stamp.
    pub(crate) fn last_stamp(&self) -> Stamp {
        self.state_mut().stamp.into()
    }

    /// The highest time used in ids (ms since 1970).
    pub(crate) fn id_ms(&self) -> u64 {
        self.state_mut().id_ms
    }

    /// Whether the file is a snapshot as it was put in place, which the log may not know of yet.
    pub(crate) fn is_as_installed(&self) -> bool {
        self.installed.is_some() && self.installed == self.state_mut().applied
    }

    /// Takes away the mark of a snapshot: the log begins after it now, and a log that ends before it has lost
    /// entries from now on. Durable when this returns.
    pub(crate) fn settle(&self) -> Result<(), StoreError> {
        self.begin_settling()?.finish_here().map(drop)
    }

    /// Begins to take away the mark of a snapshot. Waits for no disk.
    fn begin_settling(&self) -> Result<Checkpoint, StoreError> {
        let open = self.open_file();
        guarded(|| {
            let txn = begin(&open.db, Durability::Immediate)?;
            {
                let mut table = txn.open_table(SYSTEM).map_err(failed)?;
                table.remove(INSTALLED_KEY).map_err(failed)?;
            }
            txn.commit().map_err(failed)
        })?;
        Ok(Checkpoint::of_committed(open, self.state()))
    }

    /// The index of the last applied entry, to follow.
    pub(crate) fn applied(&self) -> &watch::Sender<u64> {
        &self.applied
    }

    /// Who waits until this node has applied its own proposals.
    pub(crate) fn waiters(&self) -> &Arc<Waiters> {
        &self.waiters
    }

    /// Waits until `index` is applied here; false after `limit`.
    pub(crate) async fn wait_applied(&self, index: u64, limit: Duration) -> bool {
        let mut applied = self.applied.subscribe();
        timeout(limit, applied.wait_for(|at| *at >= index)).await.is_ok_and(|r| r.is_ok())
    }

    /// The approximate number of bytes that the next checkpoint will write at once.
    pub(crate) fn unwritten(&self) -> u64 {
        self.unwritten.load(Ordering::Relaxed)
    }

    /// The approximate number of bytes that are applied and that the file may not have yet.
    #[cfg(not(feature = "sim"))]
    pub(crate) fn not_in_file(&self) -> u64 {
        self.unwritten() + self.underway.load(Ordering::Relaxed)
    }

    /// Bytes of the file that hold nothing and will be used again. Reads the whole store; blocks.
    #[cfg(not(feature = "sim"))]
    pub(crate) fn reusable(&self) -> Result<u64, StoreError> {
        let db = self.database();
        guarded(|| {
            let txn = db.begin_read().map_err(failed)?;
            let mut used = 0;
            for table in [DATA, SYSTEM] {
                let stats = txn.open_table(table).map_err(failed)?.stats().map_err(failed)?;
                used += stats.stored_bytes() + stats.metadata_bytes() + stats.fragmented_bytes();
            }
            Ok(std::fs::metadata(&self.path)?.len().saturating_sub(used))
        })
    }

    /// Begins to make everything applied so far durable. Waits for no disk.
    fn begin_checkpoint(&self) -> Result<Checkpoint, StoreError> {
        let open = self.open_file();
        if crate::failpoint!("checkpoint-without-sync") {
            return Ok(Checkpoint::of_nothing(open, self.state()));
        }
        self.write_group()?;
        Checkpoint::begin(open, self.state())
    }

    /// Replaces the present file with a received one and reads from it from now on.
    fn replace(&self, received: &Path) -> Result<SystemV1, StoreError> {
        os::fs::rename(received, &self.path)?;
        if !crate::failpoint!("rename-without-sync") {
            sync_dir(self.path.parent())?;
        }
        let open = guarded(|| open_file(&self.path, self.cache_bytes, false))?;
        let state = guarded(|| read_state(&open.db))?;
        let group = Arc::new(Group::empty(state.clone()));
        *self.present.write().unwrap_or_else(PoisonError::into_inner) = Present { open, group };
        *self.state_mut() = state.clone();
        Ok(state)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // When it is closed, redb makes durable what was applied. No checkpoint says that the log has it.
        if self.unwritten() > 0 {
            self.open_file().file.hold();
        }
    }
}

fn open_file(path: &Path, cache_bytes: usize, verify: bool) -> Result<OpenFile, StoreError> {
    let file = Behind::open(path).map_err(failed)?;
    let db = Database::builder().set_cache_size(cache_bytes).create_with_backend(file.clone());
    let mut db = db.map_err(failed)?;
    if verify && !db.check_integrity().map_err(failed)? {
        return Err(StoreError::corrupt("a page of the store did not match its checksum"));
    }
    let txn = begin(&db, Durability::Immediate)?;
    {
        txn.open_table(DATA).map_err(failed)?;
        txn.open_table(SYSTEM).map_err(failed)?;
    }
    txn.commit().map_err(failed)?;
    file.wait_taken(file.last())?;
    Ok(OpenFile { db: Arc::new(db), file })
}

/// Begins a write transaction. A durable one also saves data that makes the next opening quick.
fn begin(db: &Database, durability: Durability) -> Result<WriteTransaction, StoreError> {
    let mut txn = db.begin_write().map_err(failed)?;
    if matches!(durability, Durability::Immediate) {
        txn.set_quick_repair(true);
    }
    txn.set_durability(durability).map_err(failed)?;
    Ok(txn)
}

fn read_state(db: &Database) -> Result<SystemV1, StoreError> {
    Ok(read_system(db, SYSTEM_KEY)?.unwrap_or_default())
}

fn write_state(txn: &WriteTransaction, state: &SystemV1) -> Result<(), StoreError> {
    write_system(txn, SYSTEM_KEY, state)
}

fn read_installed(db: &Database) -> Result<Option<StoredLogId>, StoreError> {
    read_system(db, INSTALLED_KEY)
}

fn write_installed(txn: &WriteTransaction, at: &StoredLogId) -> Result<(), StoreError> {
    write_system(txn, INSTALLED_KEY, at)
}

fn read_system<T: DeserializeOwned>(db: &Database, key: &[u8]) -> Result<Option<T>, StoreError> {
    let txn = db.begin_read().map_err(failed)?;
    let table = txn.open_table(SYSTEM).map_err(failed)?;
    match table.get(key).map_err(failed)? {
        None => Ok(None),
        Some(record) => {
            wire::decode(checked_value(key, record.value())?).map(Some).map_err(StoreError::corrupt)
        }
    }
}

fn write_system(txn: &WriteTransaction, key: &[u8], value: &impl Serialize) -> Result<(), StoreError> {
    let value = wire::encode(value).map_err(|e| StoreError::Io(e.to_string()))?;
    let mut table = txn.open_table(SYSTEM).map_err(failed)?;
    table.insert(key, with_checksum(key, &value).as_slice()).map_err(failed)?;
    Ok(())
}

/// The record of a value that `write` appends to a buffer with room for `len` bytes. In front of the value
/// there is a checksum of the key and the value, because redb checks pages only during a repair.
fn record_of(key: &[u8], len: usize, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut record = Vec::with_capacity(CHECKSUM + len);
    record.extend_from_slice(&[0; CHECKSUM]);
    write(&mut record);
    if let Some((crc, value)) = record.split_first_chunk_mut::<CHECKSUM>() {
        *crc = checksum(key, value).to_le_bytes();
    }
    record
}

/// The record of a value.
fn with_checksum(key: &[u8], value: &[u8]) -> Vec<u8> {
    record_of(key, value.len(), |record| record.extend_from_slice(value))
}

/// The value of a record, if the record is what was written under `key`.
fn checked_value<'a>(key: &[u8], record: &'a [u8]) -> Result<&'a [u8], StoreError> {
    let damaged = || {
        StoreError::corrupt(format!("the value of a key of {} bytes does not match its checksum", key.len()))
    };
    let (crc, value) = record.split_first_chunk::<CHECKSUM>().ok_or_else(damaged)?;
    if u32::from_le_bytes(*crc) == checksum(key, value) || crate::failpoint!("corrupt-served") {
        Ok(value)
    } else {
        Err(damaged())
    }
}

fn checksum(key: &[u8], value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&(key.len() as u32).to_le_bytes());
    hasher.update(key);
    hasher.update(value);
    hasher.finalize()
}

/// Classifies redb's errors: damage or failure.
fn failed(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Corrupted(what) => StoreError::Corrupt(what),
        redb::Error::Io(e) if e.kind() == std::io::ErrorKind::InvalidData => {
            StoreError::Corrupt(e.to_string())
        }
        redb::Error::Io(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            StoreError::Corrupt(e.to_string())
        }
        other @ (redb::Error::UpgradeRequired(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TypeDefinitionChanged { .. }
        | redb::Error::TableDoesNotExist(_)) => StoreError::Corrupt(other.to_string()),
        other => StoreError::Io(other.to_string()),
    }
}

#[cfg(all(test, not(feature = "sim")))]
mod tests;
