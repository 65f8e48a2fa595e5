//! The peer port against garbage and nodes of other clusters, and proposals while the leader changes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use common::{Nodes, Slot, commands, insist};
use waypost_cluster::{Flow, ProposeError, StartError};

/// The type of a TLS record that is an alert, and the bytes of one that is not encrypted.
const ALERT: u8 = 21;
const ALERT_BYTES: usize = 7;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_closes_its_own_connection_only() {
    let nodes = Nodes::voters(3).await;
    let addr = nodes.slots[0].addr();
    let long = [b"WPST\x02\x00\xff\xff".as_slice(), &[0; 8], &u32::MAX.to_le_bytes(), &[0; 4]].concat();
    for garbage in [b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0; 4096], vec![0xff; 100_000], long] {
        let mut socket = TcpStream::connect(&addr).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // The node may close the connection before all of it was sent.
        let _ = socket.write_all(&garbage);
        let mut answer = Vec::new();
        let closed = socket.read_to_end(&mut answer);
        // To what is no handshake TLS answers an alert, and nothing else.
        let is_alert = |bytes: &[u8]| bytes.len() == ALERT_BYTES && bytes[0] == ALERT;
        assert!(answer.is_empty() || is_alert(&answer), "{closed:?}: {answer:?}");
    }
    let silent: Vec<_> = (0..50).map(|_| TcpStream::connect(&addr).unwrap()).collect();
    for i in 0..10 {
        insist(nodes.slots[i % 3].node(), &i.to_string()).await;
    }
    drop(silent);
    nodes.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_a_cluster_joins_no_other_cluster() {
    let mut one = Nodes::voters(1).await;
    let other = Nodes::voters(1).await;
    insist(one.slots[0].node(), "one").await;
    insist(other.slots[0].node(), "other").await;
    let id = one.slots[0].node().status().cluster_id;
    assert_ne!(id, other.slots[0].node().status().cluster_id);
    // A node that has a cluster ignores a join address that is its own or another cluster's.
    one.slots[0].stop().await;
    one.slots[0].config.join = vec![one.slots[0].addr(), other.slots[0].addr()];
    one.slots[0].start().await;
    insist(one.slots[0].node(), "two").await;
    assert_eq!(commands(one.slots[0].node()), ["one", "two"]);
    assert_eq!(one.slots[0].node().status().cluster_id, id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_a_new_address_is_found_again() {
    let mut nodes = Nodes::voters(3).await;
    let moved = (nodes.leader().await + 1) % 3;
    let id = nodes.slots[moved].node().node_id();
    nodes.slots[moved].stop().await;
    nodes.slots[moved].config.peer_addr = common::free_addr();
    nodes.slots[moved].config.meta = BTreeMap::from([("http_addr".to_owned(), "elsewhere".to_owned())]);
    let addr = nodes.slots[moved].addr();
    nodes.slots[moved].start().await;
    nodes
        .until("every node knows the new address", |nodes| {
            nodes.up().all(|c| {
                let status = c.status();
                let member = status.member(id).unwrap();
                member.peer_addr == addr && member.meta["http_addr"] == "elsewhere"
            })
        })
        .await;
    insist(nodes.slots[moved].node(), "here").await;
    nodes.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_may_move_at_once_if_they_are_given_the_new_addresses() {
    let mut nodes = Nodes::voters(3).await;
    insist(nodes.slots[0].node(), "before").await;
    for slot in &mut nodes.slots {
        slot.stop().await;
        slot.config.peer_addr = common::free_addr();
    }
    let addrs: Vec<String> = nodes.slots.iter().map(Slot::addr).collect();
    for slot in &mut nodes.slots {
        slot.config.join = addrs.clone();
        slot.start().await;
    }
    insist(nodes.slots[0].node(), "after").await;
    nodes
        .until("every node knows the new addresses", |nodes| {
            nodes.up().all(|c| c.status().members.iter().all(|m| addrs.contains(&m.peer_addr)))
        })
        .await;
    nodes.agree().await;
}

#[tokio::test]
async fn a_node_that_is_given_only_its_own_address_to_join_begins_no_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let mut slot = Slot::new(dir.path(), &[]);
    slot.config.join = vec![slot.addr()];
    let refused = slot.try_start().await.unwrap_err();
    assert!(matches!(refused, StartError::JoinsItself(_)), "{refused}");
    slot.config.join.clear();
    slot.start().await;
    insist(slot.node(), "alone").await;
    // A node with data ignores the list.
    slot.stop().await;
    slot.config.join = vec![slot.addr()];
    slot.start().await;
    insist(slot.node(), "still alone").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_begins_a_cluster_of_its_own_finds_that_others_look_for_it() {
    let mut nodes = Nodes::voters(3).await;
    let leader = nodes.leader().await;
    // The one node of a new cluster has id 1, which is not the id that the others look for.
    let lost = (0..3).find(|at| *at != leader && nodes.slots[*at].node().node_id() != 1).unwrap();
    nodes.slots[lost].stop().await;
    std::fs::remove_dir_all(nodes.path(lost)).unwrap();
    nodes.slots[lost].config.join.clear();
    nodes.slots[lost].start().await;
    assert_eq!(nodes.slots[lost].node().node_id(), 1);
    let end = std::time::Instant::now() + Duration::from_secs(60);
    while !nodes.slots[lost].node().status().is_astray() {
        assert!(std::time::Instant::now() < end, "{:#?}", nodes.slots[lost].node().status());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!nodes.slots[leader].node().status().is_astray());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_a_data_directory_is_excluded() {
    let mut nodes = Nodes::voters(3).await;
    let victim = (nodes.leader().await + 1) % 3;
    let id = nodes.slots[victim].node().node_id();
    let addr = nodes.slots[victim].addr();
    nodes.slots[victim].stop().await;
    let mut copy = Slot::new(&nodes.path(9), &[]);
    common::copy_dir(&nodes.path(victim), &nodes.path(9));
    nodes.slots[victim].start().await;
    copy.start().await;
    let end = std::time::Instant::now() + Duration::from_secs(60);
    while copy.node().status().original.as_ref() != Some(&addr) {
        assert!(std::time::Instant::now() < end, "not excluded: {:#?}", copy.node().status());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(copy.node().is_removed(), "it goes on");
    let leader = nodes.leader().await;
    nodes
        .until("the leader names both", |nodes| !nodes.slots[leader].node().status().claims.is_empty())
        .await;
    let status = nodes.slots[leader].node().status();
    let claim = &status.claims[0];
    assert_eq!((claim.id, &claim.known, &claim.other), (id, &addr, &copy.addr()));
    assert_eq!(status.member(id).unwrap().peer_addr, addr, "the copy took the address over");
    insist(nodes.slots[victim].node(), "the original goes on").await;
    nodes.agree().await;

    copy.stop().await;
}

/// An acknowledged command is stored exactly once, one of unknown outcome at most once, a refused one never.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_command_is_stored_twice_while_the_leader_changes() {
    let nodes = Nodes::voters(3).await;
    let mut tasks = Vec::new();
    for (n, node) in nodes.up().enumerate() {
        for p in 0..8 {
            let node = node.clone();
            tasks.push(tokio::spawn(async move {
                let mut fates = Vec::new();
                for i in 0..60 {
                    let command = format!("{n}.{p}.{i}");
                    let fate = node.propose(Flow(n as u128), command.clone().into_bytes()).await.map(drop);
                    fates.push((command, fate));
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                fates
            }));
        }
    }
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let leader = nodes.leader().await;
        nodes.slots[leader].node().admin().hand_over(Duration::from_secs(5)).await;
    }
    let mut fates = Vec::new();
    for task in tasks {
        fates.extend(task.await.unwrap());
    }
    nodes.agree().await;
    let mut stored: BTreeMap<String, u32> = BTreeMap::new();
    for command in commands(nodes.slots[0].node()) {
        *stored.entry(command).or_default() += 1;
    }
    let mut acknowledged = 0;
    for (command, fate) in fates {
        let times = stored.get(&command).copied().unwrap_or(0);
        match fate {
            Ok(()) => {
                acknowledged += 1;
                assert_eq!(times, 1, "{command} was acknowledged");
            }
            Err(ProposeError::Unknown) => assert!(times <= 1, "{command} was stored {times} times"),
            Err(error) => assert_eq!(times, 0, "{command}: {error}"),
        }
    }
    assert!(acknowledged > 500, "{acknowledged} of 1440 were acknowledged");
}
