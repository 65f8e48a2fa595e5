//! Clients that come back.

use super::socket::Socket;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::Cluster;
use testkit::clients::Js;
use testkit::cluster::Map;

/// Events of the session whose node dies.
const ROUNDS: u64 = 60;

/// A client that can come back: it says `after` for the events for all, and for those of the session. The
/// answer to its `subscribe` is still to come. Returns the position for the events for all, too.
fn resuming(c: &Cluster, node: usize, map: &Map, all: &Value, session: &Value) -> Result<(Socket, Value)> {
    let mut socket = Socket::connect(c, node)?;
    let let_in = socket.ask(&json!({"type": "auth", "token": map.token, "after": all}))?;
    ensure!(let_in["type"] == "auth_success" && let_in["id"].is_string(), "{let_in}");
    socket.send(&json!({"type": "subscribe", "sessionId": 3, "after": session}))?;
    Ok((socket, let_in["id"].clone()))
}

fn say(c: &Cluster, node: usize, map: &Map, n: u64) -> Result<()> {
    let body = json!({"type": "x", "subject": "session:3", "payload": {"n": n}});
    c.publish(node, map, &body).map(drop)
}

/// The next frames, positions aside.
fn frames(socket: &mut Socket, n: usize) -> Result<Vec<Value>> {
    let mut frames = Vec::new();
    while frames.len() < n {
        let frame = socket.next().with_context(|| format!("after {frames:?}"))?;
        if frame["type"] != "position" {
            frames.push(frame);
        }
    }
    Ok(frames)
}

/// The numbers of the session's events among these frames.
fn numbers(frames: &[Value]) -> Vec<u64> {
    frames.iter().filter_map(|frame| frame["data"]["n"].as_u64()).collect()
}

pub(super) fn at_another_node(c: &Cluster) -> Result<()> {
    let map = c.map("live-resume")?;
    let (mut socket, all) = resuming(c, 0, &map, &Value::Null, &Value::Null)?;
    let subscribed = socket.event("subscribed")?;
    let before = subscribed["id"].clone();
    ensure!(before.is_string() && subscribed.get("gap").is_none(), "{subscribed}");
    for n in 1..=3 {
        say(c, 1, &map, n)?;
    }
    let first = socket.event("x")?;
    ensure!(first["data"]["n"] == 1 && first["sessionId"] == 3, "{first}");
    drop(socket);
    c.api(2, &map).post("/api/sessions", &json!({"session": {"id": 3}}))?.expect(201)?;
    // After its first event, and as if it had broken off before that.
    let (mut socket, _) = resuming(c, 2, &map, &all, &first["id"])?;
    let came = frames(&mut socket, 4)?;
    let is_there =
        |kind: &str, came: &[Value]| came.iter().filter(|frame| frame["type"] == kind).count() == 1;
    ensure!(is_there("session.started", &came) && is_there("subscribed", &came), "{came:?}");
    ensure!(numbers(&came) == [2, 3], "{came:?}");
    let (mut socket, _) = resuming(c, 1, &map, &all, &before)?;
    let came = frames(&mut socket, 5)?;
    ensure!(is_there("session.started", &came) && is_there("subscribed", &came), "{came:?}");
    ensure!(numbers(&came) == [1, 2, 3], "{came:?}");
    say(c, 0, &map, 4)?;
    ensure!(numbers(&frames(&mut socket, 1)?) == [4]);
    // On the socket that has the session, it begins anew.
    socket.send(&json!({"type": "subscribe", "sessionId": 3, "after": first["id"]}))?;
    let came = frames(&mut socket, 4)?;
    ensure!(came[0]["type"] == "subscribed" && numbers(&came) == [2, 3, 4], "{came:?}");
    socket.quiet()?;
    let mut socket = Socket::admitted(c, 1, &map)?;
    for bad in [json!("x"), json!(7)] {
        let answer = socket.ask(&json!({"type": "subscribe", "sessionId": 3, "after": bad}))?;
        ensure!(answer["type"] == "error", "{answer}");
    }
    let late = socket.ask(&json!({"type": "auth", "token": map.token, "after": null}))?;
    ensure!(late["type"] == "error", "{late}");
    Ok(())
}

pub(super) fn gap(c: &Cluster) -> Result<()> {
    let map = c.map_with("live-gap", json!({"retention": {"events": 10}}))?;
    let (mut socket, _) = resuming(c, 0, &map, &Value::Null, &Value::Null)?;
    let before = socket.event("subscribed")?["id"].clone();
    for n in 1..=30 {
        say(c, 0, &map, n)?;
    }
    // The surplus is removed a little later.
    let (mut socket, told) = c.wait_until("a gap", |c| {
        let (mut socket, _) = resuming(c, 0, &map, &Value::Null, &before)?;
        let told = socket.event("subscribed")?;
        Ok((told["gap"] == true).then_some((socket, told)))
    })?;
    ensure!(told["oldest_id"].is_string() && told["id"].is_string(), "{told}");
    ensure!(socket.event("x")?["data"]["n"].as_u64() > Some(1), "the first event was not removed");
    Ok(())
}

/// What `pick` finds in the frames that a client has got.
fn seen(client: &Js, pick: fn(&Value) -> Option<u64>) -> Vec<u64> {
    client.of("frame").iter().filter_map(|line| pick(&line["frame"])).collect()
}

/// The number of an event of the session.
fn rounds(frame: &Value) -> Option<u64> {
    frame["data"]["n"].as_u64()
}

/// The id of a session that has begun.
fn began(frame: &Value) -> Option<u64> {
    frame["data"]["session"]["id"].as_u64().filter(|_| frame["type"] == "session.started")
}

/// A client of npm `ws` is at a node that is killed while events come. It connects to the next node and
/// resumes: it gets each event once and in order, and each session that began meanwhile.
pub(super) fn through_a_death(c: &mut Cluster) -> Result<()> {
    let map = c.map("live-death")?;
    let options = json!({"urls": c.urls_from(0), "token": map.token, "sessions": [3], "resume": true});
    let client = Js::live(options)?;
    client.wait("a subscription", |client| {
        let frames = client.of("frame");
        Ok(frames.iter().any(|line| line["frame"]["type"] == "subscribed").then_some(()))
    })?;
    for n in 0..ROUNDS {
        if n == ROUNDS / 3 {
            c.nodes[0].kill9()?;
        }
        say(c, 1, &map, n)?;
        if n % 10 == 0 {
            let body = json!({"type": "session.started", "payload": {"session": {"id": n}}});
            c.publish(2, &map, &body)?;
        }
    }
    client.wait("the last event", |client| {
        let is_last = seen(client, rounds).last() == Some(&(ROUNDS - 1));
        let is_last_session = seen(client, began).last() == Some(&(ROUNDS - 10));
        Ok((is_last && is_last_session).then_some(()))
    })?;
    ensure!(seen(&client, rounds) == (0..ROUNDS).collect::<Vec<u64>>(), "{:?}", seen(&client, rounds));
    let all: Vec<u64> = (0..ROUNDS).step_by(10).collect();
    ensure!(seen(&client, began) == all, "{:?}", seen(&client, began));
    ensure!(!client.of("close").is_empty(), "the client's node was not the one that was killed");
    c.bring_back(0)
}
