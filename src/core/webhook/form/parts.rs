//! The members of a form that are more than a string or a number, each read into its type.
//!
//! Tells what is wrong with their shape. Bounds are held when the form is applied.

use super::{Members, OrderingName, RetryForm, shortened};
use crate::core::json::Entries;
use crate::core::webhook::{Batch, EventFilter, Invocation, Lambda, Method, Profile, RateLimit, TopicKind};
use serde_json::value::RawValue;

fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

pub(super) fn events(m: &mut Members<'_>) -> Option<Vec<String>> {
    let raw = m.raw(&["events", "event_types"])?;
    let one = || serde_json::from_str::<String>(raw.get()).map(|one| vec![one]);
    match serde_json::from_str::<Vec<String>>(raw.get()).or_else(|_| one()) {
        Ok(events) => Some(events),
        Err(_) => {
            m.problem("events", "must be \"*\" or a list of event types");
            None
        }
    }
}

fn named<T: Copy>(m: &mut Members<'_>, name: &str, known: &[(&str, T)]) -> Option<T> {
    let given: String = m.take(&[name], &one_of(known))?;
    found(m, name, &given, known)
}

fn found<T: Copy>(m: &mut Members<'_>, name: &str, given: &str, known: &[(&str, T)]) -> Option<T> {
    let found = known.iter().find(|(known, _)| *known == given).map(|(_, value)| *value);
    if found.is_none() {
        m.problem(name, format_args!("must be {}", one_of(known)));
    }
    found
}

fn one_of<T>(known: &[(&str, T)]) -> String {
    format!("one of {}", known.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "))
}

fn topic_kind(m: &mut Members<'_>) -> Option<TopicKind> {
    let given: String = m.nullable("channel_type", &one_of(&TopicKind::NAMES)).flatten()?;
    found(m, "channel_type", &given, &TopicKind::NAMES)
}

pub(super) fn profile(m: &mut Members<'_>) -> Option<Profile> {
    named(m, "profile", &Profile::NAMES)
}

pub(super) fn method(m: &mut Members<'_>) -> Option<Method> {
    named(m, "method", &[("POST", Method::Post), ("PUT", Method::Put)])
}

pub(super) fn ordering(m: &mut Members<'_>) -> Option<OrderingName> {
    let known = [("none", OrderingName::None), ("key", OrderingName::Key), ("strict", OrderingName::Strict)];
    named(m, "ordering", &known)
}

pub(super) fn headers(m: &mut Members<'_>) -> Option<Vec<(String, String)>> {
    let raw = m.raw(&["headers"])?;
    let Ok(Entries(entries)) = serde_json::from_str(raw.get()) else {
        m.problem("headers", "must be an object of names and values");
        return None;
    };
    let mut headers = Vec::new();
    for (name, raw) in entries {
        match serde_json::from_str(raw.get()) {
            Ok(value) => headers.push((name, value)),
            Err(_) => m.problem("headers", format_args!("the value of {} must be a string", shortened(&name))),
        }
    }
    Some(headers)
}

pub(super) fn auto_disable(m: &mut Members<'_>) -> Option<Option<u64>> {
    let raw = m.raw(&["auto_disable_seconds", "auto_disable"])?;
    match (raw.get(), serde_json::from_str(raw.get())) {
        ("null" | "false", _) => Some(None),
        (_, Ok(seconds)) => Some(Some(seconds)),
        _ => {
            m.problem("auto_disable_seconds", "must be a number of seconds or null");
            None
        }
    }
}

pub(super) fn lambda(raw: &RawValue, problems: &mut Vec<String>) -> Option<Lambda> {
    let mut m = Members::of(raw.get(), "lambda.");
    let invocations = [
        ("Event", Invocation::Event),
        ("RequestResponse", Invocation::RequestResponse),
        ("DryRun", Invocation::DryRun),
    ];
    let function_name: Option<String> = m.take(&["function_name"], "a string");
    let region: Option<String> = m.take(&["region"], "a string");
    let invocation = named(&mut m, "invocation_type", &invocations).unwrap_or(Invocation::Event);
    let qualifier = m.nullable("qualifier", "a string").flatten();
    if m.is_good() {
        for (name, given) in [("function_name", &function_name), ("region", &region)] {
            if given.is_none() {
                m.problem(name, "is required");
            }
        }
    }
    problems.extend(m.finish());
    Some(Lambda { function_name: function_name?, region: region?, invocation, qualifier })
}

pub(super) fn rate(raw: &RawValue, problems: &mut Vec<String>) -> Option<RateLimit> {
    const PERIOD_MS: u64 = 1000;
    if is_null(raw) {
        return None;
    }
    if let Ok(requests) = serde_json::from_str(raw.get()) {
        return Some(RateLimit { requests, period_ms: PERIOD_MS });
    }
    if !raw.get().starts_with('{') {
        problems.push("rate_limit: must be requests a second, {\"requests\", \"period_ms\"} or null".into());
        return None;
    }
    let mut m = Members::of(raw.get(), "rate_limit.");
    let requests = m.take(&["requests"], "a whole number");
    let period_ms = m.take(&["period_ms"], "a whole number of milliseconds").unwrap_or(PERIOD_MS);
    if requests.is_none() && m.is_good() {
        m.problem("requests", "is required");
    }
    problems.extend(m.finish());
    Some(RateLimit { requests: requests?, period_ms })
}

pub(super) fn batch(raw: &RawValue, problems: &mut Vec<String>) -> Option<Batch> {
    if is_null(raw) {
        return None;
    }
    let mut m = Members::of(raw.get(), "batch.");
    let max = m.take(&["max"], "a whole number");
    let duration_ms = m.take(&["duration_ms"], "a whole number of milliseconds").unwrap_or(0);
    if max.is_none() && m.is_good() {
        m.problem("max", "is required");
    }
    problems.extend(m.finish());
    Some(Batch { max: max?, duration_ms })
}

pub(super) fn filter(raw: &RawValue, problems: &mut Vec<String>) -> Option<EventFilter> {
    if is_null(raw) {
        return None;
    }
    if let Ok(expression) = serde_json::from_str(raw.get()) {
        return Some(EventFilter { expression: Some(expression), ..EventFilter::default() });
    }
    if !raw.get().starts_with('{') {
        let expected = "an expression, {\"subjects\", \"channel_type\", \"channel_prefix\", \"expression\"} or null";
        problems.push(format!("filter: must be {expected}"));
        return None;
    }
    let mut m = Members::of(raw.get(), "filter.");
    let filter = EventFilter {
        subjects: m.nullable("subjects", "a list of subjects").flatten(),
        topic_kind: topic_kind(&mut m),
        topic_prefix: m.nullable("channel_prefix", "a string").flatten(),
        expression: m.nullable("expression", "an expression").flatten(),
    };
    problems.extend(m.finish());
    Some(filter)
}

pub(super) fn retry(raw: &RawValue, problems: &mut Vec<String>) -> RetryForm {
    let mut m = Members::of(raw.get(), "retry.");
    let retry = RetryForm {
        max_attempts: m.take(&["max_attempts"], "a whole number"),
        delay_ms: m.take(&["delay_ms"], "a whole number of milliseconds"),
        factor: m.take(&["factor"], "a number"),
        max_delay_ms: m.take(&["max_delay_ms"], "a whole number of milliseconds"),
        jitter: m.take(&["jitter"], "a number"),
        ambiguous: m.take(&["ambiguous", "on_timeout"], "true or false"),
    };
    problems.extend(m.finish());
    retry
}
