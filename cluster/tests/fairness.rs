//! Flows take turns, counted in bytes, and none fills the queue.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::Nodes;
use tokio::task::JoinSet;
use waypost_cluster::{Cluster, Flow, ProposeError};

const LARGE: usize = 900 * 1024;
/// Proposers of the flow with large commands.
const PROPOSERS: usize = 16;

/// Proposers of large commands of one flow. Each proposes the next command when it has an answer.
struct Heavy {
    stop: Arc<AtomicBool>,
    /// The log indexes of the stored commands.
    stored: Arc<Mutex<Vec<u64>>>,
    /// How often the flow's part of the queue was full.
    refused: Arc<AtomicUsize>,
    tasks: JoinSet<()>,
}

impl Heavy {
    fn start(node: &Cluster, flow: Flow) -> Self {
        let (stop, refused) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let stored = Arc::<Mutex<Vec<u64>>>::default();
        let mut tasks = JoinSet::new();
        for _ in 0..PROPOSERS {
            let (node, stop, stored, refused) = (node.clone(), stop.clone(), stored.clone(), refused.clone());
            tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    match node.propose(flow, vec![7; LARGE]).await {
                        Ok(proposed) => stored.lock().unwrap().push(proposed.index),
                        Err(ProposeError::FlowFull) => {
                            refused.fetch_add(1, Ordering::Relaxed);
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                        Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                    }
                }
            });
        }
        Self { stop, stored, refused, tasks }
    }

    fn stored(&self) -> usize {
        self.stored.lock().unwrap().len()
    }

    async fn end(self) -> Vec<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.tasks.join_all().await;
        std::mem::take(&mut *self.stored.lock().unwrap())
    }
}

/// Proposes a small command until it is stored. Returns its log index.
async fn small(node: &Cluster, flow: Flow) -> u64 {
    loop {
        match node.propose(flow, b"small".to_vec()).await {
            Ok(proposed) => return proposed.index,
            Err(ProposeError::FlowFull) => panic!("a flow with one command is full"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// A small command that is proposed right after the one before waits for few large ones, although sixteen of
/// another flow wait at any time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_command_passes_the_large_ones_of_another_flow() {
    let nodes = Nodes::voters_with(3, |c| c.propose_timeout = Duration::from_secs(60)).await;
    let leader = nodes.leader().await;
    for at in [leader, (leader + 1) % 3] {
        let node = nodes.slots[at].node();
        let heavy = Heavy::start(node, Flow(1));
        nodes.until("large commands are stored", |_| heavy.stored() >= PROPOSERS).await;
        let mut indexes = Vec::new();
        for _ in 0..15 {
            indexes.push(small(node, Flow(2)).await);
        }
        let large = heavy.end().await;
        let between = |two: &[u64]| large.iter().filter(|index| (two[0]..two[1]).contains(index)).count();
        let mut passed: Vec<usize> = indexes.windows(2).map(between).collect();
        passed.sort_unstable();
        println!("at node {at}, the leader is {leader}: large commands between two small ones: {passed:?}");
        assert!(
            passed[passed.len() / 2] <= 6,
            "a small command waits for those that came before: {passed:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flow_that_fills_its_part_of_the_queue_does_not_fill_the_rest() {
    let nodes = Nodes::voters_with(3, |c| {
        c.propose_timeout = Duration::from_secs(60);
        c.max_queued_bytes = 8 << 20;
    })
    .await;
    let leader = nodes.leader().await;
    let node = nodes.slots[(leader + 1) % 3].node();
    let heavy = Heavy::start(node, Flow(1));
    nodes.until("the flow to be full", |_| heavy.refused.load(Ordering::Relaxed) >= 20).await;
    for flow in 2..40 {
        small(node, Flow(flow)).await;
    }
    let before = heavy.stored();
    nodes.until("the full flow to go on", |_| heavy.stored() > before).await;
    heavy.end().await;
    nodes
        .until("all have applied the same", |nodes| {
            let last = nodes.up().map(|c| c.status().last_log).max();
            nodes.up().all(|c| Some(c.applied()) == last)
        })
        .await;
}
