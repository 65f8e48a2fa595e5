//! The payloads that the guides of Sockudo and ts-broadcasting print, and how ours compare to them.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The fields of each event, by the reference of Sockudo's guide.
const REFERENCE: [(&str, &[&str]); 5] = [
    ("channel_occupied", &["name", "channel", "time_ms"]),
    ("channel_vacated", &["name", "channel", "time_ms"]),
    ("member_added", &["name", "channel", "user_id", "socket_id", "data", "time_ms"]),
    ("member_removed", &["name", "channel", "user_id", "socket_id", "time_ms"]),
    ("client_event", &["name", "channel", "event", "data", "socket_id", "user_id", "time_ms"]),
];

/// The events that Sockudo's guide prints, each alone. It prints the last one on the channel
/// `private-game-room`, though by its reference only events of presence channels have a `user_id`.
pub(super) const EVENTS: [&str; 4] = [
    r#"{"name": "channel_occupied", "channel": "chat-room-1", "time_ms": 1678886400000}"#,
    r#"{
        "name": "member_added",
        "channel": "presence-chat-room",
        "user_id": "user-123",
        "socket_id": "socket-456",
        "data": "{\"user_id\":\"user-123\",\"user_info\":{\"name\":\"Alice\"}}"
    }"#,
    r#"{
        "name": "member_added",
        "channel": "presence-lobby",
        "user_id": "user-456",
        "socket_id": "socket-123",
        "data": "{\"user_id\":\"user-456\",\"user_info\":{\"name\":\"Bob\",\"avatar\":\"url\"}}",
        "time_ms": 1678886400000
    }"#,
    r#"{
        "name": "client_event",
        "channel": "presence-game-room",
        "event": "client-typing",
        "data": "{\"isTyping\":true}",
        "socket_id": "socket-789",
        "user_id": "user-123",
        "time_ms": 1678886400000
    }"#,
];

/// The request with several events that it prints.
pub(super) const BATCH: &str = r#"{
    "time_ms": 1678886400500,
    "events": [
        {
            "name": "member_added",
            "channel": "presence-chat",
            "user_id": "user1",
            "time_ms": 1678886400100
        },
        {
            "name": "channel_vacated",
            "channel": "private-room-1",
            "time_ms": 1678886400200
        },
        {
            "name": "client_event",
            "channel": "presence-game",
            "event": "client-move",
            "data": "{\"x\":100,\"y\":200}",
            "socket_id": "socket-789",
            "time_ms": 1678886400300
        }
    ]
}"#;

/// The request that the guide of ts-broadcasting prints.
pub(super) const SUBSCRIBE: &str = r#"{
    "event": "subscribe",
    "timestamp": 1234567890,
    "data": {
        "socketId": "uuid",
        "channel": "private-orders.123",
        "channelData": {}
    }
}"#;

/// Members whose values are ids that the server makes, or times.
const OWN: [&str; 4] = ["time_ms", "timestamp", "socket_id", "socketId"];

/// Whether all that is printed is in ours, under the same names, with the same types, nested in the same way,
/// and with the same values, except for ids and times.
fn has_all(printed: &Value, ours: &Value) -> bool {
    let Some(printed) = printed.as_object() else { return printed == ours };
    printed.iter().all(|(name, value)| {
        let own = &ours[name];
        if OWN.contains(&name.as_str()) {
            value.is_string() == own.is_string() && value.is_u64() == own.is_u64()
        } else {
            has_all(value, own)
        }
    })
}

/// Whether ours has the fields of the reference, and beside them only its id.
fn has_only_reference(ours: &Value) -> bool {
    let reference = REFERENCE.iter().find(|(name, _)| ours["name"] == *name);
    let (Some((_, fields)), Some(members)) = (reference, ours.as_object()) else { return false };
    let has_user = ours["channel"].as_str().is_some_and(|channel| channel.starts_with("presence-"));
    let fields = || fields.iter().filter(|name| **name != "user_id" || has_user);
    fields().all(|name| members.contains_key(*name))
        && members.keys().all(|name| name == "event_id" || fields().any(|field| field == name))
}

/// Checks that one of our events is the printed one.
pub(super) fn has_event(events: &[Value], printed: &str) -> Result<()> {
    let printed: Value = serde_json::from_str(printed)?;
    let is_same = |ours: &Value| has_all(&printed, ours) && has_only_reference(ours);
    ensure!(events.iter().any(is_same), "none is {printed}: {events:?}");
    Ok(())
}

/// Checks that one of our bodies is the printed one, apart from our id and the signature.
pub(super) fn has_body(bodies: &[Value], printed: &str) -> Result<()> {
    let printed: Value = serde_json::from_str(printed)?;
    let data = |body: &Value| body["data"].as_object().map(serde_json::Map::len);
    let is_same = |ours: &Value| has_all(&printed, ours) && data(&printed) == data(ours);
    ensure!(bodies.iter().any(is_same), "none is {printed}: {bodies:?}");
    Ok(())
}

/// Whether a body is the printed request with several events. Our events have all fields of the reference, of
/// which the printed ones leave some out.
pub(super) fn is_batch(body: &Value) -> Result<bool> {
    let printed: Value = serde_json::from_str(BATCH)?;
    let events = printed["events"].as_array().context("no events")?;
    let ours = body["events"].as_array().context("no events")?;
    let is_there = |printed: &Value| {
        ours.iter().filter(|own| has_all(printed, own) && has_only_reference(own)).count() == 1
    };
    Ok(body["time_ms"].is_u64() && ours.len() == events.len() && events.iter().all(is_there))
}
