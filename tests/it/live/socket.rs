//! A raw socket of live sessions.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::Cluster;
use testkit::cluster::Map;
use testkit::wait::{self, LIMIT};
use testkit::ws::{Message, Ws};

pub(super) struct Socket {
    pub(super) ws: Ws,
}

impl Socket {
    /// Connects to a node. Nobody has said yet who the client is.
    pub(super) fn connect(c: &Cluster, node: usize) -> Result<Self> {
        Ok(Self { ws: Ws::connect(c.nodes[node].http, "/api/sessions/live")? })
    }

    /// Connects to a node, and is let in with the token of a map.
    pub(super) fn admitted(c: &Cluster, node: usize, map: &Map) -> Result<Self> {
        let mut socket = Self::connect(c, node)?;
        socket.auth(&map.token)?;
        Ok(socket)
    }

    /// Says who the client is, who must be let in.
    pub(super) fn auth(&mut self, token: &str) -> Result<()> {
        let answer = self.ask(&json!({"type": "auth", "token": token}))?;
        ensure!(answer["type"] == "auth_success", "{answer}");
        Ok(())
    }

    /// Subscribes to a session. Returns the answer.
    pub(super) fn subscribe(&mut self, session: impl Into<Value>) -> Result<Value> {
        let session: Value = session.into();
        let answer = self.ask(&json!({"type": "subscribe", "sessionId": session}))?;
        ensure!(answer == json!({"type": "subscribed", "sessionId": session}), "{answer}");
        Ok(answer)
    }

    pub(super) fn send(&mut self, frame: &Value) -> Result<()> {
        self.ws.text(&frame.to_string())
    }

    /// Sends a message and returns the next frame. While there is no leader it tries again.
    pub(super) fn ask(&mut self, frame: &Value) -> Result<Value> {
        wait::until("an answer that stays", || {
            self.send(frame)?;
            let answer = self.next()?;
            let passes = answer["message"].as_str().is_some_and(|message| message.contains("no leader"));
            Ok((!passes).then_some(answer))
        })
    }

    /// The next frame as it comes.
    pub(super) fn next_text(&mut self) -> Result<String> {
        match self.ws.read(LIMIT)?.context("no frame came")? {
            Message::Text(text) => Ok(text),
            other => bail!("instead of a frame: {other:?}"),
        }
    }

    /// The next frame.
    pub(super) fn next(&mut self) -> Result<Value> {
        Ok(serde_json::from_str(&self.next_text()?)?)
    }

    /// The next frame of that type, which must be the next one that is no position.
    pub(super) fn event(&mut self, kind: &str) -> Result<Value> {
        loop {
            let frame = self.next().with_context(|| format!("waiting for {kind}"))?;
            if frame["type"] != "position" {
                ensure!(frame["type"] == kind, "instead of {kind}: {frame}");
                return Ok(frame);
            }
        }
    }

    /// Nothing else has come: a ping is answered at once.
    pub(super) fn quiet(&mut self) -> Result<()> {
        self.send(&json!({"type": "ping"}))?;
        self.event("pong").map(drop)
    }

    /// Waits for the end of the connection. Returns the code of its close frame.
    pub(super) fn closed(&mut self) -> Result<Option<u16>> {
        loop {
            match self.ws.read(LIMIT)?.context("the connection stays open")? {
                Message::Close(code, _) => return Ok(code),
                Message::End => return Ok(None),
                _ => {}
            }
        }
    }

    /// The code of the close frame, if it has come.
    pub(super) fn closed_by_now(&mut self) -> Result<Option<u16>> {
        while let Some(message) = self.ws.read(Duration::from_millis(1))? {
            if let Message::Close(code, _) = message {
                return code.context("a close frame without a code").map(Some);
            }
            ensure!(message != Message::End, "no close frame came");
        }
        Ok(None)
    }
}
