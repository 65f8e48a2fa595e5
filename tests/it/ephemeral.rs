//! Ephemeral events on three nodes: each subscriber gets them once at most and in every publishing node's order, whatever
//! becomes of the nodes; nothing goes to a node that does not want it, and what waits for a node that does not read is
//! bounded.

use crate::poller::Poller;
use crate::support::{fresh_key, nodes, scale, scenario};
use anyhow::{Context, Result, bail, ensure};
use chaos::Cluster;
use chaos::cluster::Map;
use chaos::phoenix::{Frame, Socket};
use chaos::wait;
use chaos::ws::Message;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const SUBJECTS: usize = 200;
/// Bytes that may wait for a node here.
const LINK_BYTES: u64 = 1 << 20;
/// What is under way comes on top of that.
const BATCH_BYTES: u64 = 256 * 1024;

fn cluster() -> chaos::Options {
    nodes(3).set("WAYPOST_EPHEMERAL_LINK_BYTES", LINK_BYTES)
}

fn subject(n: usize) -> String {
    format!("live-{}", n % SUBJECTS)
}

/// A map whose subjects `live-*` are ephemeral, as all nodes know.
fn map(c: &Cluster, slug: &str) -> Result<Map> {
    let map = c.map(slug)?;
    set_rules(c, &map, json!([{"match": "live-*", "durability": "ephemeral"}]))?;
    Ok(map)
}

fn set_rules(c: &Cluster, map: &Map, rules: Value) -> Result<()> {
    let path = format!("/api/maps/{}/channel-rules", map.id);
    c.api(0, map).call("PUT", &path, &[], Some(rules.to_string().as_bytes()))?.expect(200)?;
    c.wait_same_applied()?;
    Ok(())
}

/// Sums the values of a metric over its labels but those that don't have `label` in them.
fn metric(c: &Cluster, node: usize, name: &str, label: &str) -> Result<u64> {
    let text = c.admin(node).get("/metrics")?.expect(200)?.text();
    let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
    let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(values.sum::<f64>() as u64)
}

/// The label of a node.
fn peer(c: &Cluster, node: usize) -> Result<String> {
    Ok(format!("peer=\"{}\"", c.status(node)?["node_id"]))
}

/// One who publishes at one node: numbers its events of each subject.
struct Publisher {
    name: String,
    node: usize,
    sent: BTreeMap<String, u64>,
}

impl Publisher {
    fn new(name: &str, node: usize) -> Self {
        Self { name: name.to_owned(), node, sent: BTreeMap::new() }
    }

    fn event(&mut self, subject: String, padding: usize) -> Value {
        let number = self.sent.entry(subject.clone()).or_default();
        *number += 1;
        let payload = json!({"p": self.name, "n": *number, "x": "x".repeat(padding)});
        json!({"type": "moved", "subject": subject, "payload": payload})
    }

    /// Publishes one event to each of the subjects; the answer's events.
    fn publish(
        &mut self,
        c: &Cluster,
        map: &Map,
        subjects: impl Iterator<Item = usize>,
        padding: usize,
    ) -> Result<Value> {
        let events: Vec<Value> = subjects.map(|n| self.event(subject(n), padding)).collect();
        let body = json!({"events": events});
        c.api(self.node, map).post(&map.events(), &body)?.data(202)
    }
}

/// A subscriber: what it saw, wherever it was.
struct Client {
    socket: Option<Socket>,
    node: usize,
    subject: usize,
    /// Number of the newest event that it saw, by publisher and subject.
    last: BTreeMap<(String, String), u64>,
    seen: usize,
    closed: Option<u16>,
    /// What it should not have seen. It stays: who waits for something tries again.
    fault: Option<String>,
}

impl Client {
    fn join(c: &Cluster, map: &Map, node: usize, subject: usize) -> Result<Self> {
        let mut client =
            Self { socket: None, node, subject, last: BTreeMap::new(), seen: 0, closed: None, fault: None };
        client.go_to(c, map, node)?;
        Ok(client)
    }

    /// Leaves where it is, having read what had arrived, and subscribes at that node.
    fn go_to(&mut self, c: &Cluster, map: &Map, node: usize) -> Result<()> {
        self.read()?;
        self.socket = None;
        let mut socket = Socket::connect(c.nodes[node].http, &map.token)?;
        socket.join_ok(&map.topic(), json!({"subjects": subject(self.subject)}))?;
        socket.ws.nonblocking()?;
        (self.socket, self.node, self.closed) = (Some(socket), node, None);
        Ok(())
    }

    /// Takes what has arrived: nothing twice, nothing out of a publisher's order, nothing of another subject.
    fn read(&mut self) -> Result<()> {
        if self.fault.is_none() {
            self.fault = self.take().err().map(|error| format!("{error:#}"));
        }
        match &self.fault {
            Some(fault) => bail!("{fault}"),
            None => Ok(()),
        }
    }

    fn take(&mut self) -> Result<()> {
        let Some(socket) = &mut self.socket else { return Ok(()) };
        for message in socket.ws.poll()? {
            match message {
                Message::Text(text) => {
                    let envelope = Frame::parse(&text)?.payload;
                    let of = envelope["subject"].as_str().unwrap_or_default().to_owned();
                    ensure!(of == subject(self.subject) && envelope.get("seq").is_none(), "{envelope}");
                    let publisher = envelope["payload"]["p"].as_str().context("a publisher")?.to_owned();
                    let number = envelope["payload"]["n"].as_u64().context("a number")?;
                    let before = self.last.insert((publisher.clone(), of), number).unwrap_or(0);
                    ensure!(before < number, "{number} after {before} of {publisher}, at node {}", self.node);
                    self.seen += 1;
                }
                Message::Close(code, _) => self.closed = code,
                Message::End => self.socket = None,
                _ => {}
            }
        }
        Ok(())
    }

    fn newest(&self, publisher: &Publisher) -> u64 {
        let key = (publisher.name.clone(), subject(self.subject));
        self.last.get(&key).copied().unwrap_or(0)
    }
}

/// Waits until all clients saw the last event of each of the publishers.
fn wait_seen(clients: &mut [Client], publishers: &[&Publisher]) -> Result<()> {
    wait::until("all clients to see the last events", || {
        let mut missing = 0;
        for client in clients.iter_mut() {
            client.read()?;
            let sent = |publisher: &&&Publisher| publisher.sent.get(&subject(client.subject)).copied().unwrap_or(0);
            missing += publishers.iter().filter(|publisher| client.newest(publisher) < sent(publisher)).count();
        }
        Ok((missing == 0).then_some(()))
    })
}

/// Publishes until all clients have seen an event of each publisher that was published from now on: nodes that were out
/// of touch find each other again, and what goes out meanwhile may be lost.
fn wait_flowing(c: &Cluster, map: &Map, clients: &mut [Client], publishers: &mut [Publisher]) -> Result<()> {
    let before: Vec<BTreeMap<String, u64>> = publishers.iter().map(|publisher| publisher.sent.clone()).collect();
    wait::until("events of all nodes to come to all clients", || {
        for publisher in publishers.iter_mut() {
            publisher.publish(c, map, 0..SUBJECTS, 0)?;
        }
        std::thread::sleep(Duration::from_millis(50));
        let mut missing = 0;
        for client in clients.iter_mut() {
            client.read()?;
            ensure!(client.socket.is_some(), "the client of {} at node {} is closed", client.subject, client.node);
            let sent = |n: usize| before[n].get(&subject(client.subject)).copied().unwrap_or(0);
            missing += (0..publishers.len()).filter(|n| client.newest(&publishers[*n]) <= sent(*n)).count();
        }
        Ok((missing == 0).then_some(()))
    })
}

/// With `WAYPOST_EPHEMERAL_SUBSCRIBERS=1000` as many as one likes.
#[test]
fn subscribers_see_each_event_once_in_order_whatever_becomes_of_nodes() {
    scenario(cluster(), |c| {
        let map = map(c, "ephemeral")?;
        let count = scale("WAYPOST_EPHEMERAL_SUBSCRIBERS", 300) as usize;
        let mut clients = Vec::new();
        for n in 0..count {
            clients.push(Client::join(c, &map, n % 3, n % SUBJECTS)?);
        }
        let mut publishers: Vec<Publisher> = (0..3).map(|node| Publisher::new(&format!("p{node}"), node)).collect();
        // Nodes that were too busy to confirm in time know of all subscribers then, and nothing is lost any more.
        wait_flowing(c, &map, &mut clients, &mut publishers)?;
        wait_seen(&mut clients, &publishers.iter().collect::<Vec<_>>())?;
        let before: Vec<usize> = clients.iter().map(|client| client.seen).collect();
        for _ in 0..3 {
            for publisher in &mut publishers {
                publisher.publish(c, &map, 0..SUBJECTS, 0)?;
            }
        }
        wait_seen(&mut clients, &publishers.iter().collect::<Vec<_>>())?;
        let seen = clients.iter().zip(before).map(|(client, before)| client.seen - before);
        ensure!(seen.min() == Some(9), "an event was lost");
        only_to_whom_it_concerns(c, &map, &mut publishers, &clients)?;
        moving(c, &map, &mut clients)?;
        wait_flowing(c, &map, &mut clients, &mut publishers)?;
        paused(c, &map, &mut clients, &mut publishers)?;
        killed(c, &map, &mut clients, &mut publishers)
    });
}

/// Frames go to nodes with subscribers of the subject, and to no other.
fn only_to_whom_it_concerns(c: &Cluster, map: &Map, publishers: &mut [Publisher], clients: &[Client]) -> Result<()> {
    let sent = |to: usize| metric(c, 0, "waypost_ephemeral_sent_events_total{", &peer(c, to)?);
    for subject in [100, 101, 150] {
        let wanting: BTreeSet<usize> =
            clients.iter().filter(|client| client.subject == subject).map(|client| client.node).collect();
        let before = [sent(1)?, sent(2)?];
        for _ in 0..20 {
            publishers[0].publish(c, map, std::iter::once(subject), 0)?;
        }
        // Also of what nobody wants.
        c.api(0, map)
            .post(&map.events(), &json!({"type": "x", "subject": "live-unread", "payload": 1}))?
            .expect(202)?;
        let expected = [1, 2].map(|node| if wanting.contains(&node) { 20 } else { 0 });
        c.wait_until("the events to be sent", |_| {
            let now = [sent(1)? - before[0], sent(2)? - before[1]];
            ensure!(now[0] <= expected[0] && now[1] <= expected[1], "{now:?} instead of {expected:?}");
            Ok((now == expected).then_some(()))
        })?;
    }
    Ok(())
}

/// Clients go from node to node while publishers go on.
fn moving(c: &Cluster, map: &Map, clients: &mut [Client]) -> Result<()> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let publishing: Vec<_> = (0..3)
            .map(|node| {
                let over = &over;
                scope.spawn(move || -> Result<()> {
                    let mut publisher = Publisher::new(&format!("moving{node}"), node);
                    while !over.load(Ordering::Relaxed) {
                        publisher.publish(c, map, 0..SUBJECTS, 0)?;
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    Ok(())
                })
            })
            .collect();
        let moved = (0..2).try_for_each(|round| {
            for client in clients.iter_mut().step_by(4) {
                client.go_to(c, map, (client.node + 1 + round) % 3)?;
            }
            clients.iter_mut().try_for_each(Client::read)
        });
        over.store(true, Ordering::Relaxed);
        for publisher in publishing {
            publisher.join().map_err(|_| anyhow::anyhow!("a publisher panicked"))??;
        }
        moved
    })
}

/// A node that stands still: what waits for it is bounded, and it goes on without anything twice.
fn paused(c: &Cluster, map: &Map, clients: &mut [Client], publishers: &mut [Publisher]) -> Result<()> {
    let (stopped, stopped_peer) = (2, peer(c, 2)?);
    // One that others have no subscribers of.
    let of_it = clients.iter().map(|client| client.subject).find(|subject| {
        clients.iter().filter(|client| client.subject == *subject).all(|client| client.node == stopped)
    });
    let of_it = of_it.context("a subject with subscribers there alone")?;
    let dropped = || metric(c, 0, "waypost_ephemeral_dropped_events_total", "overflow");
    let before = dropped()?;
    c.nodes[stopped].sigstop()?;
    let mut most = 0;
    let overflown = c.wait_until("what waits for the node to be dropped", |c| {
        // More than may wait, at once: a node that is silent for long is not sent anything any more.
        publishers[0].publish(c, map, std::iter::repeat_n(of_it, 75), 20_000)?;
        most = most.max(metric(c, 0, "waypost_ephemeral_waiting_bytes", &stopped_peer)?);
        clients.iter_mut().filter(|client| client.node != stopped).try_for_each(Client::read)?;
        Ok((dropped()? > before).then_some(()))
    });
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(100));
        most = most.max(metric(c, 0, "waypost_ephemeral_waiting_bytes", &stopped_peer)?);
    }
    c.nodes[stopped].sigcont()?;
    overflown?;
    println!("  {most} bytes waited at most");
    ensure!(most <= LINK_BYTES + BATCH_BYTES, "{most} bytes waited");
    c.wait_until("the node to be ready", |c| {
        c.admin(stopped).get("/readyz")?.expect(200)?;
        Ok(Some(()))
    })?;
    wait_flowing(c, map, clients, publishers)
}

/// A node that is killed: its clients go elsewhere, and come back.
fn killed(c: &mut Cluster, map: &Map, clients: &mut [Client], publishers: &mut [Publisher]) -> Result<()> {
    c.nodes[1].kill9()?;
    publishers[0].publish(c, map, 0..SUBJECTS, 0)?;
    let mut there: Vec<&mut Client> = clients.iter_mut().filter(|client| client.node == 1).collect();
    for (n, client) in there.iter_mut().enumerate() {
        client.go_to(c, map, if n % 2 == 0 { 0 } else { 2 })?;
    }
    let (first, rest) = publishers.split_at_mut(1);
    wait_flowing(c, map, clients, first)?;
    wait_flowing(c, map, clients, &mut rest[1..])?;
    c.nodes[1].start()?;
    c.wait_ready()?;
    for client in clients.iter_mut().step_by(5) {
        client.go_to(c, map, 1)?;
    }
    wait_flowing(c, map, clients, publishers)
}

#[test]
fn ephemeral_events_are_published_and_refused() {
    crate::support::checked(
        cluster(),
        &[
            ("answers and refusals", answers),
            ("readers of several subjects, and streams", several),
            ("a change of rules moves subscribers", rules_change),
            ("a publish limit counts for all nodes", limited),
        ],
    );
}

fn answers(c: &Cluster) -> Result<()> {
    let map = map(c, "answers")?;
    let api = c.api(1, &map);
    let event = |subject: &str| json!({"type": "moved", "subject": subject, "payload": {"x": 1}});
    let data = api.post(&map.events(), &event("live-1"))?.data(202)?;
    ensure!(data["subject"] == "live-1" && data.get("seq").is_none() && data["payload"] == json!({"x": 1}), "{data}");
    let id = data["id"].as_str().context("an id")?.to_owned();
    ensure!(
        api.post_once(&map.events(), &fresh_key(), &event("live-1"))?.expect(400)?.code() == "idempotency_of_ephemeral"
    );
    let mixed = json!({"events": [event("live-1"), event("other")]});
    let mixed = api.post(&map.events(), &mixed)?.expect(400)?;
    ensure!(mixed.code() == "mixed_durability" && mixed.json()?["index"] == 1, "{}", mixed.text());
    let lines = format!("{}\n{}\n", event("live-1"), event("live-2"));
    let header = [("content-type", "application/x-ndjson")];
    let stream = api.call("POST", &map.events(), &header, Some(lines.as_bytes()))?.data(202)?;
    ensure!(stream["count"] == 2 && stream.get("first_seq").is_none() && stream["last_id"].is_string(), "{stream}");
    // Nothing is stored, and nobody can resume by its id.
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
    let mut socket = Socket::connect(c.nodes[0].http, &map.token)?;
    socket.join_ok(&map.topic(), json!({"subjects": "*"}))?;
    let mut filtered = Socket::connect(c.nodes[1].http, &map.token)?;
    filtered.join_ok(&map.topic(), json!({"subjects": ["live-*"], "filter": "payload.n > 1 && seq == null"}))?;
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
        ensure!(numbers == [1, 2, 3] && of.iter().all(|event| event.get("seq").is_some() == has_seq), "{events:?}");
    }
    let numbers: Vec<Value> = filtered.events(2)?.iter().map(|event| event["payload"]["n"].clone()).collect();
    ensure!(numbers == [2, 3], "{numbers:?}");
    poller.until("the events", |p| p.frames.iter().filter(|frame| frame.event == "moved").count() >= 3)?;
    Ok(())
}

fn rules_change(c: &Cluster) -> Result<()> {
    let map = map(c, "rules-change")?;
    let join = |subjects: &str| {
        let mut socket = Socket::connect(c.nodes[1].http, &map.token)?;
        socket.join_ok(&map.topic(), json!({"subjects": subjects}))?;
        anyhow::Ok(socket)
    };
    let (mut live, mut chat, mut own, mut all) = (join("live-1")?, join("chat")?, join("")?, join("*")?);
    set_rules(c, &map, json!([{"match": "chat", "durability": "ephemeral"}]))?;
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
    set_rules(c, &map, json!([{"match": "live-*", "durability": "ephemeral"}]))?;
    let body = json!({"type": "x", "subject": "live-1", "payload": 1});
    let batch = json!({"events": vec![body; 500]});
    c.api(0, &map).post(&map.events(), &batch)?.expect(202)?;
    // A hundred seconds' worth is used up, also elsewhere.
    for node in 0..3 {
        c.wait_until("the limit to be reached", |c| {
            let refused = c.api(node, &map).post(&map.events(), &batch)?;
            match (refused.status, &*refused.code()) {
                (429, "publish_rate") => Ok(Some(())),
                // A node that can't ask the leader in time counts for itself.
                (202, _) => Ok(None),
                other => bail!("node {node}: {other:?}"),
            }
        })?;
    }
    Ok(())
}

/// CPU seconds of all nodes for a publish that is ephemeral, by those of a durable one. Shown, and held to be less.
#[test]
fn an_ephemeral_publish_costs_less_than_a_durable_one() {
    scenario(cluster(), |c| {
        let map = map(c, "cost")?;
        let mut clients = Vec::new();
        for node in 0..3 {
            for subject in ["live-1", "stored-1"] {
                let mut socket = Socket::connect(c.nodes[node].http, &map.token)?;
                socket.join_ok(&map.topic(), json!({"subjects": subject}))?;
                clients.push((socket, subject));
            }
        }
        // Until all nodes know of all subscribers.
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
        let cpu = || c.nodes.iter().map(chaos::node::Node::cpu_seconds).sum::<Result<f64>>();
        let count = scale("WAYPOST_EPHEMERAL_PUBLISHES", 150) as usize;
        let mut cost = |subject: &str, status: u16| -> Result<f64> {
            let before = cpu()?;
            for n in 0..count {
                let body = json!({"type": "x", "subject": subject, "payload": {"n": n, "x": "x".repeat(200)}});
                c.api(n % 3, &map).post(&map.events(), &body)?.expect(status)?;
            }
            for (socket, _) in clients.iter_mut().filter(|(_, of)| *of == subject) {
                while socket.events(1)?[0]["payload"]["n"] != count - 1 {}
            }
            Ok(cpu()? - before)
        };
        let (ephemeral, durable) = (cost("live-1", 202)?, cost("stored-1", 201)?);
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
