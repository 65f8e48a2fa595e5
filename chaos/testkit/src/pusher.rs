//! The Pusher protocol over a raw socket, frame by frame, with the signatures of an application's back end.
//! The client never reconnects, and never answers a ping by itself.

use crate::cluster::Map;
use crate::http::{Answer, Api, text};
use crate::receiver::{hex, hmac, now_ms};
use crate::ws::{Message, Ws};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

/// What a client adds to the path of an app.
const QUERY: &str = "?protocol=7&client=js&version=8.6.0&flash=false";
/// How long the greeting may take.
const GREETING: Duration = Duration::from_secs(20);

/// The credentials of a map: clients know the key, and its back end the secret.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    id: String,
    key: String,
    secret: String,
}

impl Credentials {
    /// Gives the map new credentials; the API must have the admin's token.
    pub fn make(admin: &Api, map: &Map) -> Result<Self> {
        let made = admin.post(&map.path("/pusher"), &json!({}))?.data(201)?;
        Ok(Self { id: text(&made, "app_id")?, key: text(&made, "key")?, secret: text(&made, "secret")? })
    }

    /// The signature of a subscription, as the back end makes it.
    pub fn signature(&self, socket: &str, channel: &str, data: &str) -> String {
        format!("{}:{}", self.key, self.sign(&format!("{socket}:{channel}:{data}")))
    }

    /// Sends a signed GET of something below the app, such as `channels`, to the node at that address.
    pub fn get(&self, addr: SocketAddr, below: &str) -> Result<Answer> {
        let path = format!("/apps/{}/{below}", self.id);
        let query = format!("auth_key={}&auth_timestamp={}&auth_version=1.0", self.key, now_ms() / 1000);
        let signature = self.sign(&format!("GET\n{path}\n{query}"));
        Api::new(&format!("http://{addr}"), None).get(&format!("{path}?{query}&auth_signature={signature}"))
    }

    fn sign(&self, text: &str) -> String {
        hex(&hmac(self.secret.as_bytes(), &[text.as_bytes()]))
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
    pub fn connect(addr: SocketAddr, credentials: &Credentials) -> Result<Self> {
        let mut ws = Ws::connect(addr, &format!("/app/{}{QUERY}", credentials.key))?;
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
    pub fn enter(&mut self, credentials: &Credentials, channel: &str, user: &str) -> Result<()> {
        let member = json!({"user_id": user, "user_info": {"name": user}}).to_string();
        let auth = credentials.signature(&self.id, channel, &member);
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
        let credentials = Credentials {
            id: "3".into(),
            key: "278d425bdf160c739803".into(),
            secret: "7ad3773142a6692b25b8".into(),
        };
        let data = r#"{"user_id":10,"user_info":{"name":"Mr. Channels"}}"#;
        assert_eq!(
            credentials.signature("1234.1234", "presence-foobar", data),
            "278d425bdf160c739803:31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80"
        );
        let request = "POST\n/apps/3/events\nauth_key=278d425bdf160c739803&auth_timestamp=1353088179\
             &auth_version=1.0&body_md5=ec365a775a4cd0599faeb73354201b6f";
        assert_eq!(
            credentials.sign(request),
            "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"
        );
    }

    #[test]
    fn the_data_of_a_frame_is_json_in_a_string() {
        assert_eq!(data(&json!({"data": r#"{"a":1}"#})).unwrap(), json!({"a": 1}));
        assert!(data(&json!({"data": {}})).is_err());
    }
}
