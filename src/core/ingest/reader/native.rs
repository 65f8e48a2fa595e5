//! The format of Game Insights: `{"event_type", "timestamp"?, "user_id"?, "properties"?}`, or several of them in
//! `{"events": […]}`.

use crate::core::error_code::Code;
use crate::core::event::{KIND_FORM, is_kind};
use crate::core::ingest::mapped::{Bad, Mapped};
use crate::core::json::{normalise, write_string};
use crate::core::subject::Subject;
use crate::core::template::MAX_DEPTH;
use crate::core::time::parse_iso;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

const FORM: &str = "an event is {\"event_type\": …, \"timestamp\"?, \"user_id\"?, \"properties\"?}, a batch \
     {\"events\": [ … ]}";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct One<'a> {
    #[serde(borrow)]
    event_type: Cow<'a, str>,
    timestamp: Option<String>,
    user_id: Option<Value>,
    #[serde(borrow)]
    properties: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

/// Reads a body, which is JSON in normal form.
pub(super) fn read(text: &str, most: usize) -> Result<Vec<Mapped>, Bad> {
    if text.starts_with("{\"events\":") {
        let batch: Batch<'_> = serde_json::from_str(text).map_err(invalid)?;
        if batch.events.len() > most {
            return Err(Bad::too_many(most));
        }
        let all = batch.events.iter().enumerate();
        return all.map(|(index, raw)| one(raw.get()).map_err(|bad| bad.at(index))).collect();
    }
    Ok(vec![one(text)?])
}

fn one(text: &str) -> Result<Mapped, Bad> {
    if !text.starts_with('{') {
        return Err(Bad::new(Code::InvalidEvent, FORM));
    }
    let event: One<'_> = serde_json::from_str(text).map_err(invalid)?;
    if !is_kind(&event.event_type) {
        return Err(Bad::new(Code::InvalidType, format!("event_type has {KIND_FORM}")));
    }
    let time_ms = match &event.timestamp {
        Some(text) => Some(parse_iso(text).ok_or_else(|| {
            Bad::new(
                Code::InvalidTimestamp,
                "timestamp must be a time with an offset, as in 2024-01-15T10:30:00Z",
            )
        })?),
        None => None,
    };
    let is_user = |user: &Value| matches!(user, Value::String(_) | Value::Number(_));
    if event.user_id.as_ref().is_some_and(|user| !is_user(user)) {
        return Err(Bad::new(Code::InvalidUserId, "user_id must be a text or a number"));
    }
    if event.properties.is_some_and(|properties| !properties.get().starts_with('{')) {
        return Err(Bad::new(Code::InvalidProperties, "properties must be an object"));
    }
    let kind = event.event_type.clone().into_owned();
    let payload = payload(&event)?;
    Ok(Mapped { kind, subject: Subject::own(), time_ms, id: None, payload })
}

/// The members that the event has beside its type.
fn payload(event: &One<'_>) -> Result<String, Bad> {
    let mut members = Vec::new();
    if let Some(time) = &event.timestamp {
        let mut text = "\"timestamp\":".to_owned();
        write_string(time, &mut text);
        members.push(text);
    }
    if let Some(user) = &event.user_id {
        members.push(format!("\"user_id\":{user}"));
    }
    if let Some(properties) = event.properties {
        members.push(format!("\"properties\":{}", properties.get()));
    }
    let text = format!("{{{}}}", members.join(","));
    normalise(&text, MAX_DEPTH).map_err(|error| Bad::new(Code::InvalidPayload, error.to_string()))
}

/// The parser names the member. Its position is left out: the text was brought into normal form.
fn invalid(error: serde_json::Error) -> Bad {
    let said = error.to_string();
    let what = said.split(" at line ").next().unwrap_or_default();
    Bad::new(Code::InvalidEvent, format!("{what}; {FORM}"))
}
