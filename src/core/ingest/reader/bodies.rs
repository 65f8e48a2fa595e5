//! The forms of bodies: JSON, forms of web pages, and CloudEvents in all three modes.
//!
//! Wire source: the CloudEvents specification 1.0.2 with its JSON format and HTTP binding.

use crate::core::error_code::Code;
use crate::core::ingest::Headers;
use crate::core::ingest::mapped::Bad;
use crate::core::json::{normalise, write_string};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Fields of a form, at most.
const MAX_FIELDS: usize = 1000;

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// JSON.
    Json,
    /// The fields of a form.
    Fields,
    /// A CloudEvent whose data is the body and whose attributes are headers.
    BinaryEvent,
    /// A CloudEvent that is the body.
    StructuredEvent,
    /// A list of CloudEvents.
    EventBatch,
}

/// One item of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::core::ingest) struct Item {
    /// Its content: JSON in normal form.
    pub(in crate::core::ingest) payload: String,
    /// The attributes of a CloudEvent.
    pub(in crate::core::ingest) attributes: Attributes,
}

/// The attributes of a CloudEvent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::core::ingest) struct Attributes {
    pub(in crate::core::ingest) kind: Option<String>,
    pub(in crate::core::ingest) subject: Option<String>,
    /// Its source and its id, which together are unique.
    pub(in crate::core::ingest) id: Option<String>,
    pub(in crate::core::ingest) time: Option<String>,
}

impl Form {
    /// Finds out what a body is by its headers. A body without a media type is JSON.
    ///
    /// # Errors
    /// The media type is not one that is read.
    pub fn of(headers: &Headers) -> Result<Self, Bad> {
        let given = headers.only("content-type").unwrap_or_default();
        let (name, parameters) = given.split_once(';').unwrap_or((given, ""));
        let name = name.trim().to_ascii_lowercase();
        if !is_unicode(parameters) {
            return Err(Bad::media("a body is in UTF-8"));
        }
        let is_event = headers.only("ce-specversion").is_some();
        match name.as_str() {
            "application/cloudevents+json" => Ok(Self::StructuredEvent),
            "application/cloudevents-batch+json" => Ok(Self::EventBatch),
            _ if name.starts_with("application/cloudevents") => {
                Err(Bad::media("CloudEvents are read in JSON only"))
            }
            "application/x-www-form-urlencoded" if !is_event => Ok(Self::Fields),
            "" | "application/json" | "text/json" => {
                Ok(if is_event { Self::BinaryEvent } else { Self::Json })
            }
            other if other.ends_with("+json") && other.contains('/') => {
                Ok(if is_event { Self::BinaryEvent } else { Self::Json })
            }
            _ => {
                Err(Bad::media("a body is JSON, a form (application/x-www-form-urlencoded) or a CloudEvent"))
            }
        }
    }

    /// Returns whether the body is a CloudEvent or several.
    pub(super) fn is_cloud_events(self) -> bool {
        matches!(self, Self::BinaryEvent | Self::StructuredEvent | Self::EventBatch)
    }

    /// Reads the items of a body.
    pub(super) fn items(self, headers: &Headers, body: &[u8], depth: usize) -> Result<Vec<Item>, Bad> {
        let text =
            std::str::from_utf8(body).map_err(|_| Bad::new(Code::InvalidJson, "the body is not UTF-8"))?;
        let plain = |payload| vec![Item { payload, attributes: Attributes::default() }];
        match self {
            Self::Json => Ok(plain(json(text, depth)?)),
            Self::Fields => Ok(plain(fields(text, depth)?)),
            Self::BinaryEvent => Ok(vec![binary(headers, text, depth)?]),
            Self::StructuredEvent => Ok(vec![structured(&json(text, depth)?, depth)?]),
            Self::EventBatch => {
                let text = json(text, depth)?;
                let Ok(Value::Array(events)) = serde_json::from_str::<Value>(&text) else {
                    return Err(Bad::new(Code::InvalidEvent, "a batch of CloudEvents is a list"));
                };
                let read = |(index, event): (usize, &Value)| {
                    structured(&event.to_string(), depth).map_err(|bad| bad.at(index))
                };
                events.iter().enumerate().map(read).collect()
            }
        }
    }
}

/// Whether the parameters of a media type name no charset but UTF-8.
fn is_unicode(parameters: &str) -> bool {
    let charsets = parameters.split(';').filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    charsets
        .into_iter()
        .all(|charset| ["utf-8", "utf8", "us-ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known)))
}

fn json(text: &str, depth: usize) -> Result<String, Bad> {
    normalise(text, depth).map_err(|error| Bad::new(Code::InvalidJson, error.to_string()))
}

/// The fields of a form as an object. A field that is given several times is a list.
fn fields(text: &str, depth: usize) -> Result<String, Bad> {
    let mut fields: Vec<(Cow<'_, str>, Vec<Cow<'_, str>>)> = Vec::new();
    for (count, (name, value)) in url::form_urlencoded::parse(text.as_bytes()).enumerate() {
        if count == MAX_FIELDS {
            return Err(Bad::new(Code::InvalidForm, format!("a form may have at most {MAX_FIELDS} fields")));
        }
        match fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => fields.push((name, vec![value])),
        }
    }
    let mut out = "{".to_owned();
    for (index, (name, values)) in fields.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(name, &mut out);
        out.push(':');
        match values.as_slice() {
            [value] => write_string(value, &mut out),
            several => {
                out.push('[');
                for (place, value) in several.iter().enumerate() {
                    if place > 0 {
                        out.push(',');
                    }
                    write_string(value, &mut out);
                }
                out.push(']');
            }
        }
    }
    out.push('}');
    json(&out, depth)
}

/// A CloudEvent in the binary mode. The values of its headers are percent-encoded where they are not ASCII.
fn binary(headers: &Headers, text: &str, depth: usize) -> Result<Item, Bad> {
    let attribute = |name: &str| headers.only(name).map(decoded);
    let payload = if text.trim().is_empty() { "null".to_owned() } else { json(text, depth)? };
    if attribute("ce-specversion").as_deref() != Some("1.0") {
        return Err(Bad::new(Code::InvalidEvent, "the version of a CloudEvent must be 1.0"));
    }
    let attributes = attributes(
        [attribute("ce-type"), attribute("ce-source"), attribute("ce-id")],
        attribute("ce-subject"),
        attribute("ce-time"),
    )?;
    Ok(Item { payload, attributes })
}

/// A CloudEvent in the structured mode.
fn structured(text: &str, depth: usize) -> Result<Item, Bad> {
    let Ok(Value::Object(event)) = serde_json::from_str::<Value>(text) else {
        return Err(Bad::new(Code::InvalidEvent, "a CloudEvent is an object"));
    };
    let attribute = |name: &str| event.get(name).and_then(Value::as_str).map(str::to_owned);
    if attribute("specversion").as_deref() != Some("1.0") {
        return Err(Bad::new(Code::InvalidEvent, "the version of a CloudEvent must be 1.0"));
    }
    let payload = json(&data_of(&event)?, depth)?;
    let required = [attribute("type"), attribute("source"), attribute("id")];
    Ok(Item { payload, attributes: attributes(required, attribute("subject"), attribute("time"))? })
}

/// The data of a CloudEvent as JSON. Data in base64 stays a text.
fn data_of(event: &Map<String, Value>) -> Result<String, Bad> {
    match (event.get("data"), event.get("data_base64")) {
        (Some(_), Some(_)) => {
            Err(Bad::new(Code::InvalidEvent, "a CloudEvent has data or data_base64, not both"))
        }
        (Some(data), None) | (None, Some(data)) => Ok(data.to_string()),
        (None, None) => Ok("null".to_owned()),
    }
}

fn attributes(
    [kind, source, id]: [Option<String>; 3],
    subject: Option<String>,
    time: Option<String>,
) -> Result<Attributes, Bad> {
    let need = |attribute: Option<String>, name: &str| {
        let missing = || Bad::new(Code::InvalidEvent, format!("a CloudEvent needs the attribute {name}"));
        attribute.filter(|text| !text.is_empty()).ok_or_else(missing)
    };
    let kind = need(kind, "type")?;
    let id = format!("{} {}", need(source, "source")?, need(id, "id")?);
    Ok(Attributes { kind: Some(kind), subject, id: Some(id), time })
}

fn decoded(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let digit = |at: usize| behind.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (*byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &behind[2..];
            }
            _ => {
                bytes.push(*byte);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
