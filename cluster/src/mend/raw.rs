//! Reads the files of a log around what is damaged in them.
//!
//! raft-log opens a log only if all of it is whole, so its file format is read here. What is relied on: the
//! files are named `r-<offset>.wal`, where the offset counts the bytes of all files before (its digits in
//! groups of three); a file is a sequence of records and nothing else; a record has a kind (4 bytes,
//! big-endian, 0 to 5), a content whose length it determines itself, and a checksum of both. raft-log decodes
//! each record. The marks that the log makes (`log::positions`) are records of its state. A test writes a log
//! with raft-log and reads it here, so another format fails it.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use raft_log::codeq::Decode;
use raft_log::{RaftLogAction, RaftLogRecord, WALRecord};

use super::broken::{Piece, voters};
use crate::log::LogTypes;
use crate::types::Entry;
use crate::wire::StoredLogId;

type Record = RaftLogRecord<LogTypes>;

/// The fewest bytes of a record: kind, and checksum.
const SHORTEST: usize = 4 + 8;
/// The highest kind of a record.
const HIGHEST_KIND: u8 = 5;

/// Where an entry is.
#[derive(Debug, Clone, Copy)]
struct Place {
    file: usize,
    at: u64,
    length: usize,
}

/// The files of a log, and where the whole entries are in them. One file at a time is in memory.
#[derive(Debug, Default)]
pub(crate) struct Raw {
    files: Vec<PathBuf>,
    places: HashMap<StoredLogId, Place>,
}

impl Raw {
    /// Reads all files in `dir`, which may be absent, and hands over what is in them, in order.
    pub(crate) fn read(dir: &Path, take: &mut dyn FnMut(Piece)) -> io::Result<Self> {
        let mut raw = Self::default();
        let mut end = None;
        let files = files(dir)?;
        let last = files.last().map(|(offset, _)| *offset);
        for (offset, path) in files {
            if end.is_some_and(|end| end != offset) {
                // A file is missing, or is shorter or longer than it was.
                take(Piece::Damage(u64::MAX));
            }
            let bytes = std::fs::read(&path)?;
            end = Some(offset + bytes.len() as u64);
            raw.files.push(path);
            raw.walk(&bytes, last == Some(offset), take);
        }
        Ok(raw)
    }

    /// Takes the records of the file that was added. Only the last file of a log can end within a record.
    fn walk(&mut self, bytes: &[u8], is_last: bool, take: &mut dyn FnMut(Piece)) {
        let file = self.files.len().saturating_sub(1);
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            match decode(rest) {
                Ok((record, length)) => {
                    let piece = piece(&record);
                    if let Piece::Entry(id) = piece {
                        self.places.insert(id, Place { file, at: at as u64, length });
                    }
                    take(piece);
                    if let WALRecord::Action(RaftLogAction::Append(id, payload)) = &record {
                        voters(id.index, &payload.0).into_iter().for_each(&mut *take);
                    }
                    at += length;
                }
                // A record that was being written when the process ended, as raft-log itself takes it.
                Err(error) if is_last && is_torn(&error, rest) => return,
                Err(_) => {
                    let next = resume(bytes, at + 1, is_last);
                    take(Piece::Damage((next.unwrap_or(bytes.len()) - at) as u64));
                    match next {
                        Some(next) => at = next,
                        None => return,
                    }
                }
            }
        }
    }

    /// The whole entry with that id.
    pub(crate) fn entry(&self, id: StoredLogId) -> io::Result<Entry> {
        let gone = || io::Error::other(format!("the log no longer has {id:?}"));
        let place = self.places.get(&id).ok_or_else(gone)?;
        let path = self.files.get(place.file).ok_or_else(gone)?;
        let mut bytes = vec![0; place.length];
        File::open(path)?.read_exact_at(&mut bytes, place.at)?;
        match decode(&bytes)? {
            (WALRecord::Action(RaftLogAction::Append(found, payload)), _) if found == id => {
                Ok(Entry { log_id: id.into(), payload: payload.0 })
            }
            _ => Err(gone()),
        }
    }
}

/// The files with their offsets, in order.
fn files(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Some(offset) = offset(&entry.file_name().to_string_lossy()) {
            files.push((offset, entry.path()));
        }
    }
    files.sort();
    Ok(files)
}

/// The offset that a file's name says.
fn offset(name: &str) -> Option<u64> {
    name.strip_prefix("r-")?.strip_suffix(".wal")?.replace('_', "").parse().ok()
}

fn decode(bytes: &[u8]) -> io::Result<(Record, usize)> {
    let mut rest = bytes;
    let record = Record::decode(&mut rest)?;
    Ok((record, bytes.len() - rest.len()))
}

/// Whether a record that cannot be decoded is only incomplete, or was never written.
fn is_torn(error: &io::Error, rest: &[u8]) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof || rest.iter().all(|byte| *byte == 0)
}

fn piece(record: &Record) -> Piece {
    match record {
        WALRecord::Action(RaftLogAction::SaveVote(vote)) => Piece::Vote(*vote),
        WALRecord::Action(RaftLogAction::Append(id, _)) => Piece::Entry(*id),
        WALRecord::Action(RaftLogAction::Commit(id)) => Piece::Committed(*id),
        WALRecord::Action(RaftLogAction::TruncateAfter(id)) => Piece::Truncated(*id),
        WALRecord::Action(RaftLogAction::PurgeUpto(id)) => Piece::Purged(*id),
        WALRecord::Checkpoint(state) => Piece::State {
            vote: state.vote().copied(),
            last: state.last().copied(),
            committed: state.committed().copied(),
            purged: state.purged().copied(),
        },
    }
}

/// Where whole records begin again: the first place from which on all are whole up to the end of the file.
///
/// What an application wrote may look like records. Such bytes end within the record that contains them, so
/// they are never followed by whole records up to the end.
fn resume(bytes: &[u8], from: usize, is_last: bool) -> Option<usize> {
    let mut at = from;
    while at + SHORTEST <= bytes.len() {
        let begins = bytes[at..].starts_with(&[0, 0, 0]) && bytes[at + 3] <= HIGHEST_KIND;
        if !begins {
            at += 1;
            continue;
        }
        match run(bytes, at, is_last) {
            Run::ToTheEnd => return Some(at),
            // All records of the run end at the same place, so none of them is a better beginning.
            Run::Upto(end) => at = end.max(at + 1),
        }
    }
    None
}

/// How far whole records follow each other.
enum Run {
    ToTheEnd,
    Upto(usize),
}

fn run(bytes: &[u8], from: usize, is_last: bool) -> Run {
    let mut at = from;
    while at < bytes.len() {
        match decode(&bytes[at..]) {
            Ok((_, length)) => at += length,
            Err(error) if is_last && at > from && is_torn(&error, &bytes[at..]) => return Run::ToTheEnd,
            Err(_) => return Run::Upto(at),
        }
    }
    Run::ToTheEnd
}

#[cfg(test)]
#[path = "raw/tests.rs"]
mod tests;
