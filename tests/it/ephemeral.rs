//! Ephemeral events on three nodes. Each subscriber gets them at most once and in every publishing node's
//! order, whatever happens to the nodes. Nothing goes to a node that does not want it, the bytes waiting for
//! a node that does not read are bounded, and a reader that is too slow is told.

mod clients;
mod faults;
mod slow;

use crate::support::{nodes, scale, scenario};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use testkit::Cluster;
use testkit::cluster::{Map, fresh_key};
use testkit::longpoll::Poller;
use testkit::phoenix::{Frame, Socket};
use testkit::ws::Message;

const SUBJECTS: usize = 200;
/// The bytes that may wait for a node in these tests.
const LINK_BYTES: u64 = 1 << 20;
/// The most that a batch under way adds to the waiting bytes.
const BATCH_BYTES: u64 = 256 * 1024;

fn cluster() -> testkit::Options {
    nodes(3).set("WAYPOST_EPHEMERAL_LINK_BYTES", LINK_BYTES)
}

fn subject(n: usize) -> String {
    format!("live-{}", n % SUBJECTS)
}

/// Creates a map whose subjects `live-*` are ephemeral, and waits until all nodes know that.
fn map(c: &Cluster, slug: &str) -> Result<Map> {
    let map = c.map(slug)?;
    c.set_rules(&map, &json!([{"match": "live-*", "durability": "ephemeral"}]))?;
    Ok(map)
}

/// Returns the metric label of a node.
fn peer(c: &Cluster, node: usize) -> Result<String> {
    Ok(format!("peer=\"{}\"", c.status(node)?["node_id"]))
}

#[test]
fn ephemeral_events_are_published_and_refused() {
    crate::support::checked(
        cluster(),
        &[
            ("answers and refusals", answers),
            ("readers of several subjects", several),
            ("a change of rules closes the subscribers it concerns", rules_change),
            ("a publish limit counts over all nodes", limited),
        ],
    );
}

fn answers(c: &Cluster) -> Result<()> {
    let map = map(c, "answers")?;
    let api = c.api(1, &map);
    let event = |subject: &str| json!({"type": "moved", "subject": subject, "payload": {"x": 1}});
    let data = api.post(&map.events(), &event("live-1"))?.data(202)?;
    ensure!(
        data["subject"] == "live-1" && data.get("seq").is_none() && data["payload"] == json!({"x": 1}),
        "{data}"
    );
    let id = data["id"].as_str().context("an id")?.to_owned();
    ensure!(
        api.post_once(&map.events(), &fresh_key(), &event("live-1"))?.expect(400)?.code()
            == "idempotency_of_ephemeral"
    );
    let mixed = json!({"events": [event("live-1"), event("other")]});
    let mixed = api.post(&map.events(), &mixed)?.expect(400)?;
    ensure!(mixed.code() == "mixed_durability" && mixed.json()?["index"] == 1, "{}", mixed.text());
    let lines = format!("{}\n{}\n", event("live-1"), event("live-2"));
    let header = [("content-type", "application/x-ndjson")];
    let stream = api.call("POST", &map.events(), &header, Some(lines.as_bytes()))?.data(202)?;
    ensure!(
        stream["count"] == 2 && stream.get("first_seq").is_none() && stream["last_id"].is_string(),
        "{stream}"
    );
    // Nothing is stored, so its id is no position to resume from.
    let page = api.get(&format!("{}?subjects=*", map.events()))?.expect(200)?.json()?;
    ensure!(page["data"] == json!([]), "{page}");
    let mut socket = Socket::connect(c.nodes[0].http, &map.token)?;
    let reply = socket.join_ok(&map.topic(), json!({"subjects": "live-1", "last_event_id": id}))?;
    ensure!(reply["gap"] == true && reply["backfill"] == 0, "{reply}");
    let reply = socket.join_ok("events:map:answers", json!({"subjects": "live-1"}))?;
    ensure!(reply["gap"] == false, "{reply}");
    Ok(())
}

fn several(c: &Cluster) -> Result<()> {
    let map = map(c, "several")?;
    let mut socket = c.joined(0, &map, json!({"subjects": "*"}))?;
    let filter = json!({"subjects": ["live-*"], "filter": "payload.n > 1 && seq == null"});
    let mut filtered = c.joined(1, &map, filter)?;
    let mut poller = Poller::join(c, &map, 2)?;
    let joins = json!(["2", "2", map.topic(), "phx_join", {"subjects": ["live-*"]}]).to_string();
    ensure!(poller.push(&joins)? == 200);
    poller.until("the join's reply", |p| p.frames.iter().any(|frame| frame.reply_ref == "2"))?;
    let publish = |subject: &str, n: u64, status| {
        let body = json!({"type": "moved", "subject": subject, "payload": {"n": n}});
        c.api(2, &map).post(&map.events(), &body)?.data(status)
    };
    for n in 1..=3 {
        publish("live-1", n, 202)?;
        publish("stored", n, 201)?;
    }
    let events = socket.events(6)?;
    for (subject, has_seq) in [("live-1", false), ("stored", true)] {
        let of: Vec<&Value> = events.iter().filter(|event| event["subject"] == subject).collect();
        let numbers: Vec<u64> = of.iter().filter_map(|event| event["payload"]["n"].as_u64()).collect();
        ensure!(
            numbers == [1, 2, 3] && of.iter().all(|event| event.get("seq").is_some() == has_seq),
            "{events:?}"
        );
    }
    let numbers: Vec<Value> = filtered.events(2)?.iter().map(|event| event["payload"]["n"].clone()).collect();
    ensure!(numbers == [2, 3], "{numbers:?}");
    poller.until("the events", |p| p.frames.iter().filter(|frame| frame.event == "moved").count() >= 3)?;
    Ok(())
}

fn rules_change(c: &Cluster) -> Result<()> {
    let map = map(c, "rules-change")?;
    let join = |subjects: &str| c.joined(1, &map, json!({"subjects": subjects}));
    let mut live = join("live-1")?;
    let mut chat = join("chat")?;
    let mut own = join("")?;
    let mut all = join("*")?;
    c.set_rules(&map, &json!([{"match": "chat", "durability": "ephemeral"}]))?;
    for moved in [&mut live, &mut chat] {
        let (code, _) = moved.wait_close()?;
        ensure!(code == Some(1012), "{code:?}");
    }
    for stays in [&mut own, &mut all] {
        stays.alive()?;
    }
    Ok(())
}

fn limited(c: &Cluster) -> Result<()> {
    let limits = json!({"connections": null, "requests_per_minute": null, "publishes_per_second": 5});
    let map = c.map_with("limited", json!({"limits": limits}))?;
    c.set_rules(&map, &json!([{"match": "live-*", "durability": "ephemeral"}]))?;
    let body = json!({"type": "x", "subject": "live-1", "payload": 1});
    let batch = json!({"events": vec![body; 500]});
    c.api(0, &map).post(&map.events(), &batch)?.expect(202)?;
    // The map has used its allowance for a hundred seconds, on every node.
    for node in 0..3 {
        c.wait_until("the limit to be reached", |c| {
            let refused = c.api(node, &map).post(&map.events(), &batch)?;
            match (refused.status, &*refused.code()) {
                (429, "publish_rate") => Ok(Some(())),
                // A node that can't reach the leader in time counts on its own.
                (202, _) => Ok(None),
                other => bail!("node {node}: {other:?}"),
            }
        })?;
    }
    Ok(())
}

/// Compares the CPU seconds of all nodes for an ephemeral and for a durable publish; prints both, and the
/// ephemeral one must be cheaper.
#[test]
fn an_ephemeral_publish_costs_less_than_a_durable_one() {
    scenario(cluster(), |c| {
        let map = map(c, "cost")?;
        let mut clients = Vec::new();
        for node in 0..3 {
            for subject in ["live-1", "stored-1"] {
                clients.push((c.joined(node, &map, json!({"subjects": subject}))?, subject));
            }
        }
        // Wait until all nodes know of all subscribers.
        for (socket, _) in clients.iter_mut().filter(|(_, of)| *of == "live-1") {
            let seen = std::cell::Cell::new(0_u32);
            socket.ws.nonblocking()?;
            c.wait_until("an event of each node", |c| {
                for node in 0..3_u32 {
                    let body = json!({"type": "x", "subject": "live-1", "payload": {"n": -1, "node": node}});
                    c.api(node as usize, &map).post(&map.events(), &body)?.expect(202)?;
                }
                for message in socket.ws.poll()? {
                    let Message::Text(text) = message else { bail!("{message:?}") };
                    let node = Frame::parse(&text)?.payload["payload"]["node"].as_u64().context("a node")?;
                    seen.set(seen.get() | 1 << node);
                }
                Ok((seen.get() == 0b111).then_some(()))
            })?;
            socket.ws.blocking()?;
        }
        let cpu = || c.nodes.iter().map(testkit::node::Node::cpu_seconds).sum::<Result<f64>>();
        let count = scale("WAYPOST_EPHEMERAL_PUBLISHES", 150) as usize;
        let mut cost = |subject: &str, status: u16| -> Result<f64> {
            let before = cpu()?;
            for n in 0..count {
                let body =
                    json!({"type": "x", "subject": subject, "payload": {"n": n, "x": "x".repeat(200)}});
                c.api(n % 3, &map).post(&map.events(), &body)?.expect(status)?;
            }
            for (socket, _) in clients.iter_mut().filter(|(_, of)| *of == subject) {
                while socket.events(1)?[0]["payload"]["n"] != count - 1 {}
            }
            Ok(cpu()? - before)
        };
        let ephemeral = cost("live-1", 202)?;
        let durable = cost("stored-1", 201)?;
        let micros = |seconds: f64| seconds * 1e6 / count as f64;
        println!(
            "  CPU per publish on three nodes, a subscriber on each: ephemeral {:.0} us, durable {:.0} us, ratio {:.2}",
            micros(ephemeral),
            micros(durable),
            ephemeral / durable
        );
        ensure!(ephemeral < durable, "an ephemeral publish costs {ephemeral} s, a durable one {durable} s");
        Ok(())
    });
}
