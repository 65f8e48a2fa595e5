#![allow(clippy::unwrap_used)]

use openraft::storage::{IOFlushed, RaftLogStorage};

use super::*;
use crate::config::Config;
use crate::log::Log;
use crate::mend::broken::{Broken, Need};
use crate::types::{Data, Payload, Vote};
use crate::wire::StoredVote;

const TERM: u64 = 1;
const VOTE: StoredVote = StoredVote { term: TERM, node: 1, committed: true };
const ENTRIES: u64 = 12;

fn id(index: u64) -> StoredLogId {
    StoredLogId { term: TERM, node: 1, index }
}

fn content(index: u64) -> Vec<u8> {
    vec![u8::try_from(index).unwrap(); 40]
}

/// A log in several files.
async fn written(dir: &Path, chunk_bytes: usize) {
    let wait = std::time::Duration::ZERO;
    let config = Config { log_flush_wait: wait, log_chunk_bytes: chunk_bytes, ..Config::default() };
    let mut log = Log::open(dir, &config).unwrap();
    log.save_vote(&Vote::from(VOTE)).await.unwrap();
    for index in 0..ENTRIES {
        let payload = Payload::Normal(Data(content(index).into()));
        log.append([Entry { log_id: id(index).into(), payload }], IOFlushed::noop()).await.unwrap();
    }
    log.sync().await.unwrap();
}

fn read(dir: &Path) -> (Raw, Broken) {
    let mut broken = Broken::default();
    let raw = Raw::read(dir, &mut |piece| broken.take(piece)).unwrap();
    (raw, broken)
}

fn shown(entry: &Entry) -> Vec<u8> {
    match &entry.payload {
        Payload::Normal(data) => data.0.to_vec(),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn a_log_that_raft_log_wrote_is_read_whole() {
    let dir = tempfile::tempdir().unwrap();
    for (name, chunk_bytes) in [("one", 1 << 20), ("many", 256)] {
        let dir = dir.path().join(name).join("raft");
        std::fs::create_dir_all(dir.parent().unwrap()).unwrap();
        written(&dir, chunk_bytes).await;
        assert_eq!(files(&dir).unwrap().len() > 1, name == "many");
        let (raw, broken) = read(&dir);
        assert_eq!(broken.need(), Need::Nothing);
        assert!(broken.is_whole(0, ENTRIES - 1) && broken.end_is_sure() && broken.vote_is_sure);
        assert_eq!((broken.vote, broken.last()), (Some(VOTE), Some(id(ENTRIES - 1))));
        for index in 0..ENTRIES {
            assert_eq!(shown(&raw.entry(id(index)).unwrap()), content(index));
        }
    }
}

/// Whichever bit is flipped: at most the record that it is in is lost, it is known that it is lost, and what
/// is read is what was written.
#[tokio::test]
async fn a_flipped_bit_costs_no_more_than_its_record() {
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().join("raft");
    written(&good, 1 << 20).await;
    let name = files(&good).unwrap().pop().unwrap().1.file_name().unwrap().to_owned();
    let whole = std::fs::read(good.join(&name)).unwrap();
    let trial = dir.path().join("trial");
    std::fs::create_dir_all(&trial).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(trial.join(&name), &bytes).unwrap();
        let (raw, broken) = read(&trial);
        let held = (0..ENTRIES).filter(|index| broken.id(*index).is_some());
        let held: Vec<u64> = held.collect();
        assert!(held.len() as u64 + 1 >= ENTRIES, "bit {bit}: {held:?}");
        for index in &held {
            assert_eq!(shown(&raw.entry(id(*index)).unwrap()), content(*index), "bit {bit}");
        }
        if held.len() as u64 != ENTRIES {
            assert!(broken.need() != Need::Nothing, "bit {bit}: {held:?}");
        }
    }
}

#[test]
fn records_within_an_entry_are_no_records_of_the_log() {
    let vote = [[0_u8; 4].as_slice(), &[1; 17]].concat();
    let inner = [vote.as_slice(), &u64::from(crc32fast::hash(&vote)).to_be_bytes()].concat();
    let (_, length) = decode(&inner).unwrap();
    assert_eq!(length, inner.len());
    // Bytes that are no records, some that look like two, others that are none, then two of the log.
    let bytes =
        [vec![9; 30], inner.clone(), inner.clone(), vec![9; 40], inner.clone(), inner.clone()].concat();
    assert_eq!(resume(&bytes, 1, true), Some(bytes.len() - 2 * inner.len()));
    assert_eq!(resume(&bytes[..bytes.len() - 2 * inner.len()], 1, true), None);
}
