//! The ids of sessions.

use crate::core::json::MAX_SAFE_INTEGER;
use crate::core::subject::Subject;
use serde_json::value::RawValue;

/// The beginning of the subjects of sessions. The id follows.
const PREFIX: &str = "session:";

/// What an id must be, for messages to callers.
pub(super) const FORM: &str = "a whole number below 2^53, or a text of a subject's characters";

/// The id of a session: a whole number, or a text. It names the subject of the session's events. The number
/// 3 and the text "3" are one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionId {
    /// The id in JSON.
    json: Box<str>,
    subject: Subject,
}

impl SessionId {
    /// The session with that number; `None` if JavaScript could not read the number exactly.
    pub(super) fn of_number(number: u64) -> Option<Self> {
        if number > MAX_SAFE_INTEGER {
            return None;
        }
        let subject = Subject::parse(&format!("{PREFIX}{number}")).ok()?;
        Some(Self { json: number.to_string().into(), subject })
    }

    /// The session with that text; `None` if it has a character that no subject has.
    fn of_text(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        let subject = Subject::parse(&format!("{PREFIX}{text}")).ok()?;
        // No character of a subject needs an escape.
        Some(Self { json: format!("\"{text}\"").into(), subject })
    }

    /// Reads an id in JSON.
    pub(super) fn read(json: &RawValue) -> Option<Self> {
        let json = json.get();
        if json.starts_with('"') {
            return serde_json::from_str::<String>(json).ok().and_then(|text| Self::of_text(&text));
        }
        plain_number(json).and_then(Self::of_number)
    }

    /// Reads an id in a path. There a number has no quotes and no other mark.
    pub(super) fn of_path(text: &str) -> Option<Self> {
        plain_number(text).and_then(Self::of_number).or_else(|| Self::of_text(text))
    }

    /// The id in JSON.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The subject of the session's events.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }
}

/// The number, if the text is the one way to write it.
fn plain_number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<SessionId> {
        SessionId::read(&RawValue::from_string(json.to_owned()).unwrap())
    }

    #[test]
    fn an_id_is_a_number_or_a_text_and_keeps_its_form() {
        for (json, subject) in [
            ("3", "session:3"),
            ("0", "session:0"),
            ("9007199254740991", "session:9007199254740991"),
            ("\"3\"", "session:3"),
            ("\"03\"", "session:03"),
            ("\"room-7:a\"", "session:room-7:a"),
        ] {
            let id = read(json).unwrap();
            assert_eq!((id.json(), id.subject().as_str()), (json, subject));
        }
        for bad in ["-1", "3.0", "1e2", "9007199254740992", "\"\"", "\"a b\"", "\"é\"", "null", "[3]", "true"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(read(&format!("\"{}\"", "a".repeat(193))), None, "a subject has 200 bytes");
    }

    #[test]
    fn an_id_in_a_path_is_a_number_if_it_looks_like_one() {
        for (text, json) in [("3", "3"), ("03", "\"03\""), ("+3", ""), ("a-1", "\"a-1\""), ("a b", "")] {
            let id = SessionId::of_path(text);
            assert_eq!(id.as_ref().map_or("", SessionId::json), json, "{text}");
        }
    }
}
