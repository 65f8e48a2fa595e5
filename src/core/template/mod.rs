//! Bodies of one's own making: JSON documents, or texts, whose `${…}` hold expressions of
//! [`super::expression`].
//!
//! A string of a JSON document that is exactly one expression becomes its value, of whatever kind; any other
//! string has its expressions' values put into its text. What is no JSON is one such text. `$${` stands for
//! `${`.
//!
//! A template is parsed once. Rendering makes no more work than one evaluation of a filter may, and its bytes are
//! bounded. What is missing in an event is null, or empty text; what the event holds but the expression can't work
//! with is an error, with its place.

mod document;
mod error;
mod interpolated;
mod scene;

pub use error::{Place, Problem, RenderFailure, TemplateError};
pub(crate) use interpolated::{Interpolated, Piece};

use super::event::{Event, MapText};
use super::expression::{Budget, Failure, Writer};
use super::webhook::MAX_TEMPLATE;
use document::Document;
use scene::Request;

/// Longest body that a template makes, in bytes.
pub const MAX_BODY: usize = 256 * 1024;
/// Most that a template is given to work on, in bytes of payloads.
const MAX_INPUT: usize = 512 * 1024;
/// Deepest nesting of JSON in a body: a payload's, and what a template may put around it.
pub const MAX_DEPTH: usize = 96;

/// What a template makes.
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
    /// By the type of content, such as `application/json; charset=utf-8`; `None` if that is none.
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
    /// Parses `source`; the error says what is wrong, and where.
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

    /// The body for `events`, of one map and at least one: the names of filters mean the first one, `event`
    /// is its whole envelope, `events` are all envelopes.
    pub fn render(&self, map: &MapText, events: &[Event]) -> Result<Vec<u8>, RenderFailure> {
        let Some(first) = events.first() else { return Err(RenderFailure::NoEvent) };
        if events.iter().map(|event| event.payload.len()).sum::<usize>() > MAX_INPUT {
            return Err(RenderFailure::TooLarge("the events exceed 512 KiB"));
        }
        let (budget, request) = (Budget::default(), Request::new(map, first, events));
        let mut out = Writer::new(MAX_BODY, &budget);
        match &self.0 {
            Body::Json(document) => document.write(&request, &budget, &mut out)?,
            Body::Html(text) => text.write(&request, &budget, &mut out, escape_html)?,
            Body::Text(text) => text.write(&request, &budget, &mut out, |_| None)?,
        }
        Ok(out.end().into_bytes())
    }
}

/// What stands for a character in HTML, where it is not the character itself.
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

/// A failure of writing the body, which is nobody's fault but the events' or the whole template's.
fn unwritten(failure: Failure, place: impl FnOnce() -> Place) -> RenderFailure {
    match failure {
        Failure::TooMuch => RenderFailure::TooLarge("the template makes too much work of the events"),
        Failure::TooLong => RenderFailure::TooLarge("the body exceeds 256 KiB"),
        other => RenderFailure::Expression { place: place(), why: other.to_string() },
    }
}

#[cfg(test)]
mod tests;
