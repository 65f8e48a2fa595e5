//! The settings of a webhook as they are replicated. Never a secret in the clear: addresses, headers and keys come encrypted.

use super::{EventFilter, Profile};
use crate::core::consumer::plan::Batch;
use crate::core::consumer::schedule::RetryPolicy;
use crate::core::ids::{MapId, TokenId, WebhookId};
use crate::core::rate::Rate;
use serde::{Deserialize, Serialize};

/// Longest list of event types of one webhook.
pub const MAX_KINDS: usize = crate::core::filter::MAX_KINDS;
/// Events in one request at most, whatever the webhook asks for.
pub const MAX_BATCH: u32 = 1000;
/// Events in one message of a chat.
pub(super) const CHAT_BATCH: u32 = 10;
/// Longest source of a template, in bytes.
pub const MAX_TEMPLATE: usize = 16 * 1024;

/// What receivers of the profile `broadcasting` wait for by themselves.
const BROADCASTING_TIMEOUT_MS: u32 = 5000;
const HOUR_MS: u64 = 3_600_000;

/// One webhook as it is replicated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Id.
    pub id: WebhookId,
    /// The place in the log at which it was made: one that is made anew under the same id is another.
    pub born: u64,
    /// The map whose events it gets.
    pub map: MapId,
    /// Name for people.
    pub name: String,
    /// Who made it.
    pub origin: Origin,
    /// What is delivered to.
    pub target: TargetKind,
    /// Host of the target, for people and logs: nothing secret.
    pub host: String,
    /// Keyed hash of the target, so that two with the same one are found without opening them.
    pub fingerprint: [u8; 16],
    /// [`Private`], encrypted.
    #[serde(with = "serde_bytes")]
    pub encrypted: Vec<u8>,
    /// How bodies and signatures look.
    pub profile: Profile,
    /// With which method.
    pub method: Method,
    /// Event types, `*` standing for any characters; sorted, never empty.
    pub events: Vec<String>,
    /// Which of those events.
    pub filter: EventFilter,
    /// What waits for what.
    pub ordering: Ordering,
    /// Requests at most.
    pub rate: Option<RateLimit>,
    /// Several events in one request.
    pub batch: Option<Batch>,
    /// When a failed delivery is tried again.
    pub retry: RetryPolicy,
    /// One deadline over a whole request, milliseconds.
    pub timeout_ms: u32,
    /// Seconds of failing after which it is disabled; `None` is never.
    pub auto_disable_seconds: Option<u64>,
    /// For [`Profile::Template`].
    pub template: Option<Template>,
    /// Sent as `X-Pusher-Key`; `None` is the map's id.
    pub key: Option<String>,
    /// Whether it is delivered to.
    pub active: bool,
    /// Why it isn't, where nobody asked for that.
    pub disabled: Option<Disabled>,
    /// Counts the changes: who changes it names the one that was read.
    pub revision: u64,
    /// Unix milliseconds.
    pub inserted_ms: u64,
    /// Unix milliseconds.
    pub updated_ms: u64,
}

/// What only the owner and the editors of a webhook may see.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Private {
    /// Where to.
    pub target: Target,
    /// Additional headers; they win over built-in ones.
    pub headers: Vec<(String, String)>,
    /// Key of the signatures.
    pub secret: String,
    /// The keys before it, the newest first, and until when each signs too (Unix milliseconds).
    pub previous: Vec<(String, u64)>,
}

/// A target in the clear.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// A URL in its normal form.
    Http(String),
    /// A function of AWS Lambda.
    Lambda(Lambda),
}

/// A function of AWS Lambda.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lambda {
    /// Name or ARN.
    pub function_name: String,
    /// Such as `us-east-1`.
    pub region: String,
    /// Whether the function's answer is awaited.
    pub invocation: Invocation,
    /// Version or alias.
    pub qualifier: Option<String>,
}

/// How a function is invoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Invocation {
    /// Queued by AWS.
    Event,
    /// Run before AWS answers.
    RequestResponse,
    /// Only checked.
    DryRun,
}

impl Invocation {
    /// All, by name.
    pub const NAMES: [(&'static str, Self); 3] =
        [("Event", Self::Event), ("RequestResponse", Self::RequestResponse), ("DryRun", Self::DryRun)];
}

/// Who made a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// The API.
    Api,
    /// The configuration file; the API can't change it.
    Config,
}

impl Origin {
    /// All, by name.
    pub const NAMES: [(&'static str, Self); 2] = [("api", Self::Api), ("config", Self::Config)];
}

/// The kind of a [`Target`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TargetKind {
    /// HTTP or HTTPS.
    Http,
    /// AWS Lambda.
    Lambda,
}

/// The request's method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// POST.
    Post,
    /// PUT.
    Put,
}

impl Method {
    /// All, by name.
    pub const NAMES: [(&'static str, Self); 2] = [("POST", Self::Post), ("PUT", Self::Put)];
}

/// What waits for what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ordering {
    /// Nothing: what failed is tried again beside the rest.
    None,
    /// Events for which this expression has the same value wait for each other.
    Key(String),
    /// Every event waits for the one before.
    Strict,
}

/// Requests in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// How many; also the burst.
    pub requests: u32,
    /// In so many milliseconds.
    pub period_ms: u64,
}

impl From<RateLimit> for Rate {
    fn from(limit: RateLimit) -> Self {
        Rate { permits: limit.requests, period_ms: limit.period_ms }
    }
}

/// A template of bodies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// Its source.
    pub body: String,
    /// Of the bodies it makes.
    pub content_type: String,
}

/// Why a webhook was disabled without anybody asking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disabled {
    /// Unix milliseconds.
    pub at_ms: u64,
    /// In words.
    pub why: String,
}

/// Asks for a webhook to be made or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutWebhook {
    /// Who asks.
    pub by: Option<TokenId>,
    /// The webhook as it shall be; revision and times are set where it is applied.
    pub webhook: Webhook,
    /// The revision that was read; `None` makes a new one.
    pub revision: Option<u64>,
}

/// Asks for something about one webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnWebhook<T> {
    /// Who asks.
    pub by: Option<TokenId>,
    /// The map.
    pub map: MapId,
    /// The webhook.
    pub webhook: WebhookId,
    /// What.
    pub what: T,
}

/// What the node says of new webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// One deadline over a request, milliseconds.
    pub timeout_ms: u32,
    /// Attempts in all, instead of the profile's.
    pub retry_attempts: Option<u32>,
    /// Before the second attempt, milliseconds, instead of the profile's.
    pub retry_delay_ms: Option<u64>,
    /// Seconds of failing after which a webhook is disabled; `None` is never.
    pub auto_disable_seconds: Option<u64>,
}

/// A webhook in the clear, from the request that makes or changes it until it is encrypted; `webhook.encrypted` and `fingerprint`
/// are of no meaning yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Plain {
    /// What anybody may see.
    pub webhook: Webhook,
    /// What is encrypted.
    pub private: Private,
}

impl Plain {
    /// A new one as its profile has it, without a target and a secret.
    pub fn new(id: WebhookId, map: MapId, origin: Origin, profile: Profile, defaults: &Defaults) -> Self {
        let webhook = Webhook {
            id,
            map,
            name: String::new(),
            origin,
            target: TargetKind::Http,
            host: String::new(),
            fingerprint: [0; 16],
            encrypted: Vec::new(),
            profile,
            method: Method::Post,
            events: vec!["*".into()],
            filter: EventFilter::default(),
            ordering: Ordering::None,
            rate: usual_rate(profile),
            batch: usual_batch(profile),
            retry: usual_retry(profile, defaults),
            timeout_ms: usual_timeout(profile, defaults),
            auto_disable_seconds: defaults.auto_disable_seconds,
            template: None,
            key: None,
            active: true,
            disabled: None,
            born: 0,
            revision: 0,
            inserted_ms: 0,
            updated_ms: 0,
        };
        let target = Target::Http(String::new());
        Self {
            webhook,
            private: Private { target, headers: Vec::new(), secret: String::new(), previous: Vec::new() },
        }
    }
}

impl Private {
    /// Whether it has a target.
    pub fn has_target(&self) -> bool {
        !matches!(&self.target, Target::Http(url) if url.is_empty())
    }
}

fn usual_rate(profile: Profile) -> Option<RateLimit> {
    match profile {
        Profile::Slack => Some(RateLimit { requests: 1, period_ms: 1000 }),
        Profile::Discord => Some(RateLimit { requests: 5, period_ms: 2000 }),
        _ => None,
    }
}

fn usual_batch(profile: Profile) -> Option<Batch> {
    profile.is_chat().then_some(Batch { max: CHAT_BATCH, duration_ms: 0 })
}

fn usual_timeout(profile: Profile, defaults: &Defaults) -> u32 {
    match profile {
        Profile::Broadcasting => defaults.timeout_ms.min(BROADCASTING_TIMEOUT_MS),
        _ => defaults.timeout_ms,
    }
}

fn usual_retry(profile: Profile, defaults: &Defaults) -> RetryPolicy {
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
