//! Reads the events that a request publishes.

use super::attributes::Attributes;
use crate::core::channel::Channel;
use crate::core::error_code::Code;
use crate::core::event::{KIND_FORM, is_kind};
use crate::core::field_error::FieldCode;
use crate::core::ids::SocketId;
use crate::core::json::{Members, is_null};
use crate::core::limits::LimitName;
use crate::edge::error::ApiError;
use serde_json::value::RawValue;

/// Channels of one event, at most.
const MAX_CHANNELS: usize = 100;
/// Events of one batch, at most.
const MAX_BATCH: usize = 10;

/// One event as a request names it, for one channel or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Requested {
    /// The event's type.
    pub(super) name: String,
    /// Its data as a text.
    pub(super) data: String,
    /// Where it is published: 1 to [`MAX_CHANNELS`] channels.
    pub(super) channels: Vec<Channel>,
    /// The socket that does not get it.
    pub(super) socket: Option<SocketId>,
    /// What the answer says of the channels.
    pub(super) attributes: Attributes,
}

/// Reads a body with one event. `max_data` is the most bytes of an event's data.
///
/// # Errors
/// 400 with all faults, or 413.
pub(super) fn read_one(text: &str, max_data: usize) -> Result<Requested, ApiError> {
    let mut members = Members::of(text);
    let event = read_event(&mut members, true);
    let event = members.finish().into_result(event)?;
    check_data(event, max_data)
}

/// Reads a body with a batch. Each of its events is for one channel.
///
/// # Errors
/// 400 with all faults, or 413.
pub(super) fn read_batch(text: &str, max_data: usize) -> Result<Vec<Requested>, ApiError> {
    let mut members = Members::of(text);
    let events: Vec<&RawValue> = match members.raw(&["batch"]) {
        Some(raw) => serde_json::from_str(raw.get()).unwrap_or_default(),
        None => Vec::new(),
    };
    if !(1..=MAX_BATCH).contains(&events.len()) && members.is_object() {
        let message = format!("must be a list of 1 to {MAX_BATCH} events");
        members.fault("batch", FieldCode::OutOfRange, message);
    }
    let mut read = Vec::with_capacity(MAX_BATCH);
    for (index, raw) in events.into_iter().take(MAX_BATCH).enumerate() {
        let name = format!("batch.{index}");
        read.push(members.inside(&name, raw, |members| read_event(members, false)));
    }
    let read = members.finish().into_result(read)?;
    let check = |(index, event): (usize, Option<Requested>)| {
        check_data(event, max_data).map_err(|error| error.at(index))
    };
    read.into_iter().enumerate().map(check).collect()
}

/// Reads an event. `None` if it has a fault, which `members` reports.
fn read_event(members: &mut Members<'_>, several: bool) -> Option<Requested> {
    ["channel", "channels", "socket_id", "info"].iter().for_each(|name| members.skip_null(name));
    let name = read_name(members);
    let data = read_data(members);
    let channels = read_channels(members, several);
    let socket = read_socket(members);
    let attributes = read_attributes(members);
    Some(Requested { name: name?, data: data?, channels: channels?, socket, attributes })
}

fn read_name(members: &mut Members<'_>) -> Option<String> {
    let name: String = members.required("name", "a string")?;
    if is_kind(&name) {
        return Some(name);
    }
    members.fault("name", FieldCode::Invalid, format_args!("must have {KIND_FORM}"));
    None
}

fn read_socket(members: &mut Members<'_>) -> Option<SocketId> {
    let text: String = members.take(&["socket_id"], "a string")?;
    let socket = text.parse().ok();
    if socket.is_none() {
        members.fault("socket_id", FieldCode::Invalid, "is not the id of a socket, such as 123.456");
    }
    socket
}

fn read_attributes(members: &mut Members<'_>) -> Attributes {
    let Some(text) = members.take::<String>(&["info"], "a string") else { return Attributes::default() };
    match Attributes::read(&text) {
        Ok(attributes) if attributes.cache => {
            members.fault("info", FieldCode::Invalid, "cache is told of one channel only");
        }
        Ok(attributes) => return attributes,
        Err(unknown) => members.fault("info", FieldCode::Invalid, unknown),
    }
    Attributes::default()
}

/// The data is a text. Other servers of this protocol also accept another JSON value, whose text it is then.
fn read_data(members: &mut Members<'_>) -> Option<String> {
    match members.raw(&["data"]) {
        Some(raw) if raw.get().starts_with('"') => {
            let text = serde_json::from_str(raw.get()).ok();
            if text.is_none() {
                members.fault("data", FieldCode::WrongType, "must be a string of Unicode characters");
            }
            text
        }
        Some(raw) if !is_null(raw) => Some(raw.get().to_owned()),
        _ => {
            if members.is_object() {
                members.fault("data", FieldCode::Required, "is required");
            }
            None
        }
    }
}

/// `channel` names one channel; `channels`, which an event of a batch does not have, several.
fn read_channels(members: &mut Members<'_>, several: bool) -> Option<Vec<Channel>> {
    let one = members.raw(&["channel"]);
    let many = if several { members.raw(&["channels"]) } else { None };
    let (field, form, names) = match (one, many) {
        (Some(raw), None) => {
            ("channel", "a string", serde_json::from_str(raw.get()).map(|name: String| vec![name]))
        }
        (None, Some(raw)) => ("channels", "a list of strings", serde_json::from_str(raw.get())),
        (Some(_), Some(_)) => {
            members.fault("channel", FieldCode::Conflict, "is given beside channels");
            return None;
        }
        (None, None) => {
            if members.is_object() {
                let field = if several { "channels" } else { "channel" };
                members.fault(field, FieldCode::Required, "is required");
            }
            return None;
        }
    };
    let Ok(names) = names else {
        members.fault(field, FieldCode::WrongType, format_args!("must be {form}"));
        return None;
    };
    if !(1..=MAX_CHANNELS).contains(&names.len()) {
        members.fault(field, FieldCode::OutOfRange, format_args!("must have 1 to {MAX_CHANNELS} channels"));
        return None;
    }
    let mut channels = Vec::with_capacity(names.len());
    for name in names {
        match Channel::parse(&name) {
            Ok(channel) => channels.push(channel),
            Err(error) => {
                let name: String = name.chars().take(100).collect();
                members.fault(field, FieldCode::Invalid, format_args!("{name:?}: {error}"));
                return None;
            }
        }
    }
    Some(channels)
}

/// Refuses data that is too long.
fn check_data(event: Option<Requested>, max_data: usize) -> Result<Requested, ApiError> {
    match event {
        Some(event) if event.data.len() <= max_data => Ok(event),
        Some(_) => Err(ApiError::too_large(format!("the data of an event has at most {max_data} bytes"))
            .of_limit(LimitName::Setting("pusher.event_bytes"), max_data as u64)),
        // An event without a fault was read.
        None => Err(ApiError::bad_request(Code::InvalidBody, "the event can't be read")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const MAX_DATA: usize = 64;

    fn one(body: serde_json::Value) -> Result<Requested, ApiError> {
        read_one(&body.to_string(), MAX_DATA)
    }

    /// The fields that have faults.
    fn faults(error: &ApiError) -> Vec<String> {
        let body = error.body();
        let errors = body["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn an_event_is_for_one_channel_or_several() {
        let event = one(json!({"name": "n", "data": "{\"a\": 1}", "channel": "c"})).unwrap();
        assert_eq!((event.name.as_str(), event.data.as_str()), ("n", "{\"a\": 1}"));
        assert_eq!(event.channels, [Channel::parse("c").unwrap()]);
        assert_eq!((event.socket, event.attributes), (None, Attributes::default()));
        let event = one(json!({
            "name": "n", "data": "", "channels": ["c", "#server-to-user-7"], "socket_id": "12.34",
            "info": "user_count,subscription_count", "channel": null,
        }))
        .unwrap();
        assert_eq!(event.channels.len(), 2);
        assert_eq!(event.socket.unwrap().to_string(), "12.34");
        assert!(event.attributes.user_count && event.attributes.subscription_count);
        let most: Vec<String> = (0..MAX_CHANNELS).map(|n| format!("c{n}")).collect();
        assert_eq!(one(json!({"name": "n", "data": "", "channels": most})).unwrap().channels.len(), 100);
    }

    #[test]
    fn data_stays_as_it_is() {
        for (body, data) in [
            (r#"{"name":"n","channel":"c","data":"{ \"a\" : 1.0 }"}"#, "{ \"a\" : 1.0 }"),
            (r#"{"name":"n","channel":"c","data":"plain"}"#, "plain"),
            (r#"{"name":"n","channel":"c","data":"null"}"#, "null"),
            (r#"{"name":"n","channel":"c","data":{ "a" : 1.0 }}"#, r#"{ "a" : 1.0 }"#),
            (r#"{"name":"n","channel":"c","data":7}"#, "7"),
        ] {
            assert_eq!(read_one(body, MAX_DATA).unwrap().data, data, "{body}");
        }
    }

    #[test]
    fn each_fault_is_told_with_its_field() {
        let long = "x".repeat(201);
        let many: Vec<String> = (0..=MAX_CHANNELS).map(|n| format!("c{n}")).collect();
        for (body, fields) in [
            (json!({}), vec!["name", "data", "channels"]),
            (json!([]), vec!["body"]),
            (json!({"name": "n", "data": "", "channels": []}), vec!["channels"]),
            (json!({"name": "n", "data": "", "channels": many}), vec!["channels"]),
            (json!({"name": "n", "data": "", "channels": "c"}), vec!["channels"]),
            (json!({"name": "n", "data": "", "channel": ["c"]}), vec!["channel"]),
            (json!({"name": 7, "data": "", "channel": "c"}), vec!["name"]),
            (json!({"name": "n", "data": "", "channel": "c", "info": "cache"}), vec!["info"]),
            (json!({"name": "n", "data": "", "channels": ["c"], "channel": "d"}), vec!["channel"]),
            (json!({"name": "n", "data": "", "channels": ["c", "a b"]}), vec!["channels"]),
            (json!({"name": "n", "data": "", "channel": long}), vec!["channel"]),
            (json!({"name": "n", "data": "", "channel": ""}), vec!["channel"]),
            (json!({"name": long, "data": "", "channel": "c"}), vec!["name"]),
            (json!({"name": "", "data": "", "channel": "c"}), vec!["name"]),
            (json!({"name": "pusher:error", "data": "", "channel": "c"}), vec!["name"]),
            (json!({"name": "pusher_internal:member_added", "data": "", "channel": "c"}), vec!["name"]),
            (json!({"name": "n", "data": null, "channel": "c"}), vec!["data"]),
            (json!({"name": "n", "data": "", "channel": "c", "socket_id": "12"}), vec!["socket_id"]),
            (json!({"name": "n", "data": "", "channel": "c", "info": "users"}), vec!["info"]),
            (json!({"name": "n", "data": "", "channel": "c", "sockets": 1}), vec!["sockets"]),
        ] {
            let error = one(body.clone()).unwrap_err();
            assert_eq!(error.body()["status"], 400, "{body}");
            assert_eq!(faults(&error), fields, "{body}");
        }
        assert!(read_one(r#"{"name":"n","channel":"c","data":"\ud800"}"#, MAX_DATA).is_err());
        assert!(read_one("{", MAX_DATA).is_err());
    }

    #[test]
    fn data_over_the_limit_is_413() {
        let event = |bytes| json!({"name": "n", "channel": "c", "data": "x".repeat(bytes)});
        assert!(one(event(MAX_DATA)).is_ok());
        let refused = one(event(MAX_DATA + 1)).unwrap_err().body();
        assert_eq!((&refused["status"], &refused["setting"]), (&json!(413), &json!("pusher.event_bytes")));
        let batch = json!({"batch": [event(1), event(MAX_DATA + 1)]}).to_string();
        let refused = read_batch(&batch, MAX_DATA).unwrap_err().body();
        assert_eq!((&refused["status"], &refused["index"]), (&json!(413), &json!(1)));
    }

    #[test]
    fn a_batch_has_up_to_ten_events_of_one_channel() {
        let event = json!({"name": "n", "channel": "c", "data": "d"});
        let batch = |events: Vec<_>| read_batch(&json!({"batch": events}).to_string(), MAX_DATA);
        assert_eq!(batch(vec![event.clone(); MAX_BATCH]).unwrap().len(), MAX_BATCH);
        for events in [vec![], vec![event.clone(); MAX_BATCH + 1]] {
            assert_eq!(faults(&batch(events).unwrap_err()), ["batch"]);
        }
        let several = json!({"name": "n", "channels": ["c"], "data": "d"});
        assert_eq!(
            faults(&batch(vec![event, several]).unwrap_err()),
            ["batch.1.channel", "batch.1.channels"]
        );
        for body in ["{}", r#"{"batch":null}"#, r#"{"batch":{}}"#, r#"{"batch":"x"}"#] {
            assert_eq!(faults(&read_batch(body, MAX_DATA).unwrap_err()), ["batch"], "{body}");
        }
        assert_eq!(faults(&read_batch("[]", MAX_DATA).unwrap_err()), ["body"]);
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(text in ".{0,60}", data in ".{0,80}", name in ".{0,20}") {
            let _ = read_one(&text, MAX_DATA);
            let _ = read_batch(&text, MAX_DATA);
            let body = json!({"name": name, "data": data, "channel": "c"});
            match one(body) {
                Ok(event) => prop_assert_eq!((event.name, event.data), (name, data)),
                Err(error) => prop_assert!([400, 413].contains(&error.body()["status"].as_u64().unwrap())),
            }
        }
    }
}
