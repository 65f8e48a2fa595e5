//! The applying thread by itself.
#![allow(clippy::unwrap_used)]

use std::sync::Mutex;

use super::*;
use crate::config::Config;
use crate::store::{AppliedHere, Waiter};
use crate::types::Member;
use crate::wire::{IncarnationV1, ProposalV1};

const NODE: u64 = 1;

/// A machine whose replies are the commands. It panics if the waiter is told before readers see the entries.
struct Watching(Arc<Mutex<Waiter>>);

impl Watching {
    fn check(&self) {
        assert!(self.0.lock().unwrap().get().is_none(), "told too early");
    }
}

impl StateMachine for Watching {
    fn load(&mut self, _: &View, _: Load) -> Result<(), StoreError> {
        Ok(())
    }

    fn apply(
        &mut self,
        _: &mut ApplyContext,
        command: &Bytes,
        _: &mut Txn<'_>,
    ) -> Result<Vec<u8>, StoreError> {
        self.check();
        Ok(command.to_vec())
    }

    fn committed(&mut self, _: u64) {
        self.check();
    }
}

/// An entry that another node proposed.
fn entry(index: u64, part: PartV1<'_>) -> Item {
    let data = EntryData::CommandsV2 { stamp: StampV1::default(), parts: vec![part] }.to_data().unwrap();
    let log_id = StoredLogId { term: 1, node: NODE + 1, index };
    (Entry { log_id: log_id.into(), payload: EntryPayload::Normal(data) }, None)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_of_this_node_is_told_once_readers_see_it() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { abort_on_fatal: false, ..Config::default() };
    let log = Log::open(&dir.path().join("raft"), &config).unwrap();
    let store = Arc::new(Store::open(&dir.path().join("state.redb"), 1 << 20, true).unwrap());
    store.state_mut().membership.nodes.push((NODE, (&Member::default()).into()));
    let incarnation = IncarnationV1 { ordinal: 1, process: 7 };
    let proposal = |number| ProposalV1 { incarnation, number, open: vec![] };
    let waiter = Arc::new(Mutex::new(store.waiters().wait_for(NODE, &proposal(2))));
    let worker = Worker::start(
        store.clone(),
        log,
        Box::new(Watching(waiter.clone())),
        dir.path().join("snapshot"),
        CheckpointAfter { bytes: 1 << 20 },
        Arc::new(Fatal::new(&config)),
    )
    .await
    .unwrap();
    let command = serde_bytes::Bytes::new(b"a");
    let part = |number| PartV1 { node: NODE, proposal: proposal(number), commands: vec![command] };
    worker.apply(vec![entry(1, part(1)), entry(2, part(2)), entry(3, part(3))]).await.unwrap();
    let told = waiter.lock().unwrap().get();
    assert_eq!(told, Some(AppliedHere { index: 2, time_ms: 0, replies: vec![b"a".to_vec()] }));
    assert_eq!(View::of(&store).unwrap().applied(), 3);
}
