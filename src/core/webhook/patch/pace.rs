//! A webhook's rate limit, its batches, the deadline of a request, and when a failing webhook is disabled.

use crate::core::field_error::{FieldCode, FieldErrors};
use crate::core::json::{Members, is_null};
use crate::core::webhook::settings::CHAT_BATCH;
use crate::core::webhook::{Batch, MAX_BATCH, Plain, Profile, RateLimit};
use std::ops::RangeInclusive;

const TIMEOUT_MS: RangeInclusive<u64> = 100..=30_000;
const BATCH_MS: RangeInclusive<u64> = 0..=60_000;
const RATE: RangeInclusive<u64> = 1..=10_000;
const PERIOD_MS: RangeInclusive<u64> = 1..=3_600_000;
const AUTO_DISABLE: RangeInclusive<u64> = 1..=31_536_000;
/// The period of a rate for which only the number of requests is given.
const USUAL_PERIOD_MS: u64 = 1000;

/// Changes of these settings; `None` leaves a setting as it is.
#[derive(Clone, Default, PartialEq)]
pub(super) struct PacePatch {
    rate: Option<Option<RateLimit>>,
    batch: Option<Option<Batch>>,
    timeout_ms: Option<u64>,
    auto_disable: Option<Option<u64>>,
}

impl PacePatch {
    pub(super) fn read(m: &mut Members<'_>) -> Self {
        Self {
            rate: read_rate(m),
            batch: read_batch(m),
            timeout_ms: m.take(&["timeout_ms"], "a whole number of milliseconds"),
            auto_disable: read_auto_disable(m),
        }
    }

    pub(super) fn apply(&self, plain: &mut Plain, errors: &mut FieldErrors) {
        let webhook = &mut plain.webhook;
        webhook.rate = self.rate.unwrap_or(webhook.rate);
        if let Some(rate) = webhook.rate {
            errors.check_range("rate_limit", rate.requests.into(), RATE);
            errors.check_range("rate_limit.period_ms", rate.period_ms, PERIOD_MS);
        }
        webhook.batch = self.batch.unwrap_or(webhook.batch);
        if let Some(batch) = webhook.batch {
            check_batch(batch, webhook.profile, errors);
        }
        if let Some(timeout) = self.timeout_ms {
            errors.check_range("timeout_ms", timeout, TIMEOUT_MS);
            webhook.timeout_ms = u32::try_from(timeout).unwrap_or(u32::MAX);
        }
        if let Some(seconds) = self.auto_disable {
            errors.check_range(
                "auto_disable_seconds",
                seconds.unwrap_or(*AUTO_DISABLE.start()),
                AUTO_DISABLE,
            );
            webhook.auto_disable_seconds = seconds;
        }
    }
}

fn read_rate(m: &mut Members<'_>) -> Option<Option<RateLimit>> {
    let raw = m.raw(&["rate_limit"])?;
    if is_null(raw) {
        return Some(None);
    }
    if let Ok(requests) = serde_json::from_str(raw.get()) {
        return Some(Some(RateLimit { requests, period_ms: USUAL_PERIOD_MS }));
    }
    if !raw.get().starts_with('{') {
        let message = "must be requests a second, {\"requests\", \"period_ms\"} or null";
        m.fault("rate_limit", FieldCode::WrongType, message);
        return None;
    }
    let read = |m: &mut Members<'_>| {
        let requests = m.required("requests", "a whole number");
        let period_ms = m.take(&["period_ms"], "a whole number of milliseconds").unwrap_or(USUAL_PERIOD_MS);
        Some(RateLimit { requests: requests?, period_ms })
    };
    m.inside("rate_limit", raw, read).map(Some)
}

fn read_batch(m: &mut Members<'_>) -> Option<Option<Batch>> {
    let raw = m.raw(&["batch"])?;
    if is_null(raw) {
        return Some(None);
    }
    let read = |m: &mut Members<'_>| {
        let max = m.required("max", "a whole number");
        let duration_ms = m.take(&["duration_ms"], "a whole number of milliseconds").unwrap_or(0);
        Some(Batch { max: max?, duration_ms })
    };
    m.inside("batch", raw, read).map(Some)
}

fn check_batch(batch: Batch, profile: Profile, errors: &mut FieldErrors) {
    let most = if profile.is_chat() { CHAT_BATCH } else { MAX_BATCH };
    errors.check_range("batch.max", batch.max, 2..=most);
    errors.check_range("batch.duration_ms", batch.duration_ms, BATCH_MS);
    if !profile.batches() {
        let name = profile.name();
        let message = format_args!("must be null: the profile {name} sends one event in each request");
        errors.add("batch", FieldCode::Conflict, message);
    }
}

fn read_auto_disable(m: &mut Members<'_>) -> Option<Option<u64>> {
    let raw = m.raw(&["auto_disable_seconds", "auto_disable"])?;
    match (raw.get(), serde_json::from_str(raw.get())) {
        ("null" | "false", _) => Some(None),
        (_, Ok(seconds)) => Some(Some(seconds)),
        _ => {
            m.fault("auto_disable_seconds", FieldCode::WrongType, "must be a number of seconds or null");
            None
        }
    }
}
