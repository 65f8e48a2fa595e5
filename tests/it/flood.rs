//! A client that sends as fast as it can is slowed down. It delays nobody else on its worker thread.

use crate::support::{median, nodes, scenario};
use anyhow::{Context, Result, ensure};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use testkit::phoenix::Socket;
use testkit::ws::Message;

/// Messages that a socket may send in a second.
const RATE: u64 = 50;
/// Topics that a socket may join: as many messages more may come at once.
const CHANNELS: u64 = 10;

#[test]
fn a_flooding_socket_delays_no_publish() {
    let options = nodes(1)
        .set("WAYPOST_WORKERS", 1)
        .set("WAYPOST_SESSION_MESSAGES_PER_SECOND", RATE)
        .set("WAYPOST_LIMITS_CHANNELS_PER_SOCKET", CHANNELS);
    scenario(options, |c| {
        let (noisy, healthy) = (c.map("noisy")?, c.map("healthy")?);
        let alone = median(c, 0, &healthy)?;
        let (ended, answered) = (AtomicBool::new(false), AtomicU64::new(0));
        let mut socket = Socket::connect(c.nodes[0].http, &noisy.token)?;
        let start = Instant::now();
        let beside = std::thread::scope(|scope| {
            let flood = scope.spawn(|| flood(&mut socket, &ended, &answered));
            let beside = c
                .wait_until("the flood to be slowed down", |_| {
                    Ok((answered.load(Ordering::Relaxed) > RATE + CHANNELS).then_some(()))
                })
                .and_then(|()| median(c, 0, &healthy));
            ended.store(true, Ordering::Relaxed);
            flood.join().expect("the flood panicked").and(beside)
        })?;
        let (answered, seconds) = (answered.load(Ordering::Relaxed), start.elapsed().as_secs_f64());
        println!(
            "{answered} answers in {seconds:.1} s; publish {alone:?} alone, {beside:?} beside the flood"
        );
        let most = RATE + CHANNELS + (seconds * RATE as f64) as u64 + 2;
        ensure!(answered <= most, "{answered} messages were handled in {seconds:.1} s, more than {most}");
        ensure!(
            beside < 10 * alone + Duration::from_millis(50),
            "{beside:?} beside the flood, {alone:?} alone"
        );
        Ok(())
    });
}

/// Sends heartbeats as fast as the socket takes them, and counts the answers.
fn flood(socket: &mut Socket, ended: &AtomicBool, answered: &AtomicU64) -> Result<()> {
    let beats = br#"[null,"1","phoenix","heartbeat",{}]"#;
    let mut frame = vec![0x81, 0x80 | beats.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(beats);
    let frames = frame.repeat(200);
    socket.ws.nonblocking()?;
    let mut left: &[u8] = &[];
    while !ended.load(Ordering::Relaxed) {
        if left.is_empty() {
            left = &frames;
        }
        let sent = socket.ws.raw_some(left).context("the flooding socket was closed")?;
        left = &left[sent..];
        for message in socket.ws.poll()? {
            match message {
                Message::Text(_) => drop(answered.fetch_add(1, Ordering::Relaxed)),
                other => anyhow::bail!("the flooding socket got {other:?}"),
            }
        }
        if sent == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}
