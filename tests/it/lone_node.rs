//! A node without a majority lets clients in at once: nothing that they open waits for the log. It counts
//! them by what it knows, and the limits hold again once there is a leader.
//!
//! A proposal waits a whole minute here, longer than any answer may take. The other nodes stay stopped, so
//! nobody leads meanwhile.

use crate::support::{nodes, publish_many, scenario};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use testkit::cluster::Map;
use testkit::phoenix::Socket;
use testkit::pusher::{self, App};
use testkit::stream::Stream;
use testkit::ws::{Message, Ws};
use testkit::{Cluster, Options, longpoll};

/// How long a proposal waits for a leader (milliseconds).
const PROPOSAL: u64 = 60_000;
/// How long an answer may take on a busy machine.
const ANSWER: Duration = Duration::from_secs(30);
/// The events of the map.
const EVENTS: usize = 5;

fn patient_nodes() -> Options {
    nodes(3).set("WAYPOST_PUBLISH_TIMEOUT_MS", PROPOSAL).set("WAYPOST_SESSION_CUT_OFF_SECONDS", 0)
}

/// Kills all nodes but one follower. Returns that one, and the others.
fn leave_one(c: &mut Cluster, alone: usize) -> Result<Vec<usize>> {
    let others: Vec<usize> = (0..c.nodes.len()).filter(|node| *node != alone).collect();
    for other in &others {
        c.nodes[*other].kill9()?;
    }
    Ok(others)
}

fn sse(c: &Cluster, node: usize, map: &Map) -> Result<()> {
    let path = format!("{}/stream?backfill={EVENTS}", map.events());
    let mut stream = Stream::get(c.nodes[node].http, &path, Some(&map.token), &[])?.patience(ANSWER)?;
    ensure!(stream.status()? == 200);
    loop {
        let frame = stream.frame(ANSWER)?.context("the history did not come")?;
        if frame.seq() == Some(EVENTS as u64) {
            return Ok(());
        }
    }
}

fn phoenix(c: &Cluster, node: usize, map: &Map) -> Result<()> {
    let mut socket = Socket::connect(c.nodes[node].http, &map.token)?;
    let (_, reply) = socket.join(&map.topic(), json!({"backfill": EVENTS}))?;
    ensure!(reply.status() == "ok", "{reply:?}");
    socket.events(EVENTS).map(drop)
}

fn live(c: &Cluster, node: usize, map: &Map) -> Result<()> {
    let mut socket = Ws::connect(c.nodes[node].http, "/api/sessions/live")?;
    for (frame, answer) in [
        (json!({"type": "auth", "token": map.token}), "auth_success"),
        (json!({"type": "subscribe", "sessionId": 3}), "subscribed"),
    ] {
        socket.text(&frame.to_string())?;
        let got = next(&mut socket)?;
        ensure!(got["type"] == answer, "{got}");
    }
    Ok(())
}

fn pusher(c: &Cluster, node: usize, app: &App) -> Result<()> {
    let mut socket = pusher::Socket::connect(c.nodes[node].http, app)?;
    socket.send("pusher:subscribe", &json!({"channel": "orders"}))?;
    let got = next(&mut socket.ws)?;
    ensure!(got["event"] == "pusher_internal:subscription_succeeded", "{got}");
    Ok(())
}

fn next(socket: &mut Ws) -> Result<Value> {
    match socket.read(ANSWER)?.context("no answer")? {
        Message::Text(text) => Ok(serde_json::from_str(&text)?),
        other => bail!("instead of an answer: {other:?}"),
    }
}

fn poll(c: &Cluster, node: usize, map: &Map) -> Result<()> {
    let url = c.nodes[node].url();
    let ask = |session: &str, push: Option<&str>| {
        longpoll::ask(&url, &map.token, session, false, push.map(str::as_bytes), ANSWER)
    };
    let opened = ask("", None)?;
    ensure!(opened.status == 410 && !opened.session.is_empty(), "{opened:?}");
    let join = longpoll::message("1", &map.topic(), "phx_join");
    let mut answer = ask(&opened.session, Some(&join))?;
    ensure!(answer.status == 200, "{answer:?}");
    let began = Instant::now();
    while answer.messages.is_empty() {
        ensure!(began.elapsed() < ANSWER, "no reply to the join");
        answer = ask(&answer.session, None)?;
    }
    let frames = answer.frames()?;
    ensure!(frames.iter().any(|frame| frame.event == "phx_reply" && frame.status() == "ok"), "{frames:?}");
    Ok(())
}

fn reads(c: &Cluster, node: usize, map: &Map) -> Result<()> {
    let api = c.api(node, map).hasty().timeout(ANSWER);
    let page = api.get(&map.events())?.data(200)?;
    ensure!(page.as_array().map(Vec::len) == Some(EVENTS), "{page}");
    // What is managed is read as this node knows it.
    api.get(&map.path("/webhooks"))?.expect(200)?;
    Ok(())
}

fn open_everything(c: &Cluster, node: usize, map: &Map, app: &App) -> Result<()> {
    sse(c, node, map).context("SSE")?;
    phoenix(c, node, map).context("Phoenix")?;
    live(c, node, map).context("a live session")?;
    pusher(c, node, app).context("Pusher")?;
    poll(c, node, map).context("a long poll")?;
    reads(c, node, map).context("a read")
}

#[test]
fn what_a_client_opens_does_not_wait_for_a_majority() {
    scenario(patient_nodes(), |c| {
        let map = c.map_with("lone", json!({"limits": {"connections": 100, "requests_per_minute": null}}))?;
        let app = App::of(c, &map)?;
        publish_many(c, 0, &map, "x", EVENTS)?;
        c.wait_same_applied()?;
        let alone = c.follower()?;
        // The secrets of apps are encrypted, and a node gets the key for them from another one.
        c.wait_until("the node to have the key of secrets", |c| Ok(pusher(c, alone, &app).ok()))?;
        leave_one(c, alone)?;
        for _ in 0..3 {
            open_everything(c, alone, &map, &app)?;
        }
        c.wait_until("the node to know that nobody leads", |c| {
            Ok((c.status(alone)?["healthy"] == false).then_some(()))
        })?;
        open_everything(c, alone, &map, &app)
    });
}

#[test]
fn a_read_that_came_before_contact_was_lost_does_not_wait_for_a_majority_either() {
    scenario(patient_nodes(), |c| {
        let map = c.map_with("lone-read", json!({}))?;
        publish_many(c, 0, &map, "x", EVENTS)?;
        c.wait_same_applied()?;
        let alone = c.follower()?;
        leave_one(c, alone)?;
        // No other request looks for a leader: this one must.
        reads(c, alone, &map)
    });
}

/// What a join was answered.
#[derive(Debug, PartialEq)]
enum Answer {
    In,
    Full,
    Unavailable,
}

/// Joins at that node. Returns the socket and the answer.
fn join(c: &Cluster, node: usize, map: &Map) -> Result<(Socket, Answer)> {
    let mut socket = Socket::connect(c.nodes[node].http, &map.token)?;
    let (_, reply) = socket.join(&map.topic(), json!({}))?;
    let answer = match reply.status() {
        "ok" => Answer::In,
        _ if reply.reason() == "unavailable" => Answer::Unavailable,
        _ => Answer::Full,
    };
    let raise = &reply.payload["response"]["raise"];
    ensure!(answer != Answer::Full || *raise == "waypost map update MAP --connections N", "{reply:?}");
    Ok((socket, answer))
}

#[test]
fn a_node_alone_lets_in_what_it_knows_to_be_free_and_the_limit_holds_again_afterwards() {
    scenario(patient_nodes(), |c| {
        let map = c.map_with("lone-limit", json!({"limits": {"connections": 3}}))?;
        let alone = c.follower()?;
        let elsewhere = (0..3).find(|node| *node != alone).context("a node")?;
        let _known = c.joined(elsewhere, &map, json!({}))?;
        c.wait_same_applied()?;
        let others = leave_one(c, alone)?;
        let mut open = Vec::new();
        for _ in 0..2 {
            let (socket, answer) = join(c, alone, &map)?;
            ensure!(answer == Answer::In, "three may connect, and one is known elsewhere: {answer:?}");
            open.push(socket);
        }
        let (_, answer) = join(c, alone, &map)?;
        ensure!(answer == Answer::Full, "the node does not know that the third has ended: {answer:?}");

        c.start_all()?;
        c.wait_ready()?;
        // The connection to a killed node has ended, so there is room for one more, and for no other.
        c.wait_until("a count of what is held", |c| {
            let (_third, third) = join(c, others[0], &map)?;
            let (_fourth, fourth) = join(c, others[1], &map)?;
            Ok((third == Answer::In && fourth == Answer::Full).then_some(()))
        })?;
        open.iter_mut().try_for_each(Socket::alive)
    });
}
