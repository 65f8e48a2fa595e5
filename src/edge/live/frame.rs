//! The frames of live sessions: what clients send is decoded, what the server says is encoded. Pure.

use super::session_id::{FORM, SessionId};
use crate::core::event::{Event, push_json_string, push_number};
use crate::core::field_error::FieldCode;
use crate::core::history::{Position, Start};
use crate::core::ids::EventId;
use crate::core::json::Members;
use crate::core::time::push_iso_millis;
use std::fmt;

/// Types of the server's own frames. An event of such a type is sent as an `event` that names it.
const OWN: [&str; 8] =
    ["auth_success", "auth_error", "subscribed", "unsubscribed", "pong", "error", "position", "event"];

/// A message of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientMessage {
    /// The client wants a pong.
    Ping,
    /// The client says who it is.
    Auth(Auth),
    /// The client wants the events of a session.
    Subscribe(SessionId, After),
    /// The client wants no more events of a session.
    Unsubscribe(SessionId),
}

/// A client says who it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Auth {
    /// Its token.
    pub token: Option<String>,
    /// The map's id or slug. A token of a map need not name it.
    pub map: Option<String>,
    /// Where the events for all clients start.
    pub after: After,
}

/// The token is not shown.
impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("map", &self.map).field("after", &self.after).finish_non_exhaustive()
    }
}

/// What the member `after` of a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It is absent: the client does not resume, and is told no positions.
    Absent,
    /// It is `null`: the client has no position yet, and wants to be told its first.
    Nothing,
    /// The client goes on after this event.
    Event(EventId),
}

impl After {
    /// Where the events start.
    pub fn start(self) -> Start {
        match self {
            Self::Absent | Self::Nothing => Start::Live,
            Self::Event(id) => Start::After(id),
        }
    }

    /// Whether the client is told positions.
    pub fn is_told(self) -> bool {
        self != Self::Absent
    }

    fn read(members: &mut Members<'_>) -> Self {
        match members.nullable::<String>("after", "the id of an event") {
            None => Self::Absent,
            Some(None) => Self::Nothing,
            Some(Some(id)) => match id.parse() {
                Ok(id) => Self::Event(id),
                Err(_) => {
                    members.fault("after", FieldCode::Invalid, "must be the id of an event, 26 characters");
                    Self::Absent
                }
            },
        }
    }
}

/// Why a text is no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not JSON, or not an object with a type.
    #[error("Invalid message format: a message is a JSON object with a type")]
    Shape,
    /// A type that the server does not know.
    #[error("Unknown message type: {0}; there are auth, subscribe, unsubscribe, ping")]
    Unknown(String),
    /// A message about a session that does not name it.
    #[error("Session ID required: sessionId is {FORM}")]
    Session,
    /// Members that the message can't have.
    #[error("Invalid message: {0}")]
    Members(String),
}

/// Decodes a client's text.
///
/// # Errors
/// It is no message.
pub fn decode(text: &str) -> Result<ClientMessage, FrameError> {
    let mut members = Members::of(text);
    let kind: String = members.take(&["type"], "a string").ok_or(FrameError::Shape)?;
    let message = match kind.as_str() {
        "ping" => ClientMessage::Ping,
        "auth" => ClientMessage::Auth(Auth {
            token: members.nullable("token", "a string").flatten(),
            map: members.nullable("map", "a string").flatten(),
            after: After::read(&mut members),
        }),
        "subscribe" => ClientMessage::Subscribe(session(&mut members)?, After::read(&mut members)),
        "unsubscribe" => ClientMessage::Unsubscribe(session(&mut members)?),
        other => return Err(FrameError::Unknown(other.chars().take(100).collect())),
    };
    let faults = members.finish();
    if faults.is_empty() { Ok(message) } else { Err(FrameError::Members(faults.to_string())) }
}

fn session(members: &mut Members<'_>) -> Result<SessionId, FrameError> {
    members.raw(&["sessionId"]).and_then(SessionId::read).ok_or(FrameError::Session)
}

/// What a client that resumes is told when its subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The position right before the first event that comes.
    pub before: EventId,
    /// Set if some of the events that the client asked for are gone: the oldest event that is left, if one
    /// is.
    pub gap: Option<Option<EventId>>,
}

impl Told {
    /// What is told of that position.
    pub fn of(position: &Position) -> Self {
        Self { before: position.before, gap: position.gap }
    }
}

fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::with_capacity(128);
    write(&mut out);
    // Everything that was written is text.
    String::from_utf8(out).unwrap_or_default()
}

fn push_id(name: &str, id: EventId, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":\"");
    out.extend_from_slice(id.encode(&mut [0; EventId::TEXT_LEN]).as_bytes());
    out.push(b'"');
}

fn push_session(session: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"sessionId\":");
    out.extend_from_slice(session.as_bytes());
}

fn push_told(told: Option<Told>, out: &mut Vec<u8>) {
    let Some(Told { before, gap }) = told else { return };
    push_id("id", before, out);
    match gap {
        None => {}
        Some(None) => out.extend_from_slice(b",\"gap\":true,\"oldest_id\":null"),
        Some(Some(oldest)) => {
            out.extend_from_slice(b",\"gap\":true");
            push_id("oldest_id", oldest, out);
        }
    }
}

fn push_message(kind: &str, message: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"message\":");
    push_json_string(message, out);
}

fn push_retry(retry_ms: Option<u64>, out: &mut Vec<u8>) {
    if let Some(retry_ms) = retry_ms {
        out.extend_from_slice(b",\"retry_ms\":");
        push_number(retry_ms, out);
    }
}

/// The client is let in.
pub fn auth_success(told: Option<Told>) -> String {
    text(|out| {
        push_message("auth_success", "Authenticated successfully", out);
        push_told(told, out);
        out.push(b'}');
    })
}

/// The client is not let in. With `retry_ms` it may try again after so many milliseconds.
pub fn auth_error(message: &str, retry_ms: Option<u64>) -> String {
    text(|out| {
        push_message("auth_error", message, out);
        push_retry(retry_ms, out);
        out.push(b'}');
    })
}

/// A message was refused.
pub fn error(message: &str) -> String {
    text(|out| {
        push_message("error", message, out);
        out.push(b'}');
    })
}

/// The client gets no events of the session.
pub fn not_subscribed(id: &SessionId, message: &str, retry_ms: Option<u64>) -> String {
    text(|out| {
        push_message("error", message, out);
        push_session(id.json(), out);
        push_retry(retry_ms, out);
        out.push(b'}');
    })
}

/// The client gets the events of the session from now on.
pub fn subscribed(id: &SessionId, told: Option<Told>) -> String {
    text(|out| {
        out.extend_from_slice(b"{\"type\":\"subscribed\"");
        push_session(id.json(), out);
        push_told(told, out);
        out.push(b'}');
    })
}

/// The client gets no more events of the session.
pub fn unsubscribed(id: &SessionId) -> String {
    text(|out| {
        out.extend_from_slice(b"{\"type\":\"unsubscribed\"");
        push_session(id.json(), out);
        out.push(b'}');
    })
}

/// The answer to a ping.
pub fn pong() -> String {
    "{\"type\":\"pong\"}".to_owned()
}

/// Writes an event. `session` is the id of its session in JSON; an event for all clients has none. An
/// ephemeral event has no id, because no client can resume by it.
pub fn write_event(session: Option<&str>, event: &Event, out: &mut Vec<u8>) {
    let kind: &str = &event.kind;
    out.extend_from_slice(b"{\"type\":");
    if OWN.contains(&kind) {
        out.extend_from_slice(b"\"event\",\"event\":");
    }
    push_json_string(kind, out);
    out.extend_from_slice(b",\"timestamp\":\"");
    push_iso_millis(event.time_ms, &mut |part| out.extend_from_slice(part.as_bytes()));
    out.extend_from_slice(b"\",\"data\":");
    out.extend_from_slice(&event.payload);
    if !event.id.is_ephemeral() {
        push_id("id", event.id, out);
    }
    if let Some(session) = session {
        push_session(session, out);
    }
    event.write_trace(out);
    out.push(b'}');
}

/// Writes a position that no event carries.
pub fn write_position(session: Option<&str>, id: EventId, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"position\"");
    push_id("id", id, out);
    if let Some(session) = session {
        push_session(session, out);
    }
    out.push(b'}');
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
