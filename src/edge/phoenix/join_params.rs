//! What a join asks for: which map, which events, where they start, and who joins.

use super::presence::WantedPresence;
use crate::core::error_code::Code;
use crate::core::nearest::suggestion;
use crate::core::subject::{Selector, Subject};
use crate::edge::given::{BadParameter, Given};
use crate::edge::start::OF_SUBSCRIPTION;
use crate::edge::subscribe::Wanted;
use serde_json::Value;

/// The names of a join's parameters.
const NAMES: [&str; 9] =
    ["subjects", "events", "filter", "last_event_id", "since", "backfill", "star", "positions", "presence"];

/// A join's parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinParams {
    /// Which events the client wants, and where they start.
    pub wanted: Wanted,
    /// Also push each event under the name `*`.
    pub star: bool,
    /// Also push a position now and then where the filter lets nothing through.
    pub positions: bool,
    /// What the client wants of the subject's presence, if it wants anything.
    pub presence: Option<WantedPresence>,
}

impl JoinParams {
    /// Reads the join's payload; `subject` is the one that the topic names, if it names one. Null means that a
    /// parameter is absent.
    pub fn read(payload: &Value, subject: Option<&str>) -> Result<Self, BadParameter> {
        let none = serde_json::Map::new();
        let params = match payload {
            Value::Object(params) => params,
            Value::Null => &none,
            _ => return Err(invalid("join parameters must be an object")),
        };
        if let Some(unknown) = params.keys().find(|name| !NAMES.contains(&name.as_str())) {
            let shown: String = unknown.chars().take(100).collect();
            let suggestion = suggestion(&shown, NAMES);
            let known = NAMES.join(", ");
            return Err(invalid(format!(
                "{shown} is not a parameter that is known here{suggestion}; there are {known}"
            )));
        }
        let given = |name: &str| params.get(name).filter(|value| !value.is_null());
        let flag = |name, code| match given(name).map(Value::as_bool) {
            None => Ok(false),
            Some(flag) => {
                flag.ok_or_else(|| BadParameter::new(name, code, format!("{name} must be true or false")))
            }
        };
        let mut wanted = Wanted::read(&OF_SUBSCRIPTION, |name| given(name).map(Given::Json))?;
        if let Some(subject) = subject {
            wanted.subjects = named(subject, given("subjects"))?;
        }
        Ok(Self {
            wanted,
            star: flag("star", Code::InvalidStar)?,
            positions: flag("positions", Code::InvalidPositions)?,
            presence: given("presence").map(WantedPresence::read).transpose()?,
        })
    }
}

/// The selection of the subject that the topic names. The parameters must name no other.
fn named(subject: &str, subjects: Option<&Value>) -> Result<Selector, BadParameter> {
    let invalid = |message: String| BadParameter::new("subjects", Code::InvalidSubjects, message);
    if subjects.is_some() {
        return Err(invalid("the topic names the subject already; leave subjects out".to_owned()));
    }
    Subject::parse_any(subject).map(Selector::One).map_err(|error| invalid(error.to_string()))
}

/// An error about the parameters as a whole.
pub(super) fn invalid(message: impl Into<String>) -> BadParameter {
    BadParameter::new("params", Code::InvalidParams, message)
}

/// What a channel topic names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named<'t> {
    /// The map's id or slug.
    pub(super) map: &'t str,
    /// The subject. `None` if the join's parameters name the subjects.
    pub(super) subject: Option<&'t str>,
}

/// What a channel topic names: `events:map:{map}` or `events:map:{map}:{subject}`. A map's id is written in
/// small letters or in capitals, and not in a mixture: events are encoded once for each topic, so a map has few
/// of them.
pub(super) fn named_by(topic: &str) -> Option<Named<'_>> {
    let has = |kind: fn(&u8) -> bool, name: &str| name.as_bytes().iter().any(kind);
    let is_mixed = |name: &str| has(u8::is_ascii_lowercase, name) && has(u8::is_ascii_uppercase, name);
    let names = topic.strip_prefix("events:map:")?;
    let (map, subject) = match names.split_once(':') {
        Some((map, subject)) => (map, Some(subject)),
        None => (names, None),
    };
    let is_known = !map.is_empty() && !is_mixed(map) && subject != Some("");
    is_known.then_some(Named { map, subject })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::expression::Expression;
    use crate::core::history::Start;
    use crate::core::ids::EventId;
    use crate::edge::phoenix::reply;
    use serde_json::json;

    fn refused(payload: &Value) -> Value {
        reply::refused(&JoinParams::read(payload, None).unwrap_err().into())
    }

    #[test]
    fn params() {
        let id = EventId::new(1, 2, 3);
        for (payload, start) in [
            (json!({}), Start::Live),
            (json!(null), Start::Live),
            (json!({"last_event_id": null, "backfill": 5}), Start::Last(5)),
            (json!({"last_event_id": id.to_string(), "since": "x", "backfill": 5}), Start::After(id)),
            (json!({"since": "1970-01-01T00:00:01Z"}), Start::Since(1000)),
        ] {
            assert_eq!(JoinParams::read(&payload, None).unwrap().wanted.start, start, "{payload}");
        }
        let filtered = json!({"events": ["kill_*"], "filter": "payload.value > 1e9"});
        let filtered = JoinParams::read(&filtered, None).unwrap().wanted;
        assert_eq!(filtered.expression, Some(Expression::condition("payload.value > 1e9").unwrap()));
        assert!(filtered.filter.matches("kill_x"));
        for (bad, reason) in [
            (json!([]), "invalid params"),
            (json!({"events": []}), "invalid events"),
            (json!({"filter": 7}), "invalid filter"),
            (json!({"filter": ""}), "invalid filter"),
            (json!({"filter": "payload.value >"}), "invalid filter"),
            (json!({"filter": ["true"]}), "invalid filter"),
            (json!({"last_event_id": 7}), "invalid last_event_id"),
            (json!({"last_event_id": "x"}), "invalid last_event_id"),
            (json!({"since": "2025-06-21"}), "invalid since"),
            (json!({"since": 7}), "invalid since"),
            (json!({"backfill": -1}), "invalid backfill"),
            (json!({"backfill": 1.5}), "invalid backfill"),
            (json!({"star": "yes"}), "invalid star"),
            (json!({"positions": 1}), "invalid positions"),
            (json!({"evnts": ["a"]}), "invalid params"),
            (json!({"events": "*", "lastEventId": "x"}), "invalid params"),
        ] {
            assert_eq!(refused(&bad)["reason"], reason, "{bad}");
        }
    }

    #[test]
    fn a_misspelt_name_suggests_the_nearest() {
        for (wrong, right) in [("evnts", "events"), ("lastEventId", "last_event_id"), ("sinc", "since")] {
            let refused = refused(&json!({wrong: null}));
            let message = refused["message"].as_str().unwrap();
            assert!(message.contains(&format!("did you mean {right}?")), "{message}");
        }
    }

    #[test]
    fn topics() {
        let named = |map, subject| Some(Named { map, subject });
        for (topic, names) in [
            ("events:map:home", named("home", None)),
            ("events:map:home:chat-1", named("home", Some("chat-1"))),
            ("events:map:home:a:B/c", named("home", Some("a:B/c"))),
            ("events:map:", None),
            ("events:map::a", None),
            ("events:map:home:", None),
            ("room:1", None),
            ("events:map:0A0B0C0D", named("0A0B0C0D", None)),
            ("events:map:0a0b0c0d", named("0a0b0c0d", None)),
            ("events:map:0a0B0c0d", None),
        ] {
            assert_eq!(named_by(topic), names, "{topic}");
        }
    }

    #[test]
    fn a_topic_that_names_a_subject_selects_it() {
        let of = |payload: Value, subject| JoinParams::read(&payload, Some(subject));
        let subject = Subject::parse("chat-1").unwrap();
        assert_eq!(of(json!({}), "chat-1").unwrap().wanted.subjects, Selector::One(subject));
        for bad in [of(json!({"subjects": "chat-1"}), "chat-1"), of(json!({}), "chat *")] {
            assert_eq!(bad.unwrap_err().code, Code::InvalidSubjects);
        }
    }
}
