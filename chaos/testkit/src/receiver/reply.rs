//! The answer to a request: a status, headers, and a body that may be late, slow, endless, or never sent.

use anyhow::Result;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How often a wait checks whether the receiver was stopped.
const LOOK: Duration = Duration::from_millis(50);

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The headers, without those of the body.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Body,
    /// How long after the request it is sent.
    pub after: Duration,
}

/// A body and how it is sent.
#[derive(Debug, Clone)]
pub enum Body {
    /// These bytes, at once.
    Whole(Vec<u8>),
    /// The whole answer, with its head, one byte in each such time.
    Drip(Duration),
    /// A body with this number of bytes.
    Huge(u64),
    /// Nothing: the connection stays open and silent.
    Never,
    /// Nothing: the connection ends.
    Close,
}

impl Reply {
    /// A status with a short body.
    pub fn new(status: u16) -> Self {
        let body = Body::Whole(format!("this is {status}").into_bytes());
        Self { status, headers: Vec::new(), body, after: Duration::ZERO }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// Sets a body of JSON.
    pub fn json(self, body: &serde_json::Value) -> Self {
        self.header("content-type", "application/json").body(Body::Whole(body.to_string().into_bytes()))
    }

    /// Sets the body.
    pub fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// Sends the answer later, by that time.
    pub fn after(mut self, after: Duration) -> Self {
        self.after = after;
        self
    }

    /// Sends it. Returns whether the connection can take a further request.
    pub(super) fn send(&self, stream: &mut TcpStream, stopped: impl Fn() -> bool) -> Result<bool> {
        pause(self.after, &stopped);
        match &self.body {
            Body::Whole(body) => {
                let mut answer = self.head(body.len() as u64);
                answer.extend_from_slice(body);
                stream.write_all(&answer)?;
                return Ok(true);
            }
            Body::Drip(pace) => {
                let mut answer = self.head(100_000);
                answer.resize(answer.len() + 100_000, b'.');
                for byte in answer.chunks(1).take_while(|_| !stopped()) {
                    stream.write_all(byte)?;
                    pause(*pace, &stopped);
                }
            }
            Body::Huge(length) => {
                stream.write_all(&self.head(*length))?;
                let chunk = [b'x'; 16 << 10];
                for _ in 0..length.div_ceil(chunk.len() as u64) {
                    stream.write_all(&chunk)?;
                }
            }
            Body::Close => {}
            // This waits until the other side closes the connection.
            Body::Never => while stream.read(&mut [0; 4096])? > 0 {},
        }
        Ok(false)
    }

    fn head(&self, length: u64) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} Status\r\ncontent-length: {length}\r\n", self.status);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        (head + "\r\n").into_bytes()
    }
}

fn pause(time: Duration, stopped: impl Fn() -> bool) {
    let until = Instant::now() + time;
    while !stopped() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(LOOK));
    }
}
