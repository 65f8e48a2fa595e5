//! A consistent copy of the applied state in one file, made while the cluster runs.
//!
//! The format of the file: the magic `WPBACKUP`, the version (4 bytes, little-endian), then blocks, and at
//! the end the SHA-256 of everything before it. A block has a kind (1 byte), a length (4), the CRC-32 of
//! kind, length and content (4), and the content. The blocks are one head, the pairs in the order of their
//! keys, further files, and one end.
//!
//! Only a few blocks are in memory at a time. A reader detects a file that is incomplete.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use crate::engine::Engine;
use crate::error::StoreError;
use crate::identity::shown;
use crate::store::{self, Store, View};
use crate::time::ClusterClock;
use crate::wire::{self, MAX_ENCODED, PairV1, StampV1, StoredLogId};

const MAGIC: &[u8; 8] = b"WPBACKUP";
/// The format that this release writes, and the newest that it reads.
const VERSION: u32 = 1;
/// Longest that the receiver of a backup may leave a block waiting, because the view behind it keeps space in
/// the store from being reused.
const STALL: Duration = Duration::from_secs(60);

const HEAD: u8 = 1;
const PAIRS: u8 = 2;
const FILE: u8 = 3;
const END: u8 = 4;

/// The first block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeadV1 {
    pub(crate) cluster_id: [u8; 16],
    pub(crate) applied: StoredLogId,
    pub(crate) stamp: StampV1,
    pub(crate) id_ms: u64,
    pub(crate) last_node_id: u64,
    pub(crate) taken_ms: u64,
    pub(crate) release: String,
}

/// A file in addition to the state, to be put into the data directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileV1 {
    pub(crate) name: String,
    pub(crate) content: ByteBuf,
}

/// The last block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct EndV1 {
    blocks: u64,
    pairs: u64,
}

/// Why a backup cannot be made, read or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file or the directory cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Its path.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file is not a backup.
    #[error("this is no backup of waypost")]
    NotABackup,
    /// A newer release wrote it.
    #[error(
        "the backup has format {version}, this release knows formats up to {VERSION}: use the release that wrote it, or a newer one"
    )]
    Newer {
        /// Its format.
        version: u32,
    },
    /// The file differs from what was written, or is incomplete.
    #[error("the backup is damaged or incomplete, at byte {at}: {reason}")]
    Damaged {
        /// Where that was noticed (bytes from the beginning).
        at: u64,
        /// What is wrong.
        reason: String,
    },
    /// The directory is not empty.
    #[error("{} is not empty: a restore makes a new node, in an empty directory", .0.display())]
    NotEmpty(PathBuf),
    /// The files of the new node cannot be made.
    #[error("the new node's files cannot be made: {0}")]
    Store(#[from] StoreError),
    /// Another backup is being made on this node.
    #[error("another backup is being made on this node")]
    Busy,
}

/// The facts about a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackupInfo {
    /// Format version of the file.
    pub format: u32,
    /// Id of the cluster that the backup was made from.
    pub cluster_id: String,
    /// Index of the last log entry in it.
    pub applied_index: u64,
    /// Time of that entry (Unix milliseconds).
    pub time_ms: u64,
    /// The highest time in its event ids (Unix milliseconds). It is later than `time_ms` if a clock was
    /// ahead.
    pub ids_ms: u64,
    /// When it was made (Unix milliseconds).
    pub taken_ms: u64,
    /// The release that made it.
    pub release: String,
    /// Number of records.
    pub records: u64,
    /// Names of the files in it, in addition to the state.
    pub files: Vec<String>,
    /// Size (bytes).
    pub bytes: u64,
}

/// Makes backups of a running node.
pub(crate) struct Backups {
    engine: Arc<Engine>,
    store: Arc<Store>,
    clock: Arc<ClusterClock>,
    /// One backup at a time, because each holds a view of the store.
    turn: Arc<Semaphore>,
}

impl Backups {
    pub(crate) fn new(engine: Arc<Engine>, store: Arc<Store>, clock: Arc<ClusterClock>) -> Self {
        Self { engine, store, clock, turn: Arc::new(Semaphore::new(1)) }
    }

    /// Begins a backup of the state applied here. Its bytes are sent over the channel; if it fails, the last
    /// item is an error.
    pub(crate) fn begin(
        &self,
        files: Vec<(String, Vec<u8>)>,
    ) -> Result<mpsc::Receiver<Result<Bytes, StoreError>>, BackupError> {
        let turn = self.turn.clone().try_acquire_owned().map_err(|_| BackupError::Busy)?;
        let view = View::of(&self.store)?;
        let (cluster_id, taken_ms) = (self.engine.peers().me().cluster_id, self.clock.now().time_ms);
        let (sender, blocks) = mpsc::channel(2);
        let handle = Handle::current();
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let send = |bytes: Result<Bytes, StoreError>| {
                handle.block_on(timeout(STALL, sender.send(bytes))).is_ok_and(|sent| sent.is_ok())
            };
            let mut writer =
                Writer { sha: Sha256::new(), blocks: 0, take: &mut |bytes: Vec<u8>| send(Ok(bytes.into())) };
            if let Err(error) = write(&mut writer, &view, cluster_id, taken_ms, files) {
                // The receiver gets the reason, unless it has gone.
                let _ = send(Err(error));
            }
        });
        Ok(blocks)
    }
}

/// Encodes blocks and sends them.
struct Writer<'a> {
    sha: Sha256,
    blocks: u64,
    take: &'a mut dyn FnMut(Vec<u8>) -> bool,
}

impl Writer<'_> {
    fn raw(&mut self, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.sha.update(&bytes);
        if (self.take)(bytes) {
            Ok(())
        } else {
            Err(StoreError::Io("the receiver of the backup has gone".to_owned()))
        }
    }

    fn block(&mut self, kind: u8, content: &impl Serialize) -> Result<(), StoreError> {
        let content = wire::encode(content).map_err(|e| StoreError::Io(e.to_string()))?;
        let mut block = vec![kind];
        block.extend_from_slice(&(content.len() as u32).to_le_bytes());
        let crc = checksum(&block, &content);
        block.extend_from_slice(&crc.to_le_bytes());
        block.extend_from_slice(&content);
        self.blocks += 1;
        self.raw(block)
    }
}

fn checksum(head: &[u8], content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(content);
    hasher.finalize()
}

fn write(
    writer: &mut Writer<'_>,
    view: &View,
    cluster_id: [u8; 16],
    taken_ms: u64,
    files: Vec<(String, Vec<u8>)>,
) -> Result<(), StoreError> {
    let state = view.state();
    let applied = state.applied.ok_or_else(|| StoreError::Io("nothing is applied yet".to_owned()))?;
    let head = HeadV1 {
        cluster_id,
        applied,
        stamp: state.stamp,
        id_ms: state.id_ms,
        last_node_id: state.last_node_id,
        taken_ms,
        release: env!("CARGO_PKG_VERSION").to_owned(),
    };
    writer.raw([&MAGIC[..], &VERSION.to_le_bytes()].concat())?;
    writer.block(HEAD, &head)?;
    let (mut pairs, mut result) = (0, Ok(()));
    store::export(view, &mut |chunk| {
        pairs += chunk.len() as u64;
        result = writer.block(PAIRS, &chunk);
        result.is_ok()
    })?;
    result?;
    for (name, content) in files {
        writer.block(FILE, &FileV1 { name, content: content.into() })?;
    }
    writer.block(END, &EndV1 { blocks: writer.blocks, pairs })?;
    let sha = writer.sha.clone().finalize().to_vec();
    writer.raw(sha)
}

/// What a reader finds in a backup.
#[cfg_attr(feature = "sim", expect(dead_code, reason = "nothing is restored there"))]
pub(crate) enum Block {
    Pairs(Vec<PairV1>),
    File(FileV1),
}

/// Reads a backup block by block, and checks each block.
pub(crate) struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    at: u64,
    sha: Sha256,
    blocks: u64,
    pairs: u64,
    pub(crate) head: HeadV1,
    files: Vec<String>,
}

impl Reader {
    /// Opens a backup and reads its head.
    pub(crate) fn open(path: &Path) -> Result<Self, BackupError> {
        let file = File::open(path).map_err(|source| BackupError::Io { path: path.to_owned(), source })?;
        let head = HeadV1 {
            cluster_id: [0; 16],
            applied: StoredLogId::default(),
            stamp: StampV1::default(),
            id_ms: 0,
            last_node_id: 0,
            taken_ms: 0,
            release: String::new(),
        };
        let mut reader = Self {
            path: path.to_owned(),
            file: BufReader::with_capacity(1 << 20, file),
            at: 0,
            sha: Sha256::new(),
            blocks: 0,
            pairs: 0,
            head,
            files: Vec::new(),
        };
        let start = reader.take(12).map_err(|error| match error {
            BackupError::Damaged { .. } => BackupError::NotABackup,
            other => other,
        })?;
        let Some((magic, version)) = start.split_first_chunk::<8>() else {
            return Err(BackupError::NotABackup);
        };
        if magic != MAGIC {
            return Err(BackupError::NotABackup);
        }
        let version = version.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        if version > VERSION {
            return Err(BackupError::Newer { version });
        }
        match reader.block()? {
            (HEAD, content) => reader.head = reader.decoded(&content)?,
            _ => return Err(reader.damaged("the first block is not a head")),
        }
        Ok(reader)
    }

    fn damaged(&self, reason: impl ToString) -> BackupError {
        BackupError::Damaged { at: self.at, reason: reason.to_string() }
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, BackupError> {
        let mut bytes = vec![0; length];
        match self.file.read_exact(&mut bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(self.damaged("the file ends here"));
            }
            Err(source) => return Err(BackupError::Io { path: self.path.clone(), source }),
        }
        self.at += length as u64;
        self.sha.update(&bytes);
        Ok(bytes)
    }

    fn block(&mut self) -> Result<(u8, Vec<u8>), BackupError> {
        let head = self.take(9)?;
        let number =
            |at: usize| head[at..at + 4].iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        let (length, crc) = (number(1) as usize, number(5));
        if length > MAX_ENCODED {
            return Err(self.damaged(format!("a block has a length of {length} bytes")));
        }
        let content = self.take(length)?;
        if checksum(&head[..5], &content) != crc {
            return Err(self.damaged("the checksum of a block does not match"));
        }
        self.blocks += 1;
        Ok((head[0], content))
    }

    fn decoded<T: DeserializeOwned>(&self, content: &[u8]) -> Result<T, BackupError> {
        wire::decode(content).map_err(|error| self.damaged(error))
    }

    /// The next block; `None` after a complete end.
    pub(crate) fn next(&mut self) -> Result<Option<Block>, BackupError> {
        match self.block()? {
            (PAIRS, content) => {
                let pairs: Vec<PairV1> = self.decoded(&content)?;
                self.pairs += pairs.len() as u64;
                Ok(Some(Block::Pairs(pairs)))
            }
            (FILE, content) => {
                let file: FileV1 = self.decoded(&content)?;
                self.files.push(file.name.clone());
                Ok(Some(Block::File(file)))
            }
            (END, content) => {
                let end: EndV1 = self.decoded(&content)?;
                self.ended(&end)?;
                Ok(None)
            }
            (kind, _) => Err(self.damaged(format!("a block has the unexpected kind {kind}"))),
        }
    }

    fn ended(&mut self, end: &EndV1) -> Result<(), BackupError> {
        if (end.blocks + 1, end.pairs) != (self.blocks, self.pairs) {
            return Err(self.damaged("blocks are missing"));
        }
        let expected = self.sha.clone().finalize();
        if self.take(expected.len())? != expected.as_slice() {
            return Err(self.damaged("its SHA-256 does not match"));
        }
        match self.file.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(self.damaged("something follows the end")),
            Err(source) => Err(BackupError::Io { path: self.path.clone(), source }),
        }
    }

    /// The facts about the backup; complete once all blocks were read.
    pub(crate) fn info(&self) -> BackupInfo {
        BackupInfo {
            format: VERSION,
            cluster_id: shown(&self.head.cluster_id),
            applied_index: self.head.applied.index,
            time_ms: self.head.stamp.time_ms,
            ids_ms: self.head.id_ms,
            taken_ms: self.head.taken_ms,
            release: self.head.release.clone(),
            records: self.pairs,
            files: self.files.clone(),
            bytes: self.at,
        }
    }
}

/// Reads a whole backup and checks it.
///
/// # Errors
/// If the backup cannot be read or is damaged.
pub fn verify(path: &Path) -> Result<BackupInfo, BackupError> {
    let mut reader = Reader::open(path)?;
    let mut last: Option<Vec<u8>> = None;
    while let Some(block) = reader.next()? {
        let Block::Pairs(pairs) = block else { continue };
        for PairV1 { key, record } in pairs {
            if last.as_ref().is_some_and(|last| *last >= *key) {
                return Err(reader.damaged("its keys are out of order"));
            }
            store::check(&key, &record).map_err(|error| reader.damaged(error))?;
            last = Some(key.into_vec());
        }
    }
    Ok(reader.info())
}

#[cfg(all(test, not(feature = "sim")))]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;

    /// A backup without pairs, at index 42; the highest node id is 7.
    pub(crate) fn small(root: &Path) -> PathBuf {
        let path = root.join("small.backup");
        let mut bytes = Vec::new();
        let mut take = |piece: Vec<u8>| {
            bytes.extend(piece);
            true
        };
        let mut writer = Writer { sha: Sha256::new(), blocks: 0, take: &mut take };
        let head = HeadV1 {
            cluster_id: [1; 16],
            applied: StoredLogId { term: 1, node: 1, index: 42 },
            stamp: StampV1 { time_ms: 1, expiry_ms: 1, checked: false },
            id_ms: 1,
            last_node_id: 7,
            taken_ms: 2,
            release: "0".to_owned(),
        };
        writer.raw([&MAGIC[..], &VERSION.to_le_bytes()].concat()).unwrap();
        writer.block(HEAD, &head).unwrap();
        writer.block(END, &EndV1 { blocks: writer.blocks, pairs: 0 }).unwrap();
        let sha = writer.sha.clone().finalize().to_vec();
        writer.raw(sha).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }
}
