//! The content of a chat message about an event: a title, a sentence, fields, a link.
//!
//! `cards.json` has the content for each known type, in the language of templates. This module never escapes
//! or cuts a text: the modules of the chats do.

use super::RenderError;
use crate::core::event::{Event, MapText};
use crate::core::expression::{Budget, Name, Subject, Value, Writer};
use crate::core::operators::{SYSTEM_MAP, WEBHOOK_PREFIX};
use crate::core::template::{Interpolated, Piece as Part, TemplateError};
use actix_web::http::Uri;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::LazyLock;

/// Replaces a value that the payload lacks.
pub(super) const UNKNOWN: &str = "Unknown";
/// The most fields of one card: Discord's limit.
pub(super) const MAX_FIELDS: usize = 25;
/// The colour of an event whose type has no card.
const GREY: u32 = 0x95a5a6;

/// The cards of known types. The file is always readable, since a test reads it.
static LAYOUTS: LazyLock<Vec<Layout>> = LazyLock::new(|| layouts().unwrap_or_default());

/// A card in the form of `cards.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    title: &'a str,
    /// A colour as in CSS: `#00ff00`.
    colour: &'a str,
    text: &'a str,
    #[serde(borrow)]
    fields: Vec<WrittenField<'a>>,
    /// The link. It is left out if one of its values is missing.
    url: Option<&'a str>,
    /// Whether it is for operator events alone, and not for what maps publish with the same type.
    #[serde(default)]
    is_for_operators: bool,
    /// A sample payload of such an event.
    #[serde(borrow)]
    #[cfg_attr(not(test), allow(dead_code))]
    sample: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenField<'a> {
    name: &'a str,
    /// The field is left out if this has no value.
    value: &'a str,
}

/// A card whose templates are parsed.
struct Layout {
    kind: &'static str,
    title: &'static str,
    colour: u32,
    text: Interpolated,
    fields: Vec<(&'static str, Interpolated)>,
    url: Option<Interpolated>,
    is_for_operators: bool,
}

/// Why `cards.json` can't be read.
#[derive(Debug, thiserror::Error)]
enum BadCards {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("{0}: {1}")]
    Template(&'static str, TemplateError),
    #[error("{0}: a colour must be like #00ff00")]
    Colour(&'static str),
}

fn written() -> Result<Vec<Written<'static>>, serde_json::Error> {
    serde_json::from_str(include_str!("cards.json"))
}

fn layouts() -> Result<Vec<Layout>, BadCards> {
    written()?.into_iter().map(Layout::new).collect()
}

impl Layout {
    fn new(card: Written<'static>) -> Result<Self, BadCards> {
        let parsed =
            |text| Interpolated::parse(text, None).map_err(|error| BadCards::Template(card.kind, error));
        let digits = card.colour.strip_prefix('#').filter(|digits| digits.len() == 6);
        let colour = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let field = |field: &WrittenField<'static>| parsed(field.value).map(|value| (field.name, value));
        Ok(Self {
            kind: card.kind,
            title: card.title,
            colour: colour.ok_or(BadCards::Colour(card.kind))?,
            text: parsed(card.text)?,
            fields: card.fields.iter().map(field).collect::<Result<_, _>>()?,
            url: card.url.map(parsed).transpose()?,
            is_for_operators: card.is_for_operators,
        })
    }

    fn is_for(&self, map: &MapText, event: &Event) -> bool {
        self.kind == &*event.kind && (!self.is_for_operators || is_operator_event(map, event))
    }
}

/// Whether the server alone can have published the event: it is one of the system map, or about a webhook.
fn is_operator_event(map: &MapText, event: &Event) -> bool {
    event.subject.as_str().starts_with(WEBHOOK_PREFIX) || map.as_str() == SYSTEM_MAP.to_string()
}

/// The content about one event. Pieces of the publisher's text are unchanged.
pub(super) struct Card {
    pub(super) title: String,
    pub(super) text: Vec<Piece>,
    pub(super) colour: u32,
    pub(super) fields: Vec<Said>,
    /// Only http(s), with no character that a chat could take for markup.
    pub(super) url: Option<String>,
    pub(super) time_ms: u64,
}

/// The name and the value of a field.
pub(super) type Said = (String, String);

/// A part of a sentence.
#[derive(Debug, PartialEq)]
pub(super) enum Piece {
    /// Our text; `**` stands around bold text.
    Own(&'static str),
    /// The publisher's text.
    Value(String),
}

impl Card {
    /// Makes the card for the event's type. For an unknown type it shows the members of the payload.
    pub(super) fn new(map: &MapText, event: &Event) -> Result<Self, RenderError> {
        let subject = Subject::new(event, map);
        let payload = subject.named(Name::Payload).map_err(|_| RenderError::Payload(event.id))?;
        Ok(match LAYOUTS.iter().find(|layout| layout.is_for(map, event)) {
            Some(layout) => Self::of_layout(layout, &subject, event),
            None => Self::of_any(event, &payload),
        })
    }

    fn of_layout(layout: &'static Layout, subject: &Subject<'_>, event: &Event) -> Self {
        let budget = Budget::default();
        let pieces = layout.text.pieces(subject, &budget).into_iter().map(|part| match part {
            Part::Own(own) => Piece::Own(own),
            Part::Computed(value) => Piece::Value(value.unwrap_or_else(|| UNKNOWN.to_owned())),
        });
        let field = |(name, value): &(&str, Interpolated)| {
            Some(((*name).to_owned(), in_one(value.pieces(subject, &budget))?))
        };
        let url = layout.url.as_ref().and_then(|url| in_one(url.pieces(subject, &budget)));
        Self {
            title: layout.title.to_owned(),
            text: pieces.collect(),
            colour: layout.colour,
            fields: layout.fields.iter().filter_map(field).collect(),
            url: url.and_then(|url| safe_url(&url)),
            time_ms: event.time_ms,
        }
    }

    fn of_any(event: &Event, payload: &Value<'_>) -> Self {
        let nothing = || Some("No details".to_owned());
        let (mut fields, text) = match payload {
            Value::Object(members) => (
                members
                    .iter()
                    .map(|(name, value)| (readable(name.as_str()), display(value)))
                    .collect::<Vec<_>>(),
                if members.is_empty() { nothing() } else { None },
            ),
            Value::Null => (Vec::new(), nothing()),
            other => (Vec::new(), Some(display(other))),
        };
        let more = fields.len().saturating_sub(MAX_FIELDS);
        if more > 0 {
            fields.truncate(MAX_FIELDS - 1);
            fields.push(("More".to_owned(), format!("{} further members", more + 1)));
        }
        let url = match payload {
            Value::Object(members) => members.iter().find(|(name, _)| name.as_str() == "url"),
            _ => None,
        };
        Self {
            title: readable(&event.kind),
            text: text.into_iter().map(Piece::Value).collect(),
            colour: GREY,
            fields,
            url: url.and_then(|(_, url)| safe_url(&display(url))),
            time_ms: event.time_ms,
        }
    }
}

/// Joins the parts; `None` if any part has no value.
fn in_one(parts: Vec<Part<'_>>) -> Option<String> {
    parts
        .into_iter()
        .map(|part| match part {
            Part::Own(own) => Some(own.to_owned()),
            Part::Computed(value) => value,
        })
        .collect()
}

/// The value as readers see it: text as it is, everything else as compact JSON.
fn display(value: &Value<'_>) -> String {
    match value {
        Value::Null => return "null".to_owned(),
        Value::Text(text) => return text.as_str().to_owned(),
        _ => {}
    }
    let budget = Budget::default();
    let mut out = Writer::new(MAX_SHOWN, &budget);
    // The chats cut text that is too long, so a value that the budget cuts off is not an error.
    let _ = out.display(value);
    out.end()
}

/// The most bytes of a value that are made. Chats show fewer.
const MAX_SHOWN: usize = 64 * 1024;

/// A name as people write it: `player-count.updated` as `Player count updated`.
fn readable(name: &str) -> String {
    let spaced = name.replace(['_', '.', ':', '-'], " ");
    let mut characters = spaced.trim().chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => "Unnamed".to_owned(),
    }
}

/// The longest link that chats accept, in bytes.
const MAX_URL: usize = 2000;

/// The text, if it is an absolute http(s) URL with a host name, without a password, and without any character
/// that some chat would escape.
fn safe_url(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"<>|\"\\`^{}()[]*~@".contains(&byte);
    if text.len() > MAX_URL || !text.bytes().all(plain) {
        return None;
    }
    let url: Uri = text.parse().ok()?;
    let host = url.host()?;
    let named = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
        && host.rsplit_once('.').is_some_and(|(rest, top)| {
            !rest.is_empty() && top.len() >= 2 && top.bytes().all(|byte| byte.is_ascii_alphabetic())
        });
    (matches!(url.scheme_str(), Some("http" | "https")) && named).then(|| text.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::event::NewEvent;
    use crate::core::ids::{EventId, MapId};
    use crate::core::json::normalise;

    /// Every template of the file can be parsed, and shows the sample of its type: the whole sentence, all
    /// fields that have a template of their own, and the link.
    #[test]
    fn every_card_shows_its_sample() {
        let other = MapText::from(MapId::from_bytes([7; 16]));
        let system = MapText::from(SYSTEM_MAP);
        let layouts = layouts().unwrap();
        let written = written().unwrap();
        assert_eq!(layouts.len(), written.len());
        for (layout, card) in layouts.iter().zip(&written) {
            assert!(crate::core::event::is_kind(card.kind), "{}", card.kind);
            assert!(card.fields.len() <= MAX_FIELDS, "{}", card.kind);
            let payload = normalise(card.sample.get(), 64).unwrap().into_bytes();
            let new = NewEvent::new(Default::default(), card.kind, payload);
            let stored = Event::to_stored(EventId::new(1, 2, 3), &new);
            let event = Event::from_stored(9, stored.into()).unwrap();
            let map = if card.is_for_operators { &system } else { &other };
            let shown = Card::new(map, &event).unwrap();
            let elsewhere = Card::new(&other, &event).unwrap();
            assert_eq!(elsewhere.colour == GREY, card.is_for_operators, "{}", card.kind);
            assert_eq!((&*shown.title, shown.colour), (card.title, layout.colour));
            assert!(
                !shown.text.contains(&Piece::Value(UNKNOWN.to_owned())),
                "{}: {:?}",
                card.kind,
                shown.text
            );
            assert_eq!(shown.url.is_some(), card.url.is_some(), "{}", card.kind);
            assert!(!shown.fields.is_empty(), "{}", card.kind);
        }
        let kinds: std::collections::HashSet<&str> = written.iter().map(|card| card.kind).collect();
        assert_eq!(kinds.len(), written.len(), "a type occurs twice");
    }

    #[test]
    fn only_plain_links_are_accepted() {
        for good in
            ["https://example.com", "http://a.example.org:8080/x?y=1#z", "https://zkillboard.com/kill/1"]
        {
            assert_eq!(safe_url(good).as_deref(), Some(good));
        }
        for bad in [
            "javascript:alert(1)",
            "ftp://example.com",
            "//example.com",
            "/x",
            "",
            "https://",
            "https://localhost/",
            "https://127.0.0.1/",
            "https://user:pw@example.com/",
            "https://example.com/a b",
            "https://example.com/a|b",
            "https://example.com/>",
            "https://ex\u{e4}mple.com/",
            &format!("https://example.com/{}", "a".repeat(MAX_URL)),
        ] {
            assert_eq!(safe_url(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_are_written_as_people_write_them() {
        assert_eq!(readable("player-count.updated"), "Player count updated");
        assert_eq!(readable("_"), "Unnamed");
    }
}
