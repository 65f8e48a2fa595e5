//! Helpers for tests of the Pusher protocol: the credentials of a map, requests that a back end signs, and
//! raw sockets. The signatures are made here, not by the code of the server.

use anyhow::{Context, Result, bail, ensure};
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::Duration;
use testkit::Cluster;
use testkit::cluster::Map;
use testkit::http::{Answer, Api, text};
use testkit::receiver::now_ms;
use testkit::wait::LIMIT;
use testkit::ws::{Message, Ws};

/// What a client of the protocol adds to the path of an app.
pub(crate) const QUERY: &str = "?protocol=7&client=js&version=8.6.0&flash=false";

/// The credentials of a map.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) secret: String,
}

impl App {
    /// Gives the map credentials whose clients may send events.
    pub(crate) fn of(c: &Cluster, map: &Map) -> Result<Self> {
        Self::with(c, map, &json!({"client_events": true}))
    }

    /// Gives the map credentials. The admin does it, who may choose them.
    pub(crate) fn with(c: &Cluster, map: &Map, settings: &Value) -> Result<Self> {
        let admin = c.admin(c.up()?).patient();
        let made = admin.post(&format!("/api/maps/{}/pusher", map.id), settings)?.data(201)?;
        Ok(Self { id: text(&made, "app_id")?, key: text(&made, "key")?, secret: text(&made, "secret")? })
    }

    /// The credentials as the scripts of `tests/js` and `tests/py` take them.
    pub(crate) fn json(&self) -> Value {
        json!({"id": self.id, "key": self.key, "secret": self.secret})
    }

    /// A path below the app's.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/apps/{}/{rest}", self.id)
    }

    /// The signature of a text.
    pub(crate) fn sign(&self, text: &str) -> String {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(self.secret.as_bytes()).expect("any key");
        mac.update(text.as_bytes());
        hex(&mac.finalize().into_bytes())
    }

    /// The signature of a subscription.
    pub(crate) fn channel_auth(&self, socket: &str, channel: &str, data: Option<&str>) -> String {
        let text = match data {
            Some(data) => format!("{socket}:{channel}:{data}"),
            None => format!("{socket}:{channel}"),
        };
        format!("{}:{}", self.key, self.sign(&text))
    }

    /// The signature of a sign-in.
    pub(crate) fn user_auth(&self, socket: &str, data: &str) -> String {
        format!("{}:{}", self.key, self.sign(&format!("{socket}::user::{data}")))
    }

    /// The parameters that a client adds to a request before it signs it.
    pub(crate) fn params(&self, own: &[(&str, &str)], body: Option<&str>) -> Vec<(String, String)> {
        let mut params: Vec<(String, String)> =
            own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut add = |name: &str, value: String| params.push((name.to_owned(), value));
        add("auth_key", self.key.clone());
        add("auth_timestamp", (now_ms() / 1000).to_string());
        add("auth_version", "1.0".to_owned());
        if let Some(body) = body {
            add("body_md5", hex(&Md5::digest(body.as_bytes())));
        }
        params
    }

    /// The target of a request with these parameters and their signature. The values need no escapes.
    pub(crate) fn target(&self, method: &str, path: &str, params: &[(String, String)]) -> String {
        let mut sorted = params.to_vec();
        sorted.sort();
        let query: Vec<String> = sorted.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let query = query.join("&");
        let signature = self.sign(&format!("{method}\n{path}\n{query}"));
        format!("{path}?{query}&auth_signature={signature}")
    }

    /// Sends a signed GET to a node.
    pub(crate) fn get(&self, c: &Cluster, node: usize, path: &str, own: &[(&str, &str)]) -> Result<Answer> {
        let path = self.path(path);
        let target = self.target("GET", &path, &self.params(own, None));
        Api::new(&c.nodes[node].url(), None).get(&target)
    }

    /// Sends a signed POST to a node.
    pub(crate) fn post(&self, c: &Cluster, node: usize, path: &str, body: &Value) -> Result<Answer> {
        self.send(c, node, path, &body.to_string())
    }

    /// Does the same with a body that is sent as it is.
    pub(crate) fn send(&self, c: &Cluster, node: usize, path: &str, body: &str) -> Result<Answer> {
        let path = self.path(path);
        let target = self.target("POST", &path, &self.params(&[], Some(body)));
        Api::new(&c.nodes[node].url(), None).send(&target, body.as_bytes())
    }

    /// Publishes an event to one channel; the answer must be `{}`.
    pub(crate) fn publish(
        &self,
        c: &Cluster,
        node: usize,
        channel: &str,
        name: &str,
        data: &str,
    ) -> Result<()> {
        let event = json!({"name": name, "channel": channel, "data": data});
        let answer = self.post(c, node, "events", &event)?.expect(200)?.json()?;
        ensure!(answer == json!({}), "{answer}");
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

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
        let data = json!({"id": user}).to_string();
        let auth = self.app.user_auth(&self.id, &data);
        let frame = json!({"event": "pusher:signin", "data": {"auth": auth, "user_data": data}});
        self.send(&frame)?;
        self.wait("pusher:signin_success").map(drop)
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

/// The data of a frame of the protocol's own: JSON in a string.
pub(crate) fn inner(frame: &Value) -> Result<Value> {
    let data = frame["data"].as_str().with_context(|| format!("no text as data: {frame}"))?;
    Ok(serde_json::from_str(data)?)
}
