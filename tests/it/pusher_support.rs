//! Helpers for tests of the Pusher protocol: raw sockets that subscribe, join and sign in, and the channel
//! rules of a map. Credentials and their signatures are those of the test kit.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::Cluster;
use testkit::cluster::Map;
use testkit::http::text;
pub(crate) use testkit::pusher::{App, QUERY, data as inner};
use testkit::wait::LIMIT;
use testkit::ws::{Message, Ws};

/// Sets the channel rules of a map.
pub(crate) fn set_rules(c: &Cluster, map: &Map, rules: &Value) -> Result<()> {
    let path = format!("/api/maps/{}/channel-rules", map.id);
    let headers = [("content-type", "application/json")];
    let api = c.api(c.up()?, map).patient();
    api.call("PUT", &path, &headers, Some(rules.to_string().as_bytes()))?.expect(200).map(drop)
}

/// A raw socket of the protocol.
pub(crate) struct Socket {
    ws: Ws,
    app: App,
    /// Its id.
    pub(crate) id: String,
}

impl Socket {
    /// Connects to a node.
    pub(crate) fn connect(c: &Cluster, node: usize, app: &App) -> Result<Self> {
        let ws = Ws::connect(c.nodes[node].http, &format!("/app/{}{QUERY}", app.key))?;
        let mut socket = Self { ws, app: app.clone(), id: String::new() };
        let greeting = socket.wait("pusher:connection_established")?;
        socket.id = text(&inner(&greeting)?, "socket_id")?;
        Ok(socket)
    }

    /// Sends a frame.
    pub(crate) fn send(&mut self, frame: &Value) -> Result<()> {
        self.ws.text(&frame.to_string())
    }

    /// The next frame, whatever it is.
    pub(crate) fn next(&mut self) -> Result<Value> {
        loop {
            match self.ws.read(LIMIT)?.context("no frame came")? {
                Message::Text(text) => return Ok(serde_json::from_str(&text)?),
                Message::Ping(_) | Message::Pong(_) => {}
                other => bail!("instead of a frame: {other:?}"),
            }
        }
    }

    /// Waits for a frame with that event; others are skipped.
    pub(crate) fn wait(&mut self, event: &str) -> Result<Value> {
        loop {
            let frame = self.next().with_context(|| format!("waiting for {event}"))?;
            if frame["event"] == event {
                return Ok(frame);
            }
        }
    }

    /// The next frame of a channel that is none of the protocol's own.
    pub(crate) fn event(&mut self, channel: &str) -> Result<Value> {
        loop {
            let frame = self.next().with_context(|| format!("waiting for an event of {channel}"))?;
            let event = frame["event"].as_str().unwrap_or_default();
            if frame["channel"] == channel && !event.starts_with("pusher") {
                return Ok(frame);
            }
        }
    }

    /// Subscribes to a channel, signed if its kind needs that. Returns the data of the answer.
    pub(crate) fn subscribe(&mut self, channel: &str) -> Result<Value> {
        let mut data = json!({"channel": channel});
        if channel.starts_with("private-") {
            data["auth"] = self.app.channel_auth(&self.id, channel, None).into();
        }
        self.send(&json!({"event": "pusher:subscribe", "data": data}))?;
        self.subscribed(channel)
    }

    /// Subscribes to a presence channel as a member.
    pub(crate) fn join(&mut self, channel: &str, user: &str, info: &Value) -> Result<Value> {
        let member = json!({"user_id": user, "user_info": info}).to_string();
        let auth = self.app.channel_auth(&self.id, channel, Some(&member));
        let data = json!({"channel": channel, "auth": auth, "channel_data": member});
        self.send(&json!({"event": "pusher:subscribe", "data": data}))?;
        self.subscribed(channel)
    }

    fn subscribed(&mut self, channel: &str) -> Result<Value> {
        let answer = self.wait("pusher_internal:subscription_succeeded")?;
        ensure!(answer["channel"] == channel, "{answer}");
        inner(&answer)
    }

    /// Ends a subscription.
    pub(crate) fn unsubscribe(&mut self, channel: &str) -> Result<()> {
        self.send(&json!({"event": "pusher:unsubscribe", "data": {"channel": channel}}))
    }

    /// Signs in as a user.
    pub(crate) fn sign_in(&mut self, user: &str) -> Result<()> {
        self.ask_sign_in(user)?;
        self.wait("pusher:signin_success").map(drop)
    }

    /// Asks to sign in as a user.
    pub(crate) fn ask_sign_in(&mut self, user: &str) -> Result<()> {
        let data = json!({"id": user}).to_string();
        let auth = self.app.user_auth(&self.id, &data);
        self.send(&json!({"event": "pusher:signin", "data": {"auth": auth, "user_data": data}}))
    }

    /// Waits for the end of the connection; returns the code of its close frame.
    pub(crate) fn closed(&mut self) -> Result<Option<u16>> {
        loop {
            match self.ws.read(Duration::from_secs(60))?.context("the connection stays open")? {
                Message::Close(code, _) => return Ok(code),
                Message::End => return Ok(None),
                _ => {}
            }
        }
    }
}
