//! Reads backups, and checks them.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::{
    BackupError, BackupInfo, BackupOrigin, END, EndV1, EndV2, Expected, FILE, FileV1, HEAD, HeadV1, MAGIC,
    PAIRS, UNPROVED_VERSION, VERSION, checksum,
};
use crate::identity::shown;
use crate::store;
use crate::wire::{self, MAX_ENCODED, PairV1, StampV1, StoredLogId};

/// What a reader finds in a backup.
#[cfg_attr(feature = "sim", expect(dead_code, reason = "nothing is restored there"))]
pub(crate) enum Block {
    Pairs(Vec<PairV1>),
    File(FileV1),
}

/// Reads a backup block by block, and checks each block.
pub(crate) struct Reader<'a> {
    path: PathBuf,
    expected: &'a Expected<'a>,
    version: u32,
    origin: BackupOrigin,
    file: BufReader<File>,
    at: u64,
    sha: Sha256,
    /// The hash of everything before the last block.
    before: Sha256,
    blocks: u64,
    pairs: u64,
    pub(crate) head: HeadV1,
    files: Vec<String>,
}

impl<'a> Reader<'a> {
    /// Opens a backup and reads its head.
    pub(crate) fn open(path: &Path, expected: &'a Expected<'a>) -> Result<Self, BackupError> {
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
            expected,
            version: VERSION,
            origin: BackupOrigin::Unproved,
            file: BufReader::with_capacity(1 << 20, file),
            at: 0,
            sha: Sha256::new(),
            before: Sha256::new(),
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
        reader.version = version;
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
                // The end is within what was to be read, and that is where to look.
                let end = self.file.get_ref().metadata().map_or(self.at, |file| file.len().max(self.at));
                return Err(BackupError::Damaged { at: end, reason: "the file ends here".to_owned() });
            }
            Err(source) => return Err(BackupError::Io { path: self.path.clone(), source }),
        }
        self.at += length as u64;
        self.sha.update(&bytes);
        Ok(bytes)
    }

    fn block(&mut self) -> Result<(u8, Vec<u8>), BackupError> {
        self.before = self.sha.clone();
        let head = self.take(9)?;
        let number =
            |at: usize| head[at..at + 4].iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        let length = number(1) as usize;
        let crc = number(5);
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
                if !self.expected.files.contains(&&*file.name) {
                    return Err(BackupError::UnknownFile(file.name));
                }
                self.files.push(file.name.clone());
                Ok(Some(Block::File(file)))
            }
            (END, content) => {
                let end = if self.version > UNPROVED_VERSION {
                    self.decoded(&content)?
                } else {
                    let EndV1 { blocks, pairs } = self.decoded(&content)?;
                    EndV2 { blocks, pairs, proof: None }
                };
                self.ended(&end)?;
                Ok(None)
            }
            (kind, _) => Err(self.damaged(format!("a block has the unexpected kind {kind}"))),
        }
    }

    fn ended(&mut self, end: &EndV2) -> Result<(), BackupError> {
        let before = self.before.clone().finalize();
        if (end.blocks + 1, end.pairs) != (self.blocks, self.pairs) {
            return Err(self.damaged("blocks are missing"));
        }
        let expected = self.sha.clone().finalize();
        if self.take(expected.len())? != expected.as_slice() {
            return Err(self.damaged("its SHA-256 does not match"));
        }
        match self.file.read(&mut [0]) {
            Ok(0) => {}
            Ok(_) => return Err(self.damaged("something follows the end")),
            Err(source) => return Err(BackupError::Io { path: self.path.clone(), source }),
        }
        self.origin = match (&end.proof, &self.expected.key) {
            (None, _) => BackupOrigin::Unproved,
            (Some(_), None) => BackupOrigin::Unchecked,
            (Some(proof), Some(key)) if key.made(&before, proof) => BackupOrigin::Proved,
            (Some(_), Some(_)) => return Err(BackupError::Foreign),
        };
        Ok(())
    }

    /// The facts about the backup; complete once all blocks were read.
    pub(crate) fn info(&self) -> BackupInfo {
        BackupInfo {
            format: self.version,
            cluster_id: shown(&self.head.cluster_id),
            applied_index: self.head.applied.index,
            time_ms: self.head.stamp.time_ms,
            ids_ms: self.head.id_ms,
            taken_ms: self.head.taken_ms,
            release: self.head.release.clone(),
            records: self.pairs,
            files: self.files.clone(),
            origin: self.origin,
            bytes: self.at,
        }
    }
}

/// Reads a whole backup and checks it.
///
/// # Errors
/// If the backup cannot be read, is damaged, or is not as expected.
pub fn verify(path: &Path, expected: &Expected<'_>) -> Result<BackupInfo, BackupError> {
    let mut reader = Reader::open(path, expected)?;
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
