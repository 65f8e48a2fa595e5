//! The messages of the Pusher protocol 7: what clients send is decoded, what the server says is encoded. Pure.
//!
//! Wire source: Pusher's documentation of the protocol, and pusher-js 8. The data of most messages is JSON in a
//! JSON string. Clients may send it as JSON, too.

use crate::core::event::{Event, push_json_string, push_number};
use crate::core::ids::{EventId, SocketId};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::borrow::Cow;

/// A message of a client.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientMessage {
    /// The client wants a pong.
    Ping,
    /// The answer to a ping.
    Pong,
    /// The client wants the events of a channel.
    Subscribe(Subscribe),
    /// The client wants no more events of the channel.
    Unsubscribe(String),
    /// The client says which user it is.
    SignIn(SignIn),
    /// An event for the other clients of a channel.
    Event(ClientEvent),
    /// An event of the protocol that the server does not know.
    Unknown(String),
}

/// A subscription that a client asks for.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Subscribe {
    /// The channel.
    pub channel: String,
    /// The key, and the application's signature.
    pub auth: Option<String>,
    /// What the application has signed about the client: JSON.
    pub channel_data: Option<String>,
    /// The id of the last event that the client has seen.
    pub after: Option<Value>,
    /// How many of the newest events, or which time of them, the client wants first.
    pub rewind: Option<Value>,
    /// Sockets that the client had before: it gets none of the events that they sent.
    pub former_sockets: Option<Value>,
}

/// A client says which user it is.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct SignIn {
    /// The key, and the application's signature.
    pub auth: String,
    /// What the application has signed about the user: JSON.
    pub user_data: String,
}

/// An event that a client sends to the other clients of a channel.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientEvent {
    /// The event's type. It begins with `client-`.
    pub name: String,
    /// The channel.
    pub channel: String,
    /// The data: the content of a string, else the JSON as it was sent.
    pub data: String,
}

/// Why a text is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not JSON, or not an object with an event.
    #[error("a message is a JSON object with an event")]
    Shape,
    /// The data lacks something, or has another form.
    #[error("the data of the message is not what its event needs")]
    Data,
}

#[derive(Deserialize)]
struct Message<'t> {
    #[serde(borrow)]
    event: Cow<'t, str>,
    #[serde(borrow)]
    channel: Option<Cow<'t, str>>,
    #[serde(borrow)]
    data: Option<&'t RawValue>,
}

#[derive(Deserialize)]
struct Named {
    channel: String,
}

/// The prefix of events that clients send to each other.
const OF_CLIENTS: &str = "client-";

/// Decodes a client's text.
///
/// # Errors
/// It is no message.
pub fn decode(text: &str) -> Result<ClientMessage, FrameError> {
    let message: Message<'_> = serde_json::from_str(text).map_err(|_| FrameError::Shape)?;
    let Message { event, channel, data } = message;
    Ok(match &*event {
        "pusher:ping" => ClientMessage::Ping,
        "pusher:pong" => ClientMessage::Pong,
        "pusher:subscribe" => ClientMessage::Subscribe(members(data)?),
        "pusher:unsubscribe" => ClientMessage::Unsubscribe(members::<Named>(data)?.channel),
        "pusher:signin" => ClientMessage::SignIn(members(data)?),
        name if name.starts_with(OF_CLIENTS) => ClientMessage::Event(ClientEvent {
            name: name.to_owned(),
            channel: channel.ok_or(FrameError::Data)?.into_owned(),
            data: content(data)?.into_owned(),
        }),
        _ => ClientMessage::Unknown(event.into_owned()),
    })
}

/// The members of a message's data.
fn members<T: for<'de> Deserialize<'de>>(data: Option<&RawValue>) -> Result<T, FrameError> {
    serde_json::from_str(&content(data)?).map_err(|_| FrameError::Data)
}

/// The content of a JSON string, else the JSON as it was sent. Missing data is null.
fn content(data: Option<&RawValue>) -> Result<Cow<'_, str>, FrameError> {
    let Some(data) = data else { return Ok(Cow::Borrowed("null")) };
    match data.get() {
        text if text.starts_with('"') => {
            serde_json::from_str(text).map(Cow::Owned).map_err(|_| FrameError::Data)
        }
        json => Ok(Cow::Borrowed(json)),
    }
}

/// Writes a message whose data is a text. `more` writes further members.
fn write(event: &str, channel: Option<&str>, data: &str, more: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"event\":");
    push_json_string(event, out);
    if let Some(channel) = channel {
        out.extend_from_slice(b",\"channel\":");
        push_json_string(channel, out);
    }
    out.extend_from_slice(b",\"data\":");
    push_json_string(data, out);
    more(out);
    out.push(b'}');
}

fn text(event: &str, channel: Option<&str>, data: &str, more: impl FnOnce(&mut Vec<u8>)) -> String {
    // Data often has quotes, each of which is escaped.
    let mut out = Vec::with_capacity(160 + data.len() + data.len() / 4);
    write(event, channel, data, more, &mut out);
    // Everything that was written is text.
    String::from_utf8(out).unwrap_or_default()
}

fn push_position(id: EventId, seq: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"id\":\"");
    out.extend_from_slice(id.encode(&mut [0; EventId::TEXT_LEN]).as_bytes());
    out.extend_from_slice(b"\",\"seq\":");
    push_number(seq, out);
}

/// Writes an event as the subscribers of `channel` get it. A stored event has its position.
pub fn write_event(channel: &str, event: &Event, out: &mut Vec<u8>) {
    let more = |out: &mut Vec<u8>| {
        if let Some(user) = event.sender.as_ref().and_then(|sender| sender.user.as_ref()) {
            out.extend_from_slice(b",\"user_id\":");
            push_json_string(user, out);
        }
        if !event.id.is_ephemeral() {
            push_position(event.id, event.seq, out);
        }
    };
    write(&event.kind, Some(channel), &event.data(), more, out);
}

/// The event as a text; see [`write_event`].
pub fn event(channel: &str, event: &Event) -> String {
    let mut out = Vec::new();
    write_event(channel, event, &mut out);
    // Everything that was written is text.
    String::from_utf8(out).unwrap_or_default()
}

/// Writes the position of a subscription, which no event of it carries.
pub fn write_position(channel: &str, id: EventId, seq: u64, out: &mut Vec<u8>) {
    write("waypost:position", Some(channel), "{}", |out| push_position(id, seq, out), out);
}

/// The greeting. The timeout is in seconds.
pub fn established(socket: SocketId, activity_timeout: u64) -> String {
    let data = format!(r#"{{"socket_id":"{socket}","activity_timeout":{activity_timeout}}}"#);
    text("pusher:connection_established", None, &data, |_| ())
}

/// An error that concerns the connection, with the code that Pusher gives it, if it has one.
pub fn error(code: Option<u16>, message: &str) -> String {
    json!({"event": "pusher:error", "data": {"code": code, "message": message}}).to_string()
}

/// The question whether the client is there.
pub fn ping() -> String {
    r#"{"event":"pusher:ping","data":{}}"#.to_owned()
}

/// The answer to a ping.
pub fn pong() -> String {
    r#"{"event":"pusher:pong","data":{}}"#.to_owned()
}

/// The subscription stands. `data` is empty but for presence. For a durable channel, `position` is the position
/// right before the first event that comes, and the newest seq.
pub fn subscribed(channel: &str, data: Option<&str>, position: Option<(EventId, u64)>) -> String {
    let more = |out: &mut Vec<u8>| {
        if let Some((id, seq)) = position {
            push_position(id, seq, out);
        }
    };
    text("pusher_internal:subscription_succeeded", Some(channel), data.unwrap_or("{}"), more)
}

/// There is no subscription.
pub fn not_subscribed(channel: &str, kind: &str, status: u16, message: &str) -> String {
    let data = json!({"type": kind, "error": message, "status": status});
    json!({"event": "pusher:subscription_error", "channel": channel, "data": data}).to_string()
}

/// The history that the client asked for is gone. `oldest` is the oldest event that is left.
pub fn gap(channel: &str, oldest: Option<EventId>) -> String {
    let data = json!({"oldest_id": oldest.map(|id| id.to_string())}).to_string();
    text("waypost:gap", Some(channel), &data, |_| ())
}

/// The cache channel has no event.
pub fn cache_miss(channel: &str) -> String {
    json!({"event": "pusher:cache_miss", "channel": channel}).to_string()
}

/// The data of a subscription to a presence channel: its members, and for each the JSON that is known of it.
pub fn members_of<'m>(members: impl Iterator<Item = (&'m str, &'m [u8])>) -> String {
    let mut ids = Vec::new();
    let mut hash = Vec::new();
    let mut count = 0;
    for (user, info) in members {
        for list in [&mut ids, &mut hash] {
            if count > 0 {
                list.push(b',');
            }
            push_json_string(user, list);
        }
        hash.push(b':');
        hash.extend_from_slice(info_or_null(info));
        count += 1;
    }
    let text = |bytes| String::from_utf8(bytes).unwrap_or_default();
    let (ids, hash) = (text(ids), text(hash));
    format!(r#"{{"presence":{{"count":{count},"ids":[{ids}],"hash":{{{hash}}}}}}}"#)
}

fn info_or_null(info: &[u8]) -> &[u8] {
    if info.is_empty() { b"null" } else { info }
}

/// What is told of a member of a presence channel.
fn member_data(user: &str, info: Option<&[u8]>) -> String {
    let mut data = Vec::with_capacity(40 + user.len() + info.map_or(0, <[u8]>::len));
    data.extend_from_slice(b"{\"user_id\":");
    push_json_string(user, &mut data);
    if let Some(info) = info {
        data.extend_from_slice(b",\"user_info\":");
        data.extend_from_slice(info_or_null(info));
    }
    data.push(b'}');
    String::from_utf8(data).unwrap_or_default()
}

/// A user became a member of a presence channel.
pub fn member_added(channel: &str, user: &str, info: &[u8]) -> String {
    text("pusher_internal:member_added", Some(channel), &member_data(user, Some(info)), |_| ())
}

/// A user is no longer a member of a presence channel.
pub fn member_removed(channel: &str, user: &str) -> String {
    text("pusher_internal:member_removed", Some(channel), &member_data(user, None), |_| ())
}

/// How many subscriptions the channel has.
pub fn subscription_count(channel: &str, count: u64) -> String {
    let data = json!({"subscription_count": count}).to_string();
    text("pusher_internal:subscription_count", Some(channel), &data, |_| ())
}

/// The client is the user that it says it is.
pub fn signed_in(user_data: &str) -> String {
    let data = json!({"user_data": user_data}).to_string();
    text("pusher:signin_success", None, &data, |_| ())
}

/// Users whom the client watches came or went.
pub fn watchlist(is_online: bool, users: &[&str]) -> String {
    let name = if is_online { "online" } else { "offline" };
    let data = json!({"events": [{"name": name, "user_ids": users}]}).to_string();
    text("pusher_internal:watchlist_events", None, &data, |_| ())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
