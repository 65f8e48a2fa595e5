//! A GET on a connection of its own, whose answer is read as it arrives; mostly event streams. It never
//! reconnects.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::borrow::Cow;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long a wait may take, unless [`Stream::patience`] sets another time.
const LIMIT: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(5);

/// A frame of an event stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    /// Its type; empty when it has none.
    pub event: String,
    /// Its id, which is a position.
    pub id: Option<String>,
    /// Its data.
    pub data: String,
}

impl Frame {
    /// Parses the lines of a frame.
    pub fn parse(text: &str) -> Self {
        let mut frame = Self::default();
        for (field, value) in text.lines().filter_map(|line| line.split_once(':')) {
            let value = value.trim_start();
            match field {
                "event" => frame.event = value.to_owned(),
                "id" => frame.id = Some(value.to_owned()),
                "data" => frame.data += value,
                _ => {}
            }
        }
        frame
    }

    /// The seq of the event, if the frame is an event.
    pub fn seq(&self) -> Option<u64> {
        let event: Value = serde_json::from_str(&self.data).ok()?;
        event["seq"].as_u64().filter(|_| event["payload"].is_object())
    }
}

/// A request that was sent, and the answer so far.
#[derive(Debug)]
pub struct Stream {
    connection: TcpStream,
    /// The bytes that have arrived and are not parsed yet: the head, or a part of a chunk.
    input: Vec<u8>,
    head: Option<String>,
    body: Vec<u8>,
    whole: bool,
}

impl Stream {
    /// Sends the request, and does not wait for the answer.
    pub fn get(addr: SocketAddr, path: &str, token: Option<&str>, headers: &[(&str, &str)]) -> Result<Self> {
        Self::get_on(TcpStream::connect_timeout(&addr, CONNECT)?, path, token, headers)
    }

    /// The same on a connection that exists already.
    pub fn get_on(
        mut connection: TcpStream,
        path: &str,
        token: Option<&str>,
        headers: &[(&str, &str)],
    ) -> Result<Self> {
        connection.set_read_timeout(Some(LIMIT))?;
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n");
        if let Some(token) = token {
            request += &format!("Authorization: Bearer {token}\r\n");
        }
        for (name, value) in headers {
            request += &format!("{name}:{value}\r\n");
        }
        connection.write_all(format!("{request}\r\n").as_bytes())?;
        Ok(Self { connection, input: Vec::new(), head: None, body: Vec::new(), whole: false })
    }

    /// From now on, silence for `limit` is an error.
    pub fn patience(self, limit: Duration) -> Result<Self> {
        self.connection.set_read_timeout(Some(limit))?;
        Ok(self)
    }

    /// Waits for the answer's status.
    pub fn status(&mut self) -> Result<u16> {
        while self.head.is_none() {
            ensure!(self.more()?, "no answer");
        }
        let head = self.head.as_deref().unwrap_or_default();
        head.split(' ').nth(1).and_then(|status| status.parse().ok()).with_context(|| head.to_owned())
    }

    /// The body so far, without the frames that were taken out.
    pub fn body(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// Whether the body has ended properly.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Reads until the body contains that text.
    pub fn until(&mut self, what: &str) -> Result<()> {
        let start = Instant::now();
        while !self.body().contains(what) {
            ensure!(start.elapsed() < LIMIT, "{what} did not arrive, but {:?} {}", self.head, self.body());
            ensure!(self.more()?, "ended without {what}: {:?} {}", self.head, self.body());
        }
        Ok(())
    }

    /// Takes the next frame out of the body; `None` if it does not arrive within `limit`. The end of the body
    /// is an error.
    pub fn frame(&mut self, limit: Duration) -> Result<Option<Frame>> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(end) = self.body.windows(2).position(|two| two == b"\n\n") {
                let frame: Vec<u8> = self.body.drain(..end + 2).collect();
                return Ok(Some(Frame::parse(&String::from_utf8_lossy(&frame))));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.connection.set_read_timeout(Some(left))?;
            match self.more() {
                Ok(true) => {}
                Ok(false) => bail!("ended"),
                Err(error) if is_silence(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes what has arrived meanwhile, without waiting.
    pub fn poll(&mut self) -> Result<()> {
        self.connection.set_nonblocking(true)?;
        let end = loop {
            match self.more() {
                Ok(true) => {}
                Ok(false) => bail!("ended after {}", self.body()),
                Err(error) => break error,
            }
        };
        self.connection.set_nonblocking(false)?;
        if is_silence(&end) { Ok(()) } else { Err(end) }
    }

    /// Reads once. Returns `false` at the end.
    pub fn more(&mut self) -> Result<bool> {
        let mut bytes = [0; 16 << 10];
        let length = self.connection.read(&mut bytes)?;
        self.input.extend_from_slice(&bytes[..length]);
        self.decode()?;
        Ok(length > 0)
    }

    /// The connection. Its bytes that are not read yet can still be read.
    pub fn into_connection(self) -> TcpStream {
        self.connection
    }

    fn decode(&mut self) -> Result<()> {
        let head = match &self.head {
            Some(head) => head,
            None => {
                let Some(end) = self.input.windows(4).position(|four| four == b"\r\n\r\n") else {
                    return Ok(());
                };
                let head: Vec<u8> = self.input.drain(..end + 4).collect();
                self.head.insert(String::from_utf8_lossy(&head).into_owned())
            }
        };
        if !head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            self.body.append(&mut self.input);
            return Ok(());
        }
        while let Some(line) = self.input.windows(2).position(|two| two == b"\r\n") {
            let length = std::str::from_utf8(&self.input[..line])?;
            let length =
                usize::from_str_radix(length, 16).with_context(|| format!("a chunk of length {length:?}"))?;
            let begin = line + 2;
            let end = line + 2 + length;
            if self.input.len() < end + 2 {
                break;
            }
            self.body.extend_from_slice(&self.input[begin..end]);
            self.input.drain(..end + 2);
            self.whole = length == 0;
        }
        Ok(())
    }
}

/// Whether the error means that nothing has arrived yet, and not a failure.
fn is_silence(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    matches!(kind, Some(ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn frames_are_whole_however_they_are_cut() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // Unread bytes would make the kernel reset the connection.
            assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
            let body = "event: x\nid: 7\ndata: {\"é\":1}\n\nevent: y\ndata: 2\n\n".as_bytes();
            let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for chunk in body.chunks(5) {
                answer.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                answer.extend_from_slice(chunk);
                answer.extend_from_slice(b"\r\n");
            }
            answer.extend_from_slice(b"0\r\n\r\n");
            for piece in answer.chunks(3) {
                stream.write_all(piece).unwrap();
            }
        });
        let mut stream = Stream::get(addr, "/", None, &[]).unwrap();
        assert_eq!(stream.status().unwrap(), 200);
        let first = stream.frame(LIMIT).unwrap().unwrap();
        assert_eq!(first, Frame { event: "x".into(), id: Some("7".into()), data: "{\"é\":1}".into() });
        stream.until("data: 2").unwrap();
        assert_eq!(stream.frame(LIMIT).unwrap().unwrap().event, "y");
        assert!(stream.frame(LIMIT).is_err() && stream.is_whole());
        server.join().unwrap();
    }
}
