//! The `pusher` profile: `{time_ms, events}` with `X-Pusher-Key` and `X-Pusher-Signature`.
//!
//! Wire source: Pusher Channels' webhooks, as Sockudo documents them. The signature is plain hexadecimal. npm
//! `pusher` does not accept a prefix `sha256=`, and verifiers that strip the prefix work without it.

use super::{RenderError, Request, push_id, sign};
use crate::core::event::{Event, push_json_string, push_number};
use crate::core::json;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Events about channels and their members. The members of their payload are members of the entry itself.
const LIFECYCLE: [&str; 9] = [
    "channel_occupied",
    "channel_vacated",
    "member_added",
    "member_removed",
    "client_event",
    "cache_miss",
    "subscription_count",
    "connection_established",
    "connection_terminated",
];

/// The member of every entry that identifies the event.
const ID: &str = "event_id";

/// The depth of the entry, which is greater than that of any payload in the log.
const MAX_DEPTH: usize = 128;

/// Makes the body. Its `time_ms` is the newest event's. An event's channel is its subject; `topic` is the
/// channel of events with the map's own subject.
pub(super) fn render(
    topic: &str,
    key: &str,
    events: &[Event],
    request: &mut Request<'_>,
) -> Result<Vec<u8>, RenderError> {
    let newest = events.iter().map(|event| event.time_ms).max().unwrap_or_default();
    let mut body = Vec::with_capacity(events.iter().map(|event| event.payload.len() * 5 / 4 + 256).sum());
    body.extend_from_slice(b"{\"time_ms\":");
    push_number(newest, &mut body);
    body.extend_from_slice(b",\"events\":[");
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        push_event(topic, event, &mut body)?;
    }
    body.extend_from_slice(b"]}");
    let (preferred, other) = request.secrets.preferred();
    request.header("x-pusher-key", key)?;
    request.header("x-pusher-signature", &sign::hex(preferred, &[&body]))?;
    if let Some(other) = other {
        request.header("x-pusher-signature-previous", &sign::hex(other, &[&body]))?;
    }
    Ok(body)
}

fn push_event(topic: &str, event: &Event, out: &mut Vec<u8>) -> Result<(), RenderError> {
    let payload = std::str::from_utf8(&event.payload).map_err(|_| RenderError::Payload(event.id))?;
    let is_fact = LIFECYCLE.contains(&&*event.kind) || event.subject.channel().is_some();
    if is_fact && payload.starts_with('{') {
        return push_lifecycle(payload, event, out);
    }
    out.extend_from_slice(b"{\"name\":");
    push_json_string(&event.kind, out);
    out.extend_from_slice(b",\"channel\":");
    let subject = event.subject.channel().unwrap_or(event.subject.as_str());
    push_json_string(if subject.is_empty() { topic } else { subject }, out);
    out.extend_from_slice(b",\"data\":");
    push_json_string(payload, out);
    push_id(ID, event, out);
    out.extend_from_slice(b",\"time_ms\":");
    push_number(event.time_ms, out);
    out.push(b'}');
    Ok(())
}

/// Writes `{name, …the payload's members, event_id, time_ms}`. Members of the payload with one of our names
/// are left out. What is known of a new member becomes its `data`, as Pusher's receivers expect it.
fn push_lifecycle(payload: &str, event: &Event, out: &mut Vec<u8>) -> Result<(), RenderError> {
    let members: Members<'_> = serde_json::from_str(payload).map_err(|_| RenderError::Payload(event.id))?;
    let mut object = b"{\"name\":".to_vec();
    push_json_string(&event.kind, &mut object);
    let is_added = event.subject.channel().is_some() && &*event.kind == "member_added";
    for (key, value) in members.0.iter().filter(|(key, _)| !["name", ID, "time_ms"].contains(&&**key)) {
        if is_added && key == "user_info" {
            continue;
        }
        push_member(key, value.get(), &mut object);
    }
    if is_added && members.get("data").is_none() {
        let mut data = Vec::new();
        for key in ["user_id", "user_info"] {
            members.get(key).into_iter().for_each(|value| push_member(key, value, &mut data));
        }
        let data = String::from_utf8_lossy(data.get(1..).unwrap_or_default()).into_owned();
        object.extend_from_slice(b",\"data\":");
        push_json_string(&format!("{{{data}}}"), &mut object);
    }
    push_id(ID, event, &mut object);
    object.extend_from_slice(b",\"time_ms\":");
    push_number(event.time_ms, &mut object);
    object.push(b'}');
    // JavaScript puts keys that are integers before the name.
    let object = String::from_utf8(object).map_err(|_| RenderError::Payload(event.id))?;
    let normal = json::normalise(&object, MAX_DEPTH).map_err(|_| RenderError::Payload(event.id))?;
    out.extend_from_slice(normal.as_bytes());
    Ok(())
}

/// Adds a member behind another one.
fn push_member(key: &str, value: &str, object: &mut Vec<u8>) {
    object.push(b',');
    push_json_string(key, object);
    object.push(b':');
    object.extend_from_slice(value.as_bytes());
}

/// The members of an object, with their values unparsed.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl Members<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.get())
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(key) = entries.next_key::<Key<'de>>()? {
                    members.push((key.0, entries.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
