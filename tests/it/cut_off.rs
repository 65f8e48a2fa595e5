//! A node that is cut off sends its clients to other nodes. A node whose others are dead keeps them.

use crate::network::Network;
use crate::support::{nodes, prepared, publish};
use anyhow::{Result, ensure};
use serde_json::json;
use testkit::checks::same_backfill;
use testkit::cluster::Map;
use testkit::phoenix::Socket;
use testkit::stream::Stream;
use testkit::ws::Message;
use testkit::{Cluster, Options, wait};

/// Long enough that an election on a busy machine counts for nothing.
fn options() -> Options {
    nodes(3).set("WAYPOST_SESSION_CUT_OFF_SECONDS", 5)
}

fn stream(cluster: &Cluster, node: usize, map: &Map) -> Result<Stream> {
    let path = format!("{}/stream", map.events());
    Stream::get(cluster.nodes[node].http, &path, Some(&map.token), &[])
}

/// Opens an event stream, and checks the status of the answer.
fn answers_streams_with(cluster: &Cluster, node: usize, map: &Map, expected: u16) -> Result<()> {
    wait::until(&format!("an event stream answered with {expected}"), || {
        let status = stream(cluster, node, map)?.status()?;
        ensure!(status == expected, "status {status}");
        Ok(Some(()))
    })
}

#[test]
fn clients_of_a_node_that_is_cut_off_resume_elsewhere() {
    prepared(&options(), |cluster| {
        let network = Network::of(cluster)?;
        cluster.launch()?;
        leave_and_resume(cluster, &network)
    });
}

fn leave_and_resume(cluster: &mut Cluster, network: &Network) -> Result<()> {
    let map = cluster.map("cut-off")?;
    for node in [cluster.follower()?, cluster.leader()?] {
        let first = publish(cluster, node, &map, "x", json!({}))?;
        cluster.wait_same_applied()?;
        let mut socket = cluster.joined(node, &map, json!({}))?;
        let mut events = stream(cluster, node, &map)?;
        events.until("event: connected")?;

        network.cut(node);
        let elsewhere = (node + 1) % 3;
        let missed = publish(cluster, elsewhere, &map, "x", json!({"missed": true}))?;
        let end = socket.message()?;
        ensure!(matches!(end, Message::Close(Some(1012), _)), "expected close 1012, got {end:?}");
        while !events.is_whole() {
            ensure!(events.more()?, "the stream broke off: {}", events.body());
        }
        answers_streams_with(cluster, node, &map, 503)?;
        ensure!(Socket::connect(cluster.nodes[node].http, &map.token).is_err(), "a new socket was accepted");

        let mut resumed = cluster.joined(elsewhere, &map, json!({"last_event_id": first["id"]}))?;
        ensure!(resumed.events(1)?[0]["id"] == missed["id"], "another event than the missed one");

        network.heal();
        cluster.wait_ready()?;
        answers_streams_with(cluster, node, &map, 200)?;
        resumed.alive()?;
    }
    same_backfill(cluster, &map)?;
    Ok(())
}

#[test]
fn clients_stay_where_the_other_nodes_are_dead() {
    crate::support::scenario(options(), |cluster| {
        let map = cluster.map("stay")?;
        let first = publish(cluster, 0, &map, "x", json!({}))?;
        cluster.wait_same_applied()?;
        let mut socket = cluster.joined(0, &map, json!({}))?;
        let mut events = stream(cluster, 0, &map)?;
        events.until("event: connected")?;
        let looks = |cluster: &Cluster| {
            let log = cluster.nodes[0].log_tail(1000);
            log.matches("clients stay on this node").count()
        };
        let before = looks(cluster);
        cluster.nodes[1].kill9()?;
        cluster.nodes[2].kill9()?;
        cluster.wait_until("the node to have looked for the others", |cluster| {
            Ok((looks(cluster) > before).then_some(()))
        })?;
        socket.alive()?;
        events.poll()?;
        let mut late = cluster.joined(0, &map, json!({"last_event_id": first["id"]}))?;
        answers_streams_with(cluster, 0, &map, 200)?;

        cluster.nodes[1].start()?;
        cluster.bring_back(2)?;
        publish(cluster, 1, &map, "x", json!({}))?;
        socket.events(1)?;
        late.events(1).map(drop)
    });
}
