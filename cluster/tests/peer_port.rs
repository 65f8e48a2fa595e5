//! The peer port against garbage and strangers, and proposals against a leader that keeps changing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use common::{Nodes, Place, commands, insist};
use waypost_cluster::ProposeError;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_closes_its_connection_and_nothing_else() {
    let nodes = Nodes::voters(3).await;
    let addr = nodes.places[0].addr();
    let long = [b"WPST\x02\x00\xff\xff".as_slice(), &[0; 8], &u32::MAX.to_le_bytes(), &[0; 4]].concat();
    for garbage in [b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0; 4096], vec![0xff; 100_000], long] {
        let mut socket = TcpStream::connect(&addr).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // The node may have hung up before all of it was sent.
        let _ = socket.write_all(&garbage);
        let mut answer = Vec::new();
        let closed = socket.read_to_end(&mut answer);
        assert!(answer.is_empty(), "{closed:?}");
    }
    let silent: Vec<_> = (0..50).map(|_| TcpStream::connect(&addr).unwrap()).collect();
    for i in 0..10 {
        insist(nodes.places[i % 3].node(), &i.to_string()).await;
    }
    drop(silent);
    nodes.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_of_another_cluster_are_strangers() {
    let mut one = Nodes::voters(1).await;
    let other = Nodes::voters(1).await;
    insist(one.places[0].node(), "one").await;
    insist(other.places[0].node(), "other").await;
    let id = one.places[0].node().status().cluster_id;
    assert_ne!(id, other.places[0].node().status().cluster_id);
    // A joining address that is its own, or the other cluster's, changes nothing for a node that has a cluster.
    one.places[0].stop().await;
    one.places[0].config.join = vec![one.places[0].addr(), other.places[0].addr()];
    one.places[0].start().await;
    insist(one.places[0].node(), "two").await;
    assert_eq!(commands(one.places[0].node()), ["one", "two"]);
    assert_eq!(one.places[0].node().status().cluster_id, id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moved_node_is_found_again() {
    let mut nodes = Nodes::voters(3).await;
    let moved = (nodes.leader().await + 1) % 3;
    let id = nodes.places[moved].node().node_id();
    nodes.places[moved].stop().await;
    nodes.places[moved].config.peer_addr = common::free_addr();
    nodes.places[moved].config.meta = BTreeMap::from([("http_addr".to_owned(), "elsewhere".to_owned())]);
    let addr = nodes.places[moved].addr();
    nodes.places[moved].start().await;
    nodes
        .until("everybody knows", |nodes| {
            nodes.up().all(|c| {
                let status = c.status();
                let member = status.member(id).unwrap();
                member.peer_addr == addr && member.meta["http_addr"] == "elsewhere"
            })
        })
        .await;
    insist(nodes.places[moved].node(), "here").await;
    nodes.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_may_move_at_once_if_told_where_to_look() {
    let mut nodes = Nodes::voters(3).await;
    insist(nodes.places[0].node(), "before").await;
    for place in &mut nodes.places {
        place.stop().await;
        place.config.peer_addr = common::free_addr();
    }
    let addrs: Vec<String> = nodes.places.iter().map(Place::addr).collect();
    for place in &mut nodes.places {
        place.config.join = addrs.clone();
        place.start().await;
    }
    insist(nodes.places[0].node(), "after").await;
    nodes
        .until("everybody knows", |nodes| {
            nodes.up().all(|c| c.status().members.iter().all(|m| addrs.contains(&m.peer_addr)))
        })
        .await;
    nodes.agree().await;
}

#[tokio::test]
async fn its_own_address_is_nobody_to_join() {
    let dir = tempfile::tempdir().unwrap();
    let mut place = Place::new(dir.path(), &[]);
    place.config.join = vec![place.addr()];
    place.start().await;
    insist(place.node(), "alone").await;
}

/// Acknowledged: exactly once. Of unknown fate: at most once. Refused: never.
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
                    let fate = node.propose(command.clone().into_bytes()).await.map(drop);
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
        nodes.places[leader].node().admin().hand_over(Duration::from_secs(5)).await;
    }
    let mut fates = Vec::new();
    for task in tasks {
        fates.extend(task.await.unwrap());
    }
    nodes.agree().await;
    let mut stored: BTreeMap<String, u32> = BTreeMap::new();
    for command in commands(nodes.places[0].node()) {
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
