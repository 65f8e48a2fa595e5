//! Which clients are closed for being slow: a client that reads steadily stays connected however large its
//! events are, and the time during which the node itself was suspended does not count against its clients.

use crate::support::{binary, nodes, publish, read_until, scenario};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::time::{Duration, Instant};
use testkit::cluster::Map;
use testkit::phoenix::path;
use testkit::ws::small_stream;

/// The bytes of the large event: close to the limit.
const LARGE: usize = 250_000;
/// How many bytes the steady reader reads at once, and how often: 16 KB a second.
const BITE: usize = 4_000;
const PAUSE: Duration = Duration::from_millis(250);
/// How long a client may read nothing (s): far less than the large event takes.
pub(crate) const STALL: u64 = 6;
/// How long a socket may be silent (s): far less than the large event takes, too.
const IDLE: u64 = 5;
/// A ping without a body, masked with zeros.
const PING: [u8; 6] = [0x89, 0x80, 0, 0, 0, 0];
/// The kernel's send buffer: small, so that the large event waits in the node.
pub(crate) const SEND_BUFFER: usize = 8 << 10;
/// The receive buffer of the reader.
pub(crate) const RECEIVE_BUFFER: usize = 8 << 10;

#[test]
fn a_steady_reader_is_kept() {
    let options = nodes(1)
        .set("WAYPOST_SESSION_IDLE_TIMEOUT_SECONDS", IDLE)
        .set("WAYPOST_SESSION_STALL_SECONDS", STALL)
        .set("WAYPOST_SESSION_SEND_BUFFER_BYTES", SEND_BUFFER)
        .set("WAYPOST_WORKERS", 1);
    scenario(options, |cluster| {
        let map = cluster.map("steady")?;
        let mut socket = small_stream(cluster.nodes[0].http, RECEIVE_BUFFER)?;
        join(&mut socket, &map)?;
        let mut stream = small_stream(cluster.nodes[0].http, RECEIVE_BUFFER)?;
        follow(&mut stream, &map)?;
        std::thread::scope(|scope| {
            // The node does not read the socket's pings while it writes the large event.
            let speaks = scope.spawn(|| takes_all_and(&mut socket, |socket| Ok(socket.write_all(&PING)?)));
            let readers = [speaks, scope.spawn(|| takes_all(&mut stream))];
            large_and_small()
                .into_iter()
                .try_for_each(|payload| publish(cluster, 0, &map, "x", payload).map(drop))?;
            readers.into_iter().try_for_each(|reader| reader.join().expect("a reader panicked"))
        })
    });
}

/// The payloads of a large event and of two small ones: one waits behind the large event, the other marks the
/// end.
pub(crate) fn large_and_small() -> [Value; 3] {
    [json!({"filler": "x".repeat(LARGE)}), json!({}), json!({"last": END})]
}

/// A text that only the last event contains.
const END: &str = "that-was-all";

/// Upgrades to a WebSocket and joins, by hand.
pub(crate) fn join(stream: &mut (impl Read + Write), map: &Map) -> Result<()> {
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    write!(stream, "GET {} HTTP/1.1\r\nHost: x\r\n{upgrade}{key}\r\n", path(&map.token))?;
    read_until(stream, "\r\n\r\n")?;
    let join = json!(["1", "1", map.topic(), "phx_join", {}]).to_string();
    // A final text frame, masked with zeros.
    let head = [0x81, 0x80 | 126, 0, join.len() as u8, 0, 0, 0, 0];
    stream.write_all(&[&head[..], join.as_bytes()].concat())?;
    read_until(stream, "phx_reply").map(drop)
}

/// Opens the event stream.
pub(crate) fn follow(stream: &mut (impl Read + Write), map: &Map) -> Result<()> {
    let authorization = format!("Authorization: Bearer {}\r\n", map.token);
    write!(stream, "GET {}/stream HTTP/1.1\r\nHost: x\r\n{authorization}\r\n", map.events())?;
    read_until(stream, "event: connected").map(drop)
}

/// Reads slowly until the last event.
pub(crate) fn takes_all(stream: &mut impl Read) -> Result<()> {
    takes_all_and(stream, |_| Ok(()))
}

/// Does the same, and calls `at_each` after each read.
fn takes_all_and<S: Read>(stream: &mut S, at_each: impl Fn(&mut S) -> Result<()>) -> Result<()> {
    let mut bytes = vec![0; BITE];
    let mut tail = Vec::new();
    let mut taken = 0;
    let start = Instant::now();
    while !String::from_utf8_lossy(&tail).contains(END) {
        let length = stream.read(&mut bytes).with_context(|| format!("after {taken} bytes"))?;
        ensure!(length > 0, "closed after {taken} bytes and {:?}", start.elapsed());
        taken += length;
        at_each(stream)?;
        tail.extend_from_slice(&bytes[..length]);
        tail.drain(..tail.len().saturating_sub(BITE));
        std::thread::sleep(PAUSE);
    }
    let least = Duration::from_secs(STALL.max(IDLE) * 3 / 2);
    ensure!(start.elapsed() > least, "everything came within {:?}, too fast for the test", start.elapsed());
    Ok(())
}

/// The node is suspended for longer than a socket may be silent. A client whose heartbeat waits in the kernel
/// stays connected; a client that sends nothing is closed as usual.
#[test]
fn a_pause_of_the_node_does_not_count_against_clients() {
    let options = testkit::Options::new(&binary(), 1).set("WAYPOST_SESSION_IDLE_TIMEOUT_SECONDS", IDLE);
    scenario(options, |cluster| {
        let map = cluster.map("pause")?;
        let mut socket = cluster.joined(0, &map, json!({}))?;
        let mut silent = cluster.joined(0, &map, json!({}))?;
        socket.alive()?;
        cluster.nodes[0].suspended(|| {
            let beat = socket.push((json!(null), json!("beat")), "phoenix", "heartbeat", json!({}));
            std::thread::sleep(Duration::from_secs(2 * IDLE));
            beat
        })?;
        let reply = socket.frame().context("the heartbeat was not answered")?;
        ensure!(reply.reply_ref == "beat" && reply.status() == "ok", "{reply:?}");
        for _ in 0..4 {
            std::thread::sleep(Duration::from_millis(500));
            socket.alive()?;
        }
        let (code, _) = silent.wait_close()?;
        ensure!(code == Some(1001), "{code:?}");
        Ok(())
    });
}
