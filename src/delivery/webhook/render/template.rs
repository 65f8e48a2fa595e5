//! The `template` profile: a body of the endpoint's own making, by minijinja.
//!
//! A template can loop, choose and compute, but cannot read, call or keep anything: [`super::sandbox`] says what may stand
//! in one, and here it is run with bounded fuel, depth and output. Wire source: docs/WEBHOOKS.md.

use super::{RenderError, filters, sandbox};
use crate::core::event::{Event, MapText, push_json_string};
use crate::core::json::Node;
use crate::core::json::normalise;
use actix_web::http::header::HeaderValue;
use indexmap::IndexMap;
use minijinja::machinery::make_string_output;
use minijinja::value::{Object, ObjectRepr, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Output, State, escape_formatter};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fmt, io};

/// Longest source, in bytes.
pub const MAX_SOURCE: usize = 16 * 1024;
/// Longest body that a template makes, in bytes.
const MAX_OUTPUT: usize = 256 * 1024;
/// Most that a template is given to work on, in bytes of JSON.
const MAX_INPUT: usize = 512 * 1024;
/// Instructions of one run: fewer the more each of them may have to work on, at least and at most so many, and some for
/// each event.
const WORK: u64 = 1 << 27;
const FUEL: (u64, u64) = (1_000, 50_000);
const FUEL_OF_EVENT: u64 = 100;
/// Deepest nesting of JSON in a body: a payload's, and what a template may put around it.
const MAX_DEPTH: usize = 96;
/// Deepest nesting of blocks while it runs.
const MAX_NESTING: usize = 64;

const NAME: &str = "template";
/// Under this name a run knows whether it stands in a JSON string. No template can say it.
const QUOTES: &str = " quotes";

/// A template, compiled once. A body of JSON is checked; others go out as they are.
pub struct CompiledTemplate {
    environment: Environment<'static>,
    content_type: HeaderValue,
    json: bool,
}

impl CompiledTemplate {
    /// Compiles `source`; the error says on which line it fails. `content_type` is the bodies': with `application/json`
    /// (and `…+json`) they are JSON, with `text/html` values are escaped as HTML needs it.
    pub fn new(source: &str, content_type: &str) -> Result<Self, RenderError> {
        if source.len() > MAX_SOURCE {
            return Err(RenderError::Template(format!("longer than {MAX_SOURCE} bytes")));
        }
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if !essence.split_once('/').is_some_and(|(kind, subtype)| !kind.is_empty() && !subtype.is_empty()) {
            return Err(RenderError::Template("the content type must be like application/json".into()));
        }
        let content_type =
            HeaderValue::from_str(content_type).map_err(|_| RenderError::Header("the template's content type"))?;
        sandbox::check(source)?;
        let json = essence == "application/json" || essence.ends_with("+json");
        let escape = match essence.as_str() {
            _ if json => AutoEscape::Json,
            "text/html" => AutoEscape::Html,
            _ => AutoEscape::None,
        };
        let mut environment = filters::environment();
        environment.set_recursion_limit(MAX_NESTING);
        environment.set_auto_escape_callback(move |_| escape.clone());
        environment.set_formatter(write_value);
        environment.add_template_owned(NAME, source.to_owned()).map_err(sandbox::error)?;
        Ok(Self { environment, content_type, json })
    }

    /// Of the bodies.
    pub fn content_type(&self) -> &HeaderValue {
        &self.content_type
    }

    /// The body for `events`: `event` is the first one's envelope, `events` all, `map_id` the map.
    pub fn render(&self, map: &MapText, events: &[Event]) -> Result<Vec<u8>, RenderError> {
        let (context, size) = context(map, events)?;
        let quotes = Arc::new(Quotes(AtomicBool::new(false)));
        let context = context.into_iter().chain([(QUOTES, Value::from_dyn_object(quotes.clone()))]);
        let mut environment = self.environment.clone();
        let fuel = (WORK / size.max(1) as u64).clamp(FUEL.0, FUEL.1) + FUEL_OF_EVENT * events.len() as u64;
        environment.set_fuel(Some(fuel));
        let template = environment.get_template(NAME).map_err(sandbox::error)?;
        let mut body = Body { bytes: Vec::with_capacity(1024), quotes, escaped: false, full: false };
        let context: IndexMap<Value, Value> = context.map(|(name, value)| (Value::from(name), value)).collect();
        match template.render_captured_to(Value::from(context), &mut body) {
            _ if body.full => Err(RenderError::TooLarge("the body exceeds 256 KiB")),
            Err(error) => Err(sandbox::error(error)),
            Ok(_) if self.json => as_json(&body.bytes),
            Ok(_) => Ok(body.bytes),
        }
    }
}

impl fmt::Debug for CompiledTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompiledTemplate").field("content_type", &self.content_type).finish_non_exhaustive()
    }
}

/// Checked, and in normal form.
fn as_json(body: &[u8]) -> Result<Vec<u8>, RenderError> {
    let problem =
        |error: &dyn fmt::Display| RenderError::Template(format!("the body is no JSON that can be sent: {error}"));
    let text = std::str::from_utf8(body).map_err(|error| problem(&error))?;
    normalise(text, MAX_DEPTH).map(String::into_bytes).map_err(|error| problem(&error))
}

/// Names and what they stand for.
type Names = [(&'static str, Value); 3];

/// What a template can name, and how many bytes of JSON it was.
fn context(map: &MapText, events: &[Event]) -> Result<(Names, usize), RenderError> {
    let (mut values, mut size) = (Vec::with_capacity(events.len()), 0);
    for event in events {
        let mut envelope = Vec::with_capacity(event.payload.len() + 256);
        event.write_envelope(map, false, &mut envelope);
        size += envelope.len();
        if size > MAX_INPUT {
            return Err(RenderError::TooLarge("the events exceed 512 KiB"));
        }
        let node = Node::read(&envelope).ok_or(RenderError::Payload(event.id))?;
        values.push(value(&node));
    }
    let first = values.first().cloned().unwrap_or_default();
    let map_id = first.get_attr("map_id").unwrap_or_default();
    Ok(([("event", first), ("events", Value::from(values)), ("map_id", map_id)], size))
}

fn value(node: &Node<'_>) -> Value {
    match node {
        Node::Null => Value::from(()),
        Node::Bool(value) => Value::from(*value),
        Node::Int(number) => Value::from(*number),
        Node::Float(number) => Value::from(*number),
        Node::Text(text) => Value::from(text.as_ref()),
        Node::List(items) => Value::from(items.iter().map(value).collect::<Vec<_>>()),
        Node::Object(members) => {
            let map: IndexMap<Value, Value> =
                members.iter().map(|(key, node)| (Value::from(key.as_ref()), value(node))).collect();
            Value::from(map)
        }
    }
}

/// Writes a value where `{{ … }}` stands. In JSON it is a value of its own outside strings, and text inside: both
/// `{"ship": {{ ship }}}` and `{"text": "Lost: {{ ship }}"}` say what they seem to say. Nothing is null, or no text.
fn write_value(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), minijinja::Error> {
    if *state.auto_escape() != AutoEscape::Json || !in_string(state) {
        return escape_formatter(out, state, value);
    }
    let text = match value.kind() {
        ValueKind::Undefined | ValueKind::None => return Ok(()),
        ValueKind::String | ValueKind::Number => value.to_string(),
        _ => {
            let mut json = String::new();
            escape_formatter(&mut make_string_output(&mut json), state, value)?;
            json
        }
    };
    let mut quoted = Vec::with_capacity(text.len() + 2);
    push_json_string(&text, &mut quoted);
    let inner = std::str::from_utf8(&quoted[1..quoted.len() - 1]).unwrap_or_default();
    out.write_str(inner).map_err(minijinja::Error::from)
}

fn in_string(state: &State<'_, '_>) -> bool {
    let quotes = state.lookup(QUOTES);
    quotes
        .as_ref()
        .and_then(Value::downcast_object_ref::<Quotes>)
        .is_some_and(|quotes| quotes.0.load(Ordering::Relaxed))
}

/// Whether what has been written so far ends within a JSON string.
#[derive(Debug)]
struct Quotes(AtomicBool);

impl Object for Quotes {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

/// A body in the making, bounded.
struct Body {
    bytes: Vec<u8>,
    quotes: Arc<Quotes>,
    /// The next byte belongs to an escape.
    escaped: bool,
    full: bool,
}

impl io::Write for Body {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + part.len() > MAX_OUTPUT {
            self.full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut quoted = self.quotes.0.load(Ordering::Relaxed);
        for byte in part {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if quoted => self.escaped = true,
                b'"' => quoted = !quoted,
                _ => {}
            }
        }
        self.quotes.0.store(quoted, Ordering::Relaxed);
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
