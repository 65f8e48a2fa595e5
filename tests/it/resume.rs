//! Joining with history: `backfill`, `since` and `last_event_id`, on any node, over WebSocket and SSE. The
//! reply comes first, then history in order, then live events; and a gap is reported.

use crate::support::{checked, nodes, publish, publish_many};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::Cluster;
use testkit::checks::check_stream;
use testkit::clients::Js;
use testkit::http::text;
use testkit::phoenix::Socket;
use testkit::publisher::Publisher;

#[test]
fn history_comes_in_order_before_live_events() {
    // The stall limit is long: no client here may be closed for being slow.
    checked(
        nodes(3).set("WAYPOST_SESSION_STALL_SECONDS", 120),
        &[
            ("every way to ask for history", ways_to_ask),
            ("wrong parameters are refused", wrong_parameters),
            ("no gap and no duplicate between history and live", seam),
            ("a gap in history is reported", gap),
            ("a slow reader misses nothing", slow_reader),
            ("EventSource resumes on another node", sse_resumes),
        ],
    );
}

/// Joins on `node` and reads as many events as the reply announces; returns the reply and the events' seqs.
fn join(c: &Cluster, node: usize, token: &str, topic: &str, params: Value) -> Result<(Value, Vec<u64>)> {
    let mut socket = Socket::connect(c.nodes[node].http, token)?;
    let reply = socket.join_ok(topic, params)?;
    let announced = reply["backfill"].as_u64().with_context(|| format!("{reply}"))?;
    let events = socket.events(announced as usize)?;
    socket.alive()?;
    Ok((reply, events.iter().filter_map(|e| e["seq"].as_u64()).collect()))
}

fn ways_to_ask(c: &Cluster) -> Result<()> {
    let map = c.map("ways")?;
    let mut sent = publish_many(c, 0, &map, "x", 5)?;
    std::thread::sleep(Duration::from_millis(5));
    let sixth = publish(c, 1, &map, "y", json!({}))?;
    sent.push(sixth.clone());
    sent.extend(publish_many(c, 2, &map, "x", 2)?);
    c.wait_same_applied()?;
    let id = |n: usize| sent[n - 1]["id"].clone();
    let table: &[(Value, &[u64])] = &[
        (json!({}), &[]),
        (json!({"backfill": 0}), &[]),
        (json!({"backfill": 3}), &[6, 7, 8]),
        (json!({"backfill": 100}), &[1, 2, 3, 4, 5, 6, 7, 8]),
        (json!({"backfill": 100, "events": ["y"]}), &[6]),
        (json!({"last_event_id": id(1)}), &[2, 3, 4, 5, 6, 7, 8]),
        (json!({"last_event_id": id(1), "events": ["x"]}), &[2, 3, 4, 5, 7, 8]),
        (json!({"last_event_id": id(8)}), &[]),
        (json!({"last_event_id": null}), &[]),
        (json!({"since": "2000-01-01T00:00:00Z"}), &[1, 2, 3, 4, 5, 6, 7, 8]),
        (json!({"since": sixth["ts"]}), &[6, 7, 8]),
        (json!({"since": "2999-01-01T00:00:00+02:00"}), &[]),
    ];
    for node in 0..3 {
        for (params, expected) in table {
            let (reply, seqs) = join(c, node, &map.token, &map.topic(), params.clone())?;
            ensure!(seqs == *expected, "node {node}: {params} brought {seqs:?}");
            ensure!(reply["last_seq"] == 8, "{params}: {reply}");
            let unread = expected.is_empty() && reply["last_event_id"] == id(8);
            ensure!(unread || reply["last_event_id"].as_str() < id(8).as_str(), "{params}: {reply}");
            ensure!(reply["gap"] == false, "{params}: {reply}");
        }
    }
    Ok(())
}

fn wrong_parameters(c: &Cluster) -> Result<()> {
    let map = c.map("wishes")?;
    publish_many(c, 0, &map, "x", 2)?;
    let mut socket = Socket::connect(c.nodes[0].http, &map.token)?;
    let wrong = [
        json!({"events": []}),
        json!({"events": "x y"}),
        json!({"events": [1]}),
        json!({"events": {"a": 1}}),
        json!({"events": ["no,comma"]}),
        json!({"backfill": -1}),
        json!({"backfill": "many"}),
        json!({"backfill": 1.5}),
        json!({"since": "yesterday"}),
        json!({"since": ""}),
        json!({"since": "2026-01-01"}),
        json!({"since": 12}),
        json!({"last_event_id": "not an id"}),
        json!({"last_event_id": 7}),
        json!([]),
        json!("x"),
    ];
    for params in wrong {
        let (_, reply) = socket.join(&map.topic(), params.clone())?;
        ensure!(reply.status() == "error" && !reply.reason().is_empty(), "{params}: {reply:?}");
    }
    socket.alive()
}

/// A client joins again and again while a publisher publishes.
fn seam(c: &Cluster) -> Result<()> {
    let map = c.map("seam")?;
    let publisher = Publisher::start(c.urls_from(0), &map, "seam", &["x"], Duration::from_millis(2));
    publisher.wait_more(20)?;
    let mut last = json!(null);
    let mut seen = Vec::new();
    for turn in 0..30 {
        let mut socket = Socket::connect(c.nodes[turn % 3].http, &map.token)?;
        let params = match &last {
            Value::Null => json!({"since": "2000-01-01T00:00:00Z"}),
            id => json!({"last_event_id": id}),
        };
        let reply = socket.join_ok(&map.topic(), params)?;
        let backfill = reply["backfill"].as_u64().unwrap_or(0);
        for envelope in socket.events(backfill as usize + 3)? {
            last = envelope["id"].clone();
            seen.push(testkit::event::Event::from_envelope(&envelope)?);
        }
    }
    let acks = publisher.stop()?;
    let upto = seen.last().map_or(0, |e| e.seq);
    let acks: Vec<_> = acks.into_iter().filter(|a| a.seq <= upto).collect();
    check_stream("a client that joins again", 0, &seen, &acks)
}

fn gap(c: &Cluster) -> Result<()> {
    let map = c.map_with("gap", json!({"retention": {"events": 10}}))?;
    let sent = publish_many(c, 0, &map, "x", 40)?;
    let first = text(&sent[0], "id")?;
    let page = c.wait_until("retention to forget the first event", |c| {
        let page = c.admin(1).get(&format!("{}?after={first}&limit=100", map.events()))?;
        let page = page.expect(200)?.json()?;
        Ok((page["gap"] == true).then_some(page))
    })?;
    let oldest = page["oldest_id"].clone();
    ensure!(page["data"][0]["id"] == oldest, "{page}");
    c.wait_same_applied()?;
    for node in 0..3 {
        let params = json!({"last_event_id": first});
        let (reply, seqs) = join(c, node, &map.token, &map.topic(), params)?;
        ensure!(reply["gap"] == true && reply["oldest_id"] == oldest, "{reply}");
        ensure!(seqs.last() == Some(&40) && seqs.len() >= 10, "{seqs:?}");
        ensure!(seqs.windows(2).all(|p| p[1] == p[0] + 1), "{seqs:?}");
    }
    let (reply, _) = join(c, 0, &map.token, &map.topic(), json!({"last_event_id": oldest}))?;
    ensure!(reply["gap"] == false, "{reply}");
    Ok(())
}

/// A client that does not read while more is published than rings and buffers hold gets everything.
fn slow_reader(c: &Cluster) -> Result<()> {
    let map = c.map("slow")?;
    let mut slow = c.joined(1, &map, json!({}))?;
    let event = json!({"type": "x", "payload": "x".repeat(4000)});
    let batch = json!({"events": vec![event; 250]});
    for _ in 0..12 {
        c.publish(0, &map, &batch)?;
    }
    let seen = slow.events(3000)?;
    let in_order = seen.iter().zip(1u64..).all(|(envelope, seq)| envelope["seq"] == seq);
    ensure!(in_order, "not every event in order");
    slow.alive()
}

fn sse_resumes(c: &Cluster) -> Result<()> {
    let map = c.map("sse-resumes")?;
    let mut client = Js::sse(&c.urls_from(0), &map, json!({}), &["x"])?;
    client.wait_for("connected", 1)?;
    publish_many(c, 0, &map, "x", 3)?;
    client.wait_seq(3)?;
    for turn in 1..=3 {
        client.order(json!({"do": "next"}))?;
        publish_many(c, turn % 3, &map, "x", 3)?;
        client.wait_for("connected", turn + 1)?;
        client.wait_seq(3 * (turn as u64 + 1))?;
    }
    check_stream("EventSource", 0, &client.events()?, &[])
}
