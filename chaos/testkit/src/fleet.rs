//! Hundreds of Phoenix subscribers on one thread: either they read and count everything, or they never read
//! again after the join.

use crate::background::Background;
use crate::phoenix::{Frame, Socket, path};
use crate::stream::Stream;
use crate::ws::{Message, Upgrade, Ws, small_stream};
use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The receive buffer of sockets that never read, in bytes: it is small, so that little waits in the kernel.
const STALLED_BUFFER: usize = 8 << 10;
/// The server closes a socket after 60 s without a frame from the client.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// Joins on a new socket.
fn joined(addr: SocketAddr, token: &str, topic: &str, small: bool) -> Result<Ws> {
    let ws = match small {
        false => Ws::connect(addr, &path(token))?,
        true => match Ws::upgrade_small(addr, &path(token), STALLED_BUFFER)? {
            Upgrade::Open(ws, _) => ws,
            Upgrade::Refused(status, answer) => bail!("{status}: {answer}"),
        },
    };
    let mut socket = Socket::on(ws);
    socket.join_ok(topic, json!({"events": "*"}))?;
    Ok(socket.ws)
}

/// Sockets that join and then never read.
#[derive(Debug)]
pub struct Stalled {
    sockets: Vec<Ws>,
}

impl Stalled {
    /// Joins `n` such sockets.
    pub fn join(n: usize, addr: SocketAddr, token: &str, topic: &str) -> Result<Self> {
        let sockets = (0..n).map(|_| joined(addr, token, topic, true));
        Ok(Self { sockets: sockets.collect::<Result<_>>()? })
    }

    /// Reads the rest of each socket until the server's close. Returns how many were closed. A socket that is
    /// still open after `patience` without anything to read counts as open.
    pub fn closed(mut self, patience: Duration) -> usize {
        let count = |ws: &mut Ws| loop {
            match ws.read(patience) {
                Ok(Some(Message::Close(..) | Message::End)) | Err(_) => return 1,
                Ok(Some(_)) => {}
                Ok(None) => return 0,
            }
        };
        self.sockets.iter_mut().map(count).sum()
    }
}

/// Event streams (SSE) that were asked for and then are never read.
#[derive(Debug)]
pub struct StalledStreams {
    streams: Vec<TcpStream>,
}

impl StalledStreams {
    /// Opens `n` such streams.
    pub fn open(n: usize, addr: SocketAddr, token: &str, path: &str) -> Result<Self> {
        let open = |_| -> Result<TcpStream> {
            let mut stream = Stream::get_on(small_stream(addr, STALLED_BUFFER)?, path, Some(token), &[])?;
            let status = stream.status()?;
            ensure!(status == 200, "{status}");
            Ok(stream.into_connection())
        };
        Ok(Self { streams: (0..n).map(open).collect::<Result<_>>()? })
    }

    /// Reads the rest of each stream. Returns how many were closed. A stream that is still open after
    /// `patience` without anything to read counts as open.
    pub fn closed(self, patience: Duration) -> usize {
        let over = |mut stream: TcpStream| {
            let limited = stream.set_read_timeout(Some(patience)).is_ok();
            let end = std::io::copy(&mut stream, &mut std::io::sink());
            limited && end.map_or_else(|e| e.kind() == std::io::ErrorKind::ConnectionReset, |_| true)
        };
        self.streams.into_iter().map(over).filter(|closed| *closed).count()
    }
}

/// Sockets that read everything, on one thread.
#[derive(Debug)]
pub struct Healthy {
    slowest: Arc<AtomicU64>,
    readers: Background<()>,
}

impl Healthy {
    /// Joins `n` such sockets. From here on each must see seq 1, 2, 3, … without a gap.
    pub fn join(n: usize, addr: SocketAddr, token: &str, topic: &str) -> Result<Self> {
        let mut members = Vec::new();
        for _ in 0..n {
            let mut ws = joined(addr, token, topic, false)?;
            ws.nonblocking()?;
            members.push((ws, 0));
        }
        let slowest = Arc::new(AtomicU64::new(0));
        let least = slowest.clone();
        Ok(Self { slowest, readers: Background::start(move |stop| sweep(&mut members, stop, &least)) })
    }

    /// Waits until each socket has seen `seq`.
    pub fn wait_seq(&self, seq: u64) -> Result<()> {
        crate::wait::until(&format!("seq {seq} at every healthy reader"), || {
            let slowest = self.slowest.load(Ordering::Relaxed);
            ensure!(self.readers.is_over() || slowest >= seq, "the slowest is at {slowest}");
            Ok(Some(()))
        })
    }

    /// Ends the sockets. Returns the first error, if there was one.
    pub fn finish(self) -> Result<()> {
        self.readers.stop()
    }
}

/// Reads each socket in turn until `stop`; each member is a socket with the last seq that it saw.
fn sweep(members: &mut [(Ws, u64)], stop: &AtomicBool, slowest: &AtomicU64) -> Result<()> {
    let mut beat = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        for (i, (ws, last)) in members.iter_mut().enumerate() {
            for message in ws.poll()? {
                take(message, last).with_context(|| format!("healthy reader {i}"))?;
            }
        }
        if beat.elapsed() > HEARTBEAT {
            beat = Instant::now();
            for (ws, _) in members.iter_mut() {
                ws.text(r#"[null,"9","phoenix","heartbeat",{}]"#)?;
            }
        }
        slowest.store(members.iter().map(|m| m.1).min().unwrap_or(0), Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn take(message: Message, last: &mut u64) -> Result<()> {
    let text = match message {
        Message::Text(text) => text,
        Message::Ping(_) | Message::Pong(_) => return Ok(()),
        other => bail!("after seq {last}: {other:?}"),
    };
    let frame = Frame::parse(&text)?;
    if let Some(seq) = frame.payload["seq"].as_u64() {
        ensure!(seq == *last + 1, "seq {seq} after {last}");
        *last = seq;
    }
    Ok(())
}
