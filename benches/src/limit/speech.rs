//! What the raw limit says: Phoenix or Pusher, as far as the load generator listens.

use std::collections::HashMap;

use anyhow::{Context, Result};
use serde_json::{Value, json, value::RawValue};

use crate::event;

/// The protocol of a socket.
#[derive(Clone, Copy)]
pub(super) enum Speech {
    Phoenix,
    Pusher,
}

impl Speech {
    /// The protocol that an upgrade asks for; `None` if the request is no upgrade.
    pub(super) fn of_upgrade(head: &str) -> Option<Self> {
        match () {
            () if head.starts_with("GET /socket/") => Some(Self::Phoenix),
            () if head.starts_with("GET /app/") => Some(Self::Pusher),
            () => None,
        }
    }

    /// What a client hears first.
    pub(super) fn greeting(self) -> Option<String> {
        match self {
            Self::Phoenix => None,
            Self::Pusher => {
                let data = json!({"socket_id": "1234567890123456.1234567890123456", "activity_timeout": 120});
                let data = data.to_string();
                Some(json!({"event": "pusher:connection_established", "data": data}).to_string())
            }
        }
    }

    /// The answer to a client's text, and whether the client joins by it.
    ///
    /// # Errors
    /// It is not a message of the protocol.
    pub(super) fn reply(self, text: &[u8]) -> Result<(String, bool)> {
        match self {
            Self::Phoenix => {
                let (join_ref, reference, topic, event, _): (Value, Value, Value, String, Value) =
                    serde_json::from_slice(text)?;
                let reply =
                    json!([join_ref, reference, topic, "phx_reply", {"status": "ok", "response": {}}]);
                Ok((reply.to_string(), event == "phx_join"))
            }
            Self::Pusher => {
                let message: Value = serde_json::from_slice(text)?;
                if message["event"] != "pusher:subscribe" {
                    return Ok((json!({"event": "pusher:pong", "data": {}}).to_string(), false));
                }
                let channel = &message["data"]["channel"];
                // The client reads only the head.
                let reply = format!(
                    r#"{{"event":"pusher_internal:subscription_succeeded","channel":{channel},"data":"{{}}"}}"#
                );
                Ok((reply, true))
            }
        }
    }
}

/// The texts of the events of a publish, for subscribers of the protocol of the request's path. Each stored event
/// takes the next `seq`.
///
/// # Errors
/// The body is not that of a publish.
pub(super) fn texts(path: &str, body: &[u8], seq: &mut u64) -> Result<Vec<String>> {
    let fields: Fields<'_> = serde_json::from_slice(body)?;
    let all = fields.get("events").or_else(|| fields.get("batch"));
    let events: Vec<Fields<'_>> = match all {
        Some(events) => serde_json::from_str(events.get())?,
        None => vec![fields],
    };
    let of = |event: &Fields<'_>, name: &str| {
        event
            .get(name)
            .map(|value| value.get().to_owned())
            .with_context(|| format!("an event without {name}"))
    };
    if path.starts_with("/apps/") {
        let text = |event: &Fields<'_>| {
            let (name, channel, data) = (of(event, "name")?, of(event, "channel")?, of(event, "data")?);
            Ok(format!(r#"{{"event":{name},"channel":{channel},"data":{data}}}"#))
        };
        return events.iter().map(text).collect();
    }
    let map = path.split('/').nth(3).context("no map in the path")?;
    let mut text = |event: &Fields<'_>| {
        *seq += 1;
        Ok(event::frame_text(map, *seq, &of(event, "payload")?))
    };
    events.iter().map(&mut text).collect()
}

type Fields<'a> = HashMap<&'a str, &'a RawValue>;
