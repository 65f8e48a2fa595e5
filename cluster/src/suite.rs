//! openraft's own storage suite on the real log and the real store, and what the two must agree on.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::StorageError;
use openraft::storage::{RaftLogStorage, RaftStateMachine};
use openraft::testing::log::{StoreBuilder, Suite};

use crate::config::Config;
use crate::error::StoreError;
use crate::fatal::Fatal;
use crate::log::Log;
use crate::machine::{ApplyContext, Load, StateMachine};
use crate::store::{CheckpointAfter, Incoming, Machine, SnapshotData, Store, Txn, View, Worker, meta};
use crate::types::{Types, Vote};
use crate::wire::{StoredLogId, StoredVote, SystemV1};

struct Nothing;

impl StateMachine for Nothing {
    fn load(&mut self, _: &View, _: Load) -> Result<(), StoreError> {
        Ok(())
    }
    fn apply(&mut self, _: &mut ApplyContext, _: &Bytes, _: &mut Txn<'_>) -> Result<Vec<u8>, StoreError> {
        Ok(Vec::new())
    }
    fn committed(&mut self, _: u64) {}
}

/// Makes a log and a store in a folder of their own.
pub(crate) struct Builder;

impl StoreBuilder<Types, Log, Machine, tempfile::TempDir> for Builder {
    async fn build(&self) -> Result<(tempfile::TempDir, Log, Machine), StorageError<Types>> {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { abort_on_fatal: false, ..Config::default() };
        let log = Log::open(&dir.path().join("raft"), &config).unwrap();
        let store = Arc::new(Store::open(&dir.path().join("state.redb"), 1 << 20, true).unwrap());
        let fatal = Arc::new(Fatal::new(&config));
        let after = CheckpointAfter { bytes: 1 << 20 };
        let worker = Worker::start(
            store.clone(),
            log.clone(),
            Box::new(Nothing),
            dir.path().join("snapshot"),
            after,
            fatal,
        )
        .await
        .unwrap();
        Ok((dir, log, Machine::new(store, worker)))
    }
}

#[test]
fn log_and_store_pass_openrafts_suite() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(Suite::test_all(Builder)).unwrap();
}

/// Whether a node that found this store would take it for a snapshot that the log may not know of.
fn is_as_installed(dir: &Path, file: &Path) -> bool {
    let copy = dir.join("copy.redb");
    std::fs::copy(file, &copy).unwrap();
    Store::open(&copy, 1 << 20, true).unwrap().is_as_installed()
}

/// From then on a log that ends before the snapshot counts as one that has lost entries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_loses_its_mark_once_the_log_begins_after_it() {
    let (dir, log, mut machine) = Builder.build().await.unwrap();
    let at = StoredLogId { term: 1, node: 1, index: 7 };
    let state = SystemV1 { applied: Some(at), ..SystemV1::default() };
    let received = Incoming::begin(&dir.path().join("snapshot"), state).unwrap().finish(0, 0).unwrap();
    assert!(is_as_installed(dir.path(), &received.path));
    let meta = meta(&received.state).unwrap();
    machine.install_snapshot(&meta, SnapshotData::Received(received)).await.unwrap();
    assert_eq!(log.purged(), Some(at));
    assert!(!is_as_installed(dir.path(), &dir.path().join("state.redb")));
}

/// The vote for the leader that sent a snapshot is in the log that the engine does not wait for. A node that
/// came back with the snapshot and without the vote would listen to an earlier leader.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_is_put_in_place_once_the_log_is_on_disk() {
    let (dir, log, mut machine) = Builder.build().await.unwrap();
    let at = StoredLogId { term: 2, node: 1, index: 7 };
    let state = SystemV1 { applied: Some(at), ..SystemV1::default() };
    let received = Incoming::begin(&dir.path().join("snapshot"), state).unwrap().finish(0, 0).unwrap();
    let path = received.path.clone();
    let meta = meta(&received.state).unwrap();
    let mut installing = pin!(machine.install_snapshot(&meta, SnapshotData::Received(received)));
    {
        let _hang = log.hang();
        let vote = Vote::from(StoredVote { term: 2, node: 1, committed: true });
        log.clone().save_vote(&vote).await.unwrap();
        let early = tokio::time::timeout(Duration::from_millis(100), &mut installing).await;
        assert!(early.is_err() && path.exists());
    }
    installing.await.unwrap();
    assert!(!path.exists());
    assert_eq!(log.purged(), Some(at));
}
