//! The lead goes to a voter that has everything, or stays where it is.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;
use crate::Flow;
use crate::error::Refused;

/// Three voters.
async fn three(dir: &Path) -> Vec<Cluster> {
    let first = start(&dir.join("1"), &[], false).await;
    let second = start(&dir.join("2"), &[&first], false).await;
    let third = start(&dir.join("3"), &[&first], false).await;
    let nodes = vec![first, second, third];
    // Before the change is complete, a majority of the two voters before is needed as well.
    let votes = |node: &Cluster| voters(node).len() == 3 && !node.status().changing;
    until("all vote", || nodes.iter().all(votes)).await;
    nodes
}

/// The place of the node that leads.
async fn leading(nodes: &[Cluster]) -> usize {
    let leads = || nodes.iter().position(|node| node.status().is_leader() && node.status().has_quorum);
    until("one leads", || leads().is_some()).await;
    leads().unwrap_or(0)
}

/// Proposes until it is stored.
async fn write(node: &Cluster) {
    let end = Instant::now() + Duration::from_secs(60);
    while let Err(error) = node.propose(Flow::NONE, b"x".to_vec()).await {
        assert!(Instant::now() < end, "never stored: {error}");
    }
}

/// What a transfer to `to` is refused with by the node that leads.
async fn refusal(nodes: &[Cluster], to: NodeId) -> Refused {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let leader = &nodes[leading(nodes).await];
        match leader.node().tools.lead.give(to, Duration::from_millis(200)).await {
            // Another node has begun to lead meanwhile, or the machine is very slow.
            Ok(()) | Err(Refused::NotLeader(_) | Refused::Failed | Refused::Busy) => {}
            Err(refused) => return refused,
        }
        assert!(Instant::now() < end, "it was never refused");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_to_a_voter_that_is_gone_stops_no_writes_while_others_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = three(dir.path()).await;
    write(&nodes[0]).await;
    let at = leading(&nodes).await;
    let gone = nodes.remove((at + 1) % 3);
    gone.shutdown().await;
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = nodes
        .iter()
        .cloned()
        .map(|node| {
            let stop = stop.clone();
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    // A read may fail while the lead changes.
                    let _ = node.barrier().await;
                }
            })
        })
        .collect();
    for _ in 0..3 {
        let refused = refusal(&nodes, gone.node_id()).await;
        assert!(matches!(refused, Refused::NotTaken(_) | Refused::Behind { .. }), "{refused:?}");
        let leader = &nodes[leading(&nodes).await];
        write(leader).await;
        assert!(leader.node().engine.gate().try_pass().is_some(), "the attempt was not undone");
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_that_lacks_entries_does_not_get_the_lead() {
    const LACKS: u64 = 20;
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = three(dir.path()).await;
    let at = leading(&nodes).await;
    let gone = nodes.remove((at + 1) % 3);
    gone.shutdown().await;
    for _ in 0..LACKS {
        write(&nodes[0]).await;
    }
    let refused = refusal(&nodes, gone.node_id()).await;
    let Refused::Behind { node, entries } = refused else { panic!("{refused:?}") };
    assert!(node == gone.node_id() && entries >= LACKS, "{entries}");
    write(&nodes[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lead_goes_over_while_all_nodes_write() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = three(dir.path()).await;
    let stop = Arc::new(AtomicBool::new(false));
    let stored = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> = nodes
        .iter()
        .cloned()
        .map(|node| {
            let stop = stop.clone();
            let stored = stored.clone();
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    write(&node).await;
                    stored.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for round in 0..5 {
        let before = leading(&nodes).await;
        let term = nodes[before].status().term;
        let end = Instant::now() + Duration::from_secs(60);
        while !nodes[before].admin().hand_over(Duration::from_secs(5)).await {
            assert!(Instant::now() < end, "round {round}: the lead stays");
        }
        until("another term", || nodes.iter().any(|n| n.status().is_leader() && n.status().term > term))
            .await;
        let so_far = stored.load(Ordering::Relaxed);
        until("more is stored", || stored.load(Ordering::Relaxed) > so_far + 10).await;
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_lead_is_handed_over_proposals_wait_and_reads_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(&dir.path().join("1"), &[], false).await;
    write(&node).await;
    let closed = node.node().engine.gate().close().await;
    let last = node.barrier().await.unwrap();
    let writer = node.clone();
    let waiting = tokio::spawn(async move { write(&writer).await });
    for _ in 0..5 {
        assert_eq!(node.barrier().await.unwrap(), last);
    }
    assert!(!waiting.is_finished());
    drop(closed);
    waiting.await.unwrap();
}
