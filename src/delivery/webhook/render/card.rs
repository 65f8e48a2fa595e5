//! What a message in a chat says about an event: a title, a sentence, fields, a link.
//!
//! Owns what is said of which type. Never escapes or cuts: that is each chat's own affair.

use super::patterns::{Field, GREY, PATTERNS, Pattern};
use crate::core::event::Event;
use crate::core::json::Node;
use actix_web::http::Uri;
use std::borrow::Cow;

/// Stands for what a payload doesn't tell.
pub(super) const UNKNOWN: &str = "Unknown";
/// Fields of one card: what Discord takes.
pub(super) const MAX_FIELDS: usize = 25;

/// What is said about one event. Everything but the pieces that are ours is the publisher's text, as it came.
pub(super) struct Card<'a> {
    pub(super) title: Cow<'a, str>,
    pub(super) text: Vec<Piece<'a>>,
    pub(super) colour: u32,
    pub(super) fields: Vec<Said<'a>>,
    /// Only http(s), with nothing in it that a chat could take for markup.
    pub(super) url: Option<String>,
    pub(super) time_ms: u64,
}

/// A field's name and value.
pub(super) type Said<'a> = (Cow<'a, str>, Cow<'a, str>);

/// A part of a sentence.
#[derive(Debug, PartialEq)]
pub(super) enum Piece<'a> {
    /// Ours; `**` stands around what is bold.
    Own(&'static str),
    /// The publisher's.
    Value(Cow<'a, str>),
}

impl<'a> Card<'a> {
    /// Says what is known of the event's type; of any other type, what its payload holds.
    pub(super) fn new(event: &'a Event, payload: &'a Node<'a>) -> Self {
        match PATTERNS.iter().find(|pattern| pattern.kind == &*event.kind) {
            Some(pattern) => Self::of_pattern(pattern, event, payload),
            None => Self::of_any(event, payload),
        }
    }

    fn of_pattern(pattern: &Pattern, event: &Event, payload: &'a Node<'a>) -> Self {
        let fields = pattern.fields.iter().filter_map(|field| Some((field.label.into(), field.value(payload)?)));
        Self {
            title: pattern.title.into(),
            text: pieces(pattern.text, payload),
            colour: pattern.colour,
            fields: fields.collect(),
            url: pattern.url.and_then(|(start, path)| numbered(start, payload.at(path)?)),
            time_ms: event.time_ms,
        }
    }

    fn of_any(event: &'a Event, payload: &'a Node<'a>) -> Self {
        let (mut fields, text) = match payload {
            Node::Object(members) => (
                members.iter().map(|(key, value)| (readable(key), value.display())).collect::<Vec<_>>(),
                members.is_empty().then_some("No details".into()),
            ),
            Node::Null => (Vec::new(), Some("No details".into())),
            other => (Vec::new(), Some(other.display())),
        };
        let more = fields.len().saturating_sub(MAX_FIELDS);
        if more > 0 {
            fields.truncate(MAX_FIELDS - 1);
            fields.push(("More".into(), format!("{} further members", more + 1).into()));
        }
        Self {
            title: readable(&event.kind),
            text: text.into_iter().map(Piece::Value).collect(),
            colour: GREY,
            fields,
            url: payload.at("url").and_then(|url| safe_url(&url.display())),
            time_ms: event.time_ms,
        }
    }
}

impl Field {
    fn value<'a>(&self, payload: &'a Node<'a>) -> Option<Cow<'a, str>> {
        let found = first(self.paths, payload);
        let shown = match found.and_then(Node::number).filter(|_| self.isk) {
            Some(isk) => Some(millions(isk).into()),
            None => found.map(Node::display),
        };
        shown.or(self.default.map(Cow::Borrowed))
    }
}

/// The first path of `a|b` that leads to something.
fn first<'a>(paths: &str, payload: &'a Node<'a>) -> Option<&'a Node<'a>> {
    paths.split('|').find_map(|path| payload.at(path))
}

/// A pattern's sentence, filled in.
fn pieces<'a>(pattern: &'static str, payload: &'a Node<'a>) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    for part in pattern.split('{') {
        let (paths, own) = part.split_once('}').unwrap_or(("", part));
        if !paths.is_empty() {
            pieces.push(Piece::Value(first(paths, payload).map_or(UNKNOWN.into(), Node::display)));
        }
        if !own.is_empty() {
            pieces.push(Piece::Own(own));
        }
    }
    pieces
}

/// `250000000` as `250.0M ISK`, rounded as JavaScript's `toFixed` does.
fn millions(isk: f64) -> String {
    let tenths = (isk / 1e6 * 10.0).round();
    if tenths.abs() < 1e15 { format!("{:.1}M ISK", tenths / 10.0) } else { format!("{:.1}M ISK", isk / 1e6) }
}

/// A name of a program as people write it: `player-count.updated` as `Player count updated`.
fn readable(name: &str) -> Cow<'_, str> {
    let spaced = name.replace(['_', '.', ':', '-'], " ");
    let mut characters = spaced.trim().chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect::<String>().into(),
        None => "Unnamed".into(),
    }
}

/// A link that ends in a number of the payload.
fn numbered(start: &str, number: &Node<'_>) -> Option<String> {
    let digits = number.display();
    let plain = (1..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| format!("{start}{digits}"))
}

/// Longest link that chats take.
const MAX_URL: usize = 2000;

/// An absolute http(s) URL of a named host, without a password and without a character that needs an escape anywhere.
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

    #[test]
    fn amounts_as_javascript_rounds_them() {
        for (isk, expected) in [
            (250_000_000.0, "250.0M ISK"),
            (250_000.0, "0.3M ISK"),
            (149_999.0, "0.1M ISK"),
            (0.0, "0.0M ISK"),
            (-1_250_000.0, "-1.3M ISK"),
            (1e21, "1000000000000000.0M ISK"),
        ] {
            assert_eq!(millions(isk), expected, "{isk}");
        }
    }

    #[test]
    fn only_plain_links_are_links() {
        for good in ["https://example.com", "http://a.example.org:8080/x?y=1#z", "https://zkillboard.com/kill/1"] {
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
        let number = |text: &str| numbered("x/", &Node::read(text.as_bytes()).unwrap());
        assert_eq!(number("12345678").as_deref(), Some("x/12345678"));
        assert_eq!(number("\"12\"").as_deref(), Some("x/12"));
        assert_eq!(number("-1"), None);
        assert_eq!(number("\"1/../..\""), None);
    }

    #[test]
    fn sentences() {
        let payload = Node::read(br#"{"name":null,"system_name":"J1","n":{"x":1.5}}"#).unwrap();
        assert_eq!(
            pieces("In **{name|system_name}**: {n.x}{gone}", &payload),
            [
                Piece::Own("In **"),
                Piece::Value("J1".into()),
                Piece::Own("**: "),
                Piece::Value("1.5".into()),
                Piece::Value(UNKNOWN.into())
            ]
        );
        assert_eq!(readable("player-count.updated"), "Player count updated");
        assert_eq!(readable("_"), "Unnamed");
    }
}
