//! The connections of a map's clients: every node shows those of all nodes, with their lag, and closes one on
//! whichever node it is. Nobody sees or closes those of another map.

use crate::pace;
use crate::support::{binary, checked, nodes, publish, scenario};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};
use testkit::Cluster;
use testkit::cluster::{Map, unlimited};
use testkit::longpoll::Poller;
use testkit::phoenix;
use testkit::pusher::{self, App};
use testkit::stream::Stream;
use testkit::ws::{Message, Upgrade, Ws, small_stream};

/// How long an answer may take while a node hangs. The server itself takes three seconds at most; the rest is
/// for a busy machine.
const BOUND: Duration = Duration::from_secs(15);
/// How long to wait for an expected frame.
const LIMIT: Duration = Duration::from_secs(60);
/// An id of the right form that no connection has.
const NOBODY: &str = "1-00000000000000";

#[test]
fn connections_of_a_map_are_seen_and_closed_everywhere() {
    checked(
        nodes(3).set("WAYPOST_LIMITS_AUTH_FAILURES_PER_MINUTE", 0),
        &[
            ("every protocol, from every node", every_protocol),
            ("pages and filters", pages),
            ("a stalled reader has a lag", stalled),
            ("nobody sees or closes the connections of another map", foreign),
            ("the command line", command_line),
        ],
    );
}

#[test]
fn a_client_that_was_closed_as_too_slow_is_listed() {
    let options = nodes(2)
        .set("WAYPOST_SESSION_STALL_SECONDS", 1)
        .set("WAYPOST_SESSION_SEND_BUFFER_BYTES", pace::SEND_BUFFER);
    scenario(options, |c| {
        let (map, other) = (c.map("too-slow")?, c.map("not-too-slow")?);
        let mut stream = small_stream(c.nodes[0].http, pace::RECEIVE_BUFFER)?;
        pace::follow(&mut stream, &map)?;
        // It reads nothing.
        pace::large_and_small()
            .into_iter()
            .try_for_each(|payload| publish(c, 0, &map, "x", payload).map(drop))?;
        let closed = |c: &Cluster, map: &Map| -> Result<Value> {
            c.api(1, map).get(&map.path("/connections/closed"))?.expect(200)?.json()
        };
        let one =
            c.wait_until("the client to be closed", |c| Ok(closed(c, &map)?["data"].get(0).cloned()))?;
        ensure!(one["reason"] == "too_slow" && one["protocol"] == "sse", "{one}");
        ensure!(one["node"]["id"] == c.id(0)? && one["port"] == stream.local_addr()?.port(), "{one}");
        ensure!(one["closed_at"].is_string() && one["lag_bytes"].as_u64() > Some(0), "{one}");
        ensure!(closed(c, &other)?["data"] == json!([]), "it is told of in another map");
        let mut command = Command::new(binary());
        command.args(["-o", "table", "connection", "closed", &map.slug]);
        let output = command.args(["--url", &c.nodes[0].url(), "--token", &map.token]).output()?;
        let table = String::from_utf8(output.stdout)?;
        ensure!(output.status.success() && table.contains("too_slow"), "{table}");
        Ok(())
    });
}

/// The connections that a node lists, with a query.
fn listed(c: &Cluster, node: usize, map: &Map, query: &str) -> Result<Vec<Value>> {
    let answer = c.api(node, map).get(&map.path(&format!("/connections{query}")))?.expect(200)?.json()?;
    ensure!(answer["unreachable"] == json!([]), "{answer}");
    Ok(answer["data"].as_array().context("no list")?.clone())
}

/// Waits until a node lists so many.
fn wait_for(c: &Cluster, node: usize, map: &Map, count: usize) -> Result<Vec<Value>> {
    c.wait_until(&format!("{count} connections"), |c| {
        let found = listed(c, node, map, "")?;
        Ok((found.len() == count).then_some(found))
    })
}

/// The one connection of a protocol.
fn of_protocol<'a>(found: &'a [Value], protocol: &str) -> Result<&'a Value> {
    let mut of = found.iter().filter(|connection| connection["protocol"] == protocol);
    let one = of.next().with_context(|| format!("no {protocol} in {found:?}"))?;
    ensure!(of.next().is_none(), "several of {protocol} in {found:?}");
    Ok(one)
}

fn id_of(connection: &Value) -> Result<&str> {
    connection["id"].as_str().context("no id")
}

fn close(c: &Cluster, node: usize, map: &Map, id: &str) -> Result<()> {
    c.api(node, map).delete(&map.path(&format!("/connections/{id}")))?.expect(204).map(drop)
}

/// An event stream of one subject that has begun.
fn stream(c: &Cluster, node: usize, map: &Map, subject: &str) -> Result<Stream> {
    let path = map.path(&format!("/events/stream?subjects={subject}"));
    let mut stream = Stream::get(c.nodes[node].http, &path, Some(&map.token), &[("user-agent", "tester/1")])?;
    stream.until("event: connected")?;
    Ok(stream)
}

/// A live socket whose client is let in.
fn live(c: &Cluster, node: usize, map: &Map) -> Result<Ws> {
    let mut ws = Ws::connect(c.nodes[node].http, "/api/sessions/live")?;
    ws.text(&json!({"type": "auth", "token": map.token}).to_string())?;
    loop {
        match ws.read(LIMIT)?.context("no answer")? {
            Message::Text(text) if text.contains("auth_success") => return Ok(ws),
            Message::Ping(_) => {}
            other => bail!("not let in: {other:?}"),
        }
    }
}

/// Reads until the socket is closed, and returns the code.
fn closed_with(ws: &mut Ws) -> Result<Option<u16>> {
    loop {
        match ws.read(LIMIT)?.context("it is not closed")? {
            Message::Close(code, _) => return Ok(code),
            Message::End => return Ok(None),
            _ => {}
        }
    }
}

fn every_protocol(c: &Cluster) -> Result<()> {
    let map = c.map("every-protocol")?;
    let app = App::of(c, &map)?;
    let mut phoenix = c.joined(0, &map, json!({}))?;
    let mut stream = stream(c, 1, &map, "orders-7")?;
    let mut poller = Poller::join(c, &map, 1)?;
    let mut pusher = pusher::Socket::connect(c.nodes[2].http, &app)?;
    pusher.send("pusher:subscribe", &json!({"channel": "orders-8"}))?;
    let mut live = live(c, 2, &map)?;
    let found = wait_for(c, 0, &map, 5)?;
    let ids: BTreeSet<&str> = found.iter().map(id_of).collect::<Result<_>>()?;
    ensure!(ids.len() == 5, "{found:?}");
    for node in 0..3 {
        let seen = wait_for(c, node, &map, 5)?;
        ensure!(seen.iter().map(id_of).collect::<Result<BTreeSet<_>>>()? == ids, "{seen:?}");
    }
    for (protocol, node) in [("phoenix", 0), ("sse", 1), ("longpoll", 1), ("pusher", 2), ("live", 2)] {
        let one = of_protocol(&found, protocol)?;
        let expected = json!({"id": c.id(node)?, "name": format!("node{node}")});
        ensure!(one["node"] == expected && one["address"] == "127.0.0.1", "{one}");
        ensure!(one["port"].is_u64() == (protocol != "longpoll"), "{one}");
        ensure!(one["unsent_bytes"].is_u64() && one["waiting_seconds"].is_u64(), "{one}");
        let by_app = json!({"app_id": app.id, "key": app.key});
        let by = if protocol == "pusher" { (true, by_app) } else { (false, Value::Null) };
        ensure!((one["token"].is_null(), &one["app"]) == (by.0, &by.1), "{one}");
        ensure!(one["user"].is_null() && one["age_seconds"].is_u64(), "{one}");
        ensure!(one["lag_events"].is_u64() && one["lag_bytes"].is_u64(), "{one}");
    }
    ensure!(of_protocol(&found, "phoenix")?["subjects"] == json!([""]), "{found:?}");
    let streamed = of_protocol(&found, "sse")?;
    ensure!(streamed["subjects"] == json!(["orders-7"]) && streamed["subjects_total"] == 1, "{streamed}");
    ensure!(streamed["user_agent"] == "tester/1", "{streamed}");

    // Each is closed from another node, and nobody else is.
    let first = id_of(of_protocol(&found, "phoenix")?)?;
    close(c, 2, &map, first)?;
    ensure!(phoenix.wait_close()?.0 == Some(1012), "its client would not come back");
    let left = wait_for(c, 1, &map, 4)?;
    ensure!(left.iter().map(id_of).collect::<Result<Vec<_>>>()?.iter().all(|id| *id != first), "{left:?}");
    let again = c.api(1, &map).delete(&map.path(&format!("/connections/{first}")))?.expect(404)?;
    ensure!(again.code() == "unknown_connection", "{}", again.text());
    let mut phoenix = c.joined(0, &map, json!({}))?;
    wait_for(c, 1, &map, 5)?;
    close(c, 0, &map, id_of(of_protocol(&found, "pusher")?)?)?;
    ensure!(closed_with(&mut pusher.ws)? == Some(4200), "its client would not come back at once");
    close(c, 0, &map, id_of(of_protocol(&found, "live")?)?)?;
    ensure!(closed_with(&mut live)? == Some(1012), "its client would not come back");
    close(c, 0, &map, id_of(streamed)?)?;
    while !stream.is_whole() {
        ensure!(stream.more()?, "the stream broke off");
    }
    close(c, 0, &map, id_of(of_protocol(&found, "longpoll")?)?)?;
    c.wait_until("the long poll to be told", |_| Ok((poller.poll()? == 410).then_some(())))?;
    phoenix.alive()?;
    // The answer to the long poll has opened another session.
    let left = wait_for(c, 2, &map, 2)?;
    of_protocol(&left, "longpoll")?;
    ensure!(c.metric(0, "waypost_closed_total", "reason=\"closed\"")? >= 1);
    Ok(())
}

fn pages(c: &Cluster) -> Result<()> {
    let map = c.map("pages-of-connections")?;
    let mut streams = Vec::new();
    for number in 0..7 {
        streams.push(stream(c, number % 3, &map, &format!("orders-{}", number % 2))?);
    }
    let all = wait_for(c, 0, &map, 7)?;
    let mut paged = Vec::new();
    let mut after = String::new();
    loop {
        let path = map.path(&format!("/connections?limit=2{after}"));
        let page = c.api(1, &map).get(&path)?.expect(200)?.json()?;
        let data = page["data"].as_array().context("no list")?;
        ensure!(data.len() <= 2, "{page}");
        paged.extend(data.iter().map(id_of).map(|id| id.map(str::to_owned)).collect::<Result<Vec<_>>>()?);
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    ensure!(all.iter().map(id_of).collect::<Result<Vec<_>>>()? == paged, "{paged:?} instead of {all:?}");
    ensure!(listed(c, 2, &map, "?subject=orders-0")?.len() == 4);
    ensure!(listed(c, 2, &map, "?subject=orders-1&protocol=sse")?.len() == 3);
    ensure!(listed(c, 2, &map, "?protocol=pusher")?.is_empty());
    for (query, code) in [
        ("?protocol=telnet", "invalid_protocol"),
        ("?subject=a%20b", "invalid_subject"),
        ("?after=7", "invalid_after"),
        ("?limit=201", "invalid_limit"),
        ("?subjects=a", "invalid_query"),
    ] {
        let refused = c.api(0, &map).get(&map.path(&format!("/connections{query}")))?.expect(400)?;
        ensure!(refused.code() == code, "{query}: {}", refused.text());
    }
    Ok(())
}

fn stalled(c: &Cluster) -> Result<()> {
    const EVENTS: usize = 60;
    let map = c.map_with("stalled-reader", json!({"limits": unlimited()}))?;
    let path = phoenix::path(&map.token);
    let ws = match Ws::upgrade_small(c.nodes[0].http, &path, 4096)? {
        Upgrade::Open(ws, _) => ws,
        Upgrade::Refused(status, answer) => bail!("{status}: {answer}"),
    };
    let mut reader = phoenix::Socket::on(ws);
    reader.join_ok(&map.topic(), json!({}))?;
    let _healthy = stream(c, 1, &map, "elsewhere")?;
    ensure!(wait_for(c, 2, &map, 2)?.iter().all(|one| one["lag_events"] == 0), "nothing was published");
    let text = "x".repeat(100_000);
    for _ in 0..EVENTS {
        c.publish(1, &map, &json!({"type": "large", "payload": {"text": text}}))?;
    }
    c.wait_until("the stalled reader to lag, and nobody else", |c| {
        let found = listed(c, 2, &map, "")?;
        let lags = |protocol| -> Result<(Option<u64>, Option<u64>)> {
            let one = of_protocol(&found, protocol)?;
            Ok((one["lag_events"].as_u64(), one["lag_bytes"].as_u64()))
        };
        let (events, bytes) = lags("phoenix")?;
        let is_behind = events > Some(0) && events <= Some(EVENTS as u64) && bytes > Some(0);
        Ok((is_behind && lags("sse")?.0 == Some(0)).then_some(()))
    })?;
    ensure!(reader.events(EVENTS)?.len() == EVENTS);
    c.wait_until("the reader to have caught up", |c| {
        let found = listed(c, 2, &map, "?protocol=phoenix")?;
        Ok(found.iter().all(|one| one["lag_events"] == 0 && one["lag_bytes"] == 0).then_some(()))
    })
}

fn foreign(c: &Cluster) -> Result<()> {
    let (own, other) = (c.map("own-connections")?, c.map("other-connections")?);
    let mut socket = c.joined(1, &other, json!({}))?;
    let found = wait_for(c, 0, &other, 1)?;
    let id = id_of(&found[0])?;
    ensure!(listed(c, 0, &own, "")?.is_empty(), "a connection of another map is listed");

    // A foreign map and an unknown one answer alike, and so do a foreign connection and an unknown one.
    let unknown = "/api/maps/11111111-1111-4111-8111-111111111111";
    let told = |path: String| -> Result<Value> { c.api(0, &own).get(&path)?.expect(404)?.json() };
    ensure!(told(other.path("/connections"))? == told(format!("{unknown}/connections"))?);
    let refused = |path: String| -> Result<Value> { c.api(0, &own).delete(&path)?.expect(404)?.json() };
    let foreign = refused(other.path(&format!("/connections/{id}")))?;
    ensure!(foreign == refused(format!("{unknown}/connections/{id}"))?, "{foreign}");
    let foreign = refused(own.path(&format!("/connections/{id}")))?;
    ensure!(foreign["code"] == "unknown_connection", "{foreign}");
    for id in [NOBODY, "9-00000000000000", "1", "x"] {
        ensure!(foreign == refused(own.path(&format!("/connections/{id}")))?, "{id}");
    }
    let (_, reader) = c.token(&other, &["subscribe", "publish"])?;
    c.api(0, &reader).get(&other.path("/connections"))?.expect(403)?;
    c.api(0, &reader).delete(&other.path(&format!("/connections/{id}")))?.expect(403)?;
    socket.alive()?;
    ensure!(id_of(&listed(c, 2, &other, "")?[0])? == id, "it is another one");
    Ok(())
}

fn command_line(c: &Cluster) -> Result<()> {
    let map = c.map("connections-by-hand")?;
    let mut socket = c.joined(1, &map, json!({}))?;
    let found = wait_for(c, 0, &map, 1)?;
    let id = id_of(&found[0])?;
    let run = |form: &str, arguments: &[&str]| -> Result<String> {
        let mut command = Command::new(binary());
        command.args(["-o", form]).args(arguments).args(["--url", &c.nodes[0].url()]);
        let output = command.args(["--token", &map.token]).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    let table = run("table", &["connection", "list", &map.slug])?;
    ensure!(table.contains("LAG BYTES") && table.contains(id) && !table.contains("TOKEN"), "{table}");
    let wide = run("wide", &["connection", "list", &map.slug])?;
    ensure!(wide.contains("TOKEN") && wide.contains("phoenix"), "{wide}");
    let json = run("json", &["connection", "list", &map.slug, "--protocol", "phoenix", "--subject", ""])?;
    ensure!(serde_json::from_str::<Value>(json.trim())?["id"] == *id, "{json}");
    run("table", &["connection", "close", &map.slug, id, "--yes"])?;
    ensure!(socket.wait_close()?.0 == Some(1012));
    Ok(())
}

#[test]
fn a_node_that_hangs_is_named_and_delays_the_answer_little() {
    scenario(nodes(3), |cluster| {
        let map = cluster.map("hanging")?;
        let hangs = cluster.follower()?;
        let asked = (0..3).find(|node| *node != hangs).context("no other node")?;
        let _there = cluster.joined(hangs, &map, json!({}))?;
        let _here = cluster.joined(asked, &map, json!({}))?;
        let before = wait_for(cluster, asked, &map, 2)?;
        let id = cluster.id(hangs)?;
        let lost = before.iter().find(|one| one["node"]["id"] == id).context("none there")?.clone();
        cluster.nodes[hangs].suspended(|| {
            let api = cluster.api(asked, &map).hasty();
            let began = Instant::now();
            let answer = api.get(&map.path("/connections"))?.expect(200)?.json()?;
            ensure!(began.elapsed() < BOUND, "it took {:?}", began.elapsed());
            let silent = json!([{"id": id, "name": format!("node{hangs}")}]);
            ensure!(answer["unreachable"] == silent, "{answer}");
            ensure!(answer["data"].as_array().map(Vec::len) == Some(1), "{answer}");
            let refused = api.delete(&map.path(&format!("/connections/{}", id_of(&lost)?)))?.expect(503)?;
            ensure!(refused.code() == "unknown_outcome", "{}", refused.text());
            Ok(())
        })
    });
}
