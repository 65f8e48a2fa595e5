//! SIGTERM: the node is not ready, takes no new sockets, tells its sockets to reconnect elsewhere, hands over
//! the lead and exits with 0; publishers and readers lose nothing.

use crate::support::{nodes, scenario};
use anyhow::{Result, ensure};
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::Duration;
use testkit::Cluster;
use testkit::background::Background;
use testkit::checks::check_clients;
use testkit::clients::Js;
use testkit::http::Api;
use testkit::phoenix::Socket;
use testkit::publisher::Publisher;
use testkit::wait::LIMIT;
use testkit::ws::Message;

#[test]
fn a_node_drains_before_it_ends() {
    scenario(nodes(3), |cluster| {
        let map = cluster.map("drain")?;
        let leader = cluster.leader()?;
        let clients = (0..3)
            .map(|i| Js::phoenix(&cluster.urls_from(i), &map, json!({})))
            .collect::<Result<Vec<_>>>()?;
        clients.iter().try_for_each(|c| c.wait_joined().map(|_| ()))?;
        let mut socket = cluster.joined(leader, &map, json!({"events": ["never"]}))?;
        let pace = Duration::from_millis(5);
        let publisher = Publisher::start(cluster.urls_from(leader), &map, "d", &["x"], pace);
        publisher.wait_more(20)?;
        clients.iter().try_for_each(|c| c.wait_seq(1))?;

        println!("readiness while draining: {:?}", drained(cluster, leader)?);
        closed_with_1012(&mut socket)?;

        publisher.wait_more(50)?;
        let elsewhere = cluster.leader()?;
        ensure!(elsewhere != leader, "the ended node leads");
        cluster.bring_back(leader)?;
        publisher.wait_more(10)?;
        let acks = publisher.stop()?;
        check_clients(cluster, &map, &acks, &clients)?;
        for client in &clients {
            let closes = client.of("close");
            ensure!(closes.iter().all(|l| l["code"] == 1012), "{closes:?}");
        }
        Ok(())
    });
}

/// Checks that the socket closes with 1012, so that clients reconnect. Nothing may close the channel before:
/// phoenix.js would take the channel for left, and never join it again.
fn closed_with_1012(socket: &mut Socket) -> Result<()> {
    match socket.message()? {
        Message::Close(Some(1012), _) => Ok(()),
        other => anyhow::bail!("expected close 1012, got {other:?}"),
    }
}

/// Ends a node with SIGTERM, and polls `/readyz` meanwhile; returns the statuses without repetitions, with 0
/// for a refused connection.
fn drained(cluster: &mut Cluster, node: usize) -> Result<Vec<u16>> {
    let api = Api::new(&cluster.nodes[node].url(), None);
    let watch = Background::start(move |ended| {
        let mut seen = vec![];
        while !ended.load(Ordering::Relaxed) {
            let status = api.get("/readyz").map_or(0, |a| a.status);
            if seen.last() != Some(&status) {
                seen.push(status);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(seen)
    });
    let exit = cluster.nodes[node].stop(LIMIT)?;
    ensure!(exit.code() == Some(0), "exit after SIGTERM: {exit}");
    watch.stop()
}

#[test]
fn a_draining_node_says_that_it_is_not_ready() {
    scenario(nodes(1), |cluster| {
        let map = cluster.map("not-ready")?;
        // Stalled readers make the drain last until its limit.
        let addr = cluster.nodes[0].http;
        let stalled = testkit::fleet::Stalled::join(5, addr, &map.token, &map.topic())?;
        let filler = "x".repeat(200 << 10);
        for _ in 0..40 {
            crate::support::publish(cluster, 0, &map, "x", json!(filler))?;
        }
        let seen = drained(cluster, 0)?;
        ensure!(seen.contains(&503), "the node never reported that it isn't ready: {seen:?}");
        ensure!(seen.iter().skip_while(|s| **s == 200).all(|s| *s != 200), "{seen:?}");
        drop(stalled);
        Ok(())
    });
}
