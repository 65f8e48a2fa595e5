//! One connection of a client of presence channels, in either of two protocols: a Pusher socket with signed
//! subscriptions, or a Phoenix socket with presence in its joins.

use super::state::Shared;
use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use testkit::phoenix::{self, Frame};
use testkit::pusher;
use testkit::ws::{Message, Ws, opcode};

/// How long an expected answer may take. A join waits for the cluster, and a busy machine takes its time.
const ANSWER: Duration = Duration::from_secs(20);

/// What a client hears from its connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// The client is a member of a channel, and these are all its members.
    Entered(Entered),
    /// A user is there from now on, or is gone.
    News(News),
    /// The server answers.
    Alive,
}

/// The members of a channel, and how many there are, as the server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entered {
    pub(super) channel: String,
    pub(super) members: Vec<String>,
    pub(super) count: u64,
}

/// A change of the members of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct News {
    pub(super) channel: String,
    pub(super) user: String,
    pub(super) there: bool,
}

#[derive(Debug)]
enum Protocol {
    Pusher(pusher::Socket),
    /// The socket, and the number of its last message.
    Phoenix(phoenix::Socket, u64),
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection<'a> {
    protocol: Protocol,
    shared: &'a Shared,
    /// What was heard and not told yet.
    queue: VecDeque<Heard>,
    /// The channels in which the client is a member.
    channels: BTreeSet<String>,
}

impl<'a> Connection<'a> {
    /// Connects to a node.
    pub(super) fn open(shared: &'a Shared, node: SocketAddr, is_pusher: bool) -> Result<Self> {
        let protocol = match is_pusher {
            true => Protocol::Pusher(pusher::Socket::connect(node, &shared.app)?),
            false => Protocol::Phoenix(phoenix::Socket::connect(node, &shared.map.token)?, 0),
        };
        Ok(Self { protocol, shared, queue: VecDeque::new(), channels: BTreeSet::new() })
    }

    /// Becomes a member of a channel.
    pub(super) fn enter(&mut self, channel: &str, user: &str) -> Result<Entered> {
        match &mut self.protocol {
            Protocol::Pusher(socket) => socket.enter(&self.shared.app, channel, user)?,
            Protocol::Phoenix(..) => {
                let presence = json!({"presence": {"user_id": user, "meta": {"name": user}}});
                self.push(channel, "phx_join", &presence)?;
            }
        }
        let is_it = |heard: &Heard| matches!(heard, Heard::Entered(entered) if entered.channel == channel);
        let Heard::Entered(entered) = self.wait(channel, is_it)? else { bail!("no members of {channel}") };
        // News from before belongs to an earlier membership of this connection.
        self.queue.retain(|heard| !matches!(heard, Heard::News(news) if news.channel == channel));
        self.channels.insert(channel.to_owned());
        Ok(entered)
    }

    /// Leaves a channel.
    pub(super) fn leave(&mut self, channel: &str) -> Result<()> {
        self.channels.remove(channel);
        match &mut self.protocol {
            Protocol::Pusher(socket) => socket.leave(channel),
            Protocol::Phoenix(..) => self.push(channel, "phx_leave", &json!({})),
        }
    }

    /// Waits until the server has answered a question, and so everything that was sent before.
    pub(super) fn check(&mut self) -> Result<()> {
        match &mut self.protocol {
            Protocol::Pusher(socket) => socket.send("pusher:ping", &json!({}))?,
            Protocol::Phoenix(socket, _) => {
                socket.push((Value::Null, json!("alive")), "phoenix", "heartbeat", json!({}))?;
            }
        }
        self.wait("a sign of life", |heard| *heard == Heard::Alive).map(drop)
    }

    /// The next that is heard; `None` if nothing is within the limit. An error means that the connection is
    /// of no use any more.
    pub(super) fn next(&mut self, limit: Duration) -> Result<Option<Heard>> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(heard) = self.queue.pop_front() {
                return Ok(Some(heard));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.ws().read(left)? {
                None => return Ok(None),
                Some(Message::Text(text)) => self.read(&text)?,
                Some(Message::Ping(bytes)) => self.ws().frame(true, opcode::PONG, &bytes)?,
                Some(Message::Pong(_)) => {}
                Some(other) => bail!("{other:?}"),
            }
        }
    }

    fn ws(&mut self) -> &mut Ws {
        match &mut self.protocol {
            Protocol::Pusher(socket) => &mut socket.ws,
            Protocol::Phoenix(socket, _) => &mut socket.ws,
        }
    }

    /// Sends a Phoenix message; a socket of the other protocol sends nothing.
    fn push(&mut self, channel: &str, event: &str, payload: &Value) -> Result<()> {
        let topic = self.shared.topic(channel);
        let Protocol::Phoenix(socket, last) = &mut self.protocol else { return Ok(()) };
        *last += 1;
        let number = json!(last.to_string());
        let join = if event == "phx_join" { number.clone() } else { Value::Null };
        socket.push((join, number), &topic, event, payload.clone())
    }

    /// Waits until it hears this. Everything else that it hears stays in the queue.
    fn wait(&mut self, what: &str, is_it: impl Fn(&Heard) -> bool) -> Result<Heard> {
        let deadline = Instant::now() + ANSWER;
        let mut kept = VecDeque::new();
        let found = loop {
            match self.next(deadline.saturating_duration_since(Instant::now())) {
                Ok(Some(heard)) if is_it(&heard) => break Ok(heard),
                Ok(Some(heard)) => kept.push_back(heard),
                Ok(None) => break Err(anyhow!("no answer came: {what}")),
                Err(error) => break Err(error),
            }
        };
        kept.append(&mut self.queue);
        self.queue = kept;
        found
    }

    fn read(&mut self, text: &str) -> Result<()> {
        match &mut self.protocol {
            Protocol::Pusher(socket) => {
                let frame: Value = serde_json::from_str(text)?;
                if frame["event"] == "pusher:ping" {
                    socket.send("pusher:pong", &json!({}))?;
                }
                self.queue.extend(of_pusher(&frame)?);
            }
            Protocol::Phoenix(..) => {
                let frame = Frame::parse(text)?;
                let channel = self.shared.channel(&frame.topic);
                if frame.event == "phx_close" && self.channels.contains(channel) {
                    bail!("the server closed {channel}");
                }
                self.queue.extend(of_phoenix(&frame, channel)?);
            }
        }
        Ok(())
    }
}

/// What a frame of the Pusher protocol says. An error of the server is an error.
fn of_pusher(frame: &Value) -> Result<Option<Heard>> {
    let channel =
        || frame["channel"].as_str().map(str::to_owned).with_context(|| format!("no channel: {frame}"));
    let news = |there| {
        let user = testkit::http::text(&pusher::data(frame)?, "user_id")?;
        anyhow::Ok(Some(Heard::News(News { channel: channel()?, user, there })))
    };
    match frame["event"].as_str().unwrap_or_default() {
        "pusher_internal:subscription_succeeded" => {
            let presence = pusher::data(frame)?["presence"].take();
            let ids = presence["ids"].as_array().with_context(|| format!("no members: {frame}"))?;
            let members = ids.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            let count = presence["count"].as_u64().with_context(|| format!("no count: {frame}"))?;
            Ok(Some(Heard::Entered(Entered { channel: channel()?, members, count })))
        }
        "pusher_internal:member_added" => news(true),
        "pusher_internal:member_removed" => news(false),
        "pusher:pong" => Ok(Some(Heard::Alive)),
        "pusher:error" | "pusher:subscription_error" => bail!("{frame}"),
        _ => Ok(None),
    }
}

/// What a Phoenix frame says. An error of the server is an error.
fn of_phoenix(frame: &Frame, channel: &str) -> Result<Vec<Heard>> {
    let news = |members: &Value, there| {
        let of = |user| Heard::News(News { channel: channel.to_owned(), user, there });
        metas(members).into_iter().map(of).collect::<Vec<_>>()
    };
    Ok(match frame.event.as_str() {
        "presence_state" => {
            let members = metas(&frame.payload);
            let count = members.len() as u64;
            vec![Heard::Entered(Entered { channel: channel.to_owned(), members, count })]
        }
        "presence_diff" => {
            [news(&frame.payload["joins"], true), news(&frame.payload["leaves"], false)].concat()
        }
        "phx_reply" if frame.status() != "ok" => bail!("{frame:?}"),
        "phx_reply" if frame.topic == "phoenix" => vec![Heard::Alive],
        "phx_error" => bail!("{frame:?}"),
        _ => Vec::new(),
    })
}

/// The users of these members, each as often as it has metas.
fn metas(members: &Value) -> Vec<String> {
    let users = members.as_object().into_iter().flatten();
    users
        .flat_map(|(user, member)| {
            let metas = member["metas"].as_array().map_or(0, Vec::len);
            std::iter::repeat_n(user.clone(), metas)
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn entered(members: &[&str]) -> Heard {
        let members: Vec<String> = members.iter().map(|name| (*name).to_owned()).collect();
        let count = members.len() as u64;
        Heard::Entered(Entered { channel: "presence-a".into(), members, count })
    }

    fn news(user: &str, there: bool) -> Heard {
        Heard::News(News { channel: "presence-a".into(), user: user.into(), there })
    }

    #[test]
    fn frames_of_the_pusher_protocol_are_read() {
        let of = |event: &str, data: &str| {
            of_pusher(&json!({"event": event, "channel": "presence-a", "data": data})).unwrap()
        };
        let members = r#"{"presence":{"count":2,"ids":["u1","u2"],"hash":{"u1":null,"u2":null}}}"#;
        assert_eq!(of("pusher_internal:subscription_succeeded", members), Some(entered(&["u1", "u2"])));
        assert_eq!(
            of("pusher_internal:member_added", r#"{"user_id":"u3","user_info":{}}"#),
            Some(news("u3", true))
        );
        assert_eq!(of("pusher_internal:member_removed", r#"{"user_id":"u1"}"#), Some(news("u1", false)));
        assert_eq!(of("pusher:pong", "{}"), Some(Heard::Alive));
        assert_eq!(of("pusher:ping", "{}"), None);
        assert!(of_pusher(&json!({"event": "pusher:error", "data": {"code": 4200}})).is_err());
    }

    #[test]
    fn frames_of_phoenix_are_read() {
        let of = |event: &str, payload: &str| {
            let frame =
                Frame::parse(&format!(r#"[null,null,"events:map:m:presence-a","{event}",{payload}]"#));
            of_phoenix(&frame.unwrap(), "presence-a")
        };
        let state = r#"{"u1":{"metas":[{"phx_ref":"1"}]},"u2":{"metas":[{"phx_ref":"2"},{"phx_ref":"3"}]}}"#;
        assert_eq!(of("presence_state", state).unwrap(), [entered(&["u1", "u2", "u2"])], "each meta counts");
        let diff = r#"{"joins":{"u3":{"metas":[{}]}},"leaves":{"u1":{"metas":[{}]}}}"#;
        assert_eq!(of("presence_diff", diff).unwrap(), [news("u3", true), news("u1", false)]);
        assert!(of("phx_reply", r#"{"status":"error","response":{"reason":"unavailable"}}"#).is_err());
        assert!(of("phx_reply", r#"{"status":"ok","response":{}}"#).unwrap().is_empty());
    }
}
