//! What a join asks for: which map, which events, from where on.

use crate::core::expression::Expression;
use crate::core::filter::Filter;
use crate::core::history::Start;
use crate::core::nearest::meant;
use crate::core::time::parse_iso;
use serde_json::{Value, json};

/// Most events that `backfill` may ask for.
const MAX_BACKFILL: u64 = 100_000;

/// The names of a join's parameters.
const NAMES: [&str; 7] = ["events", "filter", "last_event_id", "since", "backfill", "star", "positions"];

/// A join's parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinParams {
    /// Which types of events.
    pub filter: Filter,
    /// What an event must meet.
    pub expression: Option<Expression>,
    /// From where on.
    pub start: Start,
    /// Also push each event under the name `*`.
    pub star: bool,
    /// Push the position now and then where the filter lets nothing through.
    pub positions: bool,
}

impl JoinParams {
    /// Reads the join's payload. `last_event_id` goes before `since`, `since` before `backfill`: a client may keep
    /// asking for a backfill and add its last id once it has one. `Err` is the reply's response.
    pub fn from_payload(payload: &Value) -> Result<Self, Value> {
        let params = match payload {
            Value::Object(params) => params,
            Value::Null => {
                let (filter, start) = (Filter::All, Start::Live);
                return Ok(Self { filter, expression: None, start, star: false, positions: false });
            }
            _ => return Err(refusal("invalid params", "join parameters must be an object")),
        };
        if let Some(unknown) = params.keys().find(|name| !NAMES.contains(&name.as_str())) {
            let shown: String = unknown.chars().take(100).collect();
            let meant = meant(&shown, NAMES);
            let known = NAMES.join(", ");
            let message = format!("{shown} is not a parameter that is known here{meant}; there are {known}");
            return Err(refusal("invalid params", &message));
        }
        let given = |name: &str| params.get(name).filter(|value| !value.is_null());
        let filter =
            Filter::from_json(given("events")).map_err(|error| refusal("invalid events", &error.to_string()))?;
        let expression = given("filter").map(expression_of).transpose()?;
        let start = if let Some(id) = given("last_event_id") {
            let id = id.as_str().and_then(|id| id.parse().ok());
            Start::After(id.ok_or_else(|| refusal("invalid last_event_id", "an event id is expected, 26 characters"))?)
        } else if let Some(since) = given("since") {
            let since = since.as_str().and_then(parse_iso);
            Start::Since(since.ok_or_else(|| {
                refusal("invalid since", "an ISO-8601 time with an offset is expected, such as 2025-06-21T12:34:56Z")
            })?)
        } else if let Some(count) = given("backfill") {
            let count = count.as_u64().filter(|count| *count <= MAX_BACKFILL);
            Start::Last(count.ok_or_else(|| refusal("invalid backfill", "a number from 0 to 100000 is expected"))?)
        } else {
            Start::Live
        };
        let flag = |name: &str| match given(name).map(Value::as_bool) {
            None => Ok(false),
            Some(flag) => flag.ok_or_else(|| refusal(&format!("invalid {name}"), "true or false is expected")),
        };
        Ok(Self { filter, expression, start, star: flag("star")?, positions: flag("positions")? })
    }
}

fn expression_of(filter: &Value) -> Result<Expression, Value> {
    let text = filter.as_str().ok_or_else(|| refusal("invalid filter", "an expression in a string is expected"))?;
    Expression::condition(text).map_err(|error| refusal("invalid filter", &error.to_string()))
}

/// The map that a channel topic names: `events:map:{id or slug}`.
pub(super) fn map_of(topic: &str) -> Option<&str> {
    topic.strip_prefix("events:map:").filter(|name| !name.is_empty())
}

/// A refused join's response.
pub(super) fn refusal(reason: &str, message: &str) -> Value {
    json!({"reason": reason, "message": message})
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::ids::EventId;

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
            assert_eq!(JoinParams::from_payload(&payload).unwrap().start, start, "{payload}");
        }
        let filtered = json!({"events": ["kill_*"], "filter": "payload.value > 1e9"});
        let filtered = JoinParams::from_payload(&filtered).unwrap();
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
            assert_eq!(JoinParams::from_payload(&bad).unwrap_err()["reason"], reason, "{bad}");
        }
    }

    #[test]
    fn a_misspelt_name_tells_the_nearest() {
        for (wrong, right) in [("evnts", "events"), ("lastEventId", "last_event_id"), ("sinc", "since")] {
            let refused = JoinParams::from_payload(&json!({wrong: null})).unwrap_err();
            let message = refused["message"].as_str().unwrap();
            assert!(message.contains(&format!("is {right} meant?")), "{message}");
        }
    }

    #[test]
    fn topics() {
        assert_eq!(map_of("events:map:home"), Some("home"));
        assert_eq!(map_of("events:map:"), None);
        assert_eq!(map_of("room:1"), None);
    }
}
