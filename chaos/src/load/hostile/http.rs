//! Requests over HTTP: bodies that never end, without a token; and publishes of large batches.

use super::{Course, Target};
use anyhow::Result;
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How many connections send a part of a body.
const HALF_BODIES: usize = 300;
/// The bytes of a body that are announced, and those that are sent.
const ANNOUNCED: usize = 250_000;
const SENT: usize = 100_000;
/// How many connections publish batches.
const PUBLISHERS: usize = 8;
/// Events of a batch, and bytes of the payload of each: nearly 1 MB together, the most that one request may store.
const EVENTS: usize = 50;
const PAYLOAD: usize = 19_000;

/// Connections without a token that each send a part of a body. One that was closed is opened again.
pub(super) fn half_bodies(target: &Target, course: &Course) -> Result<()> {
    let node = target.nodes[0];
    let mut open: Vec<TcpStream> = Vec::new();
    while !course.is_over() {
        open.retain_mut(is_open);
        // A limited number at a time, so that a server that closes them at once costs the machine little.
        for _ in open.len()..HALF_BODIES.min(open.len() + 10) {
            if let Ok(stream) = half_body(node) {
                open.push(stream);
                course.got_through(1);
            }
        }
        course.strong_if(course.times() >= HALF_BODIES as u64);
        course.pause();
    }
    Ok(())
}

fn half_body(node: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&node, Duration::from_secs(1))?;
    stream.set_nonblocking(true)?;
    let head = format!(
        "POST /socket/events/longpoll?vsn=2.0.0&token=none HTTP/1.1\r\nHost: {node}\r\n\
         Content-Type: application/x-ndjson\r\nContent-Length: {ANNOUNCED}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    // The kernel may take less.
    let _ = stream.write(&vec![b'['; SENT]);
    Ok(stream)
}

fn is_open(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 4096]) {
        Ok(read) => read > 0,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

/// Batches of nearly 1 MB over several connections, as fast as the nodes take them.
pub(super) fn batches(target: &Target, course: &Course) -> Result<()> {
    let payload = "x".repeat(PAYLOAD);
    let events: Vec<_> =
        (0..EVENTS).map(|n| json!({"type": "bulk", "payload": {"n": n, "x": payload}})).collect();
    let body = json!({"events": events}).to_string();
    let publish = |node: usize| {
        let api = target.api(node);
        let path = target.map.events();
        while !course.is_over() {
            match api.send(&path, body.as_bytes()) {
                Ok(answer) if answer.status == 201 => course.got_through(1),
                _ => course.pause(),
            }
            course.strong_if(course.times() > 0);
        }
    };
    std::thread::scope(|scope| {
        for n in 0..PUBLISHERS {
            let publish = &publish;
            scope.spawn(move || publish(n));
        }
    });
    Ok(())
}
