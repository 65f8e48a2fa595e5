//! Lifecycle events as each profile shows them, and what a request tells.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

/// A fact as each profile shows it, without its id, its time and its signature. A profile that does not have
/// such a fact shows nothing.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    pusher: Option<Value>,
    broadcasting: Option<Value>,
}

impl Fact {
    /// What a receiver of that profile gets.
    pub(super) fn shown_by(&self, profile: &str) -> Option<&Value> {
        match profile {
            "pusher" => self.pusher.as_ref(),
            _ => self.broadcasting.as_ref(),
        }
    }

    fn both(pusher: Value, event: &str, data: Value) -> Self {
        Self { pusher: Some(pusher), broadcasting: Some(told(event, data)) }
    }

    fn pusher(fact: Value) -> Self {
        Self { pusher: Some(fact), broadcasting: None }
    }

    fn broadcasting(event: &str, data: Value) -> Self {
        Self { pusher: None, broadcasting: Some(told(event, data)) }
    }
}

fn told(event: &str, data: Value) -> Value {
    json!({"event": event, "data": data})
}

pub(super) fn connected(socket: &str) -> Fact {
    let fact = json!({"name": "connection_established", "socket_id": socket});
    Fact::both(fact, "connection", json!({"socketId": socket}))
}

pub(super) fn disconnected(socket: &str) -> Fact {
    let fact = json!({"name": "connection_terminated", "socket_id": socket});
    Fact::both(fact, "disconnection", json!({"socketId": socket}))
}

pub(super) fn occupied(channel: &str) -> Fact {
    Fact::pusher(json!({"name": "channel_occupied", "channel": channel}))
}

pub(super) fn vacated(channel: &str) -> Fact {
    Fact::pusher(json!({"name": "channel_vacated", "channel": channel}))
}

pub(super) fn counted(channel: &str, count: u64) -> Fact {
    Fact::pusher(json!({"name": "subscription_count", "channel": channel, "subscription_count": count}))
}

pub(super) fn cache_miss(channel: &str) -> Fact {
    Fact::pusher(json!({"name": "cache_miss", "channel": channel}))
}

/// A member joined; `data` is what its back end signed.
pub(super) fn added(channel: &str, data: &str, socket: &str) -> Result<Fact> {
    let member: Value = serde_json::from_str(data)?;
    let (user, info) = (&member["user_id"], &member["user_info"]);
    let fact = json!({
        "name": "member_added", "channel": channel, "user_id": user, "socket_id": socket, "data": data,
    });
    let about = json!({"socketId": socket, "channel": channel, "userId": user, "userInfo": info});
    Ok(Fact::both(fact, "presence_join", about))
}

pub(super) fn removed(channel: &str, user: &str, socket: &str) -> Fact {
    let fact = json!({"name": "member_removed", "channel": channel, "user_id": user, "socket_id": socket});
    let about = json!({"socketId": socket, "channel": channel, "userId": user});
    Fact::both(fact, "presence_leave", about)
}

/// A client sent an event; its data is JSON.
pub(super) fn sent(channel: &str, event: &str, data: &str, socket: &str, user: Option<&str>) -> Result<Fact> {
    let mut fact = json!({
        "name": "client_event", "channel": channel, "event": event, "data": data, "socket_id": socket,
    });
    let parsed: Value = serde_json::from_str(data)?;
    let mut about = json!({"channel": channel, "event": event, "data": parsed, "socketId": socket});
    if let Some(user) = user {
        fact["user_id"] = user.into();
        about["userId"] = user.into();
    }
    Ok(Fact::both(fact, "client_event", about))
}

pub(super) fn subscribed(channel: &str, socket: &str, channel_data: &str) -> Result<Fact> {
    let channel_data: Value = serde_json::from_str(channel_data)?;
    let about = json!({"socketId": socket, "channel": channel, "channelData": channel_data});
    Ok(Fact::broadcasting("subscribe", about))
}

pub(super) fn unsubscribed(channel: &str, socket: &str) -> Fact {
    Fact::broadcasting("unsubscribe", json!({"socketId": socket, "channel": channel}))
}

/// A back end published an event; its data is JSON.
pub(super) fn published(channel: &str, event: &str, data: &str) -> Result<Fact> {
    let parsed: Value = serde_json::from_str(data)?;
    Ok(Fact::broadcasting("broadcast", json!({"channel": channel, "event": event, "data": parsed})))
}

/// The facts in the body of a request, each with its id, without its time and signature. Every member of the
/// body has the type that its guide prints.
pub(super) fn read(body: &str) -> Result<Vec<(String, Value)>> {
    let body: Value = serde_json::from_str(body)?;
    let members = body.as_object().context("the body is no object")?;
    let mut names: Vec<&str> = members.keys().map(String::as_str).collect();
    names.sort_unstable();
    match &names[..] {
        ["events", "time_ms"] => of_pusher(&body),
        ["data", "event", "id", "signature", "timestamp"] => {
            ensure!(body["timestamp"].is_u64() && body["signature"].is_string(), "{body}");
            let id = body["id"].as_str().context("no id")?.to_owned();
            Ok(vec![(id, json!({"event": body["event"], "data": body["data"]}))])
        }
        _ => bail!("a body with the members {names:?}"),
    }
}

fn of_pusher(body: &Value) -> Result<Vec<(String, Value)>> {
    let events = body["events"].as_array().context("no list of events")?;
    let newest = events.iter().filter_map(|event| event["time_ms"].as_u64()).max();
    ensure!(newest.is_some() && newest == body["time_ms"].as_u64(), "{body}");
    events
        .iter()
        .map(|event| {
            let mut fact = event.as_object().context("no object")?.clone();
            let id = fact.remove("event_id").context("no event_id")?;
            let time = fact.remove("time_ms").context("no time_ms")?;
            ensure!(time.is_u64(), "{event}");
            Ok((id.as_str().context("no text as event_id")?.to_owned(), Value::Object(fact)))
        })
        .collect()
}
