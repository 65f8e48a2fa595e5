//! Receives a snapshot: its chunks become a new store file beside the present one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::{Database, Durability};

use super::{DATA, SYSTEM, View, begin, checked_value, failed, guarded, write_installed, write_state};
use crate::dir::sync_dir;
use crate::error::StoreError;
use crate::os::{self, CHUNK_PAIRS, fs};
use crate::wire::{PairV1, SystemV1};

/// Pairs are gathered into chunks of about this many bytes.
pub(crate) const CHUNK_BYTES: usize = 512 * 1024;

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A complete, durable store file that waits to be put in place. If it is dropped before that, it is removed.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) path: PathBuf,
    pub(crate) state: SystemV1,
}

impl Drop for Received {
    fn drop(&mut self) {
        // The file is already gone if it was put in place.
        let _ = fs::remove_file(&self.path);
    }
}

/// The content of a snapshot: a view to send from, or a file that was received.
pub(crate) enum SnapshotData {
    Live(Arc<View>),
    Received(Received),
}

/// A store file that is filled beside the present one, with one chunk in memory at a time.
pub(crate) struct Incoming {
    db: Database,
    received: Received,
    last_key: Vec<u8>,
    chunks: u64,
    pairs: u64,
}

impl Incoming {
    /// Begins a file in `dir` for the snapshot of `state`.
    pub(crate) fn begin(dir: &Path, state: SystemV1) -> Result<Self, StoreError> {
        fs::create_dir_all(dir)?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!("incoming-{number}.redb"));
        let _ = fs::remove_file(&path);
        let received = Received { path, state };
        let db = os::database(Database::builder().set_cache_size(8 * 1024 * 1024), &received.path)
            .map_err(failed)?;
        Ok(Self { db, received, last_key: Vec::new(), chunks: 0, pairs: 0 })
    }

    /// Adds the next chunk; refuses damage, gaps and keys out of order.
    pub(crate) fn chunk(&mut self, index: u64, crc: u32, pairs: &[PairV1]) -> Result<(), StoreError> {
        if index != self.chunks || crc != chunk_crc(pairs) {
            return Err(StoreError::corrupt(format!(
                "chunk {index} of a snapshot is damaged or out of place"
            )));
        }
        guarded(|| {
            let txn = begin(&self.db, Durability::None)?;
            {
                let mut table = txn.open_table(DATA).map_err(failed)?;
                for PairV1 { key, record } in pairs {
                    if self.pairs > 0 && key.as_slice() <= self.last_key.as_slice() {
                        return Err(StoreError::corrupt("a snapshot's keys are out of order"));
                    }
                    checked_value(key, record)?;
                    table.insert(key.as_slice(), record.as_slice()).map_err(failed)?;
                    self.last_key.clear();
                    self.last_key.extend_from_slice(key);
                    self.pairs += 1;
                }
            }
            txn.commit().map_err(failed)
        })?;
        self.chunks += 1;
        Ok(())
    }

    /// Completes the file and makes it durable.
    pub(crate) fn finish(self, chunks: u64, pairs: u64) -> Result<Received, StoreError> {
        if (chunks, pairs) != (self.chunks, self.pairs) {
            return Err(StoreError::corrupt("a snapshot is not complete"));
        }
        guarded(|| {
            let txn = begin(&self.db, Durability::Immediate)?;
            txn.open_table(DATA).map_err(failed)?;
            txn.open_table(SYSTEM).map_err(failed)?;
            write_state(&txn, &self.received.state)?;
            if let Some(at) = &self.received.state.applied {
                write_installed(&txn, at)?;
            }
            txn.commit().map_err(failed)
        })?;
        drop(self.db);
        read_back(&self.received, pairs)?;
        fs::File::open(&self.received.path)?.sync_all()?;
        sync_dir(self.received.path.parent())?;
        Ok(self.received)
    }

    /// Copies a view of another store, for a snapshot that is installed without a network transfer.
    pub(crate) fn copy(dir: &Path, view: &View) -> Result<Received, StoreError> {
        let mut incoming = Self::begin(dir, view.state().clone())?;
        let mut chunks = 0;
        let mut pairs = 0;
        let mut result = Ok(());
        export(view, &mut |chunk| {
            pairs += chunk.len() as u64;
            result = incoming.chunk(chunks, chunk_crc(&chunk), &chunk);
            chunks += 1;
            result.is_ok()
        })?;
        result?;
        incoming.finish(chunks, pairs)
    }
}

/// Reads a file before it takes the place of a store: every record must be what was received.
fn read_back(received: &Received, pairs: u64) -> Result<(), StoreError> {
    let db = guarded(|| {
        os::database(Database::builder().set_cache_size(8 * 1024 * 1024), &received.path).map_err(failed)
    })?;
    let view = View::at(Arc::new(db))?;
    let mut count = 0;
    view.records(&mut |_, _| {
        count += 1;
        true
    })?;
    if count != pairs || view.state() != &received.state {
        return Err(StoreError::corrupt("a snapshot is not on the disk as it was received"));
    }
    Ok(())
}

/// Refuses a record that differs from what was written under `key`.
pub(crate) fn check(key: &[u8], record: &[u8]) -> Result<(), StoreError> {
    checked_value(key, record).map(drop)
}

/// Divides a view into chunks, until `take` returns false.
pub(crate) fn export(view: &View, take: &mut dyn FnMut(Vec<PairV1>) -> bool) -> Result<(), StoreError> {
    let mut chunk = Vec::new();
    let mut bytes = 0;
    let mut wanted = true;
    view.records(&mut |key, record| {
        bytes += key.len() + record.len();
        chunk.push(PairV1 { key: key.to_vec().into(), record: record.to_vec().into() });
        if bytes >= CHUNK_BYTES || chunk.len() >= CHUNK_PAIRS {
            bytes = 0;
            wanted = take(std::mem::take(&mut chunk));
        }
        wanted
    })?;
    if wanted && !chunk.is_empty() {
        take(chunk);
    }
    Ok(())
}

/// The chunk of a view after that key, or its first one; and whether it is the last.
pub(crate) fn chunk_after(view: &View, after: Option<&[u8]>) -> Result<(Vec<PairV1>, bool), StoreError> {
    let mut chunk = Vec::new();
    let mut bytes = 0;
    let mut is_last = true;
    view.records_after(after, &mut |key, record| {
        if bytes >= CHUNK_BYTES || chunk.len() >= CHUNK_PAIRS {
            is_last = false;
            return false;
        }
        bytes += key.len() + record.len();
        chunk.push(PairV1 { key: key.to_vec().into(), record: record.to_vec().into() });
        true
    })?;
    Ok((chunk, is_last))
}

/// The checksum of a chunk, over its content and the boundaries of its parts.
pub(crate) fn chunk_crc(pairs: &[PairV1]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for PairV1 { key, record } in pairs {
        hasher.update(&(key.len() as u32).to_le_bytes());
        hasher.update(key);
        hasher.update(&(record.len() as u32).to_le_bytes());
        hasher.update(record);
    }
    hasher.finalize()
}
