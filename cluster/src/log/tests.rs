//! The log by itself, on a disk.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::types::{Data, Payload};
use futures_util::FutureExt;
use openraft::storage::RaftLogStorage;
use raft_log::RaftLog;
use std::sync::MutexGuard;

/// As long as it exists, the thread that writes waits, as for a disk that hangs.
pub(crate) struct Hang<'a> {
    _guard: MutexGuard<'a, RaftLog<writer::LogTypes>>,
}

impl Log {
    pub(crate) fn hang(&self) -> Hang<'_> {
        Hang { _guard: writer::lock(&self.handle.files) }
    }
}

fn open(dir: &Path) -> io::Result<Log> {
    let config = Config { log_flush_wait: std::time::Duration::ZERO, ..Config::default() };
    Log::open(dir, &config)
}

async fn told(log: &Log) -> String {
    let state = {
        let now = log.handle.shared.now();
        format!("{:?} {:?}", now.vote, now.last)
    };
    format!("{state} {:?}", log.read(0, u64::MAX, ALL).await)
}

/// Whichever single bit of the log's file is flipped: either the log does not open, or it has all its
/// data.
#[tokio::test]
async fn no_flipped_bit_cuts_off_synced_records() {
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().join("good");
    let trial = dir.path().join("trial");
    let mut log = open(&good).unwrap();
    let term = 1;
    let node = 1;
    log.save_vote(&Vote::from(StoredVote { term, node, committed: true })).await.unwrap();
    for index in 0..6 {
        let log_id = StoredLogId { term, node, index }.into();
        let payload = Payload::Normal(Data(vec![index as u8; 40].into()));
        log.append([Entry { log_id, payload }], IOFlushed::noop()).await.unwrap();
    }
    log.sync().await.unwrap();
    let expected = told(&log).await;
    drop(log);
    let name = std::fs::read_dir(&good).unwrap().flatten().map(|e| e.file_name()).max().unwrap();
    let whole = std::fs::read(good.join(&name)).unwrap();
    let mut cut = Vec::new();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        // Each trial begins without files that opening created.
        let _ = std::fs::remove_dir_all(&trial);
        std::fs::create_dir_all(&trial).unwrap();
        std::fs::write(trial.join(&name), &bytes).unwrap();
        if let Ok(log) = open(&trial)
            && told(&log).await != expected
        {
            cut.push((bit / 8, bit % 8));
        }
    }
    assert!(cut.is_empty(), "{} of {} bits: {cut:?}", cut.len(), whole.len() * 8);
}

/// The only file of the log in `dir`.
fn file(dir: &Path) -> std::path::PathBuf {
    std::fs::read_dir(dir).unwrap().flatten().map(|entry| entry.path()).max().unwrap()
}

/// An entry that lies in more than one sector.
fn large(index: u64) -> Entry {
    let log_id = StoredLogId { term: 1, node: 1, index }.into();
    Entry { log_id, payload: Payload::Normal(Data(vec![index as u8 + 1; 700].into())) }
}

/// Opens a log of one file with that content.
fn open_with(dir: &Path, name: &std::ffi::OsStr, bytes: &[u8]) -> io::Result<Log> {
    // Each trial begins without files that opening created.
    let _ = std::fs::remove_dir_all(dir);
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(dir.join(name), bytes).unwrap();
    open(dir)
}

/// Whichever sectors of what was not synced a power cut loses: the log opens, and has everything before them.
#[tokio::test]
async fn a_hole_that_a_power_cut_tore_ends_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (good, trial) = (dir.path().join("good"), dir.path().join("trial"));
    let mut log = open(&good).unwrap();
    log.save_vote(&Vote::from(StoredVote { term: 1, node: 1, committed: true })).await.unwrap();
    let mut first = 0;
    // The synced part does not end just before the end of a sector: what is lost there is told from a vote
    // that is damaged only if there is enough of it.
    let synced = loop {
        log.append([large(first)], IOFlushed::noop()).await.unwrap();
        log.sync().await.unwrap();
        first += 1;
        let length = std::fs::metadata(file(&good)).unwrap().len() as usize;
        if length % 512 < 400 {
            break length;
        }
    };
    log.append((first..first + 8).map(large), IOFlushed::noop()).await.unwrap();
    drop(log);
    let path = file(&good);
    let whole = std::fs::read(&path).unwrap();
    let sectors = whole.len().div_ceil(512) - synced / 512;
    // Each sector alone, and every other one.
    let each = (0..sectors).map(|lost| vec![lost]);
    let some = [0, 1].map(|begin| (begin..sectors).step_by(2).collect::<Vec<_>>());
    for lost in each.chain(some) {
        let mut bytes = whole.clone();
        for sector in &lost {
            let from = (synced / 512 + sector) * 512;
            let upto = bytes.len().min(from + 512);
            bytes[from.max(synced)..upto].fill(0);
        }
        let log = open_with(&trial, path.file_name().unwrap(), &bytes)
            .unwrap_or_else(|error| panic!("without {lost:?} of {sectors} sectors: {error}"));
        let held = log.read(0, u64::MAX, ALL).await.unwrap();
        assert!(held.len() as u64 >= first, "{} entries without {lost:?}", held.len());
        let expected: Vec<_> = (0..held.len() as u64).map(large).collect();
        assert_eq!(format!("{held:?}"), format!("{expected:?}"));
        assert!(log.handle.shared.now().vote.is_some());
    }
}

/// A sector that was synced and is lost is damage, since a mark behind it says that it was there.
#[tokio::test]
async fn a_lost_sector_that_was_synced_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let (good, trial) = (dir.path().join("good"), dir.path().join("trial"));
    let mut log = open(&good).unwrap();
    for index in 0..8 {
        log.append([large(index)], IOFlushed::noop()).await.unwrap();
        log.sync().await.unwrap();
    }
    drop(log);
    let path = file(&good);
    let whole = std::fs::read(&path).unwrap();
    // The last entry may have no mark behind it.
    for sector in 0..(whole.len() - 1600) / 512 {
        let mut bytes = whole.clone();
        bytes[sector * 512..(sector + 1) * 512].fill(0);
        let opened = open_with(&trial, path.file_name().unwrap(), &bytes);
        assert!(opened.is_err(), "without sector {sector}");
    }
}

fn entry(term: u64, index: u64) -> Entry {
    let log_id = StoredLogId { term, node: 1, index }.into();
    Entry { log_id, payload: Payload::Normal(Data(vec![index as u8; 40].into())) }
}

fn ids(entries: &[Entry]) -> Vec<(u64, u64)> {
    entries.iter().map(|e| (e.log_id.leader_id.term, e.log_id.index)).collect()
}

/// Small files and no room in memory: most readings go to the files.
#[tokio::test]
async fn what_was_written_is_readable_at_once_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { log_chunk_bytes: 512, log_cache_bytes: 0, ..Config::default() };
    let mut log = Log::open(&dir.path().join("raft"), &config).unwrap();
    let mut expected = Vec::new();
    for index in 0..200 {
        log.append([entry(1, index)], IOFlushed::noop()).await.unwrap();
        expected.push((1, index));
        if index % 7 == 0 {
            assert_eq!(ids(&log.read(0, u64::MAX, ALL).await.unwrap()), expected);
        }
    }
    log.truncate_after(Some(entry(1, 149).log_id)).await.unwrap();
    expected.truncate(150);
    log.append([entry(2, 150), entry(2, 151)], IOFlushed::noop()).await.unwrap();
    expected.extend([(2, 150), (2, 151)]);
    assert_eq!(ids(&log.read(0, u64::MAX, ALL).await.unwrap()), expected);
    assert_eq!(ids(&log.read(149, 151, ALL).await.unwrap()), [(1, 149), (2, 150)]);
    log.purge(entry(1, 99).log_id).await.unwrap();
    expected.drain(..100);
    assert_eq!(ids(&log.read(0, u64::MAX, ALL).await.unwrap()), expected);
    log.save_committed(Some(entry(2, 151).log_id)).await.unwrap();
    log.save_vote(&Vote::from(StoredVote { term: 3, node: 1, committed: false })).await.unwrap();
    log.vote_on_disk().await.unwrap();
    log.sync().await.unwrap();
    assert_eq!(log.syncs().times().oldest, std::time::Duration::ZERO);
    drop(log);
    let log = Log::open(&dir.path().join("raft"), &config).unwrap();
    assert_eq!(ids(&log.read(0, u64::MAX, ALL).await.unwrap()), expected);
    let now = log.handle.shared.now();
    assert_eq!(now.vote, Some(StoredVote { term: 3, node: 1, committed: false }));
    assert_eq!((now.purged.unwrap().index, now.committed.unwrap().index), (99, 151));
}

/// While the disk hangs, writing goes on, and whoever needs something on disk waits.
#[tokio::test]
async fn nothing_counts_as_on_disk_before_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(&dir.path().join("raft")).unwrap();
    let mut writes = log.clone();
    let vote = |term| Vote::from(StoredVote { term, node: 1, committed: false });
    writes.append([entry(1, 0)], IOFlushed::noop()).await.unwrap();
    log.on_disk(0).await.unwrap();
    {
        let _hang = log.hang();
        writes.save_vote(&vote(2)).await.unwrap();
        assert!(log.vote_on_disk().now_or_never().is_none());
        writes.append([entry(2, 1), entry(2, 2)], IOFlushed::noop()).await.unwrap();
        // The entries of another leader take their place.
        writes.save_vote(&vote(3)).await.unwrap();
        writes.truncate_after(Some(entry(1, 0).log_id)).await.unwrap();
        writes.append([entry(3, 1)], IOFlushed::noop()).await.unwrap();
        assert_eq!(ids(&log.read(0, u64::MAX, ALL).await.unwrap()), [(1, 0), (3, 1)]);
        assert!(log.on_disk(0).now_or_never().is_some(), "it was on disk before");
        assert!(log.on_disk(1).now_or_never().is_none());
        assert!(log.vote_on_disk().now_or_never().is_none());
    }
    log.on_disk(1).await.unwrap();
    assert!(log.vote_on_disk().now_or_never().is_some(), "the vote was written before the entry");
    drop((log, writes));
    let log = open(&dir.path().join("raft")).unwrap();
    assert_eq!(ids(&log.read(0, u64::MAX, ALL).await.unwrap()), [(1, 0), (3, 1)]);
    assert_eq!(log.handle.shared.now().vote.unwrap().term, 3);
}

#[tokio::test]
async fn a_vote_is_on_disk_when_both_copies_are() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(&dir.path().join("raft")).unwrap();
    let vote = |term| StoredVote { term, node: 1, committed: false };
    for term in 1..4 {
        log.save_vote(&Vote::from(vote(term))).await.unwrap();
        log.vote_on_disk().await.unwrap();
        assert_eq!(log.kept_vote().unwrap(), Kept { highest: Some(vote(term)), is_sure: true });
    }
    // No file can be written there.
    for name in ["vote.0", "vote.1"] {
        std::fs::remove_file(dir.path().join(name)).unwrap();
        std::fs::create_dir(dir.path().join(name)).unwrap();
    }
    log.save_vote(&Vote::from(vote(4))).await.unwrap();
    assert!(log.vote_on_disk().await.is_err());
    assert!(log.append([entry(4, 0)], IOFlushed::noop()).await.is_err(), "the log has failed");
}
