//! Events that the dispatcher writes to sockets, beside what sessions have to say themselves: each event
//! comes whole, once and in order, and each message is answered, however fast the client reads.

use crate::support::{nodes, publish_many, scenario};
use anyhow::{Result, bail, ensure};
use std::time::Duration;
use testkit::Cluster;
use testkit::cluster::Map;
use testkit::phoenix::{Socket, path};
use testkit::ws::{Upgrade, Ws};

/// Events, and how many are published at once.
const EVENTS: u64 = 3000;
const AT_ONCE: u64 = 30;
/// A client sends a heartbeat each time it has read this many events.
const BETWEEN_HEARTBEATS: u64 = 50;
/// Small buffers, so that a client that reads slowly lets its socket fill up.
const BUFFER: usize = 8 << 10;

#[test]
fn events_and_answers_come_whole_and_in_order() {
    let options = nodes(1).set("WAYPOST_WORKERS", 1).set("WAYPOST_SESSION_SEND_BUFFER_BYTES", BUFFER);
    scenario(options, |c| {
        let map = c.map("direct-writes")?;
        let mut quick = joined(c, &map)?;
        let mut slow = joined(c, &map)?;
        let mut slower = joined(c, &map)?;
        std::thread::scope(|scope| {
            let readers = [
                scope.spawn(|| reads_all(&mut quick, Duration::ZERO)),
                scope.spawn(|| reads_all(&mut slow, Duration::from_millis(20))),
                scope.spawn(|| reads_all(&mut slower, Duration::from_millis(100))),
            ];
            for _ in 0..EVENTS / AT_ONCE {
                publish_many(c, 0, &map, "x", AT_ONCE as usize)?;
            }
            readers.into_iter().try_for_each(|reader| reader.join().expect("a reader panicked"))
        })
    });
}

/// A client with a small receive buffer that has joined.
fn joined(c: &Cluster, map: &Map) -> Result<Socket> {
    let mut socket = match Ws::upgrade_small(c.nodes[0].http, &path(&map.token), BUFFER)? {
        Upgrade::Open(ws, _) => Socket::on(ws),
        Upgrade::Refused(status, answer) => bail!("{status}: {answer}"),
    };
    socket.join_ok(&map.topic(), serde_json::json!({}))?;
    Ok(socket)
}

/// Reads all events and answers, and pauses after each piece of events.
fn reads_all(socket: &mut Socket, pause: Duration) -> Result<()> {
    let mut seen = 0;
    let mut asked = 0_u64;
    let mut answered = 0_u64;
    while seen < EVENTS || answered < asked {
        let frame = socket.frame()?;
        if frame.event == "phx_reply" {
            let expected = answered.to_string();
            ensure!(frame.reply_ref == expected && frame.status() == "ok", "{frame:?}");
            answered += 1;
            continue;
        }
        seen += 1;
        ensure!(frame.payload["seq"] == seen, "{frame:?} instead of event {seen}");
        if seen % BETWEEN_HEARTBEATS == 0 {
            let own = asked.to_string();
            socket.push(
                (serde_json::Value::Null, own.into()),
                "phoenix",
                "heartbeat",
                serde_json::json!({}),
            )?;
            asked += 1;
            std::thread::sleep(pause);
        }
    }
    ensure!(asked == EVENTS / BETWEEN_HEARTBEATS, "{asked} heartbeats");
    Ok(())
}
