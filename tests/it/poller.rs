//! A client of the long poll whose every request is the test's own: to which node it goes, with which token,
//! and whether anybody reads the answer.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use testkit::Cluster;
use testkit::cluster::Map;
use testkit::http::Api;
use testkit::phoenix::Frame;

/// How long something expected may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Debug, PartialEq)]
pub(crate) struct Answered {
    /// The status in its JSON.
    pub(crate) status: u64,
    /// The session's new token.
    pub(crate) session: String,
    /// Its messages.
    pub(crate) frames: Vec<Frame>,
}

impl Answered {
    /// The seqs of its events.
    pub(crate) fn seqs(&self) -> Vec<u64> {
        self.frames.iter().filter_map(|frame| frame.payload["seq"].as_u64()).collect()
    }
}

/// A client whose every request goes to the next node.
pub(crate) struct Poller {
    urls: Vec<String>,
    token: String,
    /// The session's token of the last answer.
    pub(crate) session: String,
    /// Which node is asked next.
    pub(crate) turn: usize,
    /// All messages so far.
    pub(crate) frames: Vec<Frame>,
}

impl Poller {
    /// Opens a session at that node and joins the map's topic.
    pub(crate) fn join(c: &Cluster, map: &Map, node: usize) -> Result<Self> {
        let (session, frames) = (String::new(), Vec::new());
        let mut poller = Self { urls: c.urls_from(0), token: map.token.clone(), session, turn: node, frames };
        ensure!(poller.poll()? == 410 && !poller.session.is_empty(), "no session was opened");
        ensure!(poller.push(&message("1", &map.topic(), "phx_join"))? == 200);
        poller.until("the join's reply", |p| !p.frames.is_empty())?;
        let reply = poller.frames.remove(0);
        ensure!(reply.event == "phx_reply" && reply.reply_ref == "1" && reply.status() == "ok", "{reply:?}");
        Ok(poller)
    }

    /// One request to the next node, its session in the query or in the header by turns; the answer's status.
    fn call(&mut self, method: &str, body: Option<&[u8]>) -> Result<u64> {
        let answer = self.ask(self.turn, &self.session, method, body, LIMIT)?;
        self.turn += 1;
        self.session.clone_from(&answer.session);
        self.frames.extend(answer.frames);
        Ok(answer.status)
    }

    /// A request of the session as a client knows it that has `session`, to that node. What comes of it is
    /// for the caller.
    pub(crate) fn ask(
        &self,
        node: usize,
        session: &str,
        method: &str,
        body: Option<&[u8]>,
        limit: Duration,
    ) -> Result<Answered> {
        let api = Api::new(&self.urls[node % self.urls.len()], None).timeout(limit);
        let mut path = format!("/socket/events/longpoll?vsn=2.0.0&token={}", self.token);
        let mut headers = vec![("content-type", "application/x-ndjson")];
        match node % 2 {
            _ if session.is_empty() => {}
            0 => headers.push(("x-phoenix-longpoll-token", session)),
            _ => path += &format!("&token={session}"),
        }
        let answer = api.call(method, &path, &headers, body)?.expect(200)?.json()?;
        let messages = answer["messages"].as_array().with_context(|| answer.to_string())?.iter();
        Ok(Answered {
            status: answer["status"].as_u64().with_context(|| answer.to_string())?,
            session: answer["token"].as_str().unwrap_or_default().to_owned(),
            frames: messages
                .map(|message| Frame::parse(message.as_str().context("a message that is no string")?))
                .collect::<Result<_>>()?,
        })
    }

    /// A poll at that node whose client hangs up after `limit`, unless it was answered before.
    pub(crate) fn give_up(&self, node: usize, limit: Duration) {
        let _ = self.ask(node, &self.session, "GET", None, limit);
    }

    /// A poll at that node that is not read to its end: the answer is lost after its first byte.
    pub(crate) fn break_off(&self, node: usize) -> Result<()> {
        let address = self.urls[node % self.urls.len()].trim_start_matches("http://");
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(LIMIT))?;
        let path = format!("/socket/events/longpoll?vsn=2.0.0&token={}&token={}", self.token, self.session);
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n")?;
        stream.read_exact(&mut [0])?;
        Ok(())
    }

    pub(crate) fn poll(&mut self) -> Result<u64> {
        self.call("GET", None)
    }

    /// Polls at that node until something else comes of it than nothing.
    pub(crate) fn poll_at(&mut self, node: usize) -> Result<u64> {
        let start = Instant::now();
        loop {
            self.turn = node;
            match self.poll()? {
                204 => ensure!(start.elapsed() < LIMIT, "nothing came"),
                status => return Ok(status),
            }
        }
    }

    pub(crate) fn push(&mut self, body: &str) -> Result<u64> {
        self.call("POST", Some(body.as_bytes()))
    }

    /// Polls on until that is true.
    pub(crate) fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> Result<()> {
        let start = Instant::now();
        while !done(self) {
            ensure!(start.elapsed() < LIMIT, "{what} didn't come, but {:?}", self.frames);
            let status = self.poll()?;
            ensure!(matches!(status, 200 | 204), "{status} instead of {what}");
        }
        Ok(())
    }

    /// The seqs of the events that came, and the refs of the replies, each in the order in which they came.
    pub(crate) fn received(&self) -> (Vec<u64>, Vec<String>) {
        let (replies, events): (Vec<&Frame>, Vec<&Frame>) = self.frames.iter().partition(|f| f.event == "phx_reply");
        let seqs = events.iter().filter_map(|event| event.payload["seq"].as_u64());
        let refs = replies.iter().filter_map(|reply| reply.reply_ref.as_str().map(str::to_owned));
        (seqs.collect(), refs.collect())
    }
}

/// A message with join_ref 1.
pub(crate) fn message(own: &str, topic: &str, event: &str) -> String {
    json!(["1", own, topic, event, {}]).to_string()
}
