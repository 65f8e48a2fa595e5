//! What answers show of an endpoint comes back as it was shown: read, changed, sent.
//!
//! Owns the names of what nobody sets. Never lets through a name that no answer has.

use super::{Form, Members};

/// Fields of answers that are no settings.
const SHOWN: [&str; 28] = [
    "id",
    "map_id",
    "target",
    "origin",
    "inserted_at",
    "created_at",
    "updated_at",
    "state",
    "disabled_reason",
    "disabled_at",
    "owner",
    "queue_depth",
    "oldest_at",
    "retrying",
    "dead_letters",
    "delivered",
    "failed_attempts",
    "given_up",
    "missed",
    "losing_since",
    "success_rate",
    "consecutive_failures",
    "failing_since",
    "last_delivery_at",
    "last_error",
    "next_attempt_at",
    "secret_previous_until",
    "warnings",
];

impl Form {
    /// As [`Form::read`], but leaves out what answers show and nobody sets.
    pub fn read_back(text: &str) -> Self {
        let mut members = Members::of(text, "");
        members.skip(&SHOWN);
        // A function has no URL.
        members.skip_null(&["url"]);
        Self::of(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_left_out_and_what_is_unknown_is_told() {
        let back = Form::read_back(r#"{"id":"x","url":null,"delivered":3,"name":"n","auto_disable_seconds":null}"#);
        assert_eq!(
            (back.problems.len(), back.name.clone(), back.auto_disable),
            (0, Some(Some("n".into())), Some(None))
        );
        let told = Form::read_back(r#"{"stat":"healthy","evnts":"*","colour":1}"#).problems;
        assert_eq!(
            told,
            [
                "stat: is not a field that is known here",
                "evnts: is not a field that is known here; is events meant?",
                "colour: is not a field that is known here",
            ]
        );
        assert_eq!(Form::read(r#"{"id":"x"}"#).problems.len(), 1);
    }
}
