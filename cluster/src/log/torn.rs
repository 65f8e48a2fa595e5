//! Opens the log's files, and cuts off the end that a power cut tore, where raft-log takes it for damage.
//!
//! raft-log itself cuts off an end that is too short or all zeros. A power cut may also write some sectors of
//! what was not synced and lose others before them: a sector that was never written is all zeros, and what
//! follows is whole.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft_log::codeq::Decode;
use raft_log::{RaftLog, RaftLogRecord, WALRecord, chunked_wal};

use super::writer::LogTypes;
use crate::dir::sync_dir;
use crate::tail::{End, end_at};

/// The smallest part of a file that a disk writes or loses (bytes).
const SECTOR: usize = 512;
/// No record begins with more zeros. Only a vote begins with more than four.
const MOST_ZEROS: usize = 16;
/// The length of a vote's record.
const VOTE: usize = 29;
/// How each record begins that may contain a mark: its kind, and the version of its layout.
const MARKED: [u8; 5] = [0, 0, 0, 5, 1];

/// The bytes of a file that cannot be read: a record begins at `at`, and reading it failed at `upto`.
struct Gap {
    at: usize,
    upto: usize,
}

/// Opens the files of the log, without the end that a power cut tore off.
pub(super) fn open(settings: Arc<raft_log::Config>, dir: &Path) -> io::Result<RaftLog<LogTypes>> {
    let opened = RaftLog::<LogTypes>::open(settings.clone());
    let is_unreadable = |error: &io::Error| error.kind() == io::ErrorKind::InvalidData;
    if opened.as_ref().is_err_and(is_unreadable) && mend(dir)? {
        return RaftLog::open(settings);
    }
    opened
}

/// Cuts the torn end off the log in `dir`; durable when this returns. False if there is none, or if it is
/// damage.
fn mend(dir: &Path) -> io::Result<bool> {
    // Only the last file can be torn: it is begun once the one before it is on disk.
    let Some((start, path)) = last_file(dir)? else { return Ok(false) };
    let bytes = fs::read(&path)?;
    let Some(gap) = first_gap(&bytes) else { return Ok(false) };
    let position = start + gap.at as u64;
    if end_at(position, is_missing(&bytes, &gap), marks(&bytes[gap.at..])) == End::Damaged {
        return Ok(false);
    }
    let lost = bytes.len() - gap.at;
    tracing::warn!(path = %path.display(), at = gap.at, lost, "cutting off the end that a power cut tore");
    cut_off(&path, gap.at)?;
    Ok(true)
}

/// The last file of the log, and its position.
fn last_file(dir: &Path) -> io::Result<Option<(u64, PathBuf)>> {
    let mut last: Option<(u64, PathBuf)> = None;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if let Ok(start) = chunked_wal::Config::parse_chunk_file_name(&entry.file_name().to_string_lossy()) {
            last = last.max(Some((start, entry.path())));
        }
    }
    Ok(last)
}

fn first_gap(bytes: &[u8]) -> Option<Gap> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let at = bytes.len() - rest.len();
        if RaftLogRecord::<LogTypes>::decode(&mut rest).is_err() {
            return Some(Gap { at, upto: bytes.len() - rest.len() });
        }
    }
    None
}

/// Whether a sector that the record lies in was never written.
fn is_missing(bytes: &[u8], gap: &Gap) -> bool {
    let mut sectors = gap.at / SECTOR..gap.upto.div_ceil(SECTOR);
    sectors.any(|sector| {
        let from = gap.at.max(sector * SECTOR);
        let upto = bytes.len().min((sector + 1) * SECTOR);
        let zeros = upto - from;
        // A record may begin with a few zeros just before the end of a sector that is whole.
        let is_record = from == gap.at && (zeros <= 4 || zeros <= MOST_ZEROS && is_vote(bytes, gap.at));
        !is_record && bytes[from..upto].iter().all(|byte| *byte == 0)
    })
}

/// Whether the record at `at` is as long as a vote, since another record, or nothing, follows it.
fn is_vote(bytes: &[u8], at: usize) -> bool {
    let rest = bytes.get(at + VOTE..).unwrap_or_default();
    rest.is_empty() || RaftLogRecord::<LogTypes>::decode(rest).is_ok()
}

/// The positions that the marks in `bytes` name.
fn marks(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let starts = bytes.windows(MARKED.len()).enumerate().filter(|(_, window)| *window == MARKED);
    starts.filter_map(move |(at, _)| match RaftLogRecord::<LogTypes>::decode(&bytes[at..]) {
        Ok(WALRecord::Checkpoint(state)) => state.user_data.map(|mark| mark.0),
        _ => None,
    })
}

fn cut_off(path: &Path, at: usize) -> io::Result<()> {
    if at == 0 {
        fs::remove_file(path)?;
        return sync_dir(path.parent());
    }
    let file = File::options().write(true).open(path)?;
    file.set_len(at as u64)?;
    file.sync_all()
}
