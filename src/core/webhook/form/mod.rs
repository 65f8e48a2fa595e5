//! An endpoint's settings as people write them: JSON of the API, tables of the configuration file.
//!
//! Owns the names, shapes, defaults and bounds of settings, and gathers everything that is wrong with them. Never
//! judges where a target leads, nor what a template or an expression means: who can, does that afterwards.

mod apply;
mod defaults;
mod parts;
mod shown;

pub use crate::core::json::Members;
pub use defaults::{Defaults, Plain};

use super::{Batch, EventFilter, Lambda, Method, Profile, RateLimit};
use crate::core::json::BODY;
use std::fmt;

/// What a header's value is replaced with wherever headers are shown; sent back, it leaves the value as it is.
pub const MASK: &str = "***";

/// Settings as they were given: `None` is absent. `Some(None)` takes back what may be absent.
#[derive(Clone, Default, PartialEq)]
pub struct Form {
    pub(super) name: Option<Option<String>>,
    pub(super) url: Option<String>,
    pub(super) lambda: Option<Lambda>,
    pub(super) events: Option<Vec<String>>,
    pub(super) active: Option<bool>,
    pub(super) profile: Option<Profile>,
    pub(super) method: Option<Method>,
    pub(super) headers: Option<Vec<(String, String)>>,
    pub(super) ordering: Option<OrderingName>,
    pub(super) ordering_key: Option<Option<String>>,
    pub(super) rate: Option<Option<RateLimit>>,
    pub(super) batch: Option<Option<Batch>>,
    pub(super) filter: Option<Option<EventFilter>>,
    pub(super) template: Option<Option<String>>,
    pub(super) content_type: Option<Option<String>>,
    pub(super) retry: RetryForm,
    pub(super) timeout_ms: Option<u64>,
    pub(super) auto_disable: Option<Option<u64>>,
    pub(super) secret: Option<String>,
    pub(super) key: Option<Option<String>>,
    problems: Vec<String>,
}

/// What waits for what, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OrderingName {
    None,
    Key,
    Strict,
}

/// Changes of a retry policy.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RetryForm {
    pub(super) max_attempts: Option<u32>,
    pub(super) delay_ms: Option<u64>,
    pub(super) factor: Option<f64>,
    pub(super) max_delay_ms: Option<u64>,
    pub(super) jitter: Option<f64>,
    pub(super) ambiguous: Option<bool>,
}

impl fmt::Debug for Form {
    /// The name alone: addresses, headers and keys are secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Form").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Form {
    /// Reads a JSON object. What is wrong with it is told by [`Form::apply`], with the rest.
    pub fn read(text: &str) -> Self {
        Self::of(Members::of(text, ""))
    }

    fn of(mut m: Members<'_>) -> Self {
        let mut form = Self {
            name: m.nullable("name", "a string"),
            url: m.take(&["url"], "a string"),
            events: parts::events(&mut m),
            active: m.take(&["active", "enabled"], "true or false"),
            profile: parts::profile(&mut m),
            method: parts::method(&mut m),
            headers: parts::headers(&mut m),
            ordering: parts::ordering(&mut m),
            ordering_key: m.nullable("ordering_key", "an expression"),
            template: m.nullable("template", "a string"),
            content_type: m.nullable("content_type", "a string"),
            timeout_ms: m.take(&["timeout_ms"], "a whole number of milliseconds"),
            auto_disable: parts::auto_disable(&mut m),
            secret: m.take(&["secret"], "a string"),
            key: m.nullable("key", "a string"),
            ..Self::default()
        };
        form.lambda = m.raw(&["lambda"]).and_then(|raw| parts::lambda(raw, &mut m.problems));
        form.rate = m.raw(&["rate_limit"]).map(|raw| parts::rate(raw, &mut m.problems));
        form.batch = m.raw(&["batch"]).map(|raw| parts::batch(raw, &mut m.problems));
        form.filter = m.raw(&["filter"]).map(|raw| parts::filter(raw, &mut m.problems));
        if let Some(raw) = m.raw(&["retry"]) {
            form.retry = parts::retry(raw, &mut m.problems);
        }
        form.problems = m.finish();
        form
    }

    /// The profile that is asked for.
    pub fn profile(&self) -> Option<Profile> {
        self.profile
    }

    /// The name that is asked for.
    pub fn name(&self) -> Option<&str> {
        self.name.as_ref()?.as_deref()
    }

    /// Whether a secret is given.
    pub fn has_secret(&self) -> bool {
        self.secret.is_some()
    }

    /// Whether it says to be active or not.
    pub fn active(&self) -> Option<bool> {
        self.active
    }

    /// Whether there is nothing to go by: what was given is no object of settings.
    pub fn is_unreadable(&self) -> bool {
        self.problems.iter().any(|problem| problem.starts_with(BODY))
    }

    /// One thing more that is wrong.
    pub fn add_problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// Whether nothing is asked for but to be active or not.
    pub fn only_activates(&self) -> bool {
        *self == Self { active: self.active, ..Self::default() }
    }
}

/// A name that somebody chose, short enough to be shown.
fn shortened(name: &str) -> String {
    format!("{:?}", name.chars().take(60).collect::<String>())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::ids::{EndpointId, MapId};
    use crate::core::webhook::{Endpoint, MAX_TEMPLATE, Origin, TopicKind};
    use proptest::prelude::*;

    const DEFAULTS: Defaults =
        Defaults { timeout_ms: 10_000, retry_attempts: None, retry_delay_ms: None, auto_disable_seconds: None };

    fn plain(profile: Profile) -> Plain {
        Plain::new(EndpointId::from_bytes([1; 16]), MapId::from_bytes([2; 16]), Origin::Api, profile, &DEFAULTS)
    }

    fn applied(text: &str) -> (Plain, Vec<String>) {
        let mut plain = plain(Profile::Wanderer);
        let problems = Form::read(text).apply(&mut plain);
        (plain, problems)
    }

    #[test]
    fn nothing_asked_changes_nothing() {
        for (_, profile) in Profile::NAMES.iter().filter(|(_, profile)| *profile != Profile::Template) {
            let mut changed = plain(*profile);
            assert_eq!(Form::read("{}").apply(&mut changed), Vec::<String>::new());
            assert!(changed == plain(*profile), "{profile:?}");
        }
    }

    #[test]
    fn the_nodes_defaults_win_over_the_profiles() {
        let own = Defaults { timeout_ms: 900, retry_attempts: Some(2), retry_delay_ms: Some(50), ..DEFAULTS };
        let ids = (EndpointId::from_bytes([1; 16]), MapId::from_bytes([2; 16]));
        let Endpoint { retry, timeout_ms, .. } =
            Plain::new(ids.0, ids.1, Origin::Api, Profile::Broadcasting, &own).endpoint;
        assert_eq!((retry.max_attempts, retry.delay_ms, retry.factor_percent, timeout_ms), (2, 50, 100, 900));
    }

    #[test]
    fn nothing_secret_is_told() {
        let text = r#"{"name":"n","url":5,"secret":["hidden"],"headers":{"X-A":["hidden"]},"lambda":"hidden"}"#;
        let (_, problems) = applied(text);
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(!format!("{problems:?} {:?}", Form::read(text)).contains("hidden"));
        let form = Form::read(r#"{"name":"n","url":"http://hidden/","secret":"hidden-secret"}"#);
        assert!(!format!("{form:?}").contains("hidden"));
    }

    #[test]
    fn what_is_shown_of_a_filter_can_be_sent_back() {
        let shown = r#"{"filter":{"channel_type":null,"channel_prefix":null,"expression":"payload.a > 1"}}"#;
        let (plain, problems) = applied(shown);
        assert_eq!(problems, Vec::<String>::new());
        let expression = Some("payload.a > 1".to_owned());
        assert_eq!(plain.endpoint.filter, EventFilter { expression, ..EventFilter::default() });
        assert_eq!(
            applied(r#"{"filter":{"channel_type":"presence"}}"#).0.endpoint.filter.topic_kind,
            Some(TopicKind::Presence)
        );
        assert_eq!(applied(r#"{"filter":{"channel_type":"no","channel_prefix":1}}"#).1.len(), 2);
        for bad in ["[]", r#"["a b"]"#, "7", r#""a""#] {
            assert_eq!(applied(&format!(r#"{{"filter":{{"subjects":{bad}}}}}"#)).1.len(), 1, "{bad}");
        }
    }

    #[test]
    fn a_filter_chooses_among_subjects() {
        let takes = |filter: &str| {
            let filter = applied(&format!(r#"{{"filter":{filter}}}"#)).0.endpoint.filter.subjects().unwrap();
            ["", "orders-1", "private-a", "presence-b", "$sys"].map(|subject| filter.takes(subject))
        };
        for (filter, taken) in [
            ("null", [true, false, false, false, false]),
            (r#""payload.a > 1""#, [true, false, false, false, false]),
            (r#"{"channel_type":"map"}"#, [true, false, false, false, false]),
            (r#"{"channel_type":"public"}"#, [false, true, false, false, false]),
            (r#"{"channel_type":"presence"}"#, [false, false, false, true, false]),
            (r#"{"channel_prefix":"p"}"#, [false, false, true, true, false]),
            (r#"{"channel_type":"private","channel_prefix":"private-b"}"#, [false; 5]),
            (r#"{"subjects":["*"]}"#, [true, true, true, true, false]),
            (r#"{"subjects":["orders-*","$sys"]}"#, [false, true, false, false, true]),
            (r#"{"subjects":["p*"],"channel_type":"private"}"#, [false, false, true, false, false]),
        ] {
            assert_eq!(takes(filter), taken, "{filter}");
        }
    }

    #[test]
    fn what_is_no_object_is_told_as_that_alone() {
        let many = format!("{{{}\"x\":1}}", (0..64).map(|i| format!("\"{i}\":1,")).collect::<String>());
        for (text, told) in [
            (r#"{"name":"n","timeout_ms":NaN}"#, "body: is not JSON, at line 1, column 26"),
            ("{\n", "body: is not JSON, at line 2, column 0"),
            ("[]", "body: must be a JSON object of at most 64 fields"),
            (&many, "body: must be a JSON object of at most 64 fields"),
        ] {
            assert_eq!(applied(text).1, [told]);
            assert!(Form::read(text).is_unreadable());
        }
        assert!(!Form::read(r#"{"name":1}"#).is_unreadable());
        assert_eq!(applied(r#"{"retry":[]}"#).1, ["retry: must be a JSON object of at most 64 fields"]);
    }

    #[test]
    fn a_template_has_one_limit() {
        let of = |bytes: usize| format!(r#"{{"profile":"template","template":"{}"}}"#, "x".repeat(bytes));
        assert!(applied(&of(MAX_TEMPLATE)).1.is_empty());
        assert_eq!(applied(&of(MAX_TEMPLATE + 1)).1, ["template: may have at most 16384 bytes"]);
    }

    #[test]
    fn headers_stay_with_the_host_they_were_given_for() {
        let changed = |from: &str, change: &str| {
            let mut plain = plain(Profile::Wanderer);
            let made = format!(r#"{{{from},"headers":{{"Authorization":"Bearer x"}}}}"#);
            assert!(Form::read(&made).apply(&mut plain).is_empty());
            let problems = Form::read(change).apply(&mut plain);
            (plain.private.headers.first().map(|(_, value)| value.clone()), problems.len())
        };
        let bearer = Some("Bearer x".to_owned());
        let http = r#""url":"https://example.com/a""#;
        for same in ["https://example.com/b?c", "https://EXAMPLE.com:443/", "https://example.com/a"] {
            assert_eq!(changed(http, &format!(r#"{{"url":"{same}"}}"#)), (bearer.clone(), 0), "{same}");
        }
        for other in ["http://example.com/a", "https://example.com:8443/a", "https://example.org/a", "no url"] {
            assert_eq!(changed(http, &format!(r#"{{"url":"{other}"}}"#)).1, 1, "{other}");
            let masked = format!(r#"{{"url":"{other}","headers":{{"authorization":"***"}}}}"#);
            assert_eq!(changed(http, &masked).1, 1, "{other}");
        }
        let given = r#"{"url":"https://example.org/","headers":{"Authorization":"Bearer y"}}"#;
        assert_eq!(changed(http, given), (Some("Bearer y".into()), 0));
        assert_eq!(changed(http, r#"{"url":"https://example.org/","headers":{}}"#), (None, 0));
        let lambda = |name: &str| format!(r#""lambda":{{"function_name":"{name}","region":"us-east-1"}}"#);
        assert_eq!(changed(http, &format!("{{{}}}", lambda("f"))).1, 1);
        assert_eq!(changed(&lambda("f"), &format!("{{{}}}", lambda("f"))), (bearer, 0));
        assert_eq!(changed(&lambda("f"), &format!("{{{}}}", lambda("g"))).1, 1);
    }

    #[test]
    fn a_mask_never_becomes_a_url() {
        let mut plain = plain(Profile::Discord);
        let own = "https://discord.com/api/webhooks/1/aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789";
        assert!(Form::read(&format!(r#"{{"url":"{own}"}}"#)).apply(&mut plain).is_empty());
        let masked =
            r#"{"url":"https://discord.com/api/webhooks/1/***","profile":"template","template":"x","batch":null}"#;
        let problems = Form::read(masked).apply(&mut plain.clone());
        assert_eq!(problems, ["url: is required again where the profile is no chat's any more"]);
        let kept = masked.replace("template\",\"template\":\"x", "slack");
        assert!(Form::read(&kept).apply(&mut plain).is_empty());
        assert!(plain.private.target == crate::core::webhook::Target::Http(own.into()));
    }

    #[test]
    fn stars_are_one_star() {
        let events = |text: &str| applied(&format!(r#"{{"events":{text}}}"#)).0.endpoint.events;
        assert_eq!(events(r#""*""#), ["*"]);
        assert_eq!(events(r#"["x","**"]"#), ["*"]);
        assert_eq!(events(r#"["b_*","a","a"]"#), ["a", "b_*"]);
        assert_eq!(events(r#""one""#), ["one"]);
    }

    proptest! {
        #[test]
        fn any_text_is_safe(text in ".*", value in "[0-9.eE+-]{0,12}|null|true|\\{\\}|\\[\\]|\"\"|\"\\*\\*\\*\"") {
            applied(&text);
            for field in ["events", "headers", "lambda", "rate_limit", "batch", "filter", "retry", "auto_disable", "url"] {
                applied(&format!(r#"{{"{field}":{value}}}"#));
            }
        }
    }
}
