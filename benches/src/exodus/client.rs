//! One subscriber: it connects, joins, reads and resumes by its last event id, as phoenix.js does, and checks
//! that each event is the next one. It knows nothing of the other clients.

use std::{
    io::{ErrorKind, Read, Write},
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use socket2::{Domain, Socket, Type};

use super::tape::{ID, Tape};
use crate::ws;

/// How long phoenix.js waits before each attempt to reconnect, in milliseconds; this client varies it by a
/// third.
const AGAIN: [u64; 8] = [10, 50, 100, 150, 200, 250, 500, 1000];

/// The state of a client.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Stage {
    /// Waits for its next attempt.
    Away,
    Connecting,
    Upgrading,
    Joining,
    /// The join named the newest event, and the client does not have that event yet.
    CatchingUp,
    Live,
}

/// The last event that a client has.
struct Last {
    id: [u8; ID],
    seq: u64,
}

/// One subscriber.
pub(super) struct Client {
    /// The index of its map.
    pub(super) map: usize,
    /// The index of its node, or of the node that it lost.
    pub(super) node: usize,
    pub(super) stage: Stage,
    /// When it stopped being live, and its node then.
    pub(super) lost: Option<(Instant, usize)>,
    pub(super) socket: Option<Socket>,
    source: SocketAddr,
    reader: ws::Reader,
    last: Option<Last>,
    /// The seq of the newest event when it joined.
    head: u64,
    tries: usize,
}

/// The payload of the reply to a join.
#[derive(Deserialize)]
struct Reply {
    status: String,
    response: serde_json::Value,
}

impl Client {
    pub(super) fn new(map: usize, node: usize, source: SocketAddr) -> Self {
        let (stage, reader) = (Stage::Away, ws::Reader::default());
        Self { map, node, stage, lost: None, socket: None, source, reader, last: None, head: 0, tries: 0 }
    }

    /// The seq of the last event that it has.
    pub(super) fn seq(&self) -> u64 {
        self.last.as_ref().map_or(0, |last| last.seq)
    }

    /// The connection ended. Returns the time until the next attempt; `dice` is a random number.
    pub(super) fn fall(&mut self, dice: u64) -> Duration {
        if self.stage == Stage::Live {
            self.lost = Some((Instant::now(), self.node));
        }
        (self.stage, self.socket, self.reader) = (Stage::Away, None, ws::Reader::default());
        let wait = AGAIN[self.tries.min(AGAIN.len() - 1)] * 1000;
        self.tries += 1;
        Duration::from_micros(wait * 2 / 3 + dice % (wait * 2 / 3))
    }

    /// Starts to connect.
    pub(super) fn connect(&mut self, to: SocketAddr) -> Result<&Socket> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        socket.bind(&self.source.into())?;
        match socket.connect(&to.into()) {
            Err(e) if e.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
                return Err(e.into());
            }
            _ => self.stage = Stage::Connecting,
        }
        Ok(self.socket.insert(socket))
    }

    /// The connection was made or refused: sends the upgrade.
    pub(super) fn connected(&mut self, upgrade: &[u8]) -> Result<()> {
        if let Some(error) = self.socket.as_ref().context("no socket")?.take_error()? {
            return Err(error.into());
        }
        self.stage = Stage::Upgrading;
        self.send(upgrade)
    }

    /// Writes a little to a fresh or idle socket: it fits, or the connection is unusable.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.socket.as_mut().context("no socket")?.write_all(bytes)?)
    }

    /// Reads what has arrived.
    ///
    /// # Errors
    /// The connection ended; the error is the reason.
    pub(super) fn read(&mut self, buffer: &mut [u8], tape: &mut Tape) -> Result<()> {
        let got = match self.socket.as_mut().context("no socket")?.read(buffer) {
            Ok(0) => bail!("closed without a close frame"),
            Ok(got) => got,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(e.into()),
        };
        let chunk = &buffer[..got];
        if self.stage == Stage::Upgrading {
            // Before the join the server sends nothing more, so the answer to the upgrade comes alone.
            if !chunk.starts_with(b"HTTP/1.1 101") || !chunk.ends_with(b"\r\n\r\n") {
                bail!("upgrade refused: {}", text(chunk).lines().next().unwrap_or_default());
            }
            self.stage = Stage::Joining;
            return self.send(&tape.join(self.map, self.last.as_ref().map(|last| &last.id)));
        }
        let mut reader = std::mem::take(&mut self.reader);
        let mut end = Ok(());
        reader.feed(chunk, |opcode, payload| {
            if end.is_ok() {
                end = self.frame(opcode, payload, tape);
            }
        })?;
        self.reader = reader;
        end
    }

    fn frame(&mut self, opcode: u8, payload: &[u8], tape: &mut Tape) -> Result<()> {
        match opcode {
            ws::TEXT => match tape.event(self.map, payload) {
                Some((id, seq)) => self.event(id, seq, tape),
                None if payload.starts_with(br#"["1","1","#) => self.joined(payload, tape)?,
                // This is the answer to a heartbeat.
                None => {}
            },
            ws::PING => self.send(&ws::client_frame(ws::PONG, payload))?,
            ws::CLOSE => bail!("closed: {}", text(payload.get(2..).unwrap_or_default())),
            _ => {}
        }
        Ok(())
    }

    fn event(&mut self, id: [u8; ID], seq: u64, tape: &mut Tape) {
        let before = self.seq();
        tape.check(self.map, before, &id, seq);
        // An error is counted once: the client continues from this event.
        self.last = Some(Last { id, seq: seq.max(before) });
        self.caught_up();
    }

    fn joined(&mut self, payload: &[u8], tape: &mut Tape) -> Result<()> {
        let (_, _, _, _, reply): (&str, &str, &str, &str, Reply) = serde_json::from_slice(payload)?;
        let response = reply.response;
        if reply.status != "ok" {
            bail!("join refused: {}", response["reason"].as_str().unwrap_or_default());
        }
        let id = response["last_event_id"].as_str().and_then(|id| id.as_bytes().try_into().ok());
        let id = id.with_context(|| anyhow!("a join answered with {response}"))?;
        self.head = response["last_seq"].as_u64().unwrap_or(0);
        if response["gap"] != false {
            tape.wrong("history that was asked for is gone");
        }
        self.last.get_or_insert(Last { id, seq: self.head });
        self.stage = Stage::CatchingUp;
        self.caught_up();
        Ok(())
    }

    fn caught_up(&mut self) {
        if self.stage == Stage::CatchingUp && self.seq() >= self.head {
            (self.stage, self.tries) = (Stage::Live, 0);
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned()
}
