//! What goes on in maps, as lists and the status tell it: connections on all nodes, how webhooks and consumers
//! stand, and which node was started again after a crash.

use crate::support::{checked, nodes, publish, scenario, waypost};
use crate::webhooks_support::{Hook, delivering};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::cluster::{ADMIN, Map};
use testkit::phoenix::Socket;
use testkit::receiver::{Receiver, behaviour};
use testkit::{Cluster, wait};

#[test]
fn every_node_tells_what_goes_on_in_the_maps() {
    checked(
        delivering(3),
        &[
            ("webhooks, consumers and connections are counted by map", counted),
            ("only who asks is told", only_if_asked),
            ("a map is told to those who manage it", managed),
        ],
    );
}

/// A map with a webhook that works, one that fails, a consumer that nobody reads, and three connections.
struct Busy {
    map: Map,
    _receiver: Receiver,
    _sockets: Vec<Socket>,
}

impl Busy {
    fn new(c: &Cluster, slug: &str) -> Result<Self> {
        let map = c.map(slug)?;
        let receiver = Receiver::start()?;
        let bad = Hook::create(c, &map, &receiver.on("/bad", behaviour::status(500)), json!({}))?;
        let good = Hook::create(c, &map, &receiver.on("/good", behaviour::healthy()), json!({}))?;
        c.api(0, &map).post(&map.path("/consumers"), &json!({"name": "idle"}))?.expect(201)?;
        let sockets = [0, 1, 1].into_iter().map(|node| c.joined(node, &map, json!({})));
        let sockets = sockets.collect::<Result<Vec<_>>>()?;
        publish(c, 0, &map, "order_paid", json!({"n": 1}))?;
        bad.wait(c, "a failure", |hook| hook["state"] == "failing")?;
        good.wait(c, "a delivery", |hook| hook["delivered"] == 1 && hook["state"] == "healthy")?;
        Ok(Self { map, _receiver: receiver, _sockets: sockets })
    }
}

/// Checks what is told of a busy map.
fn is_busy(shown: &Value) -> bool {
    let (webhooks, consumers) = (&shown["webhooks"], &shown["consumers"]);
    let of_webhooks = (&webhooks["total"], &webhooks["failing"], &webhooks["healthy"]);
    let waits = consumers["reading"].as_u64() == Some(1) || consumers["behind"].as_u64() == Some(1);
    of_webhooks == (&json!(2), &json!(1), &json!(1)) && consumers["total"] == 1 && waits
}

/// The entry of a map in the list.
fn listed(c: &Cluster, node: usize, map: &Map, query: &str) -> Result<(Value, Value)> {
    let answer = c.admin(node).get(&format!("/api/maps?limit=1000{query}"))?.expect(200)?.json()?;
    let maps = answer["data"].as_array().context("no list")?;
    let found = maps.iter().find(|shown| shown["id"] == map.id.as_str()).context("the map is not listed")?;
    Ok((found.clone(), answer["unreachable"].clone()))
}

fn counted(c: &Cluster) -> Result<()> {
    let busy = Busy::new(c, "standings-busy")?;
    let quiet = c.map("standings-quiet")?;
    for node in 0..3 {
        // The counts are some seconds old.
        c.wait_until(&format!("the list of node {node}"), |c| {
            let (shown, unreachable) = listed(c, node, &busy.map, "&now=true")?;
            ensure!(unreachable == json!([]), "{unreachable}");
            let now = &shown["now"];
            Ok((is_busy(now) && now["connections"] == 3 && now["as_of"].is_string()).then_some(()))
        })?;
        let (still, _) = listed(c, node, &quiet, "&now=true")?;
        let none = (&still["now"]["connections"], &still["now"]["webhooks"]["total"]);
        ensure!(none == (&json!(0), &json!(0)), "{still}");
        c.wait_until(&format!("the status of node {node}"), |c| {
            let delivery = c.status(node)?["delivery"].clone();
            let maps = delivery["maps"].as_array().cloned().unwrap_or_default();
            let slugs: Vec<&str> = maps.iter().filter_map(|map| map["slug"].as_str()).collect();
            ensure!(!slugs.contains(&"standings-quiet"), "nothing is wrong with it: {delivery}");
            let named = maps.iter().find(|map| map["slug"] == "standings-busy");
            Ok((named.is_some_and(is_busy) && delivery["webhooks"]["failing"] == 1).then_some(()))
        })?;
    }
    // The same for people.
    let url = c.nodes[0].url();
    wait::until("the line of the command", || {
        let output = waypost(&["cluster", "status", "--url", &url, "-o", "table"])
            .env("WAYPOST_ADMIN_TOKEN", ADMIN)
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let is_told = text.contains("webhooks: 1 failing of 2") && text.contains("(maps: standings-busy)");
        Ok(is_told.then_some(()))
    })
}

fn only_if_asked(c: &Cluster) -> Result<()> {
    let map = c.map("standings-asked")?;
    for query in ["", "&now=false"] {
        let (shown, unreachable) = listed(c, 0, &map, query)?;
        ensure!(shown.get("now").is_none() && unreachable.is_null(), "{shown}");
    }
    let shown = c.api(0, &map).get(&map.path(""))?.data(200)?;
    ensure!(shown.get("now").is_none(), "{shown}");
    for path in ["/api/maps?now=yes".to_owned(), map.path("?now=1")] {
        let refused = c.admin(0).get(&path)?.expect(400)?;
        ensure!(refused.code() == "invalid_query", "{}", refused.text());
    }
    Ok(())
}

fn managed(c: &Cluster) -> Result<()> {
    let busy = Busy::new(c, "standings-managed")?;
    let now = |map: &Map, node| c.api(node, map).get(&map.path("?now=true"));
    for node in 0..3 {
        c.wait_until(&format!("node {node} to tell it"), |_| {
            let answer = now(&busy.map, node)?.expect(200)?.json()?;
            ensure!(answer["unreachable"] == json!([]), "{answer}");
            let shown = &answer["data"]["now"];
            Ok((is_busy(shown) && shown["connections"] == 3).then_some(()))
        })?;
    }
    let consumer = c.api(0, &busy.map).get(&busy.map.path("/consumers/idle"))?.data(200)?;
    ensure!(["reading", "behind"].iter().any(|state| consumer["state"]["state"] == *state), "{consumer}");
    let (_, reader) = c.token(&busy.map, &["subscribe"])?;
    ensure!(now(&reader, 0)?.status == 403, "a reader learns nothing of webhooks");
    Ok(())
}

#[test]
fn a_node_says_whether_it_was_started_again_after_a_crash() {
    scenario(nodes(1), |cluster| {
        let after_crash =
            |c: &Cluster| Ok::<_, anyhow::Error>(c.status(0)?["members"][0]["after_crash"].clone());
        ensure!(after_crash(cluster)? == false, "nothing ran before");
        cluster.nodes[0].kill9()?;
        cluster.start(0)?;
        ensure!(after_crash(cluster)? == true);
        cluster.restart(0)?;
        ensure!(after_crash(cluster)? == false, "it was told to end");
        Ok(())
    });
}
