//! How long a map's events are kept.

use crate::core::field_error::FieldCode;
use crate::core::json::Members;
use serde::{Deserialize, Serialize};

/// How long readers can read a map's events: until the first bound is exceeded. `None` means no bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Newest events kept.
    pub events: Option<u64>,
    /// Seconds for which an event is kept.
    pub age_seconds: Option<u64>,
    /// Bytes of stored events kept.
    pub bytes: Option<u64>,
    /// How far retention waits for webhooks.
    pub webhook_backlog: WebhookBacklog,
}

/// How far retention waits for a map's active webhooks. Events that retention has taken from readers stay
/// stored until every active webhook has passed them, or until the first of these bounds is exceeded. `None`
/// means no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookBacklog {
    /// Bytes of stored events kept for webhooks alone; with 0 retention waits for no webhook.
    pub bytes: Option<u64>,
    /// Seconds after its publish for which an event is kept for webhooks.
    pub age_seconds: Option<u64>,
}

/// Changes of some bounds of retention: `None` leaves a bound as it is, `Some(None)` removes it. They are merged when
/// the command is applied, so that two concurrent changes do not undo each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionPatch {
    /// See [`Retention::events`].
    pub events: Option<Option<u64>>,
    /// See [`Retention::age_seconds`].
    pub age_seconds: Option<Option<u64>>,
    /// See [`Retention::bytes`].
    pub bytes: Option<Option<u64>>,
    /// See [`WebhookBacklog::bytes`].
    pub backlog_bytes: Option<Option<u64>>,
    /// See [`WebhookBacklog::age_seconds`].
    pub backlog_age_seconds: Option<Option<u64>>,
}

impl RetentionPatch {
    /// Reads the changes that an object asks for.
    pub fn read(m: &mut Members<'_>) -> Self {
        let mut patch = Self {
            events: bound(m, "events", 1),
            age_seconds: bound(m, "age_seconds", 1),
            bytes: bound(m, "bytes", 1),
            ..Self::default()
        };
        m.object("webhook_backlog", |m| {
            patch.backlog_bytes = bound(m, "bytes", 0);
            patch.backlog_age_seconds = bound(m, "age_seconds", 1);
        });
        patch
    }

    /// Returns `base` with these changes.
    pub fn over(&self, base: &Retention) -> Retention {
        Retention {
            events: self.events.unwrap_or(base.events),
            age_seconds: self.age_seconds.unwrap_or(base.age_seconds),
            bytes: self.bytes.unwrap_or(base.bytes),
            webhook_backlog: WebhookBacklog {
                bytes: self.backlog_bytes.unwrap_or(base.webhook_backlog.bytes),
                age_seconds: self.backlog_age_seconds.unwrap_or(base.webhook_backlog.age_seconds),
            },
        }
    }
}

fn bound(m: &mut Members<'_>, name: &str, least: u64) -> Option<Option<u64>> {
    let bound = m.nullable(name, "a whole number")?;
    if bound.is_some_and(|bound| bound < least) {
        m.fault(name, FieldCode::OutOfRange, format_args!("must be at least {least}; null is no bound"));
    }
    Some(bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_keeps_something_but_the_backlog_in_bytes_may_be_none() {
        let read = |text| {
            let mut m = Members::at("retention", text);
            let patch = RetentionPatch::read(&mut m);
            (patch, m.finish().messages())
        };
        let (patch, errors) = read(r#"{"events":null,"webhook_backlog":{"bytes":0}}"#);
        assert_eq!((patch.events, patch.backlog_bytes, errors.len()), (Some(None), Some(Some(0)), 0));
        let told = read(r#"{"events":0,"bytes":0,"webhook_backlog":{"age_seconds":0,"events":1}}"#).1;
        assert_eq!(
            told,
            [
                "retention.events: must be at least 1; null is no bound",
                "retention.bytes: must be at least 1; null is no bound",
                "retention.webhook_backlog.age_seconds: must be at least 1; null is no bound",
                "retention.webhook_backlog.events: is not a known field",
            ]
        );
    }
}
