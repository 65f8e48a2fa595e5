//! How long a map's events are kept.

use crate::core::field_error::FieldCode;
use crate::core::json::Members;
use serde::{Deserialize, Serialize};

/// How long a map's events are kept for readers. The oldest events go when any of the bounds is exceeded.
/// `None` is no bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Number of the newest events that are kept.
    pub events: Option<u64>,
    /// Seconds for which an event is kept.
    pub age_seconds: Option<u64>,
    /// Bytes of stored events that are kept.
    pub bytes: Option<u64>,
    /// The events that are kept longer for webhooks.
    pub webhook_backlog: WebhookBacklog,
}

/// The events that are kept for a map's active webhooks after readers get them no more. They are kept until
/// every active webhook is past them, or until any of the bounds is exceeded. `None` is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookBacklog {
    /// Bytes of stored events that are kept only for webhooks; with 0, none are.
    pub bytes: Option<u64>,
    /// Seconds after its publish for which an event is kept for webhooks.
    pub age_seconds: Option<u64>,
}

/// The smallest bounds of a map's lifecycle events.
const LEAST: LifecycleBound = LifecycleBound { events: 1000, bytes: 1 << 20 };
/// Lifecycle events may be this part of what a map keeps.
const PART: u64 = 4;

/// How many events of a kind a map keeps, counted apart from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LifecycleBound {
    /// Their number.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl LifecycleBound {
    /// Returns a larger bound: by this number of events, but at most by a sixteenth.
    pub fn with_slack(self, events: u64) -> Self {
        Self {
            events: self.events.saturating_add(events.min(self.events / 16)),
            bytes: self.bytes.saturating_add(self.bytes / 16),
        }
    }

    /// Returns a bound that is twice as large.
    pub fn twice(self) -> Self {
        Self { events: self.events.saturating_mul(2), bytes: self.bytes.saturating_mul(2) }
    }
}

impl Retention {
    /// Returns how many lifecycle events are kept beside all other events. A map without a bound has none for
    /// them.
    pub fn lifecycle(&self) -> LifecycleBound {
        let part = |bound: Option<u64>, least: u64| bound.map_or(u64::MAX, |bound| (bound / PART).max(least));
        LifecycleBound { events: part(self.events, LEAST.events), bytes: part(self.bytes, LEAST.bytes) }
    }
}

impl WebhookBacklog {
    /// Returns how many bytes of lifecycle events are kept for webhooks alone, beside all other events.
    pub fn lifecycle_bytes(&self) -> u64 {
        self.bytes.map_or(u64::MAX, |bytes| bytes / PART)
    }
}

/// Changes of some bounds of retention: `None` leaves a bound as it is, `Some(None)` removes it. The state
/// machine merges the changes, so that two concurrent ones don't undo each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionPatch {
    /// Change of [`Retention::events`].
    pub events: Option<Option<u64>>,
    /// Change of [`Retention::age_seconds`].
    pub age_seconds: Option<Option<u64>>,
    /// Change of [`Retention::bytes`].
    pub bytes: Option<Option<u64>>,
    /// Change of [`WebhookBacklog::bytes`].
    pub backlog_bytes: Option<Option<u64>>,
    /// Change of [`WebhookBacklog::age_seconds`].
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

    /// The retention `base` with the changes.
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
    fn only_the_bytes_of_the_backlog_may_be_zero() {
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
