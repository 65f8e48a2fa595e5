//! Puts what was asked for over an endpoint, and tells all that is not allowed.

use super::defaults::{CHAT_BATCH, TEMPLATE_TYPE};
use super::{Form, MASK, OrderingName, Plain, RetryForm, shortened};
use crate::core::filter::Filter;
use crate::core::webhook::{
    Lambda, MAX_BATCH, MAX_KINDS, MAX_TEMPLATE, Ordering, Profile, RetryPolicy, Target, TargetKind, Template, secret,
};
use std::fmt::Display;
use std::ops::RangeInclusive;
use url::Url;

const TIMEOUT_MS: RangeInclusive<u64> = 100..=30_000;
const ATTEMPTS: RangeInclusive<u64> = 1..=100;
const DELAY_MS: RangeInclusive<u64> = 10..=3_600_000;
const MAX_DELAY_MS: RangeInclusive<u64> = 10..=86_400_000;
const FACTOR: RangeInclusive<f64> = 1.0..=10.0;
const JITTER: RangeInclusive<f64> = 0.0..=1.0;
const BATCH_MS: RangeInclusive<u64> = 0..=60_000;
const RATE: RangeInclusive<u64> = 1..=10_000;
const PERIOD_MS: RangeInclusive<u64> = 1..=3_600_000;
const AUTO_DISABLE: RangeInclusive<u64> = 1..=31_536_000;
/// Longest name or key, in characters.
const MAX_NAME: usize = 200;
const MAX_HEADERS: usize = 32;
/// Of all headers together, names and values.
const MAX_HEADER_BYTES: usize = 8 * 1024;
/// Headers that belong to the connection, not to the endpoint.
const RESERVED_HEADERS: [&str; 12] = [
    "host",
    "content-length",
    "connection",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "proxy-authenticate",
];

/// What is wrong, each beginning with the field's name.
struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, field: &str, what: impl Display) {
        self.0.push(format!("{field}: {what}"));
    }

    fn range<T: PartialOrd + Display>(&mut self, field: &str, value: T, range: RangeInclusive<T>) {
        if !range.contains(&value) {
            self.add(field, format_args!("must be from {} to {}", range.start(), range.end()));
        }
    }
}

impl Form {
    /// Changes `plain` to what is asked for; what is absent stays. The answer is all that is wrong: `plain` must not be
    /// used unless that is empty.
    pub fn apply(&self, plain: &mut Plain) -> Vec<String> {
        let mut problems = Problems(self.problems.clone());
        let old = receiver(&plain.private.target);
        self.apply_target(plain, &mut problems);
        self.apply_texts(plain, &mut problems);
        let moved = receiver(&plain.private.target) != old;
        self.apply_headers(plain, moved, &mut problems);
        self.apply_events(plain, &mut problems);
        self.apply_ordering(plain, &mut problems);
        self.apply_pace(plain, &mut problems);
        self.retry.apply(&mut plain.endpoint.retry, &mut problems);
        self.apply_template(plain, &mut problems);
        problems.0
    }

    fn apply_target(&self, plain: &mut Plain, problems: &mut Problems) {
        let endpoint = &mut plain.endpoint;
        let was_chat = endpoint.profile.is_chat() && plain.private.has_target();
        endpoint.profile = self.profile.unwrap_or(endpoint.profile);
        // What lists show comes back as it was shown.
        let url = self.url.as_ref().filter(|url| !(was_chat && plain.private.shown_as(url)));
        if was_chat && !endpoint.profile.is_chat() && url.is_none() && self.lambda.is_none() {
            // It was hidden until now, and would be shown from now on.
            problems.add("url", "is required again where the profile is no chat's any more");
        }
        match (url, &self.lambda) {
            (Some(_), Some(_)) => problems.add("url", "give url or lambda, not both"),
            (Some(url), None) => {
                endpoint.target = TargetKind::Http;
                plain.private.target = Target::Http(url.clone());
            }
            (None, Some(lambda)) => {
                check_lambda(lambda, problems);
                endpoint.target = TargetKind::Lambda;
                plain.private.target = Target::Lambda(lambda.clone());
            }
            (None, None) => {}
        }
        if endpoint.target == TargetKind::Lambda && endpoint.profile.is_chat() {
            problems.add("profile", "a chat is reached by its url, not by a function");
        }
    }

    fn apply_texts(&self, plain: &mut Plain, problems: &mut Problems) {
        let endpoint = &mut plain.endpoint;
        if let Some(name) = &self.name {
            endpoint.name = name.clone().unwrap_or_default();
            if endpoint.name.chars().count() > MAX_NAME || endpoint.name.chars().any(char::is_control) {
                problems.add("name", format_args!("must have at most {MAX_NAME} characters, none of them control"));
            }
        }
        if let Some(key) = &self.key {
            endpoint.key.clone_from(key);
            let good = |key: &String| (1..=MAX_NAME).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
            if !key.as_ref().is_none_or(good) {
                problems.add("key", format_args!("must be 1 to {MAX_NAME} visible ASCII characters"));
            }
        }
        if let Some(secret) = &self.secret {
            if let Some(problem) = secret::problem(secret) {
                problems.add("secret", problem);
            }
            plain.private.secret.clone_from(secret);
        }
        endpoint.active = self.active.unwrap_or(endpoint.active);
        endpoint.method = self.method.unwrap_or(endpoint.method);
    }

    /// Values are secret: they go to nobody but the receiver that they were given for.
    fn apply_headers(&self, plain: &mut Plain, moved: bool, problems: &mut Problems) {
        let Some(headers) = &self.headers else {
            if moved && !plain.private.headers.is_empty() {
                problems.add("headers", "must be given again, with their values, where the receiver is another");
            }
            return;
        };
        let old = std::mem::take(&mut plain.private.headers);
        for (name, value) in headers {
            let same = |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
            let kept = old.iter().find(same).map(|(_, value)| value);
            let value = match (value.as_str(), kept) {
                (MASK, Some(_)) if moved => {
                    let name = shortened(name);
                    problems
                        .add("headers", format_args!("the value of {name} must be given again for another receiver"));
                    continue;
                }
                (MASK, Some(kept)) => kept,
                (MASK, None) => {
                    problems
                        .add("headers", format_args!("{} has no value that {MASK} could stand for", shortened(name)));
                    continue;
                }
                _ => value,
            };
            check_header(name, value, problems);
            if plain.private.headers.iter().any(|header| same(&header)) {
                problems.add("headers", format_args!("{} is given twice", shortened(name)));
            }
            plain.private.headers.push((name.clone(), value.clone()));
        }
        let bytes: usize = plain.private.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        if plain.private.headers.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
            problems.add("headers", format_args!("may be {MAX_HEADERS}, of {MAX_HEADER_BYTES} bytes in all"));
        }
    }

    fn apply_events(&self, plain: &mut Plain, problems: &mut Problems) {
        if let Some(events) = &self.events {
            plain.endpoint.events = checked_events(events, problems);
        }
        let Some(filter) = &self.filter else { return };
        let filter = filter.clone().unwrap_or_default();
        if let Err(error) = filter.subjects() {
            problems.add("filter.subjects", format_args!("{error}"));
        }
        if filter.topic_prefix.as_ref().is_some_and(|prefix| prefix.is_empty() || prefix.len() > MAX_NAME) {
            problems.add("filter.channel_prefix", format_args!("must have 1 to {MAX_NAME} bytes"));
        }
        plain.endpoint.filter = filter;
    }

    fn apply_ordering(&self, plain: &mut Plain, problems: &mut Problems) {
        let ordering = &mut plain.endpoint.ordering;
        let key = match &self.ordering_key {
            Some(key) => key.clone(),
            None => match ordering {
                Ordering::Key(key) => Some(key.clone()),
                _ => None,
            },
        };
        let by_key = match self.ordering {
            Some(OrderingName::None) => {
                *ordering = Ordering::None;
                false
            }
            Some(OrderingName::Strict) => {
                *ordering = Ordering::Strict;
                false
            }
            Some(OrderingName::Key) => true,
            None => matches!(ordering, Ordering::Key(_)),
        };
        match key {
            Some(key) if by_key => *ordering = Ordering::Key(key),
            None if by_key => problems.add("ordering_key", "is required where ordering is key"),
            _ if matches!(self.ordering_key, Some(Some(_))) => {
                problems.add("ordering_key", "is only for the ordering key");
            }
            _ => {}
        }
    }

    fn apply_pace(&self, plain: &mut Plain, problems: &mut Problems) {
        let endpoint = &mut plain.endpoint;
        if let Some(rate) = self.rate {
            endpoint.rate = rate;
        }
        if let Some(rate) = endpoint.rate {
            problems.range("rate_limit", rate.requests.into(), RATE);
            problems.range("rate_limit.period_ms", rate.period_ms, PERIOD_MS);
        }
        if let Some(batch) = self.batch {
            endpoint.batch = batch;
        }
        if let Some(batch) = endpoint.batch {
            let most = if endpoint.profile.is_chat() { CHAT_BATCH } else { MAX_BATCH };
            problems.range("batch.max", batch.max, 2..=most);
            problems.range("batch.duration_ms", batch.duration_ms, BATCH_MS);
            if !endpoint.profile.batches() {
                let name = endpoint.profile.name();
                problems.add("batch", format_args!("must be null: the profile {name} has one event in a request"));
            }
        }
        if let Some(timeout) = self.timeout_ms {
            problems.range("timeout_ms", timeout, TIMEOUT_MS);
            endpoint.timeout_ms = u32::try_from(timeout).unwrap_or(u32::MAX);
        }
        if let Some(seconds) = self.auto_disable {
            problems.range("auto_disable_seconds", seconds.unwrap_or(*AUTO_DISABLE.start()), AUTO_DISABLE);
            endpoint.auto_disable_seconds = seconds;
        }
    }

    fn apply_template(&self, plain: &mut Plain, problems: &mut Problems) {
        let endpoint = &mut plain.endpoint;
        let old = endpoint.template.take();
        let (old_body, old_type) = old.map_or((None, None), |old| (Some(old.body), Some(old.content_type)));
        let body = self.template.clone().unwrap_or(old_body);
        let content_type = self.content_type.clone().unwrap_or(old_type);
        if let Some(kind) = &content_type
            && (kind.is_empty() || kind.len() > MAX_NAME || !kind.bytes().all(|b| b == b' ' || b.is_ascii_graphic()))
        {
            problems.add("content_type", "must be a media type, as in text/plain; charset=utf-8");
        }
        if endpoint.profile != Profile::Template {
            for (field, given) in [("template", &self.template), ("content_type", &self.content_type)] {
                if matches!(given, Some(Some(_))) {
                    problems.add(field, "is only for the profile template");
                }
            }
            return;
        }
        let Some(body) = body.filter(|body| !body.is_empty()) else {
            problems.add("template", "is required by the profile template");
            return;
        };
        if body.len() > MAX_TEMPLATE {
            problems.add("template", format_args!("may have at most {MAX_TEMPLATE} bytes"));
        }
        let content_type = content_type.unwrap_or_else(|| TEMPLATE_TYPE.to_owned());
        endpoint.template = Some(Template { body, content_type });
    }
}

impl RetryForm {
    fn apply(&self, policy: &mut RetryPolicy, problems: &mut Problems) {
        let percent = |value: f64| (value * 100.0).round() as u32;
        if let Some(attempts) = self.max_attempts {
            problems.range("retry.max_attempts", attempts.into(), ATTEMPTS);
            policy.max_attempts = attempts;
        }
        if let Some(delay) = self.delay_ms {
            problems.range("retry.delay_ms", delay, DELAY_MS);
            policy.delay_ms = delay;
        }
        if let Some(delay) = self.max_delay_ms {
            problems.range("retry.max_delay_ms", delay, MAX_DELAY_MS);
            policy.max_delay_ms = delay;
        }
        if let Some(factor) = self.factor {
            problems.range("retry.factor", factor, FACTOR);
            policy.factor_percent = percent(factor);
        }
        if let Some(jitter) = self.jitter {
            problems.range("retry.jitter", jitter, JITTER);
            policy.jitter_percent = percent(jitter);
        }
        policy.ambiguous = self.ambiguous.unwrap_or(policy.ambiguous);
    }
}

/// Who gets what is sent: scheme, host and port of a URL, or a function. Nobody, where there is no target yet.
fn receiver(target: &Target) -> Option<String> {
    match target {
        Target::Http(url) if url.is_empty() => None,
        Target::Http(url) => {
            Some(Url::parse(url).map_or_else(|_| url.clone(), |url| url.origin().ascii_serialization()))
        }
        Target::Lambda(Lambda { function_name, region, .. }) => Some(format!("{region} {function_name}")),
    }
}

fn check_lambda(lambda: &Lambda, problems: &mut Problems) {
    let is = |text: &str, most: usize, more: &[u8]| {
        (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
    };
    if !is(&lambda.function_name, 256, b"-_:./$") {
        problems.add("lambda.function_name", "must be a function's name or ARN");
    }
    if !is(&lambda.region, 32, b"-") {
        problems.add("lambda.region", "must be a region, as in us-east-1");
    }
    if lambda.qualifier.as_ref().is_some_and(|qualifier| !is(qualifier, 128, b"-_$")) {
        problems.add("lambda.qualifier", "must be a version or an alias");
    }
}

fn check_header(name: &str, value: &str, problems: &mut Problems) {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(is_token) {
        problems.add("headers", format_args!("{} is no name of a header", shortened(name)));
    } else if RESERVED_HEADERS.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
        problems.add("headers", format_args!("{name} belongs to the connection and can't be set"));
    }
    if !value.bytes().all(|b| matches!(b, b' ' | b'\t') || b.is_ascii_graphic()) || value.trim() != value {
        let name = shortened(name);
        problems.add("headers", format_args!("the value of {name} must be visible ASCII, without blanks around it"));
    }
}

/// The types and patterns, sorted, each once.
fn checked_events(events: &[String], problems: &mut Problems) -> Vec<String> {
    if events.is_empty() || events.len() > MAX_KINDS {
        problems.add("events", format_args!("must be \"*\" or a list of 1 to {MAX_KINDS} event types"));
    }
    for kind in events.iter().filter(|kind| !is_kind_or_pattern(kind)).take(10) {
        problems.add("events", format_args!("{} is no event type", shortened(kind)));
    }
    let mut events = events.to_vec();
    if events.iter().any(|kind| !kind.is_empty() && kind.bytes().all(|b| b == b'*')) {
        events = vec!["*".to_owned()];
    }
    events.sort_unstable();
    events.dedup();
    events
}

/// Whether filters take it.
fn is_kind_or_pattern(kind: &str) -> bool {
    Filter::from_json(Some(&serde_json::json!([kind]))).is_ok()
}
