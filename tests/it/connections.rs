//! Connections on which nobody has authenticated keep nobody else out: not by bodies that never end, not by
//! being kept, and not by their memory. A known sender can't keep a connection by a body that never ends.

use crate::support::{nodes, publish, scenario};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use testkit::Cluster;
use testkit::cluster::{ADMIN, Map};
use testkit::http::Api;
use testkit::stream::Stream;

/// How long to wait for an expected answer.
const LIMIT: Duration = Duration::from_secs(60);
/// Client connections of the node.
const CONNECTIONS: usize = 200;
/// More connections than that, of senders who are not known.
const ANONYMOUS: usize = 300;

/// Requests of senders who are not known, with half of their body.
fn half_a_body(map: &Map, number: usize, bytes: usize) -> String {
    let (path, token) = match number % 12 {
        0 => (map.events(), "Authorization: Bearer wp_unknown\r\n"),
        1 => ("/api/cluster/drain".to_owned(), ""),
        2 => (format!("/api/maps/{}/webhooks", map.id), ""),
        _ => {
            ("/socket/events/longpoll?vsn=2.0.0&token=lp.1.0123456789abcdef0123456789abcdef.0".to_owned(), "")
        }
    };
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\n{token}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        2 * bytes
    );
    head + &"x".repeat(bytes)
}

/// Opens connections, each of which sends a text, as far as the node takes it.
fn connect(addr: SocketAddr, count: usize, text: impl Fn(usize) -> String) -> Result<Vec<TcpStream>> {
    (0..count)
        .map(|number| {
            let mut stream = TcpStream::connect(addr)?;
            stream.set_write_timeout(Some(Duration::from_millis(200)))?;
            // The node may close the connection at once.
            let _ = stream.write_all(text(number).as_bytes());
            Ok(stream)
        })
        .collect()
}

/// Checks that a publisher and the checks of health are served without a long wait.
fn served(c: &Cluster, map: &Map) -> Result<()> {
    let anonymous = Api::new(&c.nodes[0].url(), None).timeout(LIMIT);
    for round in 0..10 {
        publish(c, 0, map, "x", json!({"round": round}))?;
        for path in ["/healthz", "/readyz"] {
            anonymous.get(path)?.expect(200)?;
        }
    }
    Ok(())
}

/// Whether the node has ended a connection.
fn has_ended(stream: &mut TcpStream) -> Result<bool> {
    stream.set_read_timeout(Some(Duration::from_millis(1)))?;
    let mut some = [0; 4096];
    loop {
        match stream.read(&mut some) {
            Ok(0) => return Ok(true),
            Ok(_) => {}
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(false),
            Err(_) => return Ok(true),
        }
    }
}

#[test]
fn senders_who_are_not_known_keep_nobody_out() {
    let options = nodes(1).set("WAYPOST_LIMITS_SOCKETS", CONNECTIONS);
    scenario(options, |c| {
        let map = c.map("anonymous")?;
        let addr = c.nodes[0].http;
        let halves = connect(addr, ANONYMOUS, |number| half_a_body(&map, number, 2000))?;
        served(c, &map).context("beside half bodies")?;
        let heads = connect(addr, ANONYMOUS, |_| "GET /healthz HTTP/1.1\r\nHost: x\r\nX: ".to_owned())?;
        served(c, &map).context("beside half heads")?;
        let kept = connect(addr, ANONYMOUS, |_| "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".to_owned())?;
        served(c, &map).context("beside connections that are kept")?;
        let evicted = c.metric(0, "waypost_connections_evicted_total", "")?;
        ensure!(evicted > 0, "no connection gave way");
        // All of them end without their doing.
        for mut stream in halves.into_iter().chain(heads).chain(kept) {
            c.wait_until("a connection to end", |_| Ok(has_ended(&mut stream)?.then_some(())))?;
        }
        Ok(())
    });
}

#[test]
fn health_is_answered_when_all_connections_are_in_use() {
    const FEW: usize = 20;
    let options = nodes(1).set("WAYPOST_LIMITS_SOCKETS", FEW);
    scenario(options, |c| {
        let map = c.map("in-use")?;
        let path = format!("{}/stream", map.events());
        let mut streams = Vec::new();
        for _ in 0..FEW {
            // The admin may take the last places too.
            let mut stream = Stream::get(c.nodes[0].http, &path, Some(ADMIN), &[])?;
            stream.until("connected")?;
            streams.push(stream);
        }
        let _silent = connect(c.nodes[0].http, 100, |_| String::new())?;
        let anonymous = Api::new(&c.nodes[0].url(), None);
        for path in ["/healthz", "/readyz"] {
            anonymous.get(path)?.expect(200)?;
        }
        let body = json!({"type": "x", "payload": 1});
        let refused = c.api(0, &map).hasty().post(&map.events(), &body)?.expect(503)?;
        ensure!(refused.code() == "unavailable" && refused.header("retry-after").is_some(), "{refused:?}");
        ensure!(refused.text().contains("limits.sockets"), "{}", refused.text());
        // The streams were not touched, and the end of one makes room.
        streams.pop();
        c.wait_until("an event to be published", |c| Ok(publish(c, 0, &map, "x", json!({})).ok()))?;
        for stream in &mut streams {
            stream.until("event: x")?;
        }
        Ok(())
    });
}

/// Sends a head, and then its body a byte at a time until the connection ends. Returns the answer.
fn trickle(addr: SocketAddr, head: &str, byte: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect(addr)?;
    stream.write_all(head.as_bytes())?;
    crate::support::trickle(&mut stream, byte, LIMIT).with_context(|| head.to_owned())
}

#[test]
fn a_body_that_trickles_is_ended_by_its_deadline() {
    scenario(nodes(1).set("WAYPOST_LIMITS_BODY_SECONDS", 2), |c| {
        let map = c.map("trickle")?;
        let head = |more: &str| {
            let (path, token) = (map.events(), &map.token);
            format!("POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{more}\r\n")
        };
        let plain = head("Content-Length: 100000\r\n");
        let chunked = head("Transfer-Encoding: chunked\r\n");
        let lines = head("Transfer-Encoding: chunked\r\nContent-Type: application/x-ndjson\r\n");
        for (head, byte) in [(plain, &b" "[..]), (chunked, b"1\r\n \r\n"), (lines, b"1\r\n\n\r\n")] {
            let answer = trickle(c.nodes[0].http, &head, byte)?;
            ensure!(answer.starts_with("HTTP/1.1 408"), "{head}: {answer:?}");
            ensure!(
                answer.contains("connection: close") && answer.contains("limits.body_seconds"),
                "{answer}"
            );
        }
        publish(c, 0, &map, "x", json!({})).map(drop)
    });
}

#[test]
fn bodies_of_senders_who_are_not_known_take_no_memory() {
    const CALLERS: usize = 1200;
    const BYTES: usize = 120_000;
    scenario(nodes(1), |c| {
        let map = c.map("memory")?;
        served(c, &map)?;
        let before = c.nodes[0].rss()?;
        let mut most = before;
        let mut open = Vec::new();
        for _ in 0..CALLERS / 100 {
            open.extend(connect(c.nodes[0].http, 100, |number| half_a_body(&map, number, BYTES))?);
            most = most.max(c.nodes[0].rss()?);
        }
        served(c, &map)?;
        most = most.max(c.nodes[0].rss()?);
        println!("{} MiB before, {} MiB at most", before >> 20, most >> 20);
        // All bodies together have 137 MiB.
        ensure!(most < before + (64 << 20), "memory grew from {before} to {most}");
        Ok(())
    });
}
