//! The settings of a consumer that clients read, as callers write them. It chooses its events as a webhook
//! does; how they are read is its own.

use super::events::EventsPatch;
use crate::core::consumer::reading::MAX_VISIBILITY_MS;
use crate::core::digest::Parts;
use crate::core::field_error::{FieldCode, FieldErrors};
use crate::core::ids::{MapId, WebhookId};
use crate::core::json::Members;
use crate::core::webhook::{Defaults, Origin, Plain, Profile, RetryPolicy, TargetKind};
use std::ops::RangeInclusive;

/// The longest name of a consumer, in bytes.
const MAX_NAME: usize = 100;
const VISIBILITY_MS: RangeInclusive<u64> = 100..=MAX_VISIBILITY_MS;
const RETRIES: RangeInclusive<u64> = 0..=99;
const DELAY_MS: RangeInclusive<u64> = 10..=3_600_000;
const MAX_DELAY_MS: RangeInclusive<u64> = 10..=86_400_000;
const FACTOR: RangeInclusive<f64> = 1.0..=10.0;
const IN_FLIGHT: RangeInclusive<u64> = 1..=10_000;

const DEFAULT_VISIBILITY_MS: u32 = 30_000;
const DEFAULT_IN_FLIGHT: u32 = 1000;
/// The retries of the API whose names consumers take too.
const DEFAULT_RETRY: RetryPolicy = RetryPolicy {
    max_attempts: 4,
    delay_ms: 1000,
    factor_percent: 200,
    max_delay_ms: 3_600_000,
    jitter_percent: 25,
    ambiguous: true,
};

/// Changes of a consumer's settings; `None` leaves a setting as it is.
#[derive(Clone, Default, PartialEq)]
pub struct ReaderPatch {
    events: EventsPatch,
    visibility_ms: Option<u64>,
    max_retries: Option<u64>,
    delay_ms: Option<u64>,
    factor: Option<f64>,
    max_delay_ms: Option<u64>,
    in_flight: Option<u64>,
}

impl ReaderPatch {
    /// Takes the settings from a body.
    pub fn read(m: &mut Members<'_>) -> Self {
        Self {
            events: EventsPatch::read(m),
            visibility_ms: m.take(&["visibility_ms"], "a whole number of milliseconds"),
            max_retries: m.take(&["max_retries", "maxRetries"], "a whole number"),
            delay_ms: m.take(&["initial_delay_ms", "initialDelay"], "a whole number of milliseconds"),
            factor: m.take(&["backoff_multiplier", "backoffMultiplier"], "a number"),
            max_delay_ms: m.take(&["max_delay_ms"], "a whole number of milliseconds"),
            in_flight: m.take(&["max_in_flight"], "a whole number"),
        }
    }

    /// Changes the settings of `plain` that are asked for, and adds all errors. [`Plain::check`] checks the
    /// expressions afterwards.
    pub fn apply(&self, plain: &mut Plain, errors: &mut FieldErrors) {
        self.events.apply(plain, errors);
        let webhook = &mut plain.webhook;
        if let Some(visibility_ms) = self.visibility_ms {
            errors.check_range("visibility_ms", visibility_ms, VISIBILITY_MS);
            webhook.timeout_ms = u32::try_from(visibility_ms).unwrap_or(u32::MAX);
        }
        if let Some(retries) = self.max_retries {
            errors.check_range("max_retries", retries, RETRIES);
            webhook.retry.max_attempts = u32::try_from(retries).unwrap_or(u32::MAX).saturating_add(1);
        }
        if let Some(delay_ms) = self.delay_ms {
            errors.check_range("initial_delay_ms", delay_ms, DELAY_MS);
            webhook.retry.delay_ms = delay_ms;
        }
        if let Some(factor) = self.factor {
            errors.check_range("backoff_multiplier", factor, FACTOR);
            webhook.retry.factor_percent = (factor * 100.0).round() as u32;
        }
        if let Some(delay_ms) = self.max_delay_ms {
            errors.check_range("max_delay_ms", delay_ms, MAX_DELAY_MS);
            webhook.retry.max_delay_ms = delay_ms;
        }
        if let Some(in_flight) = self.in_flight {
            errors.check_range("max_in_flight", in_flight, IN_FLIGHT);
            webhook.in_flight = Some(u32::try_from(in_flight).unwrap_or(u32::MAX));
        }
    }
}

impl Plain {
    /// A new consumer that clients read, with default settings. Nothing of it is secret.
    pub fn read_by_clients(id: WebhookId, map: MapId, name: &str) -> Self {
        let defaults = Defaults {
            timeout_ms: DEFAULT_VISIBILITY_MS,
            retry_attempts: None,
            retry_delay_ms: None,
            auto_disable_seconds: None,
        };
        let mut plain = Self::new(id, map, Origin::Api, Profile::Standard, &defaults);
        let webhook = &mut plain.webhook;
        webhook.target = TargetKind::Readers;
        name.clone_into(&mut webhook.name);
        // A map has one target once, so a name is taken once.
        webhook.fingerprint = Parts::default().with(b"consumer").with(name.as_bytes()).half();
        webhook.retry = DEFAULT_RETRY;
        webhook.in_flight = Some(DEFAULT_IN_FLIGHT);
        plain
    }
}

/// Adds an error unless it is a name that a consumer may have.
pub fn check_name(name: &str, errors: &mut FieldErrors) {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(is_plain) {
        let message = format_args!("must be 1 to {MAX_NAME} of A-Z, a-z, 0-9, -, _ and .");
        errors.add("name", FieldCode::Invalid, message);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::webhook::Ordering;

    fn applied(text: &str) -> (Plain, Vec<String>) {
        let mut plain =
            Plain::read_by_clients(WebhookId::from_bytes([1; 16]), MapId::from_bytes([2; 16]), "jobs");
        let mut members = Members::of(text);
        let patch = ReaderPatch::read(&mut members);
        let mut errors = members.finish();
        patch.apply(&mut plain, &mut errors);
        (plain, errors.messages())
    }

    #[test]
    fn settings_have_two_spellings() {
        for text in [
            r#"{"max_retries":0,"initial_delay_ms":50,"backoff_multiplier":1.5,"ordering":"strict"}"#,
            r#"{"maxRetries":0,"initialDelay":50,"backoffMultiplier":1.5,"ordering":"strict"}"#,
        ] {
            let (plain, errors) = applied(text);
            assert_eq!(errors, Vec::<String>::new());
            let retry = plain.webhook.retry;
            assert_eq!((retry.max_attempts, retry.delay_ms, retry.factor_percent), (1, 50, 150));
            assert_eq!(plain.webhook.ordering, Ordering::Strict);
        }
        let (plain, _) = applied("{}");
        assert!(plain.webhook.is_read() && plain.webhook.in_flight == Some(1000));
        assert_eq!(plain.webhook.plan(16).window, 1000);
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        for text in [
            r#"{"visibility_ms":99}"#,
            r#"{"visibility_ms":43200001}"#,
            r#"{"max_retries":100}"#,
            r#"{"initial_delay_ms":0}"#,
            r#"{"backoff_multiplier":0.5}"#,
            r#"{"max_in_flight":0}"#,
            r#"{"max_in_flight":10001}"#,
            r#"{"url":"https://example.com/"}"#,
            r#"{"maxRetries":1,"max_retries":1}"#,
        ] {
            assert_eq!(applied(text).1.len(), 1, "{text}");
        }
        for (name, count) in [("jobs-1_a.b", 0), ("", 1), ("a b", 1), ("a/b", 1), ("é", 1)] {
            let mut errors = FieldErrors::default();
            check_name(name, &mut errors);
            assert_eq!(errors.iter().len(), count, "{name}");
        }
    }

    #[test]
    fn one_name_is_one_target() {
        let of = |id: u8, name: &str| {
            let ids = (WebhookId::from_bytes([id; 16]), MapId::from_bytes([2; 16]));
            Plain::read_by_clients(ids.0, ids.1, name).webhook.fingerprint
        };
        assert_eq!(of(1, "a"), of(2, "a"));
        assert_ne!(of(1, "a"), of(1, "b"));
    }
}
