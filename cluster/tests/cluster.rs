//! Real nodes over real sockets, in one process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::time::Duration;

use common::{NEVER, Nodes, Place, commands, insist, list};
use waypost_cluster::{RequestLane, Role, StartError};

#[tokio::test]
async fn a_node_alone_needs_no_configuration_and_keeps_what_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let mut place = Place::new(dir.path(), &[]);
    place.start().await;
    for i in 0..100 {
        let proposed = insist(place.node(), &format!("a{i}")).await;
        assert_eq!(proposed.reply, (i + 1_u64).to_be_bytes());
    }
    let status = place.node().status();
    assert_eq!((status.role, status.has_quorum, status.members.len()), (Role::Leader, true, 1));
    assert!(place.node().barrier().await.unwrap() <= place.node().applied());
    let before = list(place.node());
    place.stop().await;
    place.start().await;
    assert_eq!(place.loads.lock().unwrap().last().unwrap().1, 100);
    insist(place.node(), "b").await;
    let after = list(place.node());
    assert_eq!((before.as_slice(), after.len()), (&after[..100], 101));
}

#[tokio::test]
async fn a_data_directory_is_for_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Place::new(dir.path(), &[]);
    first.start().await;
    let mut second = Place::new(dir.path(), &[]);
    assert!(matches!(second.try_start().await, Err(StartError::Locked(_))));
    first.stop().await;
    second.start().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_agree_whoever_is_asked() {
    let nodes = Nodes::voters(3).await;
    for round in 0..20 {
        for (i, node) in nodes.up().enumerate() {
            let command = format!("{round}/{i}");
            let proposed = insist(node, &command).await;
            assert!(node.applied() >= proposed.index, "its own node has applied it");
            assert!(commands(node).contains(&command));
        }
    }
    let all = nodes.agree().await;
    assert_eq!(all.len(), 60);
    let times: Vec<_> = all.iter().map(|v| v[8..16].to_vec()).collect();
    assert!(times.is_sorted(), "time never goes back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_proposers_share_entries_and_keep_their_order() {
    let nodes = Nodes::voters(3).await;
    let mut tasks = Vec::new();
    for (n, node) in nodes.up().enumerate() {
        for p in 0..32 {
            let node = node.clone();
            tasks.push(tokio::spawn(async move {
                for i in 0..20 {
                    insist(&node, &format!("{n}.{p}.{i:03}")).await;
                }
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    let all = nodes.agree().await;
    assert_eq!(all.len(), 3 * 32 * 20);
    let entries: std::collections::BTreeSet<_> = all.iter().map(|v| v[..8].to_vec()).collect();
    assert!(entries.len() < all.len(), "proposals were gathered");
    let commands = commands(nodes.places[0].node());
    for prefix in ["0.0.", "1.7.", "2.31."] {
        let own: Vec<_> = commands.iter().filter(|c| c.starts_with(prefix)).collect();
        assert!(own.is_sorted());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_barrier_sees_what_was_acknowledged_elsewhere() {
    let nodes = Nodes::voters(3).await;
    for i in 0..30 {
        let (writer, reader) = (nodes.places[i % 3].node(), nodes.places[(i + 1) % 3].node());
        let proposed = insist(writer, &format!("x{i}")).await;
        assert!(reader.barrier().await.unwrap() >= proposed.index);
        assert!(commands(reader).contains(&format!("x{i}")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_answer_each_other() {
    let nodes = Nodes::voters(3).await;
    let from = nodes.places[0].node();
    for to in nodes.up() {
        let answer =
            from.request(to.node_id(), RequestLane::Quick, "hello".into(), Duration::from_secs(10)).await.unwrap();
        assert_eq!(answer, format!("{}:hello", from.node_id()));
    }
    assert!(from.request(99, RequestLane::Patient, "hello".into(), Duration::from_secs(1)).await.is_err());
}

/// As many as there may be wait for ever, and more are refused at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_wait_hold_up_neither_proposals_nor_reads_nor_quick_ones() {
    let few = |config: &mut waypost_cluster::Config| {
        (config.max_patient_requests, config.max_requests_in_flight) = (8, 16);
    };
    let nodes = Nodes::voters_with(3, few).await;
    let leader = nodes.leader().await;
    let (from, to) = (nodes.places[(leader + 1) % 3].node(), nodes.places[leader].node().node_id());
    let waiting: Vec<_> = (0..40)
        .map(|_| {
            let from = from.clone();
            tokio::spawn(
                async move { from.request(to, RequestLane::Patient, NEVER.into(), Duration::from_secs(600)).await },
            )
        })
        .collect();
    while waiting.iter().filter(|asked| asked.is_finished()).count() < 32 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for i in 0..20 {
        let proposed = insist(from, &format!("x{i}")).await;
        assert!(from.barrier().await.unwrap() >= proposed.index);
        from.request(to, RequestLane::Quick, "hello".into(), Duration::from_secs(60)).await.unwrap();
    }
    let mut refused = 0;
    for asked in waiting {
        if asked.is_finished() {
            assert_eq!(asked.await.unwrap(), Err(waypost_cluster::RequestError::Overloaded(to)));
            refused += 1;
        } else {
            asked.abort();
        }
    }
    assert_eq!(refused, 32, "the others wait");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_goes_on_without_its_leader_and_takes_it_back() {
    let mut nodes = Nodes::voters(3).await;
    for round in 0..3 {
        let leader = nodes.leader().await;
        insist(nodes.places[leader].node(), &format!("before {round}")).await;
        nodes.places[leader].stop().await;
        let other = (leader + 1) % 3;
        insist(nodes.places[other].node(), &format!("after {round}")).await;
        nodes.places[leader].start().await;
    }
    nodes.leader().await;
    let commands: Vec<_> = nodes.agree().await;
    assert!(commands.len() >= 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lead_is_handed_over() {
    let nodes = Nodes::voters(3).await;
    let leader = nodes.leader().await;
    assert!(nodes.places[leader].node().admin().hand_over(Duration::from_secs(20)).await);
    insist(nodes.places[leader].node(), "after").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_stop_and_start_again_with_everything() {
    let mut nodes = Nodes::voters(3).await;
    for i in 0..50 {
        insist(nodes.places[i % 3].node(), &i.to_string()).await;
    }
    let before = nodes.agree().await;
    for place in &mut nodes.places {
        place.stop().await;
    }
    for place in &mut nodes.places {
        place.start().await;
    }
    insist(nodes.places[0].node(), "on").await;
    let after = nodes.agree().await;
    assert_eq!(after[..50], before[..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_nothing_is_acknowledged_and_nothing_hangs() {
    let mut nodes = Nodes::voters_with(3, |c| c.propose_timeout = Duration::from_secs(2)).await;
    let leader = nodes.leader().await;
    let others: Vec<usize> = (0..3).filter(|i| *i != leader).collect();
    for i in &others {
        nodes.places[*i].stop().await;
    }
    let alone = nodes.places[leader].node().clone();
    assert!(alone.propose(b"never".to_vec()).await.is_err());
    assert!(alone.barrier().await.is_err());
    nodes.until("it is noticed", |nodes| !nodes.places[leader].node().status().has_quorum).await;
    for i in others {
        nodes.places[i].start().await;
    }
    insist(&alone, "again").await;
    nodes.agree().await;
}
