//! What an endpoint is before anything is asked for: by profile, with the node's settings over it.

use crate::core::ids::{EndpointId, MapId};
use crate::core::webhook::mask::masked_url;
use crate::core::webhook::{
    Batch, Endpoint, EventFilter, Method, Ordering, Origin, Private, Profile, RateLimit, RetryPolicy, Target,
    TargetKind, Template,
};

/// Events in one message of a chat.
pub(super) const CHAT_BATCH: u32 = 10;
/// Of bodies that a template makes.
pub(super) const TEMPLATE_TYPE: &str = "application/json";
const HOUR_MS: u64 = 3_600_000;
/// What receivers of that profile wait for by themselves.
const BROADCASTING_TIMEOUT_MS: u32 = 5000;

/// The node's own defaults of new endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// One deadline over a request, milliseconds.
    pub timeout_ms: u32,
    /// Attempts in all, instead of the profile's.
    pub retry_attempts: Option<u32>,
    /// Before the second attempt, milliseconds, instead of the profile's.
    pub retry_delay_ms: Option<u64>,
    /// Seconds of failing after which an endpoint is disabled; `None` is never.
    pub auto_disable_seconds: Option<u64>,
}

/// An endpoint in the clear; `endpoint.sealed`, `mark` and `host` are of no meaning yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Plain {
    /// What anybody may see.
    pub endpoint: Endpoint,
    /// What is sealed.
    pub private: Private,
}

impl Plain {
    /// A new one, without a target and a secret.
    pub fn new(id: EndpointId, map: MapId, origin: Origin, profile: Profile, defaults: &Defaults) -> Self {
        let endpoint = Endpoint {
            id,
            map,
            name: String::new(),
            origin,
            target: TargetKind::Http,
            host: String::new(),
            mark: [0; 16],
            sealed: Vec::new(),
            profile,
            method: Method::Post,
            events: vec!["*".into()],
            filter: EventFilter::default(),
            ordering: Ordering::None,
            rate: rate(profile),
            batch: profile.is_chat().then_some(Batch { max: CHAT_BATCH, duration_ms: 0 }),
            retry: retry(profile, defaults),
            timeout_ms: timeout(profile, defaults),
            auto_disable_seconds: defaults.auto_disable_seconds,
            template: None::<Template>,
            key: None,
            active: true,
            disabled: None,
            born: 0,
            revision: 0,
            inserted_ms: 0,
            updated_ms: 0,
        };
        let target = Target::Http(String::new());
        Self { endpoint, private: Private { target, headers: Vec::new(), secret: String::new(), previous: Vec::new() } }
    }
}

impl Private {
    /// Whether it has a target.
    pub fn has_target(&self) -> bool {
        !matches!(&self.target, Target::Http(url) if url.is_empty())
    }

    /// Whether the target is a chat's that is shown as `url`.
    pub(super) fn shown_as(&self, url: &str) -> bool {
        matches!(&self.target, Target::Http(own) if masked_url(own) == url)
    }
}

fn rate(profile: Profile) -> Option<RateLimit> {
    match profile {
        Profile::Slack => Some(RateLimit { requests: 1, period_ms: 1000 }),
        Profile::Discord => Some(RateLimit { requests: 5, period_ms: 2000 }),
        _ => None,
    }
}

fn retry(profile: Profile, defaults: &Defaults) -> RetryPolicy {
    let (attempts, factor_percent) = match profile {
        Profile::Pusher => (6, 200),
        Profile::Broadcasting => (4, 100),
        _ => (16, 200),
    };
    RetryPolicy {
        max_attempts: defaults.retry_attempts.unwrap_or(attempts),
        delay_ms: defaults.retry_delay_ms.unwrap_or(1000),
        factor_percent,
        max_delay_ms: HOUR_MS,
        jitter_percent: if profile == Profile::Pusher { 10 } else { 25 },
        // Chats know no ids: they would show a message twice.
        ambiguous: !profile.is_chat(),
    }
}

fn timeout(profile: Profile, defaults: &Defaults) -> u32 {
    match profile {
        Profile::Broadcasting => defaults.timeout_ms.min(BROADCASTING_TIMEOUT_MS),
        _ => defaults.timeout_ms,
    }
}
