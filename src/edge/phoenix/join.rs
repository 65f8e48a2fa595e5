//! What a join asks for: which map, which events, and where they start.

use crate::core::nearest::suggestion;
use crate::edge::given::{BadParameter, Given};
use crate::edge::start::OF_SUBSCRIPTION;
use crate::edge::subscribe::Wanted;
use serde_json::Value;

/// The names of a join's parameters.
const NAMES: [&str; 8] =
    ["subjects", "events", "filter", "last_event_id", "since", "backfill", "star", "positions"];

/// A join's parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinParams {
    /// Which events the client wants, and where they start.
    pub wanted: Wanted,
    /// Also push each event under the name `*`.
    pub star: bool,
    /// Also push a position now and then where the filter lets nothing through.
    pub positions: bool,
}

impl JoinParams {
    /// Reads the join's payload. Null means that a parameter is absent.
    pub fn from_payload(payload: &Value) -> Result<Self, BadParameter> {
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
        Ok(Self {
            wanted: Wanted::read(&OF_SUBSCRIPTION, |name| given(name).map(Given::Json))?,
            star: flag("star", "invalid_star")?,
            positions: flag("positions", "invalid_positions")?,
        })
    }
}

/// An error about the parameters as a whole.
pub(super) fn invalid(message: impl Into<String>) -> BadParameter {
    BadParameter::new("params", "invalid_params", message)
}

/// The map that a channel topic names: `events:map:{id or slug}`. An id is written in small letters or in
/// capitals, and not in a mixture: events are encoded once for each topic, so a map has few of them.
pub(super) fn map_of(topic: &str) -> Option<&str> {
    let has = |kind: fn(&u8) -> bool, name: &str| name.as_bytes().iter().any(kind);
    let is_mixed = |name: &str| has(u8::is_ascii_lowercase, name) && has(u8::is_ascii_uppercase, name);
    topic.strip_prefix("events:map:").filter(|name| !name.is_empty() && !is_mixed(name))
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
        reply::refused(&JoinParams::from_payload(payload).unwrap_err().into())
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
            assert_eq!(JoinParams::from_payload(&payload).unwrap().wanted.start, start, "{payload}");
        }
        let filtered = json!({"events": ["kill_*"], "filter": "payload.value > 1e9"});
        let filtered = JoinParams::from_payload(&filtered).unwrap().wanted;
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
        assert_eq!(map_of("events:map:home"), Some("home"));
        assert_eq!(map_of("events:map:"), None);
        assert_eq!(map_of("room:1"), None);
        for (id, known) in [("0A0B0C0D", true), ("0a0b0c0d", true), ("0a0B0c0d", false)] {
            assert_eq!(map_of(&format!("events:map:{id}")).is_some(), known, "{id}");
        }
    }
}
