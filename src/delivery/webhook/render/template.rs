//! The `template` profile: a body of the endpoint's own making, by minijinja.
//!
//! A template can loop, choose and compute, but cannot read, call or keep anything: [`super::sandbox`] says what may stand
//! in one, [`super::meter`] what a run may cost, and here it is run. Wire source: docs/WEBHOOKS.md.

use super::meter::{self, RUN, Raw, Run};
use super::{RenderError, filters, sandbox};
use crate::core::event::{Event, MapText, push_json_string};
use crate::core::json::Node;
use crate::core::json::normalise;
use crate::core::webhook::MAX_TEMPLATE;
use http::header::HeaderValue;
use indexmap::IndexMap;
use minijinja::machinery::{eval, get_compiled_template, make_string_output};
use minijinja::value::{Value, ValueKind};
use minijinja::{AutoEscape, Environment, Output, State, escape_formatter};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Most that a template is given to work on, in bytes of JSON.
const MAX_INPUT: usize = 512 * 1024;
/// Instructions of one run, and for each event.
const FUEL: u64 = 100_000;
const FUEL_OF_EVENT: u64 = 200;
/// Deepest nesting of JSON in a body: a payload's, and what a template may put around it.
const MAX_DEPTH: usize = 96;
/// Deepest nesting of blocks while it runs.
const MAX_NESTING: usize = 64;

const NAME: &str = "template";

/// A template, compiled once. A body of JSON is checked; others go out as they are.
pub struct CompiledTemplate {
    environment: Environment<'static>,
    content_type: HeaderValue,
    escape: AutoEscape,
}

impl CompiledTemplate {
    /// Compiles `source`; the error says on which line it fails. `content_type` is the bodies': with `application/json`
    /// (and `…+json`) they are JSON, with `text/html` values are escaped as HTML needs it.
    pub fn new(source: &str, content_type: &str) -> Result<Self, RenderError> {
        if source.len() > MAX_TEMPLATE {
            return Err(RenderError::Template(format!("longer than {MAX_TEMPLATE} bytes")));
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
        environment.set_formatter(write_value);
        environment.add_template_owned(NAME, source.to_owned()).map_err(sandbox::error)?;
        Ok(Self { environment, content_type, escape })
    }

    /// Of the bodies.
    pub fn content_type(&self) -> &HeaderValue {
        &self.content_type
    }

    /// The body for `events`: `event` is the first one's envelope, `events` all, `map_id` the map.
    pub fn render(&self, map: &MapText, events: &[Event]) -> Result<Vec<u8>, RenderError> {
        let run = Arc::new(Run::default());
        let names = context(map, events)?.into_iter().chain([(RUN, Value::from_dyn_object(run.clone()))]);
        let names: IndexMap<Value, Value> = names.map(|(name, value)| (Value::from(name), value)).collect();
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(FUEL + FUEL_OF_EVENT * events.len() as u64));
        let template = environment.get_template(NAME).map_err(sandbox::error)?;
        let instructions = meter::metered(&get_compiled_template(&template).instructions);
        let (mut body, blocks) = (String::with_capacity(1024), BTreeMap::new());
        let out = &mut make_string_output(&mut body);
        let ended = eval(&environment, &instructions, Value::from(names), &blocks, out, self.escape.clone());
        match (run.excess(), ended.map(drop)) {
            (Some(excess), _) => Err(RenderError::TooLarge(excess)),
            (None, Err(error)) => Err(sandbox::error(error)),
            (None, Ok(())) if self.escape == AutoEscape::Json => as_json(&body),
            (None, Ok(())) => Ok(body.into_bytes()),
        }
    }
}

impl fmt::Debug for CompiledTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompiledTemplate").field("content_type", &self.content_type).finish_non_exhaustive()
    }
}

/// Checked, and in normal form.
fn as_json(body: &str) -> Result<Vec<u8>, RenderError> {
    let normal = normalise(body, MAX_DEPTH).map(String::into_bytes);
    normal.map_err(|error| RenderError::Template(format!("the body is no JSON that can be sent: {error}")))
}

/// Names and what they stand for.
type Names = [(&'static str, Value); 3];

/// What a template can name.
fn context(map: &MapText, events: &[Event]) -> Result<Names, RenderError> {
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
    Ok([("event", first), ("events", Value::from(values)), ("map_id", map_id)])
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
    let run = Run::of(state)?;
    let mut text = String::new();
    match value.downcast_object_ref::<Raw>() {
        Some(Raw(raw)) => text.push_str(raw),
        None if *state.auto_escape() == AutoEscape::Json && run.in_string() => text_in_string(&mut text, state, value)?,
        None => escape_formatter(&mut make_string_output(&mut text), state, value)?,
    }
    run.write(&text)?;
    out.write_str(&text).map_err(minijinja::Error::from)
}

fn text_in_string(to: &mut String, state: &mut State<'_, '_>, value: &Value) -> Result<(), minijinja::Error> {
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
    to.push_str(std::str::from_utf8(&quoted[1..quoted.len() - 1]).unwrap_or_default());
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
