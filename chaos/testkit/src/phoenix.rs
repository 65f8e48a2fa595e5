//! Phoenix Channels V2 over a raw socket, frame by frame. The client never reconnects, never resumes, and
//! never sends a heartbeat by itself: the test sends each frame.

use crate::ws::{Message, Ws};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long an expected frame may take.
const LIMIT: Duration = Duration::from_secs(30);

/// One frame of the server.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The ref of the join, or null.
    pub join_ref: Value,
    /// The ref of the message that this answers, or null.
    pub reply_ref: Value,
    /// The topic.
    pub topic: String,
    /// The event.
    pub event: String,
    /// The payload.
    pub payload: Value,
}

impl Frame {
    /// Parses a frame's text.
    pub fn parse(text: &str) -> Result<Self> {
        let parts: Value = serde_json::from_str(text).with_context(|| text.to_owned())?;
        let parts = parts.as_array().with_context(|| text.to_owned())?;
        let [join_ref, reply_ref, topic, event, payload] = parts.as_slice() else {
            bail!("not five parts: {text}");
        };
        Ok(Self {
            join_ref: join_ref.clone(),
            reply_ref: reply_ref.clone(),
            topic: topic.as_str().with_context(|| text.to_owned())?.to_owned(),
            event: event.as_str().with_context(|| text.to_owned())?.to_owned(),
            payload: payload.clone(),
        })
    }

    /// The status of a reply, else an empty string.
    pub fn status(&self) -> &str {
        self.payload["status"].as_str().unwrap_or_default()
    }

    /// The reason of an error reply, else an empty string.
    pub fn reason(&self) -> &str {
        self.payload["response"]["reason"].as_str().unwrap_or_default()
    }
}

/// The path of the V2 socket, with a token.
pub fn path(token: &str) -> String {
    format!("/socket/events/websocket?vsn=2.0.0&token={token}")
}

/// An open Phoenix socket.
#[derive(Debug)]
pub struct Socket {
    /// The socket below, for frames that are not Phoenix's.
    pub ws: Ws,
    next: u64,
}

impl Socket {
    /// Connects.
    pub fn connect(addr: SocketAddr, token: &str) -> Result<Self> {
        Ok(Self::on(Ws::connect(addr, &path(token))?))
    }

    /// Speaks Phoenix over this socket.
    pub fn on(ws: Ws) -> Self {
        Self { ws, next: 1 }
    }

    /// Sends a frame; both refs may be null.
    pub fn push(&mut self, refs: (Value, Value), topic: &str, event: &str, payload: Value) -> Result<()> {
        self.ws.text(&json!([refs.0, refs.1, topic, event, payload]).to_string())
    }

    /// Joins. Returns the join's ref and the reply. An event before the reply is an error.
    pub fn join(&mut self, topic: &str, params: Value) -> Result<(String, Frame)> {
        let own = self.next.to_string();
        self.next += 1;
        self.push((json!(own), json!(own)), topic, "phx_join", params)?;
        let frame = self.frame()?;
        ensure!(
            frame.event == "phx_reply" && frame.reply_ref == own && frame.topic == topic,
            "expected the reply to join {own}, got {frame:?}"
        );
        Ok((own, frame))
    }

    /// Joins, and joins again while there is no leader; any other reply than ok is an error. Returns the
    /// response.
    pub fn join_ok(&mut self, topic: &str, params: Value) -> Result<Value> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let (_, reply) = self.join(topic, params.clone())?;
            if reply.reason() == "unavailable" && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(100));
                continue;
            }
            ensure!(reply.status() == "ok", "join refused: {reply:?}");
            return Ok(reply.payload["response"].clone());
        }
    }

    /// The next frame. A close frame, the end of the connection or silence is an error.
    pub fn frame(&mut self) -> Result<Frame> {
        match self.message()? {
            Message::Text(text) => Frame::parse(&text),
            other => bail!("expected a frame, got {other:?}"),
        }
    }

    /// The next message that is neither a ping nor a pong.
    pub fn message(&mut self) -> Result<Message> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.ws.read(left)? {
                Some(Message::Ping(_) | Message::Pong(_)) => {}
                Some(message) => return Ok(message),
                None => bail!("nothing arrived for {LIMIT:?}"),
            }
        }
    }

    /// The envelopes of the next `n` frames, all of which must be events, not replies.
    pub fn events(&mut self, n: usize) -> Result<Vec<Value>> {
        let mut envelopes = Vec::new();
        for _ in 0..n {
            let frame = self.frame()?;
            ensure!(!frame.event.starts_with("phx_"), "expected an event, got {frame:?}");
            ensure!(frame.event == frame.payload["type"], "event and type differ: {frame:?}");
            envelopes.push(frame.payload);
        }
        Ok(envelopes)
    }

    /// Sends a heartbeat; its reply must be the next frame that is not an event.
    pub fn alive(&mut self) -> Result<()> {
        let own = format!("hb{}", self.next);
        self.next += 1;
        self.push((Value::Null, json!(own)), "phoenix", "heartbeat", json!({}))?;
        loop {
            let frame = self.frame()?;
            if frame.event == "phx_reply" {
                ensure!(frame.reply_ref == own && frame.status() == "ok", "{frame:?}");
                return Ok(());
            }
        }
    }

    /// Reads until the socket is closed. Returns the code of the close frame and how long it took.
    pub fn wait_close(&mut self) -> Result<(Option<u16>, Duration)> {
        let start = Instant::now();
        loop {
            match self.message()? {
                Message::Close(code, _) => return Ok((code, start.elapsed())),
                Message::End => return Ok((None, start.elapsed())),
                _ => {}
            }
        }
    }
}
