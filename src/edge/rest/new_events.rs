//! Reads the events that a request publishes. The payload is parsed here, once, and brought into normal form.

use super::pauses::Pauses;
use crate::core::error_code::Code;
use crate::core::event::{KIND_FORM, NewEvent, is_kind};
use crate::core::json::{self, Members};
use crate::core::limits::LimitName;
use crate::core::subject::Subject;
use crate::core::text::counted;
use crate::core::trace::TraceContext;
use crate::edge::context::EdgeConfig;
use crate::edge::error::ApiError;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// One event of a request: the whole body, an element of a batch, or a line of a stream.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneBody<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    subject: Cow<'a, str>,
    #[serde(borrow)]
    payload: &'a RawValue,
    /// The trace of the event, as in the header of that name.
    #[serde(default)]
    traceparent: Option<String>,
}

/// The body of a request that publishes a batch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchBody<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

/// The body's events, and whether it is a batch.
pub(super) async fn read_body(text: &str, config: &EdgeConfig) -> Result<(Vec<NewEvent>, bool), ApiError> {
    let invalid = |error: serde_json::Error| {
        ApiError::bad_request(Code::InvalidJson, format!("not valid JSON: {error}"))
            .hint("send {\"type\": …, \"payload\": …} or {\"events\": [ … ]}")
    };
    let events = match parse(text).map_err(invalid)? {
        Parsed::One(event) => return Ok((vec![read_event(event.get(), config)?], false)),
        Parsed::Batch(events) => events,
    };
    if events.is_empty() {
        return Err(ApiError::bad_request(Code::EmptyBatch, "a batch needs at least one event"));
    }
    if events.len() > config.batch_events {
        let most = config.batch_events;
        let events = counted(most, "event", "events");
        return Err(ApiError::too_large(format!("a batch may have at most {events}"))
            .hint("send several batches, or a stream of application/x-ndjson")
            .of_limit(LimitName::Setting("limits.batch_events"), most as u64));
    }
    let mut read = Vec::with_capacity(events.len());
    let mut pauses = Pauses::default();
    for (index, raw) in events.iter().enumerate() {
        read.push(read_event(raw.get(), config).map_err(|error| error.at(index))?);
        pauses.after(raw.get().len()).await;
    }
    Ok((read, true))
}

/// What a body is.
#[derive(Debug)]
enum Parsed<'a> {
    Batch(Vec<&'a RawValue>),
    /// Any other JSON: one event, if it is one.
    One(&'a RawValue),
}

/// Parses a body. A batch is gone through once.
fn parse(text: &str) -> Result<Parsed<'_>, serde_json::Error> {
    let looks_like_batch = is_object(text) && text.contains("\"events\"");
    if looks_like_batch && let Ok(BatchBody { events }) = serde_json::from_str(text) {
        return Ok(Parsed::Batch(events));
    }
    serde_json::from_str(text).map(Parsed::One)
}

/// The error about misspelt names of an object's members, if there is one. Called only for JSON that could
/// not be read.
fn misspelt(text: &str, known: &[&str]) -> Option<String> {
    let mut members = Members::of(text);
    for name in known {
        members.raw(&[name]);
    }
    let errors = members.finish();
    (!errors.is_empty()).then(|| errors.to_string())
}

/// Whether the JSON is an object. Serde would otherwise accept a list as a struct's fields in their order.
fn is_object(json: &str) -> bool {
    json.trim_start().starts_with('{')
}

pub(super) fn too_large_event(what: &str, most: usize) -> ApiError {
    ApiError::too_large(format!("{what} may have at most {most} bytes"))
        .of_limit(LimitName::Setting("limits.event_bytes"), most as u64)
}

/// Reads and checks one event, and brings its payload into normal form.
pub(super) fn read_event(text: &str, config: &EdgeConfig) -> Result<NewEvent, ApiError> {
    if text.len() > config.event_bytes {
        return Err(too_large_event("an event", config.event_bytes));
    }
    let invalid = |message: String| {
        ApiError::bad_request(Code::InvalidEvent, message)
            .hint("an event is {\"type\": …, \"payload\": …}, a batch {\"events\": [ … ]}")
    };
    if !is_object(text) {
        return Err(invalid("an object is expected".to_owned()));
    }
    let event: OneBody<'_> = serde_json::from_str(text).map_err(|error| {
        invalid(
            misspelt(text, &["type", "subject", "payload", "traceparent"])
                .unwrap_or_else(|| error.to_string()),
        )
    })?;
    if !is_kind(&event.kind) {
        return Err(ApiError::bad_request(Code::InvalidType, format!("a type has {KIND_FORM}")));
    }
    let subject = Subject::parse(&event.subject).map_err(|error| {
        ApiError::bad_request(Code::InvalidSubject, error.to_string())
            .hint("leave it out for the map's own subject, or name a channel such as orders-7")
    })?;
    let payload = json::normalise(event.payload.get(), config.json_depth)?;
    // As with the header, a value that is not valid is as good as none.
    let trace = event.traceparent.as_deref().and_then(TraceContext::parse);
    Ok(NewEvent { trace, ..NewEvent::new(subject, event.kind.into_owned(), payload) })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_a_batch_or_one_event_or_no_json() {
        let texts = |raw: &[&RawValue]| raw.iter().map(|raw| raw.get().to_owned()).collect::<Vec<_>>();
        for (text, expected) in [
            (r#"{"events":[]}"#, &[] as &[&str]),
            (" {\n\"events\" : [ {\"type\": 1} , 2 ] } \n", &[r#"{"type": 1}"#, "2"]),
        ] {
            let Parsed::Batch(events) = parse(text).unwrap() else { panic!("{text}") };
            assert_eq!(texts(&events), expected);
        }
        for text in [
            r#"{"type":"events","payload":1}"#,
            r#"{"type":"a","payload":{"events":[]}}"#,
            r#"{"events":[1],"more":2}"#,
            r#"{"events":[1],"events":[2]}"#,
            r#"{"events":1}"#,
            r#"[["events"]]"#,
            r#""events""#,
            "null",
        ] {
            let Parsed::One(event) = parse(text).unwrap() else { panic!("{text}") };
            assert_eq!(event.get(), text);
        }
        for text in
            ["", r#"{"events":[1]"#, r#"{"events":[1]} 2"#, r#"{"events":[01]}"#, r#"{"events":["\q"]}"#]
        {
            let error = parse(text).unwrap_err().to_string();
            let whole: Result<&RawValue, _> = serde_json::from_str(text);
            assert_eq!(error, whole.unwrap_err().to_string(), "{text}");
        }
    }
}
