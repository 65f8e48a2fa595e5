//! The raw limit: a server that only makes one `send` per connection and frame (or per `coalesce` frames)
//! from prepared bytes. It has one thread, one epoll and non-blocking sockets. It speaks just enough Phoenix,
//! Pusher and HTTP ([`speech`]) that the same load generator drives it and Waypost. It has no authentication,
//! no storage and no second topic.

mod speech;

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
};

use anyhow::{Context, Result, bail};
use rustix::{buffer::spare_capacity, event::epoll};

use self::speech::Speech;
use crate::ws;

const LISTENER: u64 = u64::MAX;
const READ_BUFFER: usize = 64 * 1024;
/// A connection ends when its request or its unsent bytes exceed this size.
const MAX_HELD: usize = 16 << 20;

/// Serves until the process ends.
///
/// # Errors
/// The address is in use, or epoll failed.
pub(crate) fn serve(addr: SocketAddr, coalesce: usize) -> Result<()> {
    let listener = TcpListener::bind(addr).with_context(|| format!("listening on {addr}"))?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let data = epoll::EventData::new_u64(LISTENER);
    epoll::add(&epoll, &listener, data, epoll::EventFlags::IN)?;
    let mut server = Server {
        epoll,
        listener,
        coalesce: coalesce.max(1),
        connections: Vec::new(),
        subscribers: Vec::new(),
        unanswered: Vec::new(),
        held: 0,
        seq: 0,
        buffer: vec![0; READ_BUFFER],
    };
    server.run()
}

/// What a connection is: not known before its first request, or a subscriber's WebSocket.
enum Role {
    Unknown,
    Socket(ws::Reader, Speech),
}

/// A client's connection; it ends when the client closes it or exceeds [`MAX_HELD`].
struct Connection {
    stream: TcpStream,
    role: Role,
    /// The beginning of a request that is not complete yet.
    input: Vec<u8>,
    /// Bytes that the socket has not accepted yet.
    rest: Vec<u8>,
}

/// The server's state; it lives as long as the process.
struct Server {
    epoll: OwnedFd,
    listener: TcpListener,
    coalesce: usize,
    connections: Vec<Option<Connection>>,
    subscribers: Vec<usize>,
    /// Publishers without an answer: they get it when every subscriber's socket has accepted their frames.
    unanswered: Vec<usize>,
    /// How many connections have unsent bytes.
    held: usize,
    seq: u64,
    buffer: Vec<u8>,
}

impl Server {
    fn run(&mut self) -> Result<()> {
        let mut ready = Vec::with_capacity(1024);
        loop {
            ready.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut ready), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in ready.drain(..) {
                if event.data.u64() == LISTENER {
                    self.accept()?;
                    continue;
                }
                let index = usize::try_from(event.data.u64())?;
                // The kernel's struct is packed, so no reference into it is allowed.
                let flags = event.flags;
                if flags.contains(epoll::EventFlags::OUT) {
                    self.flush(index);
                }
                let read = epoll::EventFlags::IN | epoll::EventFlags::HUP;
                if flags.intersects(read) && self.readable(index).is_err() {
                    self.drop_connection(index);
                }
            }
            if self.held == 0 {
                self.answer_publishers();
            }
        }
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e.into()),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let index = self.connections.len();
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&self.epoll, &stream, data, epoll::EventFlags::IN)?;
            self.connections.push(Some(Connection {
                stream,
                role: Role::Unknown,
                input: Vec::new(),
                rest: Vec::new(),
            }));
        }
    }

    fn readable(&mut self, index: usize) -> Result<()> {
        let Some(connection) = self.connections[index].as_mut() else {
            return Ok(());
        };
        let got = match connection.stream.read(&mut self.buffer) {
            Ok(0) => bail!("closed"),
            Ok(got) => got,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(e.into()),
        };
        let chunk = &self.buffer[..got];
        match &mut connection.role {
            Role::Socket(reader, speech) => {
                let speech = *speech;
                let mut texts = Vec::new();
                reader.feed(chunk, |opcode, payload| {
                    if opcode == ws::TEXT {
                        texts.push(payload.to_vec());
                    }
                })?;
                texts.iter().try_for_each(|text| self.push(index, speech, text))
            }
            Role::Unknown => {
                connection.input.extend_from_slice(chunk);
                self.request(index)
            }
        }
    }

    /// Takes a whole upgrade or publish request, if one has arrived.
    fn request(&mut self, index: usize) -> Result<()> {
        let Some(connection) = self.connections[index].as_mut() else {
            return Ok(());
        };
        let input = &connection.input;
        if input.len() > MAX_HELD {
            bail!("too long");
        }
        let Some(head) = input.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4) else {
            return Ok(());
        };
        let text = std::str::from_utf8(&input[..head])?;
        if let Some(speech) = Speech::of_upgrade(text) {
            let mut answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: {}\r\n\r\n",
                ws::ACCEPT
            )
            .into_bytes();
            if let Some(greeting) = speech.greeting() {
                ws::server_frame(&mut answer, ws::TEXT, greeting.as_bytes());
            }
            connection.role = Role::Socket(ws::Reader::default(), speech);
            connection.input = Vec::new();
            connection.stream.write_all(&answer)?;
            return Ok(());
        }
        let length = header(text, "content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
        if input.len() < head + length {
            return Ok(());
        }
        let path = text.split(' ').nth(1).context("no path")?.to_owned();
        let frames = self.frames(&path, index, head)?;
        self.broadcast(&frames);
        self.unanswered.push(index);
        Ok(())
    }

    /// The frames of the request from connection `index`, joined into groups that are written at once.
    fn frames(&mut self, path: &str, index: usize, head: usize) -> Result<Vec<Vec<u8>>> {
        let Some(connection) = self.connections[index].as_mut() else {
            return Ok(Vec::new());
        };
        let input = std::mem::take(&mut connection.input);
        let texts = speech::texts(path, &input[head..], &mut self.seq)?;
        let mut groups = Vec::with_capacity(texts.len() / self.coalesce + 1);
        for group in texts.chunks(self.coalesce) {
            let mut bytes = Vec::new();
            for text in group {
                ws::server_frame(&mut bytes, ws::TEXT, text.as_bytes());
            }
            groups.push(bytes);
        }
        Ok(groups)
    }

    fn broadcast(&mut self, groups: &[Vec<u8>]) {
        for group in groups {
            // The loop runs backwards, because a connection that has ended is removed from the list.
            for at in (0..self.subscribers.len()).rev() {
                self.send(self.subscribers[at], group);
            }
        }
    }

    /// Makes one `send`; the bytes that do not fit wait for the socket.
    fn send(&mut self, index: usize, bytes: &[u8]) {
        let Some(connection) = self.connections[index].as_mut() else {
            return;
        };
        if !connection.rest.is_empty() {
            connection.rest.extend_from_slice(bytes);
            return;
        }
        let sent = match connection.stream.write(bytes) {
            Ok(sent) => sent,
            Err(e) if e.kind() == ErrorKind::WouldBlock => 0,
            Err(_) => return self.drop_connection(index),
        };
        if sent < bytes.len() {
            connection.rest.extend_from_slice(&bytes[sent..]);
            self.held += 1;
            self.watch(index, epoll::EventFlags::IN | epoll::EventFlags::OUT);
        }
    }

    fn flush(&mut self, index: usize) {
        let Some(connection) = self.connections[index].as_mut() else {
            return;
        };
        if connection.rest.is_empty() {
            return;
        }
        match connection.stream.write(&connection.rest) {
            Ok(sent) => drop(connection.rest.drain(..sent)),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return self.drop_connection(index),
        }
        if connection.rest.is_empty() {
            self.held -= 1;
            self.watch(index, epoll::EventFlags::IN);
        } else if connection.rest.len() > MAX_HELD {
            self.drop_connection(index);
        }
    }

    fn watch(&mut self, index: usize, flags: epoll::EventFlags) {
        let data = epoll::EventData::new_u64(index as u64);
        let watched =
            self.connections[index].as_ref().map(|c| epoll::modify(&self.epoll, &c.stream, data, flags));
        if matches!(watched, Some(Err(_))) {
            self.drop_connection(index);
        }
    }

    fn drop_connection(&mut self, index: usize) {
        if let Some(connection) = self.connections[index].take()
            && !connection.rest.is_empty()
        {
            self.held -= 1;
        }
        self.subscribers.retain(|&i| i != index);
    }

    fn answer_publishers(&mut self) {
        for index in std::mem::take(&mut self.unanswered) {
            self.send(index, b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}");
        }
    }

    /// Handles a text frame from a client, a join or a heartbeat, and answers it with ok.
    fn push(&mut self, index: usize, speech: Speech, text: &[u8]) -> Result<()> {
        let (reply, is_join) = speech.reply(text)?;
        let mut bytes = Vec::new();
        ws::server_frame(&mut bytes, ws::TEXT, reply.as_bytes());
        if is_join {
            self.subscribers.push(index);
        }
        self.send(index, &bytes);
        Ok(())
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
