//! Resuming over the Pusher protocol: ids of stored events, positions, gaps, the last events of cache channels
//! on every node, and what a client learns when it has to connect again.

use crate::pusher_support::{App, QUERY, Socket, inner, set_rules};
use crate::support::{checked, nodes, publish, scenario};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use testkit::Cluster;
use testkit::clients::Js;
use testkit::cluster::Map;
use testkit::wait::LIMIT;
use testkit::ws::{Message, Upgrade, Ws};

#[test]
fn clients_resume_durable_channels() {
    checked(
        nodes(3),
        &[
            ("events carry their ids, and a client resumes by them", resume),
            ("a client that resumes gets none of its own events", own_events),
            ("a client rewinds by a number or a time", rewind),
            ("a start that can't be understood is told", bad_starts),
            ("a client learns that history is gone", gap),
            ("the map's own subject is a private channel", own_subject),
            ("an ephemeral channel has no positions", ephemeral),
            ("every node knows the last event of a cache channel", cache_everywhere),
            ("a durable cache channel begins with its last event", durable_cache),
        ],
    );
}

/// A map with an app, whose subjects `orders*` and `cache-kept*` are durable.
fn app(c: &Cluster, slug: &str) -> Result<(Map, App)> {
    let map = c.map(slug)?;
    let app = App::of(c, &map)?;
    let rules = json!([
        {"match": "orders*", "durability": "durable"},
        {"match": "cache-kept*", "durability": "durable"},
        {"match": "short*", "durability": "durable", "history": {"events": 2}},
        {"match": "*", "durability": "ephemeral"},
    ]);
    set_rules(c, &map, &rules)?;
    c.wait_same_applied()?;
    Ok((map, app))
}

/// Subscribes with a start. Returns the whole answer.
fn subscribe(socket: &mut Socket, channel: &str, start: Value) -> Result<Value> {
    let mut data = start;
    data["channel"] = channel.into();
    socket.send(&json!({"event": "pusher:subscribe", "data": data}))?;
    let answer = socket.next()?;
    ensure!(answer["channel"] == channel, "{answer}");
    Ok(answer)
}

fn subscribed(socket: &mut Socket, channel: &str, start: Value) -> Result<Value> {
    let answer = subscribe(socket, channel, start)?;
    ensure!(
        answer["event"] == "pusher_internal:subscription_succeeded" && answer["data"] == "{}",
        "{answer}"
    );
    Ok(answer)
}

/// The data of the next events of a channel.
fn data(socket: &mut Socket, n: usize) -> Result<Vec<String>> {
    (0..n)
        .map(|_| {
            let event = socket.next()?;
            ensure!(event["event"] == "placed", "{event}");
            Ok(event["data"].as_str().context("a text")?.to_owned())
        })
        .collect()
}

fn resume(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "pusher-resume")?;
    let mut socket = Socket::connect(c, 0, &app)?;
    let answer = subscribed(&mut socket, "orders", json!({}))?;
    let before = answer["id"].as_str().context("a position")?.to_owned();
    for n in 1..=3 {
        app.publish(c, 1, "orders", "placed", &format!("{{\"n\": {n}}}"))?;
    }
    let first = socket.next()?;
    ensure!(first["data"] == "{\"n\": 1}" && first["seq"].is_u64() && first["id"].is_string(), "{first}");
    ensure!(data(&mut socket, 2)? == ["{\"n\": 2}", "{\"n\": 3}"]);
    drop(socket);
    // After the first event, and before any event was seen, on another node.
    let mut socket = Socket::connect(c, 2, &app)?;
    subscribed(&mut socket, "orders", json!({"after": first["id"]}))?;
    ensure!(data(&mut socket, 2)? == ["{\"n\": 2}", "{\"n\": 3}"]);
    let mut socket = Socket::connect(c, 1, &app)?;
    subscribed(&mut socket, "orders", json!({"after": before}))?;
    ensure!(data(&mut socket, 3)?.len() == 3);
    app.publish(c, 0, "orders", "placed", "4")?;
    ensure!(data(&mut socket, 1)? == ["4"]);
    Ok(())
}

/// Publishes an event that the socket does not get.
fn publish_but_for(c: &Cluster, app: &App, socket: &str, data: &str) -> Result<()> {
    let event = json!({"name": "placed", "channel": "orders", "data": data, "socket_id": socket});
    app.post(c, 0, "events", &event)?.expect(200).map(drop)
}

fn own_events(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "pusher-own-events")?;
    let mut former = Socket::connect(c, 0, &app)?;
    let before = subscribed(&mut former, "orders", json!({}))?["id"].clone();
    publish_but_for(c, &app, &former.id, "own")?;
    app.publish(c, 0, "orders", "placed", "1")?;
    ensure!(data(&mut former, 1)? == ["1"]);
    let id = former.id.clone();
    drop(former);
    let mut socket = Socket::connect(c, 1, &app)?;
    subscribed(&mut socket, "orders", json!({"after": before, "former_sockets": [id]}))?;
    ensure!(data(&mut socket, 1)? == ["1"], "of what was stored meanwhile");
    // A request that was on its way when the client came back.
    publish_but_for(c, &app, &id, "own")?;
    app.publish(c, 0, "orders", "placed", "2")?;
    ensure!(data(&mut socket, 1)? == ["2"], "of what came then");
    let mut another = Socket::connect(c, 1, &app)?;
    subscribed(&mut another, "orders", json!({"after": before}))?;
    ensure!(data(&mut another, 4)? == ["own", "1", "own", "2"]);
    Ok(())
}

fn rewind(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "pusher-rewind")?;
    for n in 1..=4 {
        app.publish(c, 1, "orders", "placed", &n.to_string())?;
    }
    for (start, expected) in [
        (json!({"rewind": 2}), vec!["3", "4"]),
        (json!({"rewind": "1d"}), vec!["1", "2", "3", "4"]),
        (json!({"rewind": 0}), vec![]),
    ] {
        let mut socket = Socket::connect(c, 1, &app)?;
        subscribed(&mut socket, "orders", start.clone())?;
        ensure!(data(&mut socket, expected.len())? == expected, "{start}");
        socket.send(&json!({"event": "pusher:ping"}))?;
        let next = socket.next()?;
        ensure!(next["event"] == "pusher:pong", "{start}: {next}");
    }
    Ok(())
}

fn bad_starts(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "pusher-bad-starts")?;
    let mut socket = Socket::connect(c, 0, &app)?;
    for start in [
        json!({"after": "x"}),
        json!({"rewind": "soon"}),
        json!({"rewind": -1}),
        json!({"former_sockets": "1.2"}),
    ] {
        let answer = subscribe(&mut socket, "orders", start.clone())?;
        let data = &answer["data"];
        ensure!(answer["event"] == "pusher:subscription_error" && data["status"] == 400, "{start}: {answer}");
    }
    Ok(())
}

fn gap(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "pusher-gap")?;
    let mut socket = Socket::connect(c, 0, &app)?;
    let before = subscribed(&mut socket, "short", json!({}))?;
    for n in 1..=5 {
        app.publish(c, 0, "short", "placed", &n.to_string())?;
    }
    ensure!(data(&mut socket, 5)?.len() == 5);
    // The surplus is removed a little later.
    let (mut socket, told) = c.wait_until("a gap", |c| {
        let mut socket = Socket::connect(c, 0, &app)?;
        subscribed(&mut socket, "short", json!({"after": before["id"]}))?;
        let told = socket.next()?;
        Ok((told["event"] == "waypost:gap").then_some((socket, told)))
    })?;
    ensure!(inner(&told)?["oldest_id"].is_string(), "{told}");
    ensure!(data(&mut socket, 2)? == ["4", "5"]);
    Ok(())
}

fn own_subject(c: &Cluster) -> Result<()> {
    let (map, app) = app(c, "pusher-own")?;
    let channel = format!("private-map-{}", map.id);
    let mut socket = Socket::connect(c, 0, &app)?;
    let refused = subscribe(&mut socket, &channel, json!({}))?;
    ensure!(refused["data"]["status"] == 401, "{refused}");
    socket.subscribe(&channel)?;
    let event = publish(c, 1, &map, "add_system", json!({"name": "J1"}))?;
    let got = socket.event(&channel)?;
    let same = got["id"] == event["id"] && got["seq"] == event["seq"] && got["event"] == "add_system";
    ensure!(same && got["data"] == r#"{"name":"J1"}"#, "{got}");
    // A rule for all subjects is one for this subject too.
    set_rules(c, &map, &json!([{"match": "*", "join": "token"}]))?;
    c.wait_same_applied()?;
    let mut socket = Socket::connect(c, 0, &app)?;
    let auth = app.channel_auth(&socket.id, &channel, None);
    let refused = subscribe(&mut socket, &channel, json!({"auth": auth}))?;
    ensure!(refused["data"]["status"] == 401, "{refused}");
    Ok(())
}

fn ephemeral(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "pusher-ephemeral")?;
    let mut socket = Socket::connect(c, 0, &app)?;
    let answer = subscribed(&mut socket, "live", json!({}))?;
    ensure!(answer.get("id").is_none(), "{answer}");
    app.publish(c, 2, "live", "placed", "1")?;
    let event = socket.event("live")?;
    ensure!(event.get("id").is_none() && event.get("seq").is_none(), "{event}");
    // Nothing is kept that could come again or be missing.
    let mut socket = Socket::connect(c, 1, &app)?;
    let answer = subscribed(&mut socket, "live", json!({"rewind": 5}))?;
    ensure!(answer.get("id").is_none(), "{answer}");
    app.publish(c, 0, "live", "placed", "2")?;
    ensure!(data(&mut socket, 1)? == ["2"]);
    Ok(())
}

fn cache_everywhere(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "pusher-cache")?;
    app.publish(c, 0, "cache-a", "placed", "1")?;
    for node in [0, 1, 2] {
        let mut socket = Socket::connect(c, node, &app)?;
        subscribed(&mut socket, "cache-a", json!({}))?;
        ensure!(data(&mut socket, 1)? == ["1"], "node {node}");
    }
    app.publish(c, 1, "cache-a", "placed", "2")?;
    for node in [0, 1, 2] {
        let mut socket = Socket::connect(c, node, &app)?;
        subscribed(&mut socket, "cache-a", json!({}))?;
        ensure!(data(&mut socket, 1)? == ["2"], "node {node}");
        app.publish(c, node, "cache-a", "placed", "2")?;
        ensure!(data(&mut socket, 1)? == ["2"], "once, on node {node}");
    }
    Ok(())
}

fn durable_cache(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "pusher-kept")?;
    let mut socket = Socket::connect(c, 0, &app)?;
    subscribed(&mut socket, "cache-kept", json!({}))?;
    let miss = socket.next()?;
    ensure!(miss["event"] == "pusher:cache_miss" && miss["channel"] == "cache-kept", "{miss}");
    app.publish(c, 0, "cache-kept", "placed", "1")?;
    app.publish(c, 0, "cache-kept", "placed", "2")?;
    c.wait_same_applied()?;
    let mut socket = Socket::connect(c, 2, &app)?;
    subscribed(&mut socket, "cache-kept", json!({}))?;
    ensure!(data(&mut socket, 1)? == ["2"]);
    Ok(())
}

/// npm `pusher-js` with the helper, through the sudden end of its node: every event once, in order.
#[test]
fn pusher_js_resumes_with_the_helper() {
    scenario(nodes(3), |c| {
        let (_, app) = app(c, "pusher-helper")?;
        let mut client = Js::pusher(json!({"url": c.nodes[2].url(), "app": app.json(), "resume": true}))?;
        client.order(json!({"do": "subscribe", "channel": "orders"}))?;
        client.wait_for("subscribed", 1)?;
        for n in 0..5 {
            app.publish(c, 0, "orders", "placed", &n.to_string())?;
        }
        client.wait("five events", |client| Ok((placed(client).len() == 5).then_some(())))?;
        let state = client.of("state").pop().context("a state")?;
        publish_but_for(c, &app, state["socket_id"].as_str().context("an id")?, "100")?;
        c.nodes[2].kill9()?;
        c.wait_until("a leader", |c| c.leader().map(Some))?;
        for n in 5..10 {
            c.wait_until("a publish", |c| Ok(app.publish(c, 0, "orders", "placed", &n.to_string()).ok()))?;
        }
        c.nodes[2].start()?;
        c.wait_node(2)?;
        client.wait("ten events", |client| Ok((placed(client).len() >= 10).then_some(())))?;
        app.publish(c, 1, "orders", "placed", "10")?;
        client.wait("the last event", |client| Ok(placed(client).contains(&json!(10)).then_some(())))?;
        let mut seen = placed(&client);
        // A publish whose answer was lost may have been repeated: then it was published twice.
        seen.dedup();
        ensure!(seen == (0..=10).map(|n| json!(n)).collect::<Vec<_>>(), "{seen:?}");
        Ok(())
    });
}

/// The helper for bundlers and modules is the one for pages, but for its last line.
#[test]
fn the_helper_is_the_same_as_a_module() {
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    let read = |name: &str| std::fs::read_to_string(clients.join(name)).unwrap();
    let (page, module) = (read("pusher-resume.js"), read("pusher-resume.mjs"));
    let page = page.strip_suffix("if (typeof module === \"object\") module.exports = pusherResume;\n");
    assert_eq!(page, module.strip_suffix("export default pusherResume;\n"));
    assert!(page.is_some());
}

/// The data of the events that the client got.
fn placed(client: &Js) -> Vec<Value> {
    let events = client.of("event").into_iter().filter(|line| line["event"] == "placed");
    events.map(|line| line["data"].clone()).collect()
}

/// A subscriber that does not read misses nothing in silence: it gets the events in order up to a point, and
/// is closed there.
#[test]
fn a_slow_subscriber_is_closed_with_4100() {
    let options = nodes(1)
        .set("WAYPOST_SESSION_RING_EVENTS", 16)
        .set("WAYPOST_SESSION_RING_BYTES", 65_536)
        .set("WAYPOST_SESSION_SEND_BUFFER_BYTES", 4096);
    scenario(options, |c| {
        let (_, app) = app(c, "pusher-slow")?;
        let path = format!("/app/{}{QUERY}", app.key);
        let Upgrade::Open(mut ws, _) = Ws::upgrade_small(c.nodes[0].http, &path, 4096)? else {
            anyhow::bail!("refused");
        };
        ws.text(r#"{"event":"pusher:subscribe","data":{"channel":"live"}}"#)?;
        while !matches!(ws.read(LIMIT)?, Some(Message::Text(text)) if text.contains("subscription_succeeded"))
        {
        }
        let filler = "x".repeat(8000);
        for n in 0..300 {
            app.publish(c, 0, "live", "placed", &json!({"n": n, "filler": filler}).to_string())?;
        }
        let mut expected = 0;
        loop {
            match ws.read(Duration::from_secs(60))?.context("neither an event nor the end")? {
                Message::Text(text) => {
                    let frame: Value = serde_json::from_str(&text)?;
                    let n = inner(&frame)?["n"].as_u64();
                    ensure!(n == Some(expected), "event {n:?} after {expected} events");
                    expected += 1;
                }
                Message::Close(code, _) => {
                    ensure!(code == Some(4100), "closed with {code:?} after {expected} events");
                    ensure!(expected < 300, "it was closed behind the last event");
                    return Ok(());
                }
                other => anyhow::bail!("{other:?} after {expected} events"),
            }
        }
    });
}

/// A node that goes away sends its clients to others, at once.
#[test]
fn a_drain_closes_with_4200() {
    scenario(nodes(3), |c| {
        let (_, app) = app(c, "pusher-drain")?;
        let mut socket = Socket::connect(c, 2, &app)?;
        subscribed(&mut socket, "orders", json!({}))?;
        let ended = c.nodes[2].stop(Duration::from_secs(60));
        ensure!(socket.closed()? == Some(4200));
        ended.map(drop)
    });
}
