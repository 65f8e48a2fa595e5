//! A client of Phoenix's long poll. The caller decides about each request: to which node it goes, with which
//! token, and whether the answer is read.

use crate::cluster::{Cluster, Map};
use crate::http::Api;
use crate::phoenix::Frame;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long an expected answer may take.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Pushes messages, or polls when there are none, with a session's token or without one. The access token is
/// sent in the query or in a header.
pub fn ask(
    url: &str,
    token: &str,
    session: &str,
    in_query: bool,
    push: Option<&[u8]>,
    limit: Duration,
) -> Result<Answered> {
    let mut path = format!("/socket/events/longpoll?vsn=2.0.0&token={token}");
    let mut headers = vec![("content-type", "application/x-ndjson")];
    match in_query {
        _ if session.is_empty() => {}
        false => headers.push(("x-phoenix-longpoll-token", session)),
        true => path += &format!("&token={session}"),
    }
    let method = if push.is_some() { "POST" } else { "GET" };
    let answer = Api::new(url, None).timeout(limit).call(method, &path, &headers, push)?;
    let http = answer.status;
    ensure!(matches!(http, 200 | 429 | 503), "{http}: {}", answer.text());
    let answer = answer.json()?;
    let messages = answer["messages"].as_array().with_context(|| answer.to_string())?.iter();
    let text =
        |message: &Value| message.as_str().map(str::to_owned).context("a message that is not a string");
    Ok(Answered {
        http,
        status: answer["status"].as_u64().with_context(|| answer.to_string())?,
        session: answer["token"].as_str().unwrap_or_default().to_owned(),
        messages: messages.map(text).collect::<Result<_>>()?,
    })
}

/// An answer of the long poll.
#[derive(Debug, PartialEq)]
pub struct Answered {
    /// The HTTP status: 429 or 503 if the client may try again later.
    pub http: u16,
    /// The status in its JSON.
    pub status: u64,
    /// The session's new token.
    pub session: String,
    /// Its messages, not parsed.
    pub messages: Vec<String>,
}

impl Answered {
    /// Its messages, parsed.
    pub fn frames(&self) -> Result<Vec<Frame>> {
        self.messages.iter().map(|message| Frame::parse(message)).collect()
    }

    /// The seqs of its events.
    pub fn seqs(&self) -> Vec<u64> {
        let frames = self.frames().unwrap_or_default();
        frames.iter().filter_map(|frame| frame.payload["seq"].as_u64()).collect()
    }
}

/// A client that sends each request to the next node.
#[derive(Debug)]
pub struct Poller {
    urls: Vec<String>,
    token: String,
    /// The session's token from the last answer.
    pub session: String,
    /// The node of the next request.
    pub turn: usize,
    /// All messages so far, not parsed.
    pub frames: Vec<Frame>,
}

impl Poller {
    /// Opens a session at that node and joins the map's topic.
    pub fn join(c: &Cluster, map: &Map, node: usize) -> Result<Self> {
        let mut poller = Self {
            urls: c.urls_from(0),
            token: map.token.clone(),
            session: String::new(),
            turn: node,
            frames: Vec::new(),
        };
        ensure!(poller.poll()? == 410 && !poller.session.is_empty(), "no session was opened");
        ensure!(poller.push(&message("1", &map.topic(), "phx_join"))? == 200);
        poller.until("the join's reply", |p| !p.frames.is_empty())?;
        let reply = poller.frames.remove(0);
        ensure!(reply.event == "phx_reply" && reply.reply_ref == "1" && reply.status() == "ok", "{reply:?}");
        Ok(poller)
    }

    /// Sends one request to the next node, with the session in the query or in the header by turns. Returns
    /// the answer's status.
    fn call(&mut self, push: Option<&[u8]>) -> Result<u64> {
        let answer = self.ask(self.turn, &self.session, push, LIMIT)?;
        self.turn += 1;
        self.frames.extend(answer.frames()?);
        self.session = answer.session;
        Ok(answer.status)
    }

    /// Sends a request to that node with the session token `session`. The caller handles the answer.
    pub fn ask(&self, node: usize, session: &str, push: Option<&[u8]>, limit: Duration) -> Result<Answered> {
        let url = &self.urls[node % self.urls.len()];
        ask(url, &self.token, session, node % 2 == 1, push, limit)
    }

    /// Polls at that node and hangs up after `limit`, unless the answer arrives before.
    pub fn give_up(&self, node: usize, limit: Duration) {
        let _ = self.ask(node, &self.session, None, limit);
    }

    /// Polls at that node and does not read to the end: the answer is lost after its first byte.
    pub fn break_off(&self, node: usize) -> Result<()> {
        let address = self.urls[node % self.urls.len()].trim_start_matches("http://");
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(LIMIT))?;
        let path = format!("/socket/events/longpoll?vsn=2.0.0&token={}&token={}", self.token, self.session);
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n")?;
        stream.read_exact(&mut [0])?;
        Ok(())
    }

    /// Polls at the next node. Returns the status.
    pub fn poll(&mut self) -> Result<u64> {
        self.call(None)
    }

    /// Polls at that node until the answer is something else than an empty poll.
    pub fn poll_at(&mut self, node: usize) -> Result<u64> {
        let start = Instant::now();
        loop {
            self.turn = node;
            match self.poll()? {
                204 => ensure!(start.elapsed() < LIMIT, "nothing came"),
                status => return Ok(status),
            }
        }
    }

    /// Pushes messages to the next node. Returns the answer's status.
    pub fn push(&mut self, body: &str) -> Result<u64> {
        self.call(Some(body.as_bytes()))
    }

    /// Polls until the condition holds.
    pub fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> Result<()> {
        let start = Instant::now();
        while !done(self) {
            ensure!(start.elapsed() < LIMIT, "{what} didn't come, but {:?}", self.frames);
            let status = self.poll()?;
            ensure!(matches!(status, 200 | 204), "{status} instead of {what}");
        }
        Ok(())
    }

    /// The seqs of the events and the refs of the replies, each in the order in which they arrived.
    pub fn received(&self) -> (Vec<u64>, Vec<String>) {
        let (replies, events): (Vec<&Frame>, Vec<&Frame>) =
            self.frames.iter().partition(|f| f.event == "phx_reply");
        let seqs = events.iter().filter_map(|event| event.payload["seq"].as_u64());
        let refs = replies.iter().filter_map(|reply| reply.reply_ref.as_str().map(str::to_owned));
        (seqs.collect(), refs.collect())
    }
}

/// A message with join_ref 1.
pub fn message(own: &str, topic: &str, event: &str) -> String {
    json!(["1", own, topic, event, {}]).to_string()
}
