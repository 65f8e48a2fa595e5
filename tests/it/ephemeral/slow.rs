//! A reader that falls out of the ring of an ephemeral topic is told, never skipped silently: a socket is
//! closed with 1012, a stream ends, a long poll's session is gone. Until then the reader misses nothing.

use super::map;
use crate::support::{Check, checked, nodes};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::Cluster;
use testkit::cluster::Map;
use testkit::longpoll::Poller;
use testkit::phoenix::{self, path};
use testkit::stream::{Frame, Stream};
use testkit::ws::{Message, Upgrade, Ws, small_stream};

/// The smallest allowed ring.
const RING_BYTES: usize = 64 << 10;
/// The socket buffer on either side.
const SOCKET_BYTES: usize = 8 << 10;
/// Events of 4 KB: many times what the ring, the node and the kernel hold for one reader.
const EVENTS: u64 = 800;
const EVENT_BYTES: usize = 4000;
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_reader_that_falls_out_of_the_ring_is_told() {
    let options = nodes(1)
        .set("WAYPOST_SESSION_RING_BYTES", RING_BYTES)
        .set("WAYPOST_SESSION_SEND_BUFFER_BYTES", SOCKET_BYTES)
        .set("WAYPOST_SESSION_STALL_SECONDS", 600);
    let checks: &[Check] = &[
        ("a socket is closed with 1012", |c| socket(c, "one", json!({"subjects": "live-1"}))),
        ("a socket of all subjects is closed with 1012", |c| socket(c, "all", json!({"subjects": "*"}))),
        ("a socket with a filter is closed with 1012", |c| {
            socket(c, "filter", json!({"subjects": "live-1", "filter": "payload.n > 0"}))
        }),
        ("a stream ends", stream),
        ("a long poll's session is gone", poll),
    ];
    checked(options, checks);
}

/// Publishes more than the server keeps for a reader that reads nothing.
fn flood(c: &Cluster, map: &Map) -> Result<()> {
    let filler = "x".repeat(EVENT_BYTES);
    let numbers: Vec<u64> = (1..=EVENTS).collect();
    for numbers in numbers.chunks(20) {
        let event = |n: &u64| json!({"type": "moved", "subject": "live-1", "payload": {"n": n, "x": filler}});
        let body = json!({"events": numbers.iter().map(event).collect::<Vec<_>>()});
        c.api(0, map).post(&map.events(), &body)?.expect(202)?;
    }
    Ok(())
}

fn number(envelope: &Value) -> Result<u64> {
    envelope["payload"]["n"].as_u64().with_context(|| envelope.to_string())
}

/// Checks that the reader saw every event up to some event and then the end.
fn ensure_nothing_skipped(seen: &[u64]) -> Result<()> {
    ensure!(seen.iter().copied().eq(1..=seen.len() as u64), "skipped silently: {seen:?}");
    ensure!((seen.len() as u64) < EVENTS, "no event was missed, so the flood was too small");
    Ok(())
}

/// Returns how many sessions the server closed because they fell out of a ring.
fn fallen_out(c: &Cluster) -> Result<u64> {
    c.metric(0, "waypost_closed_total", "fell_out")
}

fn socket(c: &Cluster, slug: &str, params: Value) -> Result<()> {
    let map = map(c, slug)?;
    let before = fallen_out(c)?;
    let Upgrade::Open(mut ws, _) = Ws::upgrade_small(c.nodes[0].http, &path(&map.token), SOCKET_BYTES)?
    else {
        bail!("no socket");
    };
    ws.text(&json!(["1", "1", map.topic(), "phx_join", params]).to_string())?;
    let Some(Message::Text(reply)) = ws.read(LIMIT)? else { bail!("no reply") };
    ensure!(phoenix::Frame::parse(&reply)?.status() == "ok", "{reply}");
    flood(c, &map)?;
    let mut seen = Vec::new();
    let code = loop {
        match ws.read(LIMIT)?.context("neither an event nor an end")? {
            Message::Text(text) => seen.push(number(&phoenix::Frame::parse(&text)?.payload)?),
            Message::Close(code, _) => break code,
            other => bail!("{other:?} after {} events", seen.len()),
        }
    };
    ensure!(code == Some(1012), "{code:?}");
    ensure_nothing_skipped(&seen)?;
    ensure!(fallen_out(c)? == before + 1, "closed for another reason");
    // A client that reconnects gets what is published from then on.
    let mut back = c.joined(0, &map, params)?;
    let again = json!({"type": "moved", "subject": "live-1", "payload": {"n": EVENTS + 1}});
    c.api(0, &map).post(&map.events(), &again)?.expect(202)?;
    ensure!(number(&back.events(1)?[0])? == EVENTS + 1, "an old event came");
    Ok(())
}

fn stream(c: &Cluster) -> Result<()> {
    let map = map(c, "stream")?;
    let before = fallen_out(c)?;
    let connection = small_stream(c.nodes[0].http, SOCKET_BYTES)?;
    let path = format!("{}/stream?subjects=live-1", map.events());
    let mut stream = Stream::get_on(connection, &path, Some(&map.token), &[])?;
    stream.until("event: connected")?;
    flood(c, &map)?;
    while !stream.is_whole() {
        ensure!(stream.more()?, "the stream broke off");
    }
    let text = stream.body();
    let frames = text.split("\n\n").map(Frame::parse).filter(|frame| frame.event == "moved");
    let envelopes = frames.map(|frame| number(&serde_json::from_str(&frame.data)?));
    ensure_nothing_skipped(&envelopes.collect::<Result<Vec<_>>>()?)?;
    ensure!(fallen_out(c)? == before + 1, "closed for another reason");
    Ok(())
}

fn poll(c: &Cluster) -> Result<()> {
    let map = map(c, "poll")?;
    let before = fallen_out(c)?;
    let mut poller = Poller::join(c, &map, 0)?;
    let join = json!(["2", "2", map.topic(), "phx_join", {"subjects": "live-1"}]).to_string();
    ensure!(poller.push(&join)? == 200);
    poller.until("the join's reply", |poller| poller.frames.iter().any(|frame| frame.reply_ref == "2"))?;
    flood(c, &map)?;
    let status = loop {
        match poller.poll()? {
            200 => {}
            status => break status,
        }
    };
    ensure!(status == 410, "{status}");
    let events = poller.frames.iter().filter(|frame| frame.event == "moved");
    ensure_nothing_skipped(&events.map(|frame| number(&frame.payload)).collect::<Result<Vec<_>>>()?)?;
    ensure!(fallen_out(c)? == before + 1, "closed for another reason");
    Ok(())
}
