//! Nodes die and come back while a publisher publishes and clients of every kind read: no acknowledged event
//! is lost, repeated or out of order for any of them.

use crate::support::{nodes, scale, scenario};
use anyhow::Result;
use serde_json::json;
use std::time::Duration;
use testkit::Cluster;
use testkit::checks::{check_acks, check_clients, check_filtered};
use testkit::clients::Js;
use testkit::event::Event;
use testkit::publisher::Publisher;

const TYPES: &[&str] = &["add_system", "map_kill", "connection_added"];

#[test]
fn every_acknowledged_event_reaches_every_client_once_in_order() {
    let rounds = scale("WAYPOST_TEST_ROUNDS", 3);
    scenario(nodes(3), |cluster| {
        let map = cluster.map("rounds")?;
        let mut clients = Vec::new();
        for i in 0..5 {
            clients.push(Js::phoenix(&cluster.urls_from(i % 3), &map, json!({"events": "*"}))?);
        }
        let some = Js::phoenix(&cluster.urls_from(2), &map, json!({"events": ["map_kill"]}))?;
        some.wait_joined()?;
        for client in &clients {
            client.wait_joined()?;
        }
        clients.push(Js::sse(&cluster.urls_from(1), &map, json!({}), TYPES)?);
        clients[5].wait_for("connected", 1)?;

        let pace = Duration::from_millis(5);
        let publishers: Vec<Publisher> = (0..2)
            .map(|i| Publisher::start(cluster.urls_from(i), &map, &format!("p{i}"), TYPES, pace))
            .collect();
        // A client without an id to resume by can't know what it missed, so each must have one before the
        // faults begin.
        clients.iter().try_for_each(|c| c.wait_seq(1))?;
        some.wait_seq(2)?;
        for round in 0..rounds {
            println!("round {round}: {} acknowledged", publishers[0].acked());
            one_round(cluster, &publishers)?;
        }
        let acks = publishers.into_iter().map(Publisher::stop).collect::<Result<Vec<_>>>()?;
        check_acks(&acks)?;
        let acks: Vec<_> = acks.into_iter().flatten().collect();

        let all = check_clients(cluster, &map, &acks, &clients)?;
        let kills: Vec<&Event> = all.iter().filter(|e| e.kind == "map_kill").collect();
        some.wait_seq(kills.last().map_or(0, |e| e.seq))?;
        check_filtered("filtered client", &["map_kill"], &all, &some.events()?)?;
        println!("{} events, {} acknowledged", all.len(), acks.len());
        Ok(())
    });
}

/// Kills and restarts the leader, kills and restarts a follower, and suspends the leader for a while.
fn one_round(cluster: &mut Cluster, publishers: &[Publisher]) -> Result<()> {
    let more = |n| publishers.iter().try_for_each(|p| p.wait_more(n));
    more(20)?;
    let leader = cluster.leader()?;
    cluster.nodes[leader].kill9()?;
    more(20)?;
    cluster.bring_back(leader)?;

    let follower = cluster.follower()?;
    cluster.nodes[follower].kill9()?;
    more(20)?;
    cluster.bring_back(follower)?;

    let leader = cluster.leader()?;
    cluster.nodes[leader].sigstop()?;
    let gone_on = more(5);
    cluster.nodes[leader].sigcont()?;
    gone_on?;
    cluster.wait_ready()
}
