//! A very light HTTP/1.1 client: prepared bytes, one keep-alive connection, and only the status and the
//! length of an answer. It shares the cores with the server that it measures.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// The longest time of an answer; a server that hangs is a failure, not a wait.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// The clients' address differs from the servers': a client's port there could be one that a restarting node
/// needs.
const SOURCE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 254)), 0);
const MAX_ANSWER: usize = 8 << 20;

/// A whole request as bytes, which can be sent any number of times.
pub(crate) fn request(method: &str, path: &str, token: &str, body: &str) -> Vec<u8> {
    with_headers(method, path, &bearer(token), body)
}

/// A whole POST without a token: its path carries a signature, or the server asks for none.
pub(crate) fn post(path: &str, body: &str) -> Vec<u8> {
    with_headers("POST", path, "", body)
}

/// As [`request`] with POST, under an `Idempotency-Key`: it may be sent again, to any node.
pub(crate) fn repeatable(path: &str, token: &str, key: &str, body: &str) -> Vec<u8> {
    with_headers("POST", path, &format!("{}Idempotency-Key: {key}\r\n", bearer(token)), body)
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn with_headers(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: bench\r\n{headers}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// One keep-alive connection.
pub(crate) struct Client {
    stream: TcpStream,
    input: Vec<u8>,
    body: std::ops::Range<usize>,
}

impl Client {
    /// # Errors
    /// No server listens there, or it does not accept in time.
    pub(crate) async fn connect(addr: SocketAddr) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        if addr.ip().is_loopback() {
            socket.bind(SOURCE)?;
        }
        let stream = timeout(PATIENCE, socket.connect(addr)).await??;
        stream.set_nodelay(true)?;
        Ok(Self { stream, input: Vec::with_capacity(4096), body: 0..0 })
    }

    /// Sends a prepared request and waits for its whole answer. Returns the status.
    ///
    /// # Errors
    /// The connection broke, or the answer is malformed or did not arrive in time.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<u16> {
        timeout(PATIENCE, self.exchange_unbounded(request)).await.context("no answer in time")?
    }

    async fn exchange_unbounded(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request).await?;
        self.input.clear();
        let head = loop {
            if let Some(at) = self.input.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let (status, length) = parse_head(&self.input[..head])?;
        if length > MAX_ANSWER {
            bail!("an answer of {length} bytes is too long");
        }
        while self.input.len() < head + length {
            self.more().await?;
        }
        self.body = head..head + length;
        Ok(status)
    }

    async fn more(&mut self) -> Result<()> {
        match self.stream.read_buf(&mut self.input).await? {
            0 => bail!("the server closed the connection"),
            _ if self.input.len() > MAX_ANSWER => bail!("the answer is too long"),
            _ => Ok(()),
        }
    }

    /// The body of the last answer.
    pub(crate) fn body(&self) -> &[u8] {
        &self.input[self.body.clone()]
    }
}

/// Whether a publish with this answer was accepted: stored, passed on, or either at Pusher's API.
pub(crate) fn is_accepted(status: u16) -> bool {
    (200..=202).contains(&status)
}

fn parse_head(head: &[u8]) -> Result<(u16, usize)> {
    let text = std::str::from_utf8(head)?;
    let status = text.get(9..12).and_then(|s| s.parse().ok()).context("no status line")?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    match length {
        Some(length) => Ok((status, length)),
        None if matches!(status, 204 | 304) => Ok((status, 0)),
        None => Err(anyhow!("an answer without content-length")),
    }
}

/// Sends one request on a separate connection. Returns the answer as JSON (null where it has none).
///
/// # Errors
/// As [`Client::exchange`].
pub(crate) async fn call(
    addr: SocketAddr,
    method: &str,
    path: &str,
    token: &str,
    body: &str,
) -> Result<(u16, Value)> {
    let mut client = Client::connect(addr).await?;
    let status = client.exchange(&request(method, path, token, body)).await?;
    Ok((status, serde_json::from_slice(client.body()).unwrap_or(Value::Null)))
}
