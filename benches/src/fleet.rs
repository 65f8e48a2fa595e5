//! A fleet: thousands of sockets on one thread, with one epoll and one read buffer. It connects, upgrades and
//! joins, answers pings, sends heartbeats, and connects again where a client wants that. What clients join,
//! and what they do with their frames, is up to [`Clients`]. The fleet never publishes and measures nothing.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io::{ErrorKind, Read, Write},
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
};
use socket2::{Domain, Socket, Type};

use crate::ws;

/// How many clients may be between their first connect and live at the same time. Clients that connect again
/// are not limited.
const IN_FLIGHT: usize = 64;
/// How many clients use one loopback address: an address has some 28,000 ports for one server.
const PER_SOURCE: usize = 1_250;
const READ_BUFFER: usize = 256 * 1024;
/// The clients' heartbeats are spread over this number of rounds, each as long as [`BEAT`].
const STRIPES: usize = 250;
const BEAT: Duration = Duration::from_millis(100);
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

/// The clients of a fleet, each known by its index.
pub(crate) trait Clients {
    /// The results.
    type Outcome;

    fn count(&self) -> usize;

    /// Where the client connects next.
    fn server(&self, client: usize) -> SocketAddr;

    /// The request that upgrades the client's connection.
    fn upgrade(&self, client: usize) -> &[u8];

    /// What the client sends once it is connected.
    fn join(&self, client: usize) -> Vec<u8>;

    /// The client's connection is upgraded, and it has said what it joins.
    fn opened(&mut self, _client: usize) {}

    /// Takes a frame of text, or the bytes of a server that does not write text.
    ///
    /// # Errors
    /// The reason for which the client leaves this connection.
    fn text(&mut self, client: usize, payload: &[u8]) -> Result<()>;

    /// Takes a compressed text.
    ///
    /// # Errors
    /// As [`Clients::text`]. Clients that do not offer to inflate get none.
    fn compressed(&mut self, _client: usize, _payload: &[u8]) -> Result<()> {
        bail!("a compressed message, which nobody offered to inflate")
    }

    /// All frames of one read of the client were taken. Returns what it sends then.
    fn read_ends(&mut self, _client: usize) -> Vec<u8> {
        Vec::new()
    }

    /// The next frames that a client has to send by now of its own accord, and the client.
    fn due(&mut self) -> Option<(usize, Vec<u8>)> {
        None
    }

    /// What a live client sends from time to time, so that its silence is not taken for its end.
    fn heartbeat(&self) -> Vec<u8> {
        ws::heartbeat()
    }

    /// Whether the client has joined and has all events so far: it sends heartbeats.
    fn is_live(&self, client: usize) -> bool;

    /// The connection ended. Returns how long the client waits before it connects again; `None` means that it
    /// never does.
    fn lost(&mut self, client: usize, why: &anyhow::Error) -> Option<Duration>;

    /// Called after each round of heartbeats.
    fn beat(&mut self) {}

    fn outcome(self) -> Self::Outcome;
}

/// The state of a connection.
#[derive(Clone, Copy)]
enum Stage {
    Connecting,
    Upgrading,
    /// The join was sent.
    Open,
}

/// A client's connection, with the piece of a frame that was cut off.
struct Connection {
    socket: Socket,
    stage: Stage,
    reader: ws::Reader,
}

/// The state of the thread.
struct Fleet<C> {
    clients: C,
    connections: Vec<Option<Connection>>,
    /// The index of the first client that has not begun to connect yet.
    begun: usize,
    in_flight: usize,
    /// The clients that were not live yet.
    fresh: Vec<bool>,
    /// When each client that lost its connection connects again.
    away: BinaryHeap<Reverse<(Instant, usize)>>,
    epoll: OwnedFd,
    buffer: Vec<u8>,
    last_beat: Instant,
    stripe: usize,
}

/// Runs the clients on this thread until `stop`. Returns the results.
///
/// # Errors
/// Epoll failed.
pub(crate) fn run<C: Clients>(clients: C, stop: &AtomicBool) -> Result<C::Outcome> {
    let count = clients.count();
    let mut fleet = Fleet {
        clients,
        connections: (0..count).map(|_| None).collect(),
        begun: 0,
        in_flight: 0,
        fresh: vec![true; count],
        away: BinaryHeap::new(),
        epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        buffer: vec![0; READ_BUFFER],
        last_beat: Instant::now(),
        stripe: 0,
    };
    let mut ready = Vec::with_capacity(1024);
    while !stop.load(Relaxed) {
        fleet.connect_due();
        fleet.send_due();
        ready.clear();
        match epoll::wait(&fleet.epoll, spare_capacity(&mut ready), Some(&TICK)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in ready.drain(..) {
            if let Ok(client) = usize::try_from(event.data.u64()) {
                fleet.serve(client);
            }
        }
        fleet.beat();
    }
    Ok(fleet.clients.outcome())
}

impl<C: Clients> Fleet<C> {
    fn connect_due(&mut self) {
        while self.in_flight < IN_FLIGHT && self.begun < self.connections.len() {
            self.begun += 1;
            self.in_flight += 1;
            self.connect(self.begun - 1);
        }
        let now = Instant::now();
        while self.away.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            if let Some(Reverse((_, client))) = self.away.pop() {
                self.connect(client);
            }
        }
    }

    fn send_due(&mut self) {
        while let Some((client, frames)) = self.clients.due() {
            if let Some(Err(error)) = self.connections[client].as_mut().map(|c| c.send(&frames)) {
                self.lose(client, &error);
            }
        }
    }

    fn connect(&mut self, client: usize) {
        match self.begin(client) {
            Ok(socket) => {
                let reader = ws::Reader::default();
                self.connections[client] = Some(Connection { socket, stage: Stage::Connecting, reader });
            }
            Err(error) => self.lose(client, &error.context("connecting")),
        }
    }

    fn begin(&self, client: usize) -> Result<Socket> {
        let server = self.clients.server(client);
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if server.ip().is_loopback() {
            let source = u8::try_from(2 + client / PER_SOURCE).context("too many clients")?;
            socket.bind(&SocketAddr::from(([127, 0, 0, source], 0)).into())?;
        }
        match socket.connect(&server.into()) {
            Err(e) if e.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
                return Err(e.into());
            }
            _ => {}
        }
        epoll::add(&self.epoll, &socket, epoll::EventData::new_u64(client as u64), epoll::EventFlags::OUT)?;
        Ok(socket)
    }

    fn serve(&mut self, client: usize) {
        let Some(mut connection) = self.connections[client].take() else { return };
        match self.advance(client, &mut connection) {
            Ok(()) => self.connections[client] = Some(connection),
            Err(error) => self.lose(client, &error),
        }
        if self.fresh[client] && self.clients.is_live(client) {
            self.settled(client);
        }
    }

    /// Continues with a connection that was made or has something to read.
    fn advance(&mut self, client: usize, connection: &mut Connection) -> Result<()> {
        match connection.stage {
            Stage::Connecting => {
                if let Some(error) = connection.socket.take_error()? {
                    return Err(anyhow!(error).context("connecting"));
                }
                connection.send(self.clients.upgrade(client))?;
                connection.stage = Stage::Upgrading;
                let data = epoll::EventData::new_u64(client as u64);
                epoll::modify(&self.epoll, &connection.socket, data, epoll::EventFlags::IN)?;
            }
            Stage::Upgrading => {
                let Some(answer) = connection.read(&mut self.buffer)? else { return Ok(()) };
                let head = answer.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4);
                // The head is short, so it comes whole. A greeting may follow it.
                let Some(head) = head.filter(|_| answer.starts_with(b"HTTP/1.1 101")) else {
                    bail!("upgrade refused: {}", text(answer).lines().next().unwrap_or_default());
                };
                connection.send(&self.clients.join(client))?;
                connection.stage = Stage::Open;
                self.clients.opened(client);
                return take(&mut self.clients, client, connection, &answer[head..]);
            }
            Stage::Open => {
                let Some(chunk) = connection.read(&mut self.buffer)? else { return Ok(()) };
                return take(&mut self.clients, client, connection, chunk);
            }
        }
        Ok(())
    }

    fn lose(&mut self, client: usize, why: &anyhow::Error) {
        self.connections[client] = None;
        match self.clients.lost(client, why) {
            Some(wait) => self.away.push(Reverse((Instant::now() + wait, client))),
            None => self.settled(client),
        }
    }

    /// The client is live or will never be: another client may begin.
    fn settled(&mut self, client: usize) {
        if std::mem::take(&mut self.fresh[client]) {
            self.in_flight -= 1;
        }
    }

    /// Sends the heartbeats of some clients.
    fn beat(&mut self) {
        if self.last_beat.elapsed() < BEAT {
            return;
        }
        self.last_beat = Instant::now();
        self.stripe = (self.stripe + 1) % STRIPES;
        let frame = self.clients.heartbeat();
        for client in (self.stripe..self.connections.len()).step_by(STRIPES) {
            if self.clients.is_live(client)
                && let Some(Err(error)) = self.connections[client].as_mut().map(|c| c.send(&frame))
            {
                self.lose(client, &error);
            }
        }
        self.clients.beat();
    }
}

/// Gives the client the frames of these bytes, and sends what it answers.
fn take<C: Clients>(clients: &mut C, client: usize, connection: &mut Connection, chunk: &[u8]) -> Result<()> {
    let Connection { socket, reader, .. } = connection;
    let mut done = Ok(());
    reader.feed(chunk, |opcode, payload| {
        if done.is_ok() {
            done = match opcode {
                ws::TEXT | ws::BINARY => clients.text(client, payload),
                ws::COMPRESSED => clients.compressed(client, payload),
                ws::PING => send(socket, &ws::client_frame(ws::PONG, payload)),
                ws::CLOSE => Err(close_reason(payload)),
                _ => Ok(()),
            };
        }
    })?;
    let answer = clients.read_ends(client);
    done?;
    if answer.is_empty() { Ok(()) } else { send(socket, &answer) }
}

impl Connection {
    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        send(&mut self.socket, bytes)
    }

    /// What has arrived; `None` if nothing has.
    fn read<'b>(&mut self, buffer: &'b mut [u8]) -> Result<Option<&'b [u8]>> {
        match self.socket.read(buffer) {
            Ok(0) => bail!("closed without a close frame"),
            Ok(length) => Ok(Some(&buffer[..length])),
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(e.into()),
        }
    }
}

/// Writes a little to a fresh or idle socket: it fits, or the connection is unusable.
fn send(socket: &mut Socket, bytes: &[u8]) -> Result<()> {
    Ok(socket.write_all(bytes)?)
}

fn close_reason(payload: &[u8]) -> anyhow::Error {
    match payload {
        [a, b, reason @ ..] => anyhow!("close {} {}", u16::from_be_bytes([*a, *b]), text(reason)),
        _ => anyhow!("close without a code"),
    }
}

/// The beginning of these bytes as text, for an error.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned()
}
