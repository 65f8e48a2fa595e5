//! A consistent copy of the applied state in one file, made while the cluster runs.
//!
//! The format of the file: the magic `WPBACKUP`, the version (4 bytes, little-endian), then blocks, and at
//! the end the SHA-256 of everything before it. A block has a kind (1 byte), a length (4), the CRC-32 of
//! kind, length and content (4), and the content. The blocks are one head, the pairs in the order of their
//! keys, further files, and one end.
//!
//! The end has an HMAC-SHA256 of the SHA-256 of everything before the end, under a key that only the nodes of
//! the cluster have: it proves where the backup is from.
//!
//! Only a few blocks are in memory at a time. A reader detects a file that is incomplete.

mod key;
mod read;
#[cfg(all(test, not(feature = "sim")))]
pub(crate) mod tests;
mod write;

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::error::StoreError;
use crate::wire::{StampV1, StoredLogId};

pub use key::{BackupKey, BackupOrigin, Expected};
pub use read::verify;
#[cfg(not(feature = "sim"))]
pub(crate) use read::{Block, Reader};
pub(crate) use write::Backups;

const MAGIC: &[u8; 8] = b"WPBACKUP";
/// The format that this release writes, and the newest that it reads.
const VERSION: u32 = 2;
/// The format without a proof of origin.
const UNPROVED_VERSION: u32 = 1;
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

/// The last block of format 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct EndV1 {
    blocks: u64,
    pairs: u64,
}

/// The last block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct EndV2 {
    blocks: u64,
    pairs: u64,
    /// The proof of the origin, if the node had the key.
    proof: Option<ByteBuf>,
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
    /// It was made by a cluster with another key, or changed since.
    #[error("the backup is not from the cluster that this key belongs to, or was changed")]
    Foreign,
    /// It has a file that no backup has.
    #[error("the backup has a file named {0:?}, which no backup has")]
    UnknownFile(String),
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
    /// What is known about its origin.
    pub origin: BackupOrigin,
    /// Size (bytes).
    pub bytes: u64,
}

fn checksum(head: &[u8], content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(content);
    hasher.finalize()
}
