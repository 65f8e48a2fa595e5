//! How many events a replay would have, for `waypost webhook replay --count` and `waypost consumer replay --count`.

use super::client::encoded;
use crate::core::text::counted;
use serde_json::{Map, Value};

/// The path, below that of the webhook or the consumer, that tells how many events a replay with this body would
/// have.
pub(super) fn path(body: &Map<String, Value>) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let parameters = body.iter().map(|(name, value)| format!("{name}={}", encoded(&text(value))));
    format!("/replay?{}", parameters.collect::<Vec<_>>().join("&"))
}

/// Says how many events a replay would have, from the answer.
pub(super) fn words(plan: &Value) -> String {
    let events = plan["events"].as_u64().unwrap_or(0);
    if plan["failed_only"] == true {
        return counted(
            events,
            "dead letter would be delivered again",
            "dead letters would be delivered again",
        );
    }
    let events = counted(events, "event", "events");
    format!("{events} would be looked at, and those delivered again that the filter chooses")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_body_becomes_a_query() {
        let mut body = Map::new();
        body.insert("failed_only".to_owned(), true.into());
        body.insert("since".to_owned(), "2026-01-31T12:00:00+01:00".into());
        let path = path(&body);
        assert!(path.starts_with("/replay?") && path.contains("failed_only=true"), "{path}");
        assert!(path.contains("since=2026-01-31T12%3A00%3A00%2B01%3A00"), "{path}");
    }

    #[test]
    fn dead_letters_are_counted_as_such() {
        let told = words(&json!({"events": 1, "failed_only": true}));
        assert_eq!(told, "1 dead letter would be delivered again");
        let told = words(&json!({"events": 5640, "failed_only": false}));
        assert!(told.starts_with("5640 events would be looked at"), "{told}");
    }
}
