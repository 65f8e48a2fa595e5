//! Filters: type patterns and expressions, live and in history, over every protocol, through any node.

use crate::support::{Check, binary, checked, nodes, publish, publish_many};
use anyhow::{Result, anyhow, bail, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use testkit::Cluster;
use testkit::clients::Js;
use testkit::cluster::Map;
use testkit::phoenix::Socket;

#[test]
fn filters_select_by_pattern_and_expression() {
    const CHECKS: &[Check] = &[
        ("phoenix.js: live, backfill and resume on every node", phoenix_resumes),
        ("EventSource: live and resume on every node", sse_resumes),
        ("long poll", long_poll),
        ("backfill over REST", rest),
        ("patterns of types", patterns),
        ("no event is lost between history and live", seam),
        ("far behind the ring", far_behind),
        ("bad filters are refused", refusals),
        ("waypost tail --filter", tail),
    ];
    checked(nodes(3), CHECKS);
}

#[test]
fn different_filters_are_limited() {
    let options = nodes(1).set("WAYPOST_LIMITS_EXPRESSIONS_PER_TOPIC", "2");
    checked(options, &[("the limit of different filters", too_many)]);
}

/// A map with costly filters and large events is busy for long. Another map's reader is not delayed, and
/// neither is a reader of the busy map without a filter.
#[test]
fn filters_of_one_map_delay_no_other() {
    checked(nodes(1), &[("readers next to costly filters", neighbour)]);
}

fn neighbour(c: &Cluster) -> Result<()> {
    const FILTERS: usize = 10;
    const EVENTS: usize = 10;
    let map = c.map("costly")?;
    let other = c.map("neighbour")?;
    let joined = |map: &Map, params: Value| c.joined(0, map, params);
    let costly = |n: usize| joined(&map, json!({"filter": format!("payload.a.exists(x, x > {n})")}));
    let mut costly = (0..FILTERS).map(costly).collect::<Result<Vec<_>>>()?;
    let mut open = joined(&map, json!({}))?;
    let mut neighbour = joined(&other, json!({}))?;
    let mut list = vec![0; 4000];
    list.push(99);
    let event = json!({"type": "x", "payload": {"a": list}});
    let mut once = || -> Result<(Duration, Duration)> {
        c.api(0, &map).post(&map.events(), &json!({"events": vec![event.clone(); EVENTS]}))?.expect(201)?;
        let began = Instant::now();
        publish(c, 0, &other, "x", json!({}))?;
        std::thread::scope(|scope| {
            let through = scope.spawn(|| -> Result<Duration> {
                costly.iter_mut().try_for_each(|socket| socket.events(EVENTS).map(drop))?;
                Ok(began.elapsed())
            });
            neighbour.events(1)?;
            open.events(EVENTS)?;
            let neighbours = began.elapsed();
            Ok((neighbours, through.join().map_err(|_| anyhow!("the reader panicked"))??))
        })
    };
    // A reader that waits for the filters does so each time; one that is only late on a busy machine does
    // not.
    let mut measured = Vec::new();
    for _ in 0..5 {
        let (neighbours, through) = once()?;
        println!("{neighbours:?} without filters, {through:?} with them");
        if neighbours < through / 2 {
            return Ok(());
        }
        measured.push((neighbours, through));
    }
    bail!("the others waited for the filters: {measured:?}")
}

const HIGH_VALUE: &str = "payload.value > 1e9";

/// Publishes `2 * n` kills with values below and above the bar in turn; returns the seqs of the `n` above it.
fn kills(c: &Cluster, node: usize, map: &Map, n: usize) -> Result<Vec<u64>> {
    let kill =
        |i: usize| json!({"type": "map_kill", "payload": {"value": 500_000_000 + 1_000_000_000 * (i % 2)}});
    let events: Vec<Value> = (0..2 * n).map(kill).collect();
    let body = json!({"events": events});
    let data = c.publish(node, map, &body)?;
    let sent = data["events"].as_array().or(data.as_array()).cloned().unwrap_or_default();
    ensure!(sent.len() == 2 * n, "{data}");
    Ok(sent.iter().filter_map(|event| event["seq"].as_u64()).skip(1).step_by(2).collect())
}

fn seqs(client: &Js) -> Result<Vec<u64>> {
    Ok(client.events()?.iter().map(|event| event.seq).collect())
}

fn phoenix_resumes(c: &Cluster) -> Result<()> {
    let map = c.map("filtered-phoenix")?;
    let mut expected = kills(c, 0, &map, 3)?;
    c.wait_same_applied()?;
    let params = json!({"filter": HIGH_VALUE, "events": ["map_*"], "backfill": 100});
    let mut client = Js::phoenix(&c.urls_from(0), &map, params)?;
    let reply = client.wait_joined()?;
    ensure!(reply["backfill"] == 3 && reply["last_seq"] == 6, "{reply}");
    for turn in 0..3 {
        expected.extend(kills(c, turn % 3, &map, 2)?);
        client.wait_seq(*expected.last().unwrap_or(&0))?;
        client.order(json!({"do": "next"}))?;
        expected.extend(kills(c, (turn + 1) % 3, &map, 2)?);
        client.wait_seq(*expected.last().unwrap_or(&0))?;
    }
    ensure!(seqs(&client)? == expected, "{:?} is not {expected:?}", seqs(&client)?);
    Ok(())
}

fn sse_resumes(c: &Cluster) -> Result<()> {
    let map = c.map("filtered-sse")?;
    let query = json!({"filter": "payload.value > 1000000000 && type.startsWith('map_')"});
    let mut client = Js::sse(&c.urls_from(0), &map, query, &["map_kill"])?;
    client.wait_for("connected", 1)?;
    let mut expected = kills(c, 0, &map, 2)?;
    client.wait_seq(4)?;
    for turn in 1..=3 {
        client.order(json!({"do": "next"}))?;
        expected.extend(kills(c, turn % 3, &map, 2)?);
        client.wait_for("connected", turn + 1)?;
        client.wait_seq(*expected.last().unwrap_or(&0))?;
    }
    ensure!(seqs(&client)? == expected, "{:?} is not {expected:?}", seqs(&client)?);
    Ok(())
}

fn long_poll(c: &Cluster) -> Result<()> {
    let map = c.map("filtered-longpoll")?;
    let client = Js::longpoll(&c.urls_from(1), &map, json!({"filter": HIGH_VALUE}))?;
    client.wait_joined()?;
    let expected = kills(c, 0, &map, 3)?;
    client.wait_seq(6)?;
    ensure!(seqs(&client)? == expected, "{:?} is not {expected:?}", seqs(&client)?);
    Ok(())
}

fn rest(c: &Cluster) -> Result<()> {
    let map = c.map("filtered-rest")?;
    let expected = kills(c, 0, &map, 50)?;
    c.wait_same_applied()?;
    let mut after = String::new();
    let mut found = Vec::new();
    for _ in 0..100 {
        let path = format!("{}?filter=payload.value%20%3E%201e9&events=*_kill&limit=7{after}", map.events());
        let page = c.admin(2).get(&path)?.expect(200)?.json()?;
        found.extend(page["data"].as_array().into_iter().flatten().filter_map(|event| event["seq"].as_u64()));
        after = format!("&after={}", page["cursor"].as_str().unwrap_or_default());
        if page["has_more"] == false {
            break;
        }
    }
    ensure!(found == expected, "{found:?} is not {expected:?}");
    Ok(())
}

fn patterns(c: &Cluster) -> Result<()> {
    let map = c.map("patterns")?;
    let joined = |events: Value| c.joined(1, &map, json!({"events": events}));
    let mut begin = joined(json!(["signature_*", "map_kill"]))?;
    let mut end = joined(json!(["*_added"]))?;
    let mut all = joined(json!(["*", "x"]))?;
    let kinds = ["signature_added", "signature", "system_added", "map_kill", "signature_gone", "map_kills"];
    for kind in kinds {
        publish(c, 0, &map, kind, json!({}))?;
    }
    let types = |events: Vec<Value>| {
        events.iter().map(|e| e["type"].as_str().unwrap_or("").to_owned()).collect::<Vec<_>>()
    };
    ensure!(types(begin.events(3)?) == ["signature_added", "map_kill", "signature_gone"]);
    ensure!(types(end.events(2)?) == ["signature_added", "system_added"]);
    ensure!(types(all.events(6)?) == kinds);
    begin.alive()?;
    end.alive()?;
    let path = format!("{}?events=sig*ed,*kills", map.events());
    let page = c.admin(0).get(&path)?.expect(200)?.json()?;
    ensure!(
        types(page["data"].as_array().cloned().unwrap_or_default()) == ["signature_added", "map_kills"],
        "{page}"
    );
    Ok(())
}

/// A client that joins again and again during publishing gets every matching event once.
fn seam(c: &Cluster) -> Result<()> {
    let map = c.map("filtered-seam")?;
    let mut expected = kills(c, 0, &map, 1)?;
    let mut last = Value::Null;
    let mut found = Vec::new();
    for turn in 0..12 {
        expected.extend(kills(c, turn % 3, &map, 5)?);
        let mut socket = Socket::connect(c.nodes[(turn + 1) % 3].http, &map.token)?;
        let start = if last.is_null() { json!("2000-01-01T00:00:00Z") } else { Value::Null };
        let params = json!({"filter": HIGH_VALUE, "last_event_id": last, "since": start});
        let reply = socket.join_ok(&map.topic(), params)?;
        expected.extend(kills(c, turn % 3, &map, 5)?);
        // Some events come from history, some live; history ends where live begins.
        let due = expected.len() - found.len();
        ensure!(reply["backfill"].as_u64() <= Some(due as u64), "{reply}, {due} are due");
        for envelope in socket.events(due - 2)? {
            last = envelope["id"].clone();
            found.push(envelope["seq"].as_u64().unwrap_or(0));
        }
    }
    ensure!(found == expected[..found.len()] && found.len() > 100, "{found:?} is not {expected:?}");
    Ok(())
}

/// More is published than rings hold, and few events match.
fn far_behind(c: &Cluster) -> Result<()> {
    let map = c.map("filtered-far")?;
    let mut socket = c.joined(2, &map, json!({"filter": "payload.i == 7 && seq > 3000"}))?;
    for _ in 0..7 {
        publish_many(c, 0, &map, "x", 1000)?;
    }
    let found: Vec<Value> = socket.events(4)?.iter().map(|event| event["seq"].clone()).collect();
    ensure!(found == [3008, 4008, 5008, 6008], "{found:?}");
    let mut late = Socket::connect(c.nodes[1].http, &map.token)?;
    c.wait_same_applied()?;
    let reply = late.join_ok(&map.topic(), json!({"filter": "payload.i == 7", "backfill": 7000}))?;
    ensure!(reply["backfill"] == 7, "{reply}");
    let found: Vec<Value> = late.events(7)?.iter().map(|event| event["seq"].clone()).collect();
    ensure!(found == [8, 1008, 2008, 3008, 4008, 5008, 6008], "{found:?}");
    socket.alive()?;
    late.alive()
}

fn refusals(c: &Cluster) -> Result<()> {
    let map = c.map("filter-refusals")?;
    let mut socket = Socket::connect(c.nodes[0].http, &map.token)?;
    let bad = [
        json!("payload.value >"),
        json!(""),
        json!(7),
        json!("payload.a + 1"),
        json!("valu > 1"),
        json!("(".repeat(1000)),
    ];
    for filter in bad {
        let (_, reply) = socket.join(&map.topic(), json!({"filter": filter}))?;
        let message = reply.payload["response"]["message"].as_str().unwrap_or_default();
        let refused = reply.status() == "error" && reply.reason() == "invalid filter" && !message.is_empty();
        ensure!(refused, "{filter}: {reply:?}");
    }
    for path in [map.events(), format!("{}/stream", map.events())] {
        let answer = c.api(0, &map).get(&format!("{path}?filter=valu%20%3E%201"))?.expect(400)?.json()?;
        ensure!(answer["error"] == "invalid_filter", "{answer}");
        ensure!(answer["message"].as_str().is_some_and(|message| message.starts_with("at 1: ")), "{answer}");
    }
    socket.alive()
}

fn tail(c: &Cluster) -> Result<()> {
    let map = c.map("filtered-tail")?;
    let expected = kills(c, 0, &map, 2)?;
    c.wait_same_applied()?;
    let args =
        ["tail", &map.id, "--filter", HIGH_VALUE, "--since", "2000-01-01T00:00:00Z", "-n", "2", "--json"];
    let url = c.nodes[1].url();
    let output = std::process::Command::new(binary())
        .args(args)
        .env("WAYPOST_URL", url)
        .env("WAYPOST_TOKEN", &map.token)
        .output()?;
    let lines = String::from_utf8_lossy(&output.stdout);
    let found: Vec<u64> =
        lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()?["seq"].as_u64()).collect();
    ensure!(output.status.success() && found == expected, "{output:?}");
    ensure!(output.stderr.is_empty(), "a gap was reported where the filter left events out: {output:?}");
    Ok(())
}

fn too_many(c: &Cluster) -> Result<()> {
    let map = c.map("too-many-filters")?;
    let mut socket = c.joined(0, &map, json!({"filter": "payload.i > 1"}))?;
    let mut other = c.joined(0, &map, json!({"filter": "payload.i > 2"}))?;
    let mut third = Socket::connect(c.nodes[0].http, &map.token)?;
    let (_, reply) = third.join(&map.topic(), json!({"filter": "payload.i > 3"}))?;
    ensure!(reply.reason() == "too many filters" && reply.payload["response"]["limit"] == 2, "{reply:?}");
    let path = format!("{}/stream?filter=payload.i%20%3E%203", map.events());
    let answer = c.api(0, &map).get(&path)?.expect(429)?.json()?;
    ensure!(answer["error"] == "too_many_filters" && answer["limit"] == 2, "{answer}");
    // A filter in use does not count again, and history is not counted.
    third.join_ok(&map.topic(), json!({"filter": "payload.i > 2"}))?;
    c.api(0, &map).get(&format!("{}?filter=payload.i%20%3E%204", map.events()))?.expect(200)?;
    publish_many(c, 0, &map, "x", 4)?;
    ensure!(socket.events(2)?.len() == 2 && other.events(1)?.len() == 1 && third.events(1)?.len() == 1);
    drop(socket);
    c.wait_until("an unused filter to free its slot", |c| {
        let mut fourth = Socket::connect(c.nodes[0].http, &map.token)?;
        let (_, reply) = fourth.join(&map.topic(), json!({"filter": "payload.i > 3"}))?;
        Ok((reply.status() == "ok").then_some(()))
    })
}
