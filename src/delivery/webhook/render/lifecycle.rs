//! The lifecycle events of channels in the words of ts-broadcasting.
//!
//! Wire source: its webhook guide. A subscription is `{socketId, channel, channelData}`, a broadcast
//! `{channel, event, data}`, in which data is an object.

use crate::core::event::Event;
use crate::core::json::{Entries, normalise};
use crate::core::lifecycle::LifecycleKind;
use std::borrow::Cow;
use std::fmt::Write;

/// The members of a fact that have another name there, or another place.
const NAMES: [(&str, &str); 8] = [
    ("socket_id", "socketId"),
    ("channel", "channel"),
    ("channel_data", "channelData"),
    ("user_id", "userId"),
    ("user_info", "userInfo"),
    ("event", "event"),
    ("data", "data"),
    ("subscription_count", "subscriptionCount"),
];

/// The depth of the data, which is greater than that of any payload in the log.
const MAX_DEPTH: usize = 128;

/// The event's `data`. `None` if it is no lifecycle event: then the payload is sent as it is.
pub(super) fn data(event: &Event) -> Option<String> {
    event.subject.channel()?;
    let kind = LifecycleKind::from_name(&event.kind)?;
    let Entries(members) = serde_json::from_slice(&event.payload).ok()?;
    let value = |name: &str| members.iter().find(|(known, _)| known == name).map(|(_, value)| value.get());
    let mut data = String::from("{");
    let mut push = |name: &str, json: &str| {
        let comma = if data.len() > 1 { "," } else { "" };
        // A formatter never fails on a string.
        let _ = write!(data, "{comma}{}:{json}", serde_json::Value::from(name));
    };
    for (name, shown) in NAMES {
        match value(name) {
            Some(json) if name == "data" => push(shown, &parsed(json)),
            Some(json) => push(shown, json),
            None if name == "channel_data" && kind == LifecycleKind::Subscribe => push(shown, "{}"),
            None => {}
        }
    }
    let others = members.iter().filter(|(known, _)| NAMES.iter().all(|(name, _)| name != known));
    others.for_each(|(name, value)| push(name, value.get()));
    data.push('}');
    normalise(&data, MAX_DEPTH).ok()
}

/// Data that was published as a text, as the JSON that the text is, if it is.
fn parsed(json: &str) -> Cow<'_, str> {
    let text: Option<String> = serde_json::from_str(json).ok();
    text.and_then(|text| normalise(&text, MAX_DEPTH / 2).ok()).map_or(Cow::Borrowed(json), Cow::Owned)
}
