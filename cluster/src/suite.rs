//! openraft's own storage suite on the real log and the real store.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};

use crate::config::Config;
use crate::error::StoreError;
use crate::fatal::Fatal;
use crate::log::Log;
use crate::machine::{ApplyContext, Load, StateMachine};
use crate::store::{CheckpointAfter, Machine, Store, Txn, View, Worker};
use crate::types::Types;

struct Nothing;

impl StateMachine for Nothing {
    fn load(&mut self, _: &View, _: Load) -> Result<(), StoreError> {
        Ok(())
    }
    fn apply(&mut self, _: &mut ApplyContext, _: &[u8], _: &mut Txn<'_>) -> Result<Vec<u8>, StoreError> {
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
