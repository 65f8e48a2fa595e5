//! A raw WebSocket client, which can also send what no good client sends. It knows the frames of RFC 6455,
//! and messages that are compressed by RFC 7692, and no protocol above them.

use anyhow::{Context, Result, bail, ensure};
use flate2::read::DeflateDecoder;
use flate2::{Compress, Compression, FlushCompress};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A fixed key and the accept value that the server must answer: nothing here needs randomness.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const MASK: [u8; 4] = [0x21, 0x43, 0x65, 0x07];
/// The bit of a frame's first byte that says that its message is compressed.
const COMPRESSED: u8 = 0x40;
/// The longest frame, and the longest message that is inflated.
const LONGEST: usize = 64 << 20;

/// What the socket receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A whole text message.
    Text(String),
    /// A whole binary message.
    Binary(Vec<u8>),
    /// A ping; the client does not answer it by itself.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// A close frame with its code, if it has one.
    Close(Option<u16>, String),
    /// The connection ended without a further frame.
    End,
}

/// The opcodes of frames.
pub mod opcode {
    #![allow(missing_docs)]
    pub const CONTINUATION: u8 = 0;
    pub const TEXT: u8 = 1;
    pub const BINARY: u8 = 2;
    pub const CLOSE: u8 = 8;
    pub const PING: u8 = 9;
    pub const PONG: u8 = 10;
}

/// The result of an upgrade.
#[derive(Debug)]
pub enum Upgrade {
    /// 101, with the response's head.
    Open(Ws, String),
    /// Any other status, with the head and the part of the body that has arrived.
    Refused(u16, String),
}

/// An open socket.
#[derive(Debug)]
pub struct Ws {
    stream: TcpStream,
    input: Vec<u8>,
    /// Whether the server agreed to compress messages.
    deflates: bool,
    /// How many compressed messages came.
    inflated: usize,
}

impl Ws {
    /// Connects and upgrades; `headers` are sent as they are.
    pub fn upgrade(addr: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Result<Upgrade> {
        let stream = TcpStream::connect_timeout(&addr, Duration::from_secs(5))?;
        Self::upgrade_on(stream, addr, path, headers)
    }

    /// The same on a connection with a small receive buffer: messages that the client does not read soon pile
    /// up at the server.
    pub fn upgrade_small(addr: SocketAddr, path: &str, receive_bytes: usize) -> Result<Upgrade> {
        Self::upgrade_on(small_stream(addr, receive_bytes)?, addr, path, &[])
    }

    fn upgrade_on(
        mut stream: TcpStream,
        addr: SocketAddr,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Upgrade> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.set_write_timeout(Some(Duration::from_secs(20)))?;
        let mut request = format!(
            "GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
        );
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        stream.write_all(format!("{request}\r\n").as_bytes())?;
        let mut input = Vec::new();
        let end = loop {
            if let Some(end) = input.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            let mut chunk = [0; 4096];
            let n = stream.read(&mut chunk).context("no answer to the upgrade")?;
            ensure!(n > 0, "closed during the upgrade after {:?}", String::from_utf8_lossy(&input));
            input.extend_from_slice(&chunk[..n]);
        };
        let head = String::from_utf8_lossy(&input[..end]).into_owned();
        let status: u16 = head.split(' ').nth(1).context("no status")?.parse()?;
        if status != 101 {
            let body = String::from_utf8_lossy(&input[end..]).into_owned();
            return Ok(Upgrade::Refused(status, head + &body));
        }
        ensure!(head.contains(ACCEPT), "wrong Sec-WebSocket-Accept in {head}");
        input.drain(..end);
        let deflates = head.to_ascii_lowercase().contains("sec-websocket-extensions: permessage-deflate");
        Ok(Upgrade::Open(Self { stream, input, deflates, inflated: 0 }, head))
    }

    /// Connects; any other result than an open socket is an error.
    pub fn connect(addr: SocketAddr, path: &str) -> Result<Self> {
        match Self::upgrade(addr, path, &[])? {
            Upgrade::Open(ws, _) => Ok(ws),
            Upgrade::Refused(status, answer) => bail!("upgrade of {path}: {status}: {answer}"),
        }
    }

    /// Sends a whole text message.
    pub fn text(&mut self, text: &str) -> Result<()> {
        self.frame(true, opcode::TEXT, text.as_bytes())
    }

    /// Sends a whole text message, compressed.
    pub fn deflated(&mut self, text: &str) -> Result<()> {
        self.raw(&client_frame(0x80 | COMPRESSED | opcode::TEXT, &deflate(text.as_bytes())?))
    }

    /// How many compressed messages came.
    pub fn inflated(&self) -> usize {
        self.inflated
    }

    /// Sends a whole binary message.
    pub fn binary(&mut self, bytes: &[u8]) -> Result<()> {
        self.frame(true, opcode::BINARY, bytes)
    }

    /// Sends one frame, masked.
    pub fn frame(&mut self, fin: bool, opcode: u8, payload: &[u8]) -> Result<()> {
        self.raw(&client_frame(u8::from(fin) << 7 | opcode, payload))
    }

    /// Sends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// Sends no more. The server learns that nothing follows.
    pub fn end_sending(&self) -> Result<()> {
        Ok(self.stream.shutdown(std::net::Shutdown::Write)?)
    }

    /// Sends as many of the bytes as the socket takes now, after [`Ws::nonblocking`]. Returns how many.
    pub fn raw_some(&mut self, bytes: &[u8]) -> Result<usize> {
        match self.stream.write(bytes) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(0),
            sent => Ok(sent?),
        }
    }

    /// The next message, or `None` if none arrives within `limit`. It reassembles fragments.
    pub fn read(&mut self, limit: Duration) -> Result<Option<Message>> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(message) = self.parse()? {
                return Ok(Some(message));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left))?;
            if self.fill()? == Some(0) {
                return Ok(Some(Message::End));
            }
        }
    }

    /// From now on [`Ws::poll`] never waits.
    pub fn nonblocking(&mut self) -> Result<()> {
        Ok(self.stream.set_nonblocking(true)?)
    }

    /// How long a send may wait for a server that does not read, instead of 20 s.
    pub fn send_within(&mut self, limit: Duration) -> Result<()> {
        Ok(self.stream.set_write_timeout(Some(limit))?)
    }

    /// From now on [`Ws::read`] waits again.
    pub fn blocking(&mut self) -> Result<()> {
        Ok(self.stream.set_nonblocking(false)?)
    }

    /// The messages that have arrived.
    pub fn poll(&mut self) -> Result<Vec<Message>> {
        let mut messages = Vec::new();
        while let Some(n) = self.fill()? {
            while let Some(message) = self.parse()? {
                messages.push(message);
            }
            if n == 0 {
                messages.push(Message::End);
                break;
            }
        }
        Ok(messages)
    }

    /// Reads once. Returns the number of bytes (0 at the end), or `None` when nothing has arrived.
    fn fill(&mut self) -> Result<Option<usize>> {
        let mut chunk = [0; 64 << 10];
        match self.stream.read(&mut chunk) {
            Ok(n) => {
                self.input.extend_from_slice(&chunk[..n]);
                Ok(Some(n))
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
            Err(e) if e.kind() == ErrorKind::Interrupted => Ok(None),
            Err(e) if e.kind() == ErrorKind::ConnectionReset => Ok(Some(0)),
            Err(e) => Err(e.into()),
        }
    }

    /// Takes one whole message out of the input, if there is one.
    fn parse(&mut self) -> Result<Option<Message>> {
        let mut at = 0;
        let mut whole = Vec::new();
        let mut kind = None;
        loop {
            let Some((first, range)) = frame_at(&self.input, at, self.deflates)? else {
                return Ok(None);
            };
            let opcode = first & 0x0f;
            let payload = self.input.get(range.clone()).unwrap_or_default();
            at = range.end;
            if opcode >= 8 && kind.is_some() {
                bail!("a control frame within a fragmented message isn't expected here");
            }
            whole.extend_from_slice(payload);
            let first_of_all = *kind.get_or_insert(first);
            if first & 0x80 != 0 {
                self.input.drain(..at);
                if first_of_all & COMPRESSED != 0 {
                    whole = inflate(&whole)?;
                    self.inflated += 1;
                }
                return message(first_of_all & 0x0f, whole).map(Some);
            }
        }
    }
}

/// A connection whose receive buffer was made small before it connected, so that its window is small too.
pub fn small_stream(addr: SocketAddr, receive_bytes: usize) -> Result<TcpStream> {
    use rustix::net::{AddressFamily, SocketType, connect, socket, sockopt};
    let fd = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    sockopt::set_socket_recv_buffer_size(&fd, receive_bytes)?;
    connect(&fd, &addr)?;
    Ok(TcpStream::from(fd))
}

/// A client's frame, masked; `first` is its first byte.
pub fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        n @ 0..=125 => frame.push(0x80 | n as u8),
        n @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(b, m)| b ^ m));
    frame
}

/// A message compressed, as it stands in a frame.
pub fn deflate(message: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(message.len() + 1024);
    Compress::new(Compression::default(), false).compress_vec(message, &mut out, FlushCompress::Sync)?;
    ensure!(out.ends_with(&[0, 0, 0xff, 0xff]), "the compressor has not ended the message");
    out.truncate(out.len() - 4);
    Ok(out)
}

/// A message inflated.
fn inflate(message: &[u8]) -> Result<Vec<u8>> {
    // What the server left out, and a block that ends the stream.
    let whole = [message, &[0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff][..]].concat();
    let mut out = Vec::new();
    DeflateDecoder::new(&whole[..]).take(LONGEST as u64).read_to_end(&mut out)?;
    Ok(out)
}

/// The first byte and the payload's range of the frame that starts at `at`; `None` until it is whole. With
/// `deflates` it may be compressed.
fn frame_at(input: &[u8], at: usize, deflates: bool) -> Result<Option<(u8, std::ops::Range<usize>)>> {
    let Some([first, second]) = input.get(at..at + 2).and_then(|b| <[u8; 2]>::try_from(b).ok()) else {
        return Ok(None);
    };
    ensure!(second & 0x80 == 0, "a server must not mask");
    let allowed =
        if deflates && matches!(first & 0x0f, opcode::TEXT | opcode::BINARY) { COMPRESSED } else { 0 };
    ensure!(first & 0x70 & !allowed == 0, "reserved bits are set");
    let wide = match second {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let Some(extended) = input.get(at + 2..at + 2 + wide) else {
        return Ok(None);
    };
    let length = match wide {
        0 => usize::from(second),
        _ => extended.iter().fold(0, |n, b| n << 8 | usize::from(*b)),
    };
    ensure!(length <= LONGEST, "a frame of {length} bytes is too long");
    let start = at + 2 + wide;
    let whole = input.len() >= start + length;
    Ok(whole.then_some((first, start..start + length)))
}

fn message(opcode: u8, payload: Vec<u8>) -> Result<Message> {
    Ok(match opcode {
        opcode::TEXT => Message::Text(String::from_utf8(payload)?),
        opcode::BINARY => Message::Binary(payload),
        opcode::PING => Message::Ping(payload),
        opcode::PONG => Message::Pong(payload),
        opcode::CLOSE => match payload.split_first_chunk::<2>() {
            Some((code, reason)) => {
                Message::Close(Some(u16::from_be_bytes(*code)), String::from_utf8_lossy(reason).into_owned())
            }
            None => Message::Close(None, String::new()),
        },
        other => bail!("unexpected opcode {other}"),
    })
}
