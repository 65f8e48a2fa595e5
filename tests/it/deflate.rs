//! Compressed messages of WebSockets: a client that offers permessage-deflate sees what others see, and
//! nobody fills a node's memory by it.

use crate::support::{checked, nodes, publish};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::Cluster;
use testkit::cluster::Map;
use testkit::phoenix::{Socket, path};
use testkit::ws::{Message, Upgrade, Ws, client_frame, deflate};

const OFFER: &str = "permessage-deflate; client_max_window_bits";
const ANSWER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

#[test]
fn messages_are_compressed_for_those_who_offer_it() {
    checked(
        nodes(1),
        &[
            ("the same events with and without", the_same_events),
            ("an old event", an_old_event),
            ("what a client compresses", from_client),
            ("a bomb", bomb),
            ("every protocol agrees", every_protocol),
            ("a long answer", long_answer),
        ],
    );
}

#[test]
fn compression_is_a_setting() {
    checked(
        nodes(1).set("WAYPOST_SESSION_COMPRESSION", "false"),
        &[("no answer to the offer", |c| {
            let map = c.map("plain")?;
            let (mut socket, head) = open(c, &map, OFFER)?;
            ensure!(!head.contains("permessage-deflate"), "{head}");
            socket.alive()
        })],
    );
}

/// An open socket, and the head of the answer.
fn open(c: &Cluster, map: &Map, offer: &str) -> Result<(Socket, String)> {
    let headers = [("Sec-WebSocket-Extensions", offer)];
    match Ws::upgrade(c.nodes[0].http, &path(&map.token), &headers)? {
        Upgrade::Open(ws, head) => Ok((Socket::on(ws), head)),
        other => bail!("{other:?}"),
    }
}

/// Compresses well, and is longer than a window of 9 bits.
fn long(number: usize) -> Value {
    json!({"number": number, "text": "all work and no play ".repeat(200)})
}

fn the_same_events(c: &Cluster) -> Result<()> {
    let map = c.map("same")?;
    let (mut large, head) = open(c, &map, OFFER)?;
    ensure!(head.contains(&format!("{ANSWER}\r\n")), "{head}");
    let (mut small, head) = open(c, &map, "permessage-deflate; server_max_window_bits=9")?;
    ensure!(head.contains(&format!("{ANSWER}; server_max_window_bits=9\r\n")), "{head}");
    let mut plain = c.joined(0, &map, json!({}))?;
    for socket in [&mut large, &mut small] {
        // Under the short name of the map, so that a frame can be short.
        socket.join_ok(&format!("events:map:{}", map.slug), json!({}))?;
    }
    let before = (large.ws.inflated(), small.ws.inflated());
    for payload in [long(1), json!({}), json!({"text": "some letters ".repeat(12)}), long(2)] {
        publish(c, 0, &map, "kind", payload)?;
    }
    let expected = plain.events(4)?;
    ensure!(large.events(4)? == expected && small.events(4)? == expected, "not the same");
    let after = (large.ws.inflated(), small.ws.inflated());
    let compressed = (after.0 - before.0, after.1 - before.1);
    // The short one is not worth it, and the long ones have no room in the smaller window.
    ensure!(compressed == (3, 1), "{compressed:?}");
    ensure!(plain.ws.inflated() == 0, "nobody asked for it");
    large.alive()
}

fn an_old_event(c: &Cluster) -> Result<()> {
    let map = c.map("old")?;
    publish(c, 0, &map, "kind", long(1))?;
    let (mut socket, _) = open(c, &map, OFFER)?;
    socket.join_ok(&map.topic(), json!({"backfill": 1}))?;
    let before = socket.ws.inflated();
    let events = socket.events(1)?;
    let first = events.first().context("no event")?;
    ensure!(first["payload"] == long(1) && socket.ws.inflated() == before + 1, "{first}");
    Ok(())
}

fn from_client(c: &Cluster) -> Result<()> {
    let map = c.map("client")?;
    let (mut socket, _) = open(c, &map, OFFER)?;
    socket.ws.deflated(r#"[null,"1","phoenix","heartbeat",{}]"#)?;
    let reply = socket.frame()?;
    ensure!(reply.status() == "ok" && reply.reply_ref == "1", "{reply:?}");
    // In two fragments, of which the first says that both are compressed.
    let whole = deflate(br#"[null,"2","phoenix","heartbeat",{}]"#)?;
    let (first, last) = whole.split_at(whole.len() / 2);
    socket.ws.raw(&[client_frame(0x41, first), client_frame(0x80, last)].concat())?;
    let reply = socket.frame()?;
    ensure!(reply.reply_ref == "2", "{reply:?}");
    socket.ws.raw(&client_frame(0xc1, &[0xff, 0xff]))?;
    let end = socket.message()?;
    ensure!(matches!(end, Message::Close(Some(1007), _)), "what is broken: {end:?}");
    Ok(())
}

fn bomb(c: &Cluster) -> Result<()> {
    let map = c.map("bomb")?;
    let (mut socket, _) = open(c, &map, OFFER)?;
    let bomb = deflate(&vec![b' '; 16 << 20])?;
    ensure!(bomb.len() < 64 << 10, "it is shorter than a message may be");
    socket.ws.raw(&client_frame(0xc1, &bomb))?;
    let end = socket.message()?;
    ensure!(matches!(end, Message::Close(Some(1009), _)), "{end:?}");
    Ok(())
}

fn every_protocol(c: &Cluster) -> Result<()> {
    let headers = [("Sec-WebSocket-Extensions", OFFER)];
    match Ws::upgrade(c.nodes[0].http, "/api/sessions/live", &headers)? {
        Upgrade::Open(_, head) => ensure!(head.contains(ANSWER), "{head}"),
        other => bail!("{other:?}"),
    }
    // A refused client of Pusher is told why in plain frames.
    match Ws::upgrade(c.nodes[0].http, "/app/nobody?protocol=7", &headers)? {
        Upgrade::Open(mut ws, head) => {
            ensure!(!head.contains("permessage-deflate"), "{head}");
            let told = ws.read(Duration::from_secs(30))?;
            ensure!(matches!(told, Some(Message::Text(_))), "{told:?}");
            Ok(())
        }
        other => bail!("{other:?}"),
    }
}

fn long_answer(c: &Cluster) -> Result<()> {
    let map = c.map("answer")?;
    publish(c, 0, &map, "kind", long(1))?;
    let asked = |headers: &str| {
        let (path, token) = (map.events(), &map.token);
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n{headers}\r\n"
        );
        testkit::http::raw(c.nodes[0].http, request.as_bytes(), Duration::from_secs(30))
    };
    let (plain, _) = asked("")?;
    let (short, _) = asked("Accept-Encoding: gzip, br\r\n")?;
    let has = |answer: &str, header: &str| answer.to_lowercase().contains(header);
    ensure!(plain.contains("all work") && !has(&plain, "content-encoding"), "{plain}");
    ensure!(has(&short, "content-encoding: gzip\r\n") && has(&short, "accept-encoding"), "{short}");
    ensure!(!short.contains("all work") && short.len() < plain.len() / 2, "{} bytes", short.len());
    Ok(())
}
