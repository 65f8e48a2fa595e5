//! The Pusher protocol over a raw socket, frame by frame, with the signatures of an application's back end.
//! They are made here, not by the code of the server. The client never reconnects, and never answers a ping
//! by itself.

use crate::Cluster;
use crate::cluster::Map;
use crate::http::{Answer, Api, text};
use crate::receiver::{hex, hmac, now_ms};
use crate::ws::{Message, Ws};
use anyhow::{Context, Result, bail, ensure};
use md5::{Digest, Md5};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

/// What a client adds to the path of an app.
pub const QUERY: &str = "?protocol=7&client=js&version=8.6.0&flash=false";
/// How long the greeting may take.
const GREETING: Duration = Duration::from_secs(20);

/// The credentials of a map: clients know the key, and its back end the secret.
#[derive(Debug, Clone, Default)]
pub struct App {
    /// The app id.
    pub id: String,
    /// The key.
    pub key: String,
    /// The secret.
    pub secret: String,
}

impl App {
    /// Gives the map credentials whose clients may send events.
    pub fn of(c: &Cluster, map: &Map) -> Result<Self> {
        Self::with(c, map, &json!({"client_events": true}))
    }

    /// Gives the map credentials. The admin does it, who may choose them.
    pub fn with(c: &Cluster, map: &Map, settings: &Value) -> Result<Self> {
        let made = c.admin(c.up()?).post(&map.path("/pusher"), settings)?.data(201)?;
        Ok(Self { id: text(&made, "app_id")?, key: text(&made, "key")?, secret: text(&made, "secret")? })
    }

    /// The credentials as the scripts of `tests/js` and `tests/py` take them.
    pub fn json(&self) -> Value {
        json!({"id": self.id, "key": self.key, "secret": self.secret})
    }

    /// The path at which clients connect.
    pub fn socket_path(&self) -> String {
        format!("/app/{}{QUERY}", self.key)
    }

    /// The path of a POST to something below the app, such as `events`, signed with its body.
    pub fn post_path(&self, below: &str, body: &str) -> String {
        self.target("POST", &self.path(below), &self.params(&[], Some(body)))
    }

    /// A path below the app's.
    pub fn path(&self, rest: &str) -> String {
        format!("/apps/{}/{rest}", self.id)
    }

    /// The signature of a text.
    pub fn sign(&self, text: &str) -> String {
        hex(&hmac(self.secret.as_bytes(), &[text.as_bytes()]))
    }

    /// The signature of a subscription, as the back end makes it; `data` is that of a member.
    pub fn channel_auth(&self, socket: &str, channel: &str, data: Option<&str>) -> String {
        let text = match data {
            Some(data) => format!("{socket}:{channel}:{data}"),
            None => format!("{socket}:{channel}"),
        };
        format!("{}:{}", self.key, self.sign(&text))
    }

    /// The signature of a sign-in.
    pub fn user_auth(&self, socket: &str, data: &str) -> String {
        format!("{}:{}", self.key, self.sign(&format!("{socket}::user::{data}")))
    }

    /// The parameters that a client adds to a request before it signs it.
    pub fn params(&self, own: &[(&str, &str)], body: Option<&str>) -> Vec<(String, String)> {
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
    pub fn target(&self, method: &str, path: &str, params: &[(String, String)]) -> String {
        let mut sorted = params.to_vec();
        sorted.sort();
        let query: Vec<String> = sorted.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let query = query.join("&");
        let signature = self.sign(&format!("{method}\n{path}\n{query}"));
        format!("{path}?{query}&auth_signature={signature}")
    }

    /// Sends a signed GET to a node.
    pub fn get(&self, c: &Cluster, node: usize, path: &str, own: &[(&str, &str)]) -> Result<Answer> {
        self.get_at(&c.nodes[node].url(), path, own)
    }

    /// Sends a signed GET to the node at that address.
    pub fn get_at(&self, url: &str, path: &str, own: &[(&str, &str)]) -> Result<Answer> {
        let target = self.target("GET", &self.path(path), &self.params(own, None));
        Api::new(url, None).get(&target)
    }

    /// Sends a signed POST to a node.
    pub fn post(&self, c: &Cluster, node: usize, path: &str, body: &Value) -> Result<Answer> {
        self.send(c, node, path, &body.to_string())
    }

    /// Does the same with a body that is sent as it is.
    pub fn send(&self, c: &Cluster, node: usize, path: &str, body: &str) -> Result<Answer> {
        self.send_at(&c.nodes[node].url(), path, body)
    }

    /// Sends a signed POST to the node at that address.
    pub fn send_at(&self, url: &str, path: &str, body: &str) -> Result<Answer> {
        let target = self.target("POST", &self.path(path), &self.params(&[], Some(body)));
        Api::new(url, None).send(&target, body.as_bytes())
    }

    /// Publishes an event to one channel; the answer must be `{}`.
    pub fn publish(&self, c: &Cluster, node: usize, channel: &str, name: &str, data: &str) -> Result<()> {
        let event = json!({"name": name, "channel": channel, "data": data});
        let answer = self.post(c, node, "events", &event)?.expect(200)?.json()?;
        ensure!(answer == json!({}), "{answer}");
        Ok(())
    }
}

/// An open socket.
#[derive(Debug)]
pub struct Socket {
    /// The socket below.
    pub ws: Ws,
    /// Its id, which is part of what is signed.
    pub id: String,
}

impl Socket {
    /// Connects and reads the greeting.
    pub fn connect(addr: SocketAddr, app: &App) -> Result<Self> {
        let mut ws = Ws::connect(addr, &app.socket_path())?;
        match ws.read(GREETING)?.context("no greeting")? {
            Message::Text(frame) => {
                let frame: Value = serde_json::from_str(&frame)?;
                ensure!(frame["event"] == "pusher:connection_established", "instead of a greeting: {frame}");
                let id = text(&data(&frame)?, "socket_id")?;
                Ok(Self { ws, id })
            }
            other => bail!("instead of a greeting: {other:?}"),
        }
    }

    /// Sends a frame.
    pub fn send(&mut self, event: &str, data: &Value) -> Result<()> {
        self.ws.text(&json!({"event": event, "data": data}).to_string())
    }

    /// Asks to be a member of a presence channel.
    pub fn enter(&mut self, app: &App, channel: &str, user: &str) -> Result<()> {
        let member = json!({"user_id": user, "user_info": {"name": user}}).to_string();
        let auth = app.channel_auth(&self.id, channel, Some(&member));
        self.send("pusher:subscribe", &json!({"channel": channel, "auth": auth, "channel_data": member}))
    }

    /// Ends a subscription. The server answers nothing.
    pub fn leave(&mut self, channel: &str) -> Result<()> {
        self.send("pusher:unsubscribe", &json!({"channel": channel}))
    }
}

/// The data of a frame of the protocol's own: JSON in a string.
pub fn data(frame: &Value) -> Result<Value> {
    let data = frame["data"].as_str().with_context(|| format!("no text as data: {frame}"))?;
    Ok(serde_json::from_str(data)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The examples of Pusher's documentation: a subscription to a presence channel, and a request.
    #[test]
    fn signatures_are_those_of_the_documentation() {
        let app =
            App { id: "3".into(), key: "278d425bdf160c739803".into(), secret: "7ad3773142a6692b25b8".into() };
        let data = r#"{"user_id":10,"user_info":{"name":"Mr. Channels"}}"#;
        assert_eq!(
            app.channel_auth("1234.1234", "presence-foobar", Some(data)),
            "278d425bdf160c739803:31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80"
        );
        let request = "POST\n/apps/3/events\nauth_key=278d425bdf160c739803&auth_timestamp=1353088179\
             &auth_version=1.0&body_md5=ec365a775a4cd0599faeb73354201b6f";
        assert_eq!(app.sign(request), "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c");
    }

    #[test]
    fn the_data_of_a_frame_is_json_in_a_string() {
        assert_eq!(data(&json!({"data": r#"{"a":1}"#})).unwrap(), json!({"a": 1}));
        assert!(data(&json!({"data": {}})).is_err());
    }
}
