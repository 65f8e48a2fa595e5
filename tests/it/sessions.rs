//! Sessions of clients are counted from the moment the client is let in: no token takes all slots of a node,
//! and a session that joins nothing is closed.

use crate::support::{checked, nodes, scenario};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use testkit::Cluster;
use testkit::cluster::Map;
use testkit::longpoll::{Answered, LIMIT, Poller, ask};
use testkit::phoenix::{Socket, path};
use testkit::stream::Stream;
use testkit::ws::{Message, Upgrade, Ws};

/// The most sessions of one token, of each kind.
const MOST: usize = 20;
/// How long a session may have joined nothing (s).
const JOIN_SECONDS: u64 = 5;

#[test]
fn no_token_takes_all_slots() {
    checked(
        nodes(1).set("WAYPOST_LIMITS_SOCKETS_PER_TOKEN", MOST),
        &[
            ("sockets that join nothing", sockets),
            ("sockets of a map with a limit", of_limited_map),
            ("event streams", streams),
            ("long polls", long_polls),
        ],
    );
}

#[test]
fn what_joins_nothing_is_closed() {
    checked(
        nodes(1).set("WAYPOST_SESSION_JOIN_SECONDS", JOIN_SECONDS).set("WAYPOST_SESSION_LONGPOLL_SECONDS", 1),
        &[
            ("a socket that joins nothing", unused_socket),
            ("a socket that has left all", left_socket),
            ("a long poll that joins nothing", unused_poll),
        ],
    );
}

/// Two maps without a limit take sockets until both are refused. A third map gets one, and the fourth too.
#[test]
fn maps_that_take_all_they_may_leave_places_for_others() {
    const PLACES: usize = 40;
    let options =
        nodes(1).set("WAYPOST_LIMITS_SOCKETS", PLACES).set("WAYPOST_LIMITS_SOCKETS_PER_TOKEN", PLACES);
    scenario(options, |c| {
        let unlimited = |name: &str| c.map_with(name, json!({"limits": {"connections": null}}));
        let hostile = [unlimited("hostile-1")?, unlimited("hostile-2")?];
        let others = [c.map("other-1")?, c.map("other-2")?];
        let mut held = Vec::new();
        loop {
            let before = held.len();
            for map in &hostile {
                match Ws::upgrade(c.nodes[0].http, &path(&map.token), &[])? {
                    Upgrade::Refused(429, answer) => {
                        ensure!(answer.contains("\"setting\":\"limits.sockets\""), "{answer}");
                    }
                    Upgrade::Refused(status, answer) => bail!("{status}: {answer}"),
                    open => held.push(open),
                }
            }
            if held.len() == before {
                break;
            }
        }
        ensure!(held.len() == PLACES / 10 * 9, "{} of {PLACES} places", held.len());
        let mut open = Vec::new();
        for map in &others {
            let mut socket = Socket::connect(c.nodes[0].http, &map.token)?;
            socket.join_ok(&map.topic(), json!({}))?;
            open.push(socket);
        }
        open.iter_mut().try_for_each(Socket::alive)
    });
}

/// The answer to one more socket, which must be refused.
fn refused(c: &Cluster, map: &Map) -> Result<String> {
    match Ws::upgrade(c.nodes[0].http, &path(&map.token), &[])? {
        Upgrade::Open(..) => bail!("one more socket was let in"),
        Upgrade::Refused(429, answer) => Ok(answer),
        Upgrade::Refused(status, answer) => bail!("{status}: {answer}"),
    }
}

/// Opens `most` sockets. One more is refused, those of another map are not, and an end makes room.
fn fill(c: &Cluster, map: &Map, other: &Map, most: usize) -> Result<()> {
    let open = || Socket::connect(c.nodes[0].http, &map.token);
    let mut held = (0..most).map(|_| open()).collect::<Result<Vec<_>>>()?;
    let answer = refused(c, map)?;
    ensure!(
        answer.contains("too_many_sessions") && answer.contains(&format!("\"limit\":{most}")),
        "{answer}"
    );
    ensure!(answer.to_ascii_lowercase().contains("retry-after: "), "{answer}");
    let _healthy = c.joined(0, other, json!({}))?;
    held.truncate(most - 1);
    c.wait_until("room for one more", |_| Ok(open().ok()))?;
    Ok(())
}

fn sockets(c: &Cluster) -> Result<()> {
    fill(c, &c.map("sockets")?, &c.map("sockets-other")?, MOST)
}

/// Twice the limit and eight more.
fn of_limited_map(c: &Cluster) -> Result<()> {
    let map = c.map_with("limited", json!({"limits": {"connections": 2}}))?;
    fill(c, &map, &c.map("limited-other")?, 12)
}

fn streams(c: &Cluster) -> Result<()> {
    let map = c.map("streams")?;
    let open = || Stream::get(c.nodes[0].http, &format!("{}/stream", map.events()), Some(&map.token), &[]);
    let mut held = (0..MOST).map(|_| open()).collect::<Result<Vec<_>>>()?;
    for stream in &mut held {
        stream.until("event: connected")?;
    }
    let mut more = open()?;
    ensure!(more.status()? == 429, "{}", more.body());
    more.until("too_many_sessions")
}

fn opened(c: &Cluster, map: &Map) -> Result<Answered> {
    ask(&c.nodes[0].url(), &map.token, "", false, None, LIMIT)
}

fn long_polls(c: &Cluster) -> Result<()> {
    let (map, other) = (c.map("polls")?, c.map("polls-other")?);
    for n in 0..MOST {
        let opened = opened(c, &map)?;
        ensure!(opened.http == 200 && opened.status == 410, "session {n}: {opened:?}");
    }
    let refused = opened(c, &map)?;
    // Clients of Phoenix read the status in the JSON: after 500 they come back.
    ensure!(refused.http == 429 && refused.status == 500 && refused.session.is_empty(), "{refused:?}");
    let url = format!("/socket/events/longpoll?vsn=2.0.0&token={}", map.token);
    let answer = testkit::http::Api::new(&c.nodes[0].url(), None).get(&url)?;
    ensure!(answer.header("retry-after").is_some() && answer.code() == "too_many_sessions", "{answer:?}");
    let healthy = opened(c, &other)?;
    ensure!(healthy.status == 410, "{healthy:?}");
    Ok(())
}

/// Sends heartbeats until the socket is closed. Returns the code.
fn beats(socket: &mut Socket) -> Result<Option<u16>> {
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        // The server may have closed the socket.
        let _ = socket.push((Value::Null, json!("beat")), "phoenix", "heartbeat", json!({}));
        match socket.ws.read(Duration::from_millis(300))? {
            Some(Message::Close(code, _)) => return Ok(code),
            Some(Message::End) => bail!("ended without a close"),
            Some(_) | None => {}
        }
    }
    bail!("it was not closed")
}

fn unused_socket(c: &Cluster) -> Result<()> {
    let map = c.map("unused")?;
    let mut used = c.joined(0, &map, json!({}))?;
    let mut unused = Socket::connect(c.nodes[0].http, &map.token)?;
    let code = beats(&mut unused)?;
    ensure!(code == Some(1001), "{code:?}");
    ensure!(c.metric(0, "waypost_closed_total", "unused")? == 1);
    used.alive()
}

fn left_socket(c: &Cluster) -> Result<()> {
    let map = c.map("left")?;
    let mut socket = c.joined(0, &map, json!({}))?;
    // Longer than a socket may join nothing.
    std::thread::sleep(Duration::from_secs(2 * JOIN_SECONDS));
    socket.alive()?;
    socket.push((Value::Null, json!("9")), &map.topic(), "phx_leave", json!({}))?;
    let code = beats(&mut socket)?;
    ensure!(code == Some(1001), "{code:?}");
    Ok(())
}

/// The session ends although its client polls. One that has joined goes on.
fn unused_poll(c: &Cluster) -> Result<()> {
    let map = c.map("unused-poll")?;
    let mut joined = Poller::join(c, &map, 0)?;
    let session = opened(c, &map)?.session;
    c.wait_until("the session to end", |c| {
        let answered = ask(&c.nodes[0].url(), &map.token, &session, false, None, LIMIT)?;
        Ok((answered.status == 410).then_some(()))
    })?;
    let status = joined.push(&testkit::longpoll::message("2", "phoenix", "heartbeat"))?;
    ensure!(status == 200, "{status}");
    joined.until("the reply", |poller| !poller.frames.is_empty()).context("the session that joined")
}
