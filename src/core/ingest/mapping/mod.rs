//! Mappings: documents that say how a body becomes events, in the language of templates.
//!
//! A mapping is a JSON object. Its members `type`, `subject`, `time`, `id` and `payload` are rendered for each
//! event, as templates are, with expressions in `${…}` and within the same budgets. `events` is rendered first,
//! if it is there, and gives a list with the payload of each event; without it, a body is one event. In
//! expressions, `payload` is the body (JSON, or the fields of a form, or the data of a CloudEvent),
//! `event.headers` are the headers, and `type`, `subject`, `id` and `ts` are those of a CloudEvent.

mod scene;

use super::mapped::{Bad, Mapped};
use crate::core::error_code::Code;
use crate::core::event::{KIND_FORM, MapText, is_kind};
use crate::core::expression::{Budget, MAX_WORK, Writer};
use crate::core::field_error::{FieldCode, FieldErrors};
use crate::core::ids::SourceId;
use crate::core::ingest::Headers;
use crate::core::ingest::reader::bodies::Item;
use crate::core::json::{Members, normalise};
use crate::core::subject::Subject;
use crate::core::template::{Document, MAX_BODY, MAX_DEPTH};
use crate::core::time::parse_iso;
use crate::core::webhook::MAX_TEMPLATE;
use scene::Scenery;
use serde_json::Value;
use std::cell::Cell;

/// The most work of all renderings of one request. Nothing interrupts them.
const MAX_REQUEST_WORK: u64 = 100 * MAX_WORK;
/// What a rendering counts for at least: its values are read anew.
const WORK_OF_RENDERING: u64 = 20;
/// Bytes that renderings make that count as one step of work: they are kept until the request is stored.
const BYTES_PER_STEP: u64 = 4;
/// Longest id of an event that a mapping gives (bytes).
const MAX_ID: usize = 256;
/// A number below this is a time in seconds, and one from it on a time in milliseconds.
const FIRST_MS: f64 = 1e11;

/// A mapping, parsed and checked.
#[derive(Debug)]
pub struct Mapping {
    events: Option<Document>,
    kind: Document,
    subject: Option<Document>,
    time: Option<Document>,
    id: Option<Document>,
    payload: Option<Document>,
}

/// What does not change from one event of a request to the next.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'r> {
    pub(super) map: &'r MapText,
    pub(super) source: SourceId,
    pub(super) headers: &'r Headers,
    /// Events of the request, at most.
    pub(super) most: usize,
    /// The work that was done for the request.
    pub(super) work: &'r Cell<u64>,
}

impl Mapping {
    /// Parses a mapping, which is at `path` in the body of its request.
    ///
    /// # Errors
    /// All faults, with their fields.
    pub fn parse(path: &str, text: &str) -> Result<Self, FieldErrors> {
        if text.len() > MAX_TEMPLATE {
            let mut errors = FieldErrors::default();
            errors.add(path, FieldCode::OutOfRange, format_args!("may have at most {MAX_TEMPLATE} bytes"));
            return Err(errors);
        }
        let mut m = Members::at(path, text);
        let events = document(&mut m, "events");
        let kind = document(&mut m, "type");
        let subject = document(&mut m, "subject");
        let time = document(&mut m, "time");
        let id = document(&mut m, "id");
        let payload = document(&mut m, "payload");
        let is_object = m.is_object();
        let mut errors = m.finish();
        let required = format!("{path}.type");
        if kind.is_none() && is_object && !errors.concern(&required) {
            errors.require(required);
        }
        match kind {
            Some(kind) => errors.into_result(Self { events, kind, subject, time, id, payload }),
            None => Err(errors),
        }
    }

    /// Makes the events of one item of a body.
    pub(super) fn read(&self, item: &Item, around: Surroundings<'_>) -> Result<Vec<Mapped>, Bad> {
        let Some(events) = &self.events else { return Ok(vec![self.one(item, around)?]) };
        let text = render(events, item, around)?;
        let Ok(Value::Array(all)) = serde_json::from_str::<Value>(&text) else {
            return Err(Bad::new(Code::InvalidMapping, "the mapping's events are not a list"));
        };
        if all.len() > around.most {
            return Err(Bad::too_many(around.most));
        }
        let mut mapped = Vec::with_capacity(all.len());
        for (index, payload) in all.iter().enumerate() {
            let payload = normalise(&payload.to_string(), MAX_DEPTH)
                .map_err(|error| Bad::new(Code::InvalidPayload, error.to_string()).at(index))?;
            let item = Item { payload, ..item.clone() };
            mapped.push(self.one(&item, around).map_err(|bad| bad.at(index))?);
        }
        Ok(mapped)
    }

    fn one(&self, item: &Item, around: Surroundings<'_>) -> Result<Mapped, Bad> {
        let scalar = |document: Option<&Document>, name: &str| -> Result<Option<Value>, Bad> {
            let Some(document) = document else { return Ok(None) };
            let text = render(document, item, around)?;
            match serde_json::from_str(&text) {
                Ok(Value::Null) => Ok(None),
                Ok(value @ (Value::String(_) | Value::Number(_))) => Ok(Some(value)),
                _ => Err(Bad::new(Code::InvalidEvent, format!("{name} is neither a text nor a number"))),
            }
        };
        let kind = scalar(Some(&self.kind), "type")?.map(text_of).unwrap_or_default();
        if !is_kind(&kind) {
            return Err(Bad::new(Code::InvalidType, format!("a type has {KIND_FORM}")));
        }
        let subject = scalar(self.subject.as_ref(), "subject")?.map(text_of).unwrap_or_default();
        let subject =
            Subject::parse(&subject).map_err(|error| Bad::new(Code::InvalidSubject, error.to_string()))?;
        let time_ms = scalar(self.time.as_ref(), "time")?.map(time_of).transpose()?;
        let id = scalar(self.id.as_ref(), "id")?.map(text_of).filter(|id| !id.is_empty());
        if id.as_ref().is_some_and(|id| id.len() > MAX_ID) {
            return Err(Bad::new(Code::InvalidId, format!("an id has at most {MAX_ID} bytes")));
        }
        let payload = match &self.payload {
            Some(document) => render(document, item, around)?,
            None => item.payload.clone(),
        };
        Ok(Mapped { kind, subject, time_ms, id, payload })
    }
}

fn document(m: &mut Members<'_>, name: &str) -> Option<Document> {
    let raw = m.raw(&[name])?;
    match Document::parse(raw.get()) {
        Ok(document) => Some(document),
        Err(error) => {
            m.fault(name, FieldCode::Invalid, error);
            None
        }
    }
}

fn render(document: &Document, item: &Item, around: Surroundings<'_>) -> Result<String, Bad> {
    if around.work.get() > MAX_REQUEST_WORK {
        return Err(Bad::new(Code::InvalidMapping, "the mapping makes too much work for one request"));
    }
    let budget = Budget::default();
    let scene = Scenery::new(item, around);
    let mut out = Writer::new(MAX_BODY, &budget);
    let written = document.write(&scene, &budget, &mut out);
    around.work.set(around.work.get() + WORK_OF_RENDERING + budget.spent());
    match written {
        Ok(()) => {
            let text = out.end();
            around.work.set(around.work.get() + text.len() as u64 / BYTES_PER_STEP);
            Ok(text)
        }
        Err(failure) => Err(Bad::new(Code::InvalidMapping, format!("the mapping gives no event: {failure}"))),
    }
}

fn text_of(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Reads a time with an offset, or a number of seconds or milliseconds.
fn time_of(value: Value) -> Result<u64, Bad> {
    let bad =
        || Bad::new(Code::InvalidTime, "a time has an offset, as in 2025-06-21T12:34:56Z, or is a number");
    let number = match &value {
        Value::String(text) => match parse_iso(text) {
            Some(ms) => return Ok(ms),
            None => text.parse().ok(),
        },
        other => other.as_f64(),
    };
    let number: f64 = number.filter(|number| (0.0..=1e15).contains(number)).ok_or_else(bad)?;
    Ok(if number < FIRST_MS { (number * 1000.0) as u64 } else { number as u64 })
}
