//! The part of NATS' text protocol that a benchmark needs: operations in a stream of bytes, a subscriber's
//! opening, and a publisher that waits for its answers.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::http::PATIENCE;

/// The longest line or message of a benchmark; a greater length means that the stream was misread.
const LONGEST: usize = 1 << 20;
const READ_BUFFER: usize = 64 * 1024;

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Op<'a> {
    Ok,
    Ping,
    Pong,
    Message(&'a [u8]),
    Error(&'a [u8]),
    /// The server's description of itself.
    Info,
}

/// The answer to the server's ping.
pub(crate) const PONG: &[u8] = b"PONG\r\n";

/// What a subscriber sends first; the server's pong says that it is subscribed.
pub(crate) fn subscription(subject: &str) -> Vec<u8> {
    format!("CONNECT {{\"verbose\":false,\"pedantic\":false}}\r\nSUB {subject} 1\r\nPING\r\n").into_bytes()
}

/// Splits a stream of bytes into operations. Only an operation that arrived in pieces is ever copied.
#[derive(Default)]
pub(crate) struct Reader {
    partial: Vec<u8>,
}

impl Reader {
    /// Calls `each` for every operation that `chunk` completes.
    ///
    /// # Errors
    /// The stream is not what NATS sends.
    pub(crate) fn feed(&mut self, chunk: &[u8], mut each: impl FnMut(Op<'_>)) -> Result<()> {
        if self.partial.is_empty() {
            let taken = all(chunk, &mut each)?;
            self.partial.extend_from_slice(&chunk[taken..]);
        } else {
            self.partial.extend_from_slice(chunk);
            let taken = all(&self.partial, &mut each)?;
            self.partial.drain(..taken);
        }
        Ok(())
    }
}

/// Calls `each` for all whole operations. Returns how many bytes they have.
fn all(bytes: &[u8], each: &mut impl FnMut(Op<'_>)) -> Result<usize> {
    let mut taken = 0;
    while let Some((op, length)) = first(&bytes[taken..])? {
        each(op);
        taken += length;
    }
    Ok(taken)
}

/// The first operation and its length, if it is whole.
fn first(bytes: &[u8]) -> Result<Option<(Op<'_>, usize)>> {
    let Some(end) = bytes.windows(2).position(|w| w == b"\r\n") else {
        ensure!(bytes.len() <= LONGEST, "a line of more than {LONGEST} bytes");
        return Ok(None);
    };
    let line = &bytes[..end];
    let body = end + 2;
    let op = match line {
        b"+OK" => Op::Ok,
        b"PING" => Op::Ping,
        b"PONG" => Op::Pong,
        _ if line.starts_with(b"MSG ") || line.starts_with(b"HMSG ") => return message(bytes, line, body),
        _ if line.starts_with(b"INFO ") => Op::Info,
        _ if line.starts_with(b"-ERR") => Op::Error(line),
        _ => bail!("NATS says {}", String::from_utf8_lossy(line)),
    };
    Ok(Some((op, body)))
}

/// The message whose head is `line`, and which begins at `body`, if it is whole.
fn message<'a>(bytes: &'a [u8], line: &[u8], body: usize) -> Result<Option<(Op<'a>, usize)>> {
    // The last word is the length, that of headers included.
    let length = line.rsplit(|byte| *byte == b' ').next().context("a message without a length")?;
    let length: usize = std::str::from_utf8(length)?.parse()?;
    ensure!(length <= LONGEST, "a message of {length} bytes");
    let end = body + length;
    // A line end follows the message.
    Ok((bytes.len() >= end + 2).then(|| (Op::Message(&bytes[body..end]), end + 2)))
}

/// How a server says that it has a published message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acknowledges {
    /// It has read it.
    Reading,
    /// A majority of the stream's nodes has stored it.
    Storing,
}

/// A publisher's connection.
pub(crate) struct Client {
    stream: TcpStream,
    acknowledges: Acknowledges,
    subject: String,
    /// Where the stream's answers go.
    inbox: String,
    reader: Reader,
    buffer: Vec<u8>,
    output: Vec<u8>,
    /// The last message.
    last: Vec<u8>,
}

impl Client {
    /// # Errors
    /// No NATS server listens there.
    pub(crate) async fn connect(addr: SocketAddr, subject: &str, acknowledges: Acknowledges) -> Result<Self> {
        let stream = timeout(PATIENCE, TcpStream::connect(addr)).await??;
        stream.set_nodelay(true)?;
        let port = stream.local_addr()?.port();
        let mut client = Self {
            stream,
            acknowledges,
            subject: subject.to_owned(),
            inbox: format!("_INBOX.{}.{port}", std::process::id()),
            reader: Reader::default(),
            buffer: vec![0; READ_BUFFER],
            output: Vec::new(),
            last: Vec::new(),
        };
        timeout(PATIENCE, client.open()).await.context("NATS does not answer")??;
        Ok(client)
    }

    async fn open(&mut self) -> Result<()> {
        let verbose = self.acknowledges == Acknowledges::Reading;
        let options = format!(r#"{{"verbose":{verbose},"headers":true,"no_responders":true}}"#);
        let inbox = match self.acknowledges {
            Acknowledges::Reading => String::new(),
            Acknowledges::Storing => format!("SUB {} 1\r\n", self.inbox),
        };
        self.stream.write_all(format!("CONNECT {options}\r\n{inbox}PING\r\n").as_bytes()).await?;
        while !self.hear().await?.pong {}
        Ok(())
    }

    /// Publishes `payload` as so many messages, one behind the other, and waits until all are acknowledged.
    ///
    /// # Errors
    /// One is refused, or the answers do not arrive in time.
    pub(crate) async fn publish(&mut self, payload: &[u8], messages: usize) -> Result<()> {
        self.output.clear();
        let reply = match self.acknowledges {
            Acknowledges::Reading => String::new(),
            Acknowledges::Storing => format!("{} ", self.inbox),
        };
        let head = format!("PUB {} {reply}{}\r\n", self.subject, payload.len());
        for _ in 0..messages {
            self.output.extend_from_slice(head.as_bytes());
            self.output.extend_from_slice(payload);
            self.output.extend_from_slice(b"\r\n");
        }
        timeout(PATIENCE, self.exchange(messages)).await.context("no answer in time")?
    }

    async fn exchange(&mut self, messages: usize) -> Result<()> {
        self.stream.write_all(&self.output).await?;
        let mut answered = 0;
        while answered < messages {
            let heard = self.hear().await?;
            if let Some(why) = heard.refused {
                bail!("not stored: {why}");
            }
            answered += heard.answers;
        }
        Ok(())
    }

    /// Asks the service of that subject, and returns its answer.
    ///
    /// # Errors
    /// No answer arrives in time.
    pub(crate) async fn ask(&mut self, subject: &str, body: &str) -> Result<Value> {
        let question = format!("PUB {subject} {} {}\r\n{body}\r\n", self.inbox, body.len());
        self.stream.write_all(question.as_bytes()).await?;
        let answered = async {
            while self.hear().await?.answers == 0 {}
            anyhow::Ok(())
        };
        timeout(PATIENCE, answered).await.context("no answer in time")??;
        // A subject without a service is answered with headers alone.
        Ok(serde_json::from_slice(&self.last).unwrap_or(Value::Null))
    }

    /// Reads once, and answers pings.
    async fn hear(&mut self) -> Result<Heard> {
        let got = self.stream.read(&mut self.buffer).await?;
        ensure!(got > 0, "NATS closed the connection");
        let heard = self.take(got)?;
        for _ in 0..heard.pings {
            self.stream.write_all(PONG).await?;
        }
        Ok(heard)
    }

    /// Takes the first `got` bytes of the buffer.
    fn take(&mut self, got: usize) -> Result<Heard> {
        let mut heard = Heard::default();
        let mut error = None;
        let last = &mut self.last;
        self.reader.feed(&self.buffer[..got], |op| match op {
            Op::Info => {}
            Op::Ok => heard.answers += 1,
            Op::Ping => heard.pings += 1,
            Op::Pong => heard.pong = true,
            Op::Error(why) => error = Some(String::from_utf8_lossy(why).into_owned()),
            Op::Message(answer) => {
                heard.answers += 1;
                last.clear();
                last.extend_from_slice(answer);
                if !is_stored(answer) {
                    heard.refused = Some(String::from_utf8_lossy(answer).into_owned());
                }
            }
        })?;
        match error {
            Some(error) => bail!("NATS says {error}"),
            None => Ok(heard),
        }
    }
}

/// What one read had.
#[derive(Default)]
struct Heard {
    pings: usize,
    pong: bool,
    /// Acknowledgements and messages.
    answers: usize,
    /// The last message that does not say that an event was stored.
    refused: Option<String>,
}

/// Whether an answer of a stream says that a message was stored.
fn is_stored(answer: &[u8]) -> bool {
    let has = |part: &[u8]| answer.windows(part.len()).any(|w| w == part);
    has(b"\"seq\":") && !has(b"\"error\"")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn operations_survive_every_way_of_being_cut() {
        let stream = b"INFO {}\r\nPONG\r\nMSG a 1 5\r\nab\r\nc\r\n+OK\r\nHMSG a 1 r 2 3\r\nxyz\r\nPING\r\n-ERR 'no'\r\n";
        for step in 1..=stream.len() {
            let mut reader = Reader::default();
            let mut seen = Vec::new();
            for chunk in stream.chunks(step) {
                reader.feed(chunk, |op| seen.push(format!("{op:?}"))).unwrap();
            }
            let want = [
                Op::Info,
                Op::Pong,
                Op::Message(b"ab\r\nc"),
                Op::Ok,
                Op::Message(b"xyz"),
                Op::Ping,
                Op::Error(b"-ERR 'no'"),
            ];
            assert_eq!(seen, want.map(|op| format!("{op:?}")), "in steps of {step}");
        }
    }

    #[test]
    fn what_nats_does_not_send_is_refused() {
        for bytes in [&b"HTTP/1.1 200 OK\r\n"[..], b"MSG a 1 x\r\n", b"MSG a 1 99999999\r\n"] {
            assert!(Reader::default().feed(bytes, |_| ()).is_err());
        }
        assert!(is_stored(br#"{"stream":"S","seq":7}"#));
        assert!(!is_stored(br#"{"error":{"code":503},"seq":0}"#));
    }
}
