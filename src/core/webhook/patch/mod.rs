//! A webhook's settings as callers write them, in JSON of the API and in tables of the configuration file.
//! They are read into a [`Patch`], which is applied to a new webhook or to an existing one.
//!
//! Each group of settings has a file, which has their names, shapes and bounds. All errors are collected.
//! [`Plain::check`] checks afterwards what needs more than the settings themselves.

mod basics;
mod events;
mod headers;
mod pace;
pub mod reader;
mod retry;
mod target;
mod template;

use super::{Plain, Profile, shown};
use crate::core::field_error::FieldErrors;
use crate::core::json::Members;
use basics::BasicsPatch;
use events::EventsPatch;
use headers::HeadersPatch;
use pace::PacePatch;
use retry::RetryPatch;
use std::fmt;
use target::{TargetPatch, receiver};
use template::TemplatePatch;

/// Longest name, key, prefix or media type, in characters.
const MAX_NAME: usize = 200;

/// The settings that a caller asks for, and the errors of those that could not be read. It lives as long as
/// the request or the configuration that it was read from.
#[derive(Clone, Default, PartialEq)]
pub struct Patch {
    basics: BasicsPatch,
    target: TargetPatch,
    headers: HeadersPatch,
    events: EventsPatch,
    pace: PacePatch,
    retry: RetryPatch,
    template: TemplatePatch,
    errors: FieldErrors,
    /// The text is not a JSON object. A missing field is then no error of its own.
    unreadable: bool,
}

impl fmt::Debug for Patch {
    /// Shows only the name, because addresses, headers and keys are secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patch").field("name", &self.basics.name).finish_non_exhaustive()
    }
}

impl Patch {
    /// Reads a JSON object. [`Patch::apply`] reports its errors together with the others.
    pub fn read(text: &str) -> Self {
        Self::of(Members::of(text), |_| ())
    }

    /// As [`Patch::read`], for a webhook as an answer shows it, perhaps with changes: fields that nobody can
    /// set are ignored.
    pub fn read_back(text: &str) -> Self {
        let mut members = Members::of(text);
        // A function has no URL.
        members.skip_null("url");
        Self::of(members, |left| left.skip(shown::names()))
    }

    fn of(mut m: Members<'_>, drop_others: impl FnOnce(&mut Members<'_>)) -> Self {
        let unreadable = !m.is_object();
        let patch = Self {
            basics: BasicsPatch::read(&mut m),
            target: TargetPatch::read(&mut m),
            headers: HeadersPatch::read(&mut m),
            events: EventsPatch::read(&mut m),
            pace: PacePatch::read(&mut m),
            retry: RetryPatch::read(&mut m),
            template: TemplatePatch::read(&mut m),
            errors: FieldErrors::default(),
            unreadable,
        };
        drop_others(&mut m);
        Self { errors: m.finish(), ..patch }
    }

    /// Changes the settings of `plain` that are asked for, and returns all errors. If there is an error,
    /// `plain` must not be used.
    pub fn apply(&self, plain: &mut Plain) -> FieldErrors {
        let mut errors = self.errors.clone();
        let old = receiver(&plain.private.target);
        let before = plain.webhook.profile;
        self.target.apply(plain, &mut errors);
        self.basics.apply(plain, &mut errors);
        let moved = receiver(&plain.private.target) != old;
        self.headers.apply(plain, moved, before, &mut errors);
        self.events.apply(plain, &mut errors);
        self.pace.apply(plain, &mut errors);
        self.retry.apply(&mut plain.webhook.retry, &mut errors);
        self.template.apply(plain, &mut errors);
        errors
    }

    /// As [`Patch::apply`], for a new webhook, which must have a target.
    pub fn apply_to_new(&self, plain: &mut Plain) -> FieldErrors {
        let mut errors = self.apply(plain);
        if !plain.private.has_target() && !self.unreadable && !errors.concern_target() {
            errors.require("url");
        }
        errors
    }

    /// The profile that is asked for.
    pub fn profile(&self) -> Option<Profile> {
        self.target.profile
    }

    /// The name that is asked for.
    pub fn name(&self) -> Option<&str> {
        self.basics.name.as_ref()?.as_deref()
    }

    /// Whether a secret is given.
    pub fn has_secret(&self) -> bool {
        self.basics.secret.is_some()
    }

    /// Makes a missing secret an error.
    pub fn require_secret(&mut self) {
        if !self.has_secret() && !self.unreadable && !self.errors.concern("secret") {
            self.errors.require("secret");
        }
    }

    /// The value of `active` that is asked for.
    pub fn active(&self) -> Option<bool> {
        self.basics.active
    }

    /// Whether `active` is the only setting that is asked for. True for an empty patch too.
    pub fn only_activates(&self) -> bool {
        let basics = BasicsPatch::activating(self.basics.active);
        *self == Self { basics, ..Self::default() }
    }
}

/// A name that a caller chose, quoted and cut to 60 characters for a message.
fn shortened(name: &str) -> String {
    format!("{:?}", name.chars().take(60).collect::<String>())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::ids::{MapId, WebhookId};
    use crate::core::webhook::{Defaults, EventFilter, MAX_TEMPLATE, Origin, TopicKind, Webhook};
    use proptest::prelude::*;

    const DEFAULTS: Defaults = Defaults {
        timeout_ms: 10_000,
        retry_attempts: None,
        retry_delay_ms: None,
        auto_disable_seconds: None,
    };

    fn plain(profile: Profile) -> Plain {
        Plain::new(
            WebhookId::from_bytes([1; 16]),
            MapId::from_bytes([2; 16]),
            Origin::Api,
            profile,
            &DEFAULTS,
        )
    }

    fn applied(text: &str) -> (Plain, Vec<String>) {
        let mut plain = plain(Profile::Wanderer);
        let errors = Patch::read(text).apply(&mut plain);
        (plain, errors.messages())
    }

    #[test]
    fn an_empty_patch_changes_nothing() {
        for (_, profile) in Profile::NAMES.iter().filter(|(_, profile)| *profile != Profile::Template) {
            let mut changed = plain(*profile);
            assert_eq!(Patch::read("{}").apply(&mut changed), FieldErrors::default());
            assert!(changed == plain(*profile), "{profile:?}");
        }
    }

    #[test]
    fn the_nodes_defaults_win_over_the_profiles() {
        let own = Defaults { timeout_ms: 900, retry_attempts: Some(2), retry_delay_ms: Some(50), ..DEFAULTS };
        let ids = (WebhookId::from_bytes([1; 16]), MapId::from_bytes([2; 16]));
        let Webhook { retry, timeout_ms, .. } =
            Plain::new(ids.0, ids.1, Origin::Api, Profile::Broadcasting, &own).webhook;
        assert_eq!((retry.max_attempts, retry.delay_ms, retry.factor_percent, timeout_ms), (2, 50, 100, 900));
    }

    #[test]
    fn messages_and_debug_output_have_no_secrets() {
        let text =
            r#"{"name":"n","url":5,"secret":["hidden"],"headers":{"X-A":["hidden"]},"lambda":"hidden"}"#;
        let (_, problems) = applied(text);
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(!format!("{problems:?} {:?}", Patch::read(text)).contains("hidden"));
        let patch = Patch::read(r#"{"name":"n","url":"http://hidden/","secret":"hidden-secret"}"#);
        assert!(!format!("{patch:?}").contains("hidden"));
    }

    #[test]
    fn a_filter_can_be_sent_back_as_it_is_shown() {
        let shown = r#"{"filter":{"channel_type":null,"channel_prefix":null,"expression":"payload.a > 1"}}"#;
        let (plain, problems) = applied(shown);
        assert_eq!(problems, Vec::<String>::new());
        let expression = Some("payload.a > 1".to_owned());
        assert_eq!(plain.webhook.filter, EventFilter { expression, ..EventFilter::default() });
        assert_eq!(
            applied(r#"{"filter":{"channel_type":"presence"}}"#).0.webhook.filter.topic_kind,
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
            let filter = applied(&format!(r#"{{"filter":{filter}}}"#)).0.webhook;
            let filter = filter.filter.subjects(filter.profile).unwrap();
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
    fn a_text_that_is_not_an_object_has_one_error() {
        let many = format!("{{{}\"x\":1}}", (0..64).map(|i| format!("\"{i}\":1,")).collect::<String>());
        for (text, told) in [
            (r#"{"name":"n","timeout_ms":NaN}"#, "body: is not JSON, at line 1, column 26"),
            ("{\n", "body: is not JSON, at line 2, column 0"),
            ("[]", "body: must be a JSON object of at most 64 fields"),
            (&many, "body: must be a JSON object of at most 64 fields"),
        ] {
            assert_eq!(applied(text).1, [told]);
            assert!(Patch::read(text).unreadable);
        }
        assert!(!Patch::read(r#"{"name":1,"body":1}"#).unreadable);
        assert_eq!(applied(r#"{"retry":[]}"#).1, ["retry: must be a JSON object of at most 64 fields"]);
    }

    #[test]
    fn a_template_has_one_limit() {
        let of = |bytes: usize| format!(r#"{{"profile":"template","template":"{}"}}"#, "x".repeat(bytes));
        assert!(applied(&of(MAX_TEMPLATE)).1.is_empty());
        assert_eq!(applied(&of(MAX_TEMPLATE + 1)).1, ["template: may have at most 16384 bytes"]);
    }

    #[test]
    fn headers_of_the_profile_are_refused() {
        for (profile, name, refused) in [
            ("standard", "Webhook-Signature", true),
            ("standard", "X-Pusher-Signature", false),
            ("pusher", "X-Pusher-Signature", true),
            ("discord", "webhook-id", false),
            ("discord", "Host", true),
            ("standard", "User-Agent", false),
        ] {
            let patch = format!(r#"{{"profile":"{profile}","headers":{{"{name}":"x"}}}}"#);
            assert_eq!(applied(&patch).1.len(), usize::from(refused), "{profile} {name}");
        }
        // The header is another profile's, until the profile changes.
        let (mut plain, _) = applied(r#"{"profile":"standard","headers":{"X-Pusher-Key":"x"}}"#);
        assert!(Patch::read(r#"{"name":"n"}"#).apply(&mut plain).is_empty());
        let errors = Patch::read(r#"{"profile":"pusher"}"#).apply(&mut plain).messages();
        assert_eq!(errors, ["headers: X-Pusher-Key is made by the profile pusher and can't be set"]);
    }

    #[test]
    fn headers_stay_with_the_host_they_were_given_for() {
        let changed = |from: &str, change: &str| {
            let mut plain = plain(Profile::Wanderer);
            let made = format!(r#"{{{from},"headers":{{"Authorization":"Bearer x"}}}}"#);
            assert!(Patch::read(&made).apply(&mut plain).is_empty());
            let errors = Patch::read(change).apply(&mut plain);
            (plain.private.headers.first().map(|(_, value)| value.clone()), errors.iter().len())
        };
        let bearer = Some("Bearer x".to_owned());
        let http = r#""url":"https://example.com/a""#;
        for same in ["https://example.com/b?c", "https://EXAMPLE.com:443/", "https://example.com/a"] {
            assert_eq!(changed(http, &format!(r#"{{"url":"{same}"}}"#)), (bearer.clone(), 0), "{same}");
        }
        for other in ["http://example.com/a", "https://example.com:8443/a", "https://example.org/a", "no url"]
        {
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
        assert!(Patch::read(&format!(r#"{{"url":"{own}"}}"#)).apply(&mut plain).is_empty());
        let masked = r#"{"url":"https://discord.com/api/webhooks/1/***","profile":"template","template":"x","batch":null}"#;
        let errors = Patch::read(masked).apply(&mut plain.clone());
        assert_eq!(errors.messages(), ["url: is required again where the profile is no chat's any more"]);
        let kept = masked.replace("template\",\"template\":\"x", "slack");
        assert!(Patch::read(&kept).apply(&mut plain).is_empty());
        assert!(plain.private.target == crate::core::webhook::Target::Http(own.into()));
    }

    #[test]
    fn a_pattern_of_stars_becomes_one_star() {
        let events = |text: &str| applied(&format!(r#"{{"events":{text}}}"#)).0.webhook.events;
        assert_eq!(events(r#""*""#), ["*"]);
        assert_eq!(events(r#"["x","**"]"#), ["*"]);
        assert_eq!(events(r#"["b_*","a","a"]"#), ["a", "b_*"]);
        assert_eq!(events(r#""one""#), ["one"]);
    }

    #[test]
    fn shown_fields_are_ignored_and_unknown_ones_are_reported() {
        let shown =
            r#"{"id":"x","url":null,"delivered":3,"created_at":"","name":"n","auto_disable_seconds":null}"#;
        let back = Patch::read_back(shown);
        assert_eq!((back.errors.messages(), back.name()), (vec![], Some("n")));
        let told = Patch::read_back(r#"{"stat":"healthy","evnts":"*","colour":1}"#).errors.messages();
        assert_eq!(
            told,
            [
                "stat: is not a known field",
                "evnts: is not a known field; did you mean events?",
                "colour: is not a known field",
            ]
        );
        assert_eq!(Patch::read(r#"{"id":"x"}"#).errors.iter().len(), 1);
    }

    #[test]
    fn a_new_webhook_without_a_target_has_one_error() {
        let told = |text: &str| Patch::read(text).apply_to_new(&mut plain(Profile::Wanderer)).messages();
        assert_eq!(told("{}"), ["url: is required"]);
        assert_eq!(told(r#"{"url":5}"#), ["url: must be a string"]);
        assert_eq!(told(r#"{"lambda":{"region":"us-east-1"}}"#), ["lambda.function_name: is required"]);
        assert_eq!(told("{"), ["body: is not JSON, at line 1, column 1"]);
        assert!(told(r#"{"url":"https://example.com/"}"#).is_empty());
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in ".*", value in "[0-9.eE+-]{0,12}|null|true|\\{\\}|\\[\\]|\"\"|\"\\*\\*\\*\"") {
            applied(&text);
            for field in ["events", "headers", "lambda", "rate_limit", "batch", "filter", "retry", "auto_disable", "url"] {
                applied(&format!(r#"{{"{field}":{value}}}"#));
            }
        }
    }
}
