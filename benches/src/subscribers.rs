//! The subscribers of the load: one thread, one epoll and one read buffer for thousands of connections. A
//! connection keeps a socket, a state and the piece of a frame that was cut off. This module never publishes
//! and never measures the server.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read, Write},
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use hdrhistogram::Histogram;
use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
};
use socket2::{Domain, Socket, Type};

use crate::{event, ws};

/// How many connections may be between connect and joined at the same time.
const IN_FLIGHT: usize = 64;
/// How many connections use one loopback address: an address has some 28,000 ports for one server.
const PER_SOURCE: usize = 1_250;
/// Latency is read on one connection of this number: reading it on all would make the client expensive.
const SAMPLE: usize = 16;
const READ_BUFFER: usize = 256 * 1024;
const HEARTBEAT: Duration = Duration::from_secs(25);
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// What to join, and how often.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) addr: SocketAddr,
    pub(crate) map: String,
    /// The subject to subscribe to; without it the map's own.
    pub(crate) subject: Option<&'static str>,
    pub(crate) token: String,
    pub(crate) connections: usize,
}

/// The counters of the running thread.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) joined: AtomicU64,
    /// Broadcast frames over all connections.
    pub(crate) delivered: AtomicU64,
    /// The bytes of these frames, without WebSocket heads.
    pub(crate) bytes: AtomicU64,
    /// Reads that returned data: `delivered / reads` is how much the server coalesced.
    pub(crate) reads: AtomicU64,
    /// Connections lost or refused.
    pub(crate) lost: AtomicU64,
    stop: AtomicBool,
}

/// The results of the thread.
pub(crate) struct Outcome {
    /// Microseconds from publish to read, on sampled connections.
    pub(crate) latency: Histogram<u64>,
    /// Why connections were lost, and how many for each reason.
    pub(crate) losses: BTreeMap<String, u64>,
}

/// The running thread.
pub(crate) struct Subscribers {
    pub(crate) counters: Arc<Counters>,
    thread: Option<JoinHandle<Result<Outcome>>>,
}

impl Subscribers {
    /// Starts to connect and join.
    ///
    /// # Errors
    /// The epoll or the thread can't be made.
    pub(crate) fn start(target: Target) -> Result<Self> {
        let counters = Arc::new(Counters::default());
        let mut fleet = Fleet::new(target, Arc::clone(&counters))?;
        let thread = std::thread::Builder::new()
            .name("subscribers".into())
            .spawn(move || fleet.run().map(|()| fleet.outcome))?;
        Ok(Self { counters, thread: Some(thread) })
    }

    /// Closes every connection. Returns the results.
    ///
    /// # Errors
    /// The thread met an error that ended it.
    pub(crate) fn stop(mut self) -> Result<Outcome> {
        self.counters.stop.store(true, Relaxed);
        let thread = self.thread.take().context("stopped once")?;
        thread.join().map_err(|_| anyhow!("the subscribers' thread panicked"))?
    }
}

impl Drop for Subscribers {
    fn drop(&mut self) {
        self.counters.stop.store(true, Relaxed);
    }
}

/// The state of a connection, from connect to joined.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Connecting,
    Upgrading,
    Joining,
    Joined,
}

/// A subscriber's connection, with the piece of a frame that was cut off.
struct Connection {
    socket: Socket,
    stage: Stage,
    reader: ws::Reader,
}

/// The state of the thread; it ends with an [`Outcome`].
struct Fleet {
    target: Target,
    counters: Arc<Counters>,
    outcome: Outcome,
    epoll: OwnedFd,
    connections: Vec<Option<Connection>>,
    in_flight: usize,
    buffer: Vec<u8>,
    upgrade: Vec<u8>,
    join: Vec<u8>,
    beat: Instant,
}

impl Fleet {
    fn new(target: Target, counters: Arc<Counters>) -> Result<Self> {
        Ok(Self {
            outcome: Outcome { latency: event::latencies()?, losses: BTreeMap::new() },
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            connections: Vec::with_capacity(target.connections),
            in_flight: 0,
            buffer: vec![0; READ_BUFFER],
            upgrade: ws::upgrade(&target.addr.to_string(), &target.token),
            join: ws::join(&target.map, target.subject),
            beat: Instant::now(),
            target,
            counters,
        })
    }

    fn run(&mut self) -> Result<()> {
        let mut ready = Vec::with_capacity(1024);
        while !self.counters.stop.load(Relaxed) {
            while self.in_flight < IN_FLIGHT && self.connections.len() < self.target.connections {
                self.connect()?;
            }
            ready.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut ready), Some(&TICK)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in ready.drain(..) {
                if let Ok(index) = usize::try_from(event.data.u64()) {
                    self.serve(index);
                }
            }
            self.heartbeats();
        }
        Ok(())
    }

    fn connect(&mut self) -> Result<()> {
        let index = self.connections.len();
        let last = u8::try_from(2 + (index / PER_SOURCE) % 250)?;
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if self.target.addr.ip().is_loopback() {
            socket.bind(&SocketAddr::from(([127, 0, 0, last], 0)).into())?;
        }
        match socket.connect(&self.target.addr.into()) {
            Err(e) if e.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
                return Err(e).context("connecting a subscriber");
            }
            _ => {}
        }
        let data = epoll::EventData::new_u64(index as u64);
        epoll::add(&self.epoll, &socket, data, epoll::EventFlags::OUT)?;
        let reader = ws::Reader::default();
        self.connections.push(Some(Connection { socket, stage: Stage::Connecting, reader }));
        self.in_flight += 1;
        Ok(())
    }

    fn serve(&mut self, index: usize) {
        let Some(mut connection) = self.connections.get_mut(index).and_then(Option::take) else {
            return;
        };
        let before = connection.stage;
        let result = match before {
            Stage::Connecting => self.connected(index, &mut connection),
            _ => self.readable(index, &mut connection),
        };
        let lost = result.is_err();
        if before != Stage::Joined && (lost || connection.stage == Stage::Joined) {
            self.in_flight -= 1;
        }
        match result {
            Ok(()) => self.connections[index] = Some(connection),
            Err(error) => self.lose(error.to_string()),
        }
    }

    fn lose(&mut self, why: String) {
        self.counters.lost.fetch_add(1, Relaxed);
        *self.outcome.losses.entry(why).or_default() += 1;
    }

    fn connected(&self, index: usize, connection: &mut Connection) -> Result<()> {
        if let Some(error) = connection.socket.take_error()? {
            return Err(error.into());
        }
        connection.send(&self.upgrade)?;
        connection.stage = Stage::Upgrading;
        let data = epoll::EventData::new_u64(index as u64);
        Ok(epoll::modify(&self.epoll, &connection.socket, data, epoll::EventFlags::IN)?)
    }

    fn readable(&mut self, index: usize, connection: &mut Connection) -> Result<()> {
        let got = match connection.socket.read(&mut self.buffer) {
            Ok(0) => return Err(anyhow!("closed without a close frame")),
            Ok(got) => got,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(e.into()),
        };
        let chunk = &self.buffer[..got];
        match connection.stage {
            Stage::Upgrading => {
                // Before the join the server sends nothing more, so the answer to the upgrade comes alone.
                if !chunk.starts_with(b"HTTP/1.1 101") || !chunk.ends_with(b"\r\n\r\n") {
                    return Err(refusal(chunk));
                }
                connection.send(&self.join)?;
                connection.stage = Stage::Joining;
                Ok(())
            }
            _ => {
                let latency = index.is_multiple_of(SAMPLE).then_some(&mut self.outcome.latency);
                connection.frames(chunk, &self.counters, latency)
            }
        }
    }

    fn heartbeats(&mut self) {
        if self.beat.elapsed() < HEARTBEAT {
            return;
        }
        self.beat = Instant::now();
        let frame = ws::heartbeat();
        for index in 0..self.connections.len() {
            let joined = self.connections[index].as_mut().filter(|c| c.stage == Stage::Joined);
            if let Some(Err(error)) = joined.map(|c| c.send(&frame)) {
                self.connections[index] = None;
                self.lose(error.to_string());
            }
        }
    }
}

impl Connection {
    /// Writes a little to a fresh or idle socket: it fits, or the connection is unusable.
    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.socket.write_all(bytes)
    }

    fn frames(
        &mut self,
        chunk: &[u8],
        counters: &Counters,
        mut latency: Option<&mut Histogram<u64>>,
    ) -> Result<()> {
        let (mut count, mut bytes, mut joined, mut end) = (0, 0, false, None);
        let (mut pong, mut now) = (None, 0);
        self.reader.feed(chunk, |opcode, payload| match opcode {
            ws::TEXT if payload.starts_with(b"[null,null,") => {
                count += 1;
                bytes += payload.len() as u64;
                if let Some(latency) = latency.as_deref_mut()
                    && let Some(stamp) = event::stamp(payload)
                {
                    if now == 0 {
                        now = event::now_micros();
                    }
                    latency.saturating_record(now.saturating_sub(stamp));
                }
            }
            ws::TEXT if payload.starts_with(b"[\"1\"") => match is_ok(payload) {
                true => joined = true,
                false => end = Some(format!("refused: {}", text(payload))),
            },
            ws::PING => pong = Some(ws::client_frame(ws::PONG, payload)),
            ws::CLOSE => end = Some(close_reason(payload)),
            _ => {}
        })?;
        if joined && self.stage == Stage::Joining {
            self.stage = Stage::Joined;
            counters.joined.fetch_add(1, Relaxed);
        }
        if count > 0 {
            counters.bytes.fetch_add(bytes, Relaxed);
            counters.reads.fetch_add(1, Relaxed);
            counters.delivered.fetch_add(count, Relaxed);
        }
        if let Some(pong) = pong {
            self.send(&pong)?;
        }
        end.map_or(Ok(()), |why| Err(anyhow!(why)))
    }
}

fn is_ok(payload: &[u8]) -> bool {
    payload.windows(13).any(|w| w == br#""status":"ok""#)
}

fn close_reason(payload: &[u8]) -> String {
    match payload {
        [a, b, reason @ ..] => format!("close {} {}", u16::from_be_bytes([*a, *b]), text(reason)),
        _ => String::from("close without a code"),
    }
}

fn refusal(answer: &[u8]) -> anyhow::Error {
    anyhow!("upgrade refused: {}", text(answer).lines().next().unwrap_or_default())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned()
}
