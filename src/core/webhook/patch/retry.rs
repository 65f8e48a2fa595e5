//! When a failed delivery is tried again.

use crate::core::field_error::FieldErrors;
use crate::core::json::Members;
use crate::core::webhook::RetryPolicy;
use std::ops::RangeInclusive;

const ATTEMPTS: RangeInclusive<u64> = 1..=100;
const DELAY_MS: RangeInclusive<u64> = 10..=3_600_000;
const MAX_DELAY_MS: RangeInclusive<u64> = 10..=86_400_000;
const FACTOR: RangeInclusive<f64> = 1.0..=10.0;
const JITTER: RangeInclusive<f64> = 0.0..=1.0;

/// Changes of a retry policy; `None` leaves a setting as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RetryPatch {
    max_attempts: Option<u32>,
    delay_ms: Option<u64>,
    factor: Option<f64>,
    max_delay_ms: Option<u64>,
    jitter: Option<f64>,
    ambiguous: Option<bool>,
}

impl RetryPatch {
    pub(super) fn read(m: &mut Members<'_>) -> Self {
        let patch = m.object("retry", |m| Self {
            max_attempts: m.take(&["max_attempts"], "a whole number"),
            delay_ms: m.take(&["delay_ms"], "a whole number of milliseconds"),
            factor: m.take(&["factor"], "a number"),
            max_delay_ms: m.take(&["max_delay_ms"], "a whole number of milliseconds"),
            jitter: m.take(&["jitter"], "a number"),
            ambiguous: m.take(&["ambiguous", "on_timeout"], "true or false"),
        });
        patch.unwrap_or_default()
    }

    pub(super) fn apply(&self, policy: &mut RetryPolicy, errors: &mut FieldErrors) {
        let percent = |value: f64| (value * 100.0).round() as u32;
        if let Some(attempts) = self.max_attempts {
            errors.check_range("retry.max_attempts", attempts.into(), ATTEMPTS);
            policy.max_attempts = attempts;
        }
        if let Some(delay) = self.delay_ms {
            errors.check_range("retry.delay_ms", delay, DELAY_MS);
            policy.delay_ms = delay;
        }
        if let Some(delay) = self.max_delay_ms {
            errors.check_range("retry.max_delay_ms", delay, MAX_DELAY_MS);
            policy.max_delay_ms = delay;
        }
        if let Some(factor) = self.factor {
            errors.check_range("retry.factor", factor, FACTOR);
            policy.factor_percent = percent(factor);
        }
        if let Some(jitter) = self.jitter {
            errors.check_range("retry.jitter", jitter, JITTER);
            policy.jitter_percent = percent(jitter);
        }
        policy.ambiguous = self.ambiguous.unwrap_or(policy.ambiguous);
    }
}
