//! Nodes with empty data directories and the same settings found a cluster together.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{Nodes, Slot, insist};
use tokio::task::JoinHandle;

/// Nodes with empty directories and the same settings.
fn newcomers(dir: &Path, n: usize) -> Vec<Slot> {
    let mut slots: Vec<Slot> = (0..n).map(|i| Slot::new(&dir.join(i.to_string()), &[])).collect();
    let addrs: Vec<String> = slots.iter().map(Slot::addr).collect();
    for slot in &mut slots {
        slot.config.join = addrs.clone();
        slot.config.bootstrap_expect = 3;
    }
    slots
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newcomers_found_one_cluster_and_the_rest_joins_it() {
    let dir = tempfile::tempdir().unwrap();
    let starts = newcomers(dir.path(), 5).into_iter().map(|mut slot| {
        tokio::spawn(async move {
            slot.start().await;
            slot
        })
    });
    let mut slots = Vec::new();
    for started in starts.collect::<Vec<_>>() {
        slots.push(started.await.unwrap());
    }
    let nodes = Nodes { dir, slots };
    nodes
        .until("all vote in one cluster", |nodes| {
            nodes.up().all(|c| c.status().members.iter().filter(|member| member.voter).count() == 5)
        })
        .await;
    let ids: BTreeSet<String> = nodes.up().map(|c| c.status().cluster_id).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    insist(nodes.slots[0].node(), "together").await;
    nodes.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_set_damaged_files_aside_founds_no_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let mut slots = newcomers(dir.path(), 3);
    std::fs::create_dir_all(dir.path().join("0/damaged-1")).unwrap();
    let told = Arc::new(Mutex::new(String::new()));
    let seen = told.clone();
    slots[1].config.on_waiting =
        Some(Arc::new(move |reason: &str| *seen.lock().unwrap() = reason.to_owned()));
    let starts: Vec<_> =
        slots.into_iter().map(|mut slot| tokio::spawn(async move { slot.try_start().await })).collect();
    let end = Instant::now() + Duration::from_secs(60);
    while !told.lock().unwrap().contains("would not: bootstrap_expect is 0") {
        assert!(Instant::now() < end, "{}", told.lock().unwrap());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(starts.iter().all(|start| !start.is_finished()), "a cluster was founded");
    starts.iter().for_each(JoinHandle::abort);
}
