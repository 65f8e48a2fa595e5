//! Real nodes over real sockets, in one process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::time::Duration;

use common::{NEVER, Nodes, Slot, commands, insist, list};
use waypost_cluster::{Flow, RequestLane, Role, StartError};

#[tokio::test]
async fn a_single_node_needs_no_configuration_and_keeps_its_data() {
    let dir = tempfile::tempdir().unwrap();
    let mut slot = Slot::new(dir.path(), &[]);
    slot.start().await;
    for i in 0..100 {
        let proposed = insist(slot.node(), &format!("a{i}")).await;
        assert_eq!(proposed.reply, (i + 1_u64).to_be_bytes());
    }
    let status = slot.node().status();
    assert_eq!((status.role, status.has_quorum, status.members.len()), (Role::Leader, true, 1));
    assert!(slot.node().barrier().await.unwrap() <= slot.node().applied());
    let before = list(slot.node());
    slot.stop().await;
    slot.start().await;
    assert_eq!(slot.loads.lock().unwrap().last().unwrap().1, 100);
    insist(slot.node(), "b").await;
    let after = list(slot.node());
    assert_eq!((before.as_slice(), after.len()), (&after[..100], 101));
}

#[tokio::test]
async fn only_one_process_opens_a_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Slot::new(dir.path(), &[]);
    first.start().await;
    let mut second = Slot::new(dir.path(), &[]);
    assert!(matches!(second.try_start().await, Err(StartError::Locked(_))));
    first.stop().await;
    second.start().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_agree_whichever_is_asked() {
    let nodes = Nodes::voters(3).await;
    for round in 0..20 {
        for (i, node) in nodes.up().enumerate() {
            let command = format!("{round}/{i}");
            let proposed = insist(node, &command).await;
            assert!(node.applied() >= proposed.index, "the node that proposed has applied it");
            assert!(commands(node).contains(&command));
        }
    }
    let all = nodes.agree().await;
    assert_eq!(all.len(), 60);
    let times: Vec<_> = all.iter().map(|v| v[8..16].to_vec()).collect();
    assert!(times.is_sorted(), "the time went back");
}

/// Its answer does not come before, so the follower answers by what it has applied itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_answers_what_the_leader_has_not_applied_yet() {
    let nodes = Nodes::voters_with(3, |config| config.propose_timeout = Duration::from_secs(60)).await;
    let leader = nodes.leader().await;
    let follower = nodes.slots[(leader + 1) % 3].node();
    let held = nodes.slots[leader].held.lock().await;
    let mut answered = Vec::new();
    for i in 1..=3_u64 {
        let command = format!("held.{i}");
        let proposed = follower.propose(Flow::NONE, command.clone().into_bytes()).await.unwrap();
        assert!(commands(follower).contains(&command), "readers of the follower see it");
        assert_eq!(proposed.reply, i.to_be_bytes());
        answered.push((proposed.index, proposed.time_ms));
    }
    assert!(commands(nodes.slots[leader].node()).is_empty(), "the leader has applied it");
    drop(held);
    let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().unwrap());
    let stored: Vec<_> =
        nodes.agree().await.iter().map(|item| (number(&item[..8]), number(&item[8..16]))).collect();
    assert_eq!(stored, answered);
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
    assert!(entries.len() < all.len(), "no proposals shared an entry");
    let commands = commands(nodes.slots[0].node());
    for prefix in ["0.0.", "1.7.", "2.31."] {
        let own: Vec<_> = commands.iter().filter(|c| c.starts_with(prefix)).collect();
        assert!(own.is_sorted());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_barrier_sees_what_was_acknowledged_elsewhere() {
    let nodes = Nodes::voters(3).await;
    for i in 0..30 {
        let writer = nodes.slots[i % 3].node();
        let reader = nodes.slots[(i + 1) % 3].node();
        let proposed = insist(writer, &format!("x{i}")).await;
        assert!(reader.barrier().await.unwrap() >= proposed.index);
        assert!(commands(reader).contains(&format!("x{i}")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_answer_each_other() {
    let nodes = Nodes::voters(3).await;
    let from = nodes.slots[0].node();
    for to in nodes.up() {
        let answer = from
            .request(to.node_id(), RequestLane::Quick, "hello".into(), Duration::from_secs(10))
            .await
            .unwrap();
        assert_eq!(answer, format!("{}:hello", from.node_id()));
    }
    assert!(from.request(99, RequestLane::Patient, "hello".into(), Duration::from_secs(1)).await.is_err());
}

/// The leader holds as many patient requests as the limit allows and refuses the others at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unanswered_requests_delay_no_proposals_no_reads_and_no_quick_requests() {
    let few = |config: &mut waypost_cluster::Config| {
        config.max_patient_requests = 8;
        config.max_requests_in_flight = 16;
    };
    let nodes = Nodes::voters_with(3, few).await;
    let leader = nodes.leader().await;
    let from = nodes.slots[(leader + 1) % 3].node();
    let to = nodes.slots[leader].node().node_id();
    let waiting: Vec<_> = (0..40)
        .map(|_| {
            let from = from.clone();
            tokio::spawn(async move {
                from.request(to, RequestLane::Patient, NEVER.into(), Duration::from_secs(600)).await
            })
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
    assert_eq!(refused, 32, "all but the waiting requests are refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_continues_without_its_leader_and_takes_it_back() {
    let mut nodes = Nodes::voters(3).await;
    for round in 0..3 {
        let leader = nodes.leader().await;
        insist(nodes.slots[leader].node(), &format!("before {round}")).await;
        nodes.slots[leader].stop().await;
        let other = (leader + 1) % 3;
        insist(nodes.slots[other].node(), &format!("after {round}")).await;
        nodes.slots[leader].start().await;
    }
    nodes.leader().await;
    let commands: Vec<_> = nodes.agree().await;
    assert!(commands.len() >= 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_hands_over_the_lead() {
    let nodes = Nodes::voters(3).await;
    let leader = nodes.leader().await;
    assert!(nodes.slots[leader].node().admin().hand_over(Duration::from_secs(20)).await);
    insist(nodes.slots[leader].node(), "after").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_stops_and_starts_again_keeps_everything() {
    let mut nodes = Nodes::voters(3).await;
    for i in 0..50 {
        insist(nodes.slots[i % 3].node(), &i.to_string()).await;
    }
    let before = nodes.agree().await;
    for slot in &mut nodes.slots {
        slot.stop().await;
    }
    for slot in &mut nodes.slots {
        slot.start().await;
    }
    insist(nodes.slots[0].node(), "on").await;
    let after = nodes.agree().await;
    assert_eq!(after[..50], before[..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_a_node_acknowledges_nothing_and_nothing_hangs() {
    let mut nodes = Nodes::voters_with(3, |c| c.propose_timeout = Duration::from_secs(2)).await;
    let leader = nodes.leader().await;
    let others: Vec<usize> = (0..3).filter(|i| *i != leader).collect();
    for i in &others {
        nodes.slots[*i].stop().await;
    }
    let alone = nodes.slots[leader].node().clone();
    assert!(alone.propose(Flow::NONE, b"never".to_vec()).await.is_err());
    assert!(alone.barrier().await.is_err());
    nodes
        .until("the node notices that it has no quorum", |nodes| {
            !nodes.slots[leader].node().status().has_quorum
        })
        .await;
    for i in others {
        nodes.slots[i].start().await;
    }
    insist(&alone, "again").await;
    nodes.agree().await;
}
