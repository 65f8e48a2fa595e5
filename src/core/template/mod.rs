//! Templates of bodies that the owner of a webhook writes: JSON documents or texts with expressions of
//! [`super::expression`] in `${…}`.
//!
//! A string of a JSON document that is exactly one expression becomes its value, of any type. In any other
//! string, the values of its expressions are put into the text. A template that is not JSON is one such text.
//! `$${` stands for `${`.
//!
//! A template is parsed once. A rendering may make as much work as one evaluation of a filter, and the length
//! of the body is bounded. A value that is missing in an event becomes null or an empty text. A value that
//! the expression can't use is an error, which has the position of the expression.

mod document;
mod error;
mod interpolated;
mod scene;

pub(crate) use document::Document;
pub use error::{Position, Problem, RenderFailure, TemplateError};
pub(crate) use interpolated::{Interpolated, Piece};

use super::event::{Event, MapText};
use super::expression::{Budget, Failure, Writer};
use super::webhook::MAX_TEMPLATE;
use scene::Request;

/// Longest body that a template makes, in bytes.
pub const MAX_BODY: usize = 256 * 1024;
/// Most bytes of payloads that a template is rendered for.
const MAX_INPUT: usize = 512 * 1024;
/// Deepest nesting of JSON in a body: that of a payload, and that of the template around it.
pub const MAX_DEPTH: usize = 96;

/// The form of the bodies that a template makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A JSON document.
    Json,
    /// A text in which values are escaped for HTML.
    Html,
    /// A text.
    Text,
}

impl Form {
    /// The form of a media type, such as `application/json; charset=utf-8`; `None` if it is not a media type.
    pub fn of(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let (kind, subtype) = essence.split_once('/')?;
        if kind.is_empty() || subtype.is_empty() {
            return None;
        }
        Some(match &*essence {
            "application/json" => Self::Json,
            _ if subtype.ends_with("+json") => Self::Json,
            "text/html" => Self::Html,
            _ => Self::Text,
        })
    }
}

/// A template, parsed and checked.
#[derive(Debug)]
pub struct Template(Body);

#[derive(Debug)]
enum Body {
    Json(Document),
    Html(Interpolated),
    Text(Interpolated),
}

impl Template {
    /// Parses `source`. The error says what is wrong, and where.
    pub fn parse(source: &str, form: Form) -> Result<Self, TemplateError> {
        if source.len() > MAX_TEMPLATE {
            return Err(Problem::TooLong.into());
        }
        Ok(Self(match form {
            Form::Json => Body::Json(Document::parse(source)?),
            Form::Html => Body::Html(Interpolated::parse(source, None)?),
            Form::Text => Body::Text(Interpolated::parse(source, None)?),
        }))
    }

    /// The body for `events`, which are at least one and all of one map. In an expression, the names that
    /// filters have too mean the first event, `event` is its whole envelope, and `events` are all envelopes.
    pub fn render(&self, map: &MapText, events: &[Event]) -> Result<Vec<u8>, RenderFailure> {
        let Some(first) = events.first() else { return Err(RenderFailure::NoEvent) };
        if events.iter().map(|event| event.payload.len()).sum::<usize>() > MAX_INPUT {
            return Err(RenderFailure::TooLarge("the events exceed 512 KiB"));
        }
        let budget = Budget::default();
        let request = Request::new(map, first, events);
        let mut out = Writer::new(MAX_BODY, &budget);
        match &self.0 {
            Body::Json(document) => document.write(&request, &budget, &mut out)?,
            Body::Html(text) => text.write(&request, &budget, &mut out, escape_html)?,
            Body::Text(text) => text.write(&request, &budget, &mut out, |_| None)?,
        }
        Ok(out.end().into_bytes())
    }
}

/// The entity of a character that must be escaped in HTML.
fn escape_html(character: char) -> Option<&'static str> {
    Some(match character {
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '"' => "&quot;",
        '\'' => "&#39;",
        _ => return None,
    })
}

/// The failure of a rendering. A budget or a limit that is exceeded concerns the whole template and its
/// events; any other failure has the position of its expression.
fn unwritten(failure: Failure, position: impl FnOnce() -> Position) -> RenderFailure {
    match failure {
        Failure::TooMuch => RenderFailure::TooLarge("the template makes too much work of the events"),
        Failure::TooLong => RenderFailure::TooLarge("the body exceeds 256 KiB"),
        other => RenderFailure::Expression { position: position(), why: other.to_string() },
    }
}

#[cfg(test)]
mod tests;
