//! The settings of a webhook as they are replicated. They have no secret in the clear: addresses, headers and
//! keys are encrypted.

use super::{EventFilter, Profile};
use crate::core::consumer::plan::Batch;
use crate::core::consumer::retry_policy::RetryPolicy;
use crate::core::ids::{MapId, TokenId, WebhookId};
use crate::core::rate::Rate;
use serde::{Deserialize, Serialize};

/// Longest list of event types of one webhook.
pub const MAX_KINDS: usize = crate::core::filter::MAX_KINDS;
/// Events in one request, at most. A webhook can't ask for more.
pub const MAX_BATCH: u32 = 1000;
/// Events in one message of a chat, at most.
pub(super) const CHAT_BATCH: u32 = 10;
/// Longest source of a template, in bytes.
pub const MAX_TEMPLATE: usize = 16 * 1024;

/// The longest timeout of the profile `broadcasting`: its receivers expect this one.
const BROADCASTING_TIMEOUT_MS: u32 = 5000;
const HOUR_MS: u64 = 3_600_000;

/// One webhook as it is replicated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Id.
    pub id: WebhookId,
    /// The position in the log at which it was made. It tells apart two webhooks that were made one after the
    /// other with the same id.
    pub born: u64,
    /// The map whose events it gets.
    pub map: MapId,
    /// Name for people.
    pub name: String,
    /// How it was made.
    pub origin: Origin,
    /// The kind of its target.
    pub target: TargetKind,
    /// Host of the target, for people and logs. It is not secret.
    pub host: String,
    /// Keyed hash of the target, so that two webhooks with the same target are found without decrypting them.
    pub fingerprint: [u8; 16],
    /// [`Private`], encrypted.
    #[serde(with = "serde_bytes")]
    pub encrypted: Vec<u8>,
    /// The format of its bodies and signatures.
    pub profile: Profile,
    /// The method of its requests.
    pub method: Method,
    /// Event types, in which `*` stands for any characters; sorted, never empty.
    pub events: Vec<String>,
    /// Which events of those types it gets.
    pub filter: EventFilter,
    /// Which events wait for each other.
    pub ordering: Ordering,
    /// Limit of its requests; `None` is no limit.
    pub rate: Option<RateLimit>,
    /// How several events go into one request; `None` is one event a request.
    pub batch: Option<Batch>,
    /// When a failed delivery is tried again.
    pub retry: RetryPolicy,
    /// The deadline of a whole request, milliseconds.
    pub timeout_ms: u32,
    /// Seconds of failing after which it is disabled; `None` is never.
    pub auto_disable_seconds: Option<u64>,
    /// The template of [`Profile::Template`].
    pub template: Option<Box<Template>>,
    /// Sent as `X-Pusher-Key`; `None` is the map's id. A new webhook with the secret of an app gets the app's
    /// key.
    pub key: Option<String>,
    /// Whether events are delivered to it.
    pub active: bool,
    /// Why the server disabled it; `None` if the server did not.
    pub disabled: Option<Disabled>,
    /// Counts the changes. A change names the revision that its caller read.
    pub revision: u64,
    /// When it was made, Unix milliseconds.
    pub inserted_ms: u64,
    /// When it was last changed, Unix milliseconds.
    pub updated_ms: u64,
    /// The most events that its readers may have without having acknowledged them. `None` where the server
    /// makes the requests: the node's configuration says how many run at a time.
    pub in_flight: Option<u32>,
}

impl Webhook {
    /// Whether clients read its events: it is a consumer whose workers are not the server.
    pub fn is_read(&self) -> bool {
        self.target == TargetKind::Readers
    }
}

/// The settings that only the owner and the editors of a webhook may see.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Private {
    /// Where its requests go.
    pub target: Target,
    /// Additional headers. They replace built-in ones of the same name, but none of the reserved ones.
    pub headers: Vec<(String, String)>,
    /// The secret of its signatures.
    pub secret: String,
    /// Earlier secrets, the newest first, and until when each signs too (Unix milliseconds).
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
    /// Region, such as `us-east-1`.
    pub region: String,
    /// How the function is invoked.
    pub invocation: Invocation,
    /// Version or alias.
    pub qualifier: Option<String>,
}

/// How AWS Lambda invokes a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Invocation {
    /// AWS queues the invocation and answers.
    Event,
    /// AWS answers after the function has run.
    RequestResponse,
    /// AWS only checks the invocation.
    DryRun,
}

impl Invocation {
    /// All ways with their names.
    pub const NAMES: [(&'static str, Self); 3] =
        [("Event", Self::Event), ("RequestResponse", Self::RequestResponse), ("DryRun", Self::DryRun)];
}

/// How a webhook was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// By the API.
    Api,
    /// By the configuration file. The API can't change it.
    Config,
}

impl Origin {
    /// All origins with their names.
    pub const NAMES: [(&'static str, Self); 2] = [("api", Self::Api), ("config", Self::Config)];
}

/// The kind of a [`Target`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TargetKind {
    /// HTTP or HTTPS.
    Http,
    /// AWS Lambda.
    Lambda,
    /// Clients that read and acknowledge: the server makes no requests.
    Readers,
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
    /// All methods with their names.
    pub const NAMES: [(&'static str, Self); 2] = [("POST", Self::Post), ("PUT", Self::Put)];
}

/// Which events of a webhook wait for each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ordering {
    /// None. An event that failed is tried again while others are delivered.
    None,
    /// Events for which this expression has the same value wait for each other.
    Key(String),
    /// Every event waits for the one before it.
    Strict,
}

/// A limit of requests in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// Number of requests in a period. As many may be sent at once.
    pub requests: u32,
    /// Length of the period, milliseconds.
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
    /// Media type of the bodies it makes.
    pub content_type: String,
}

/// When and why the server disabled a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disabled {
    /// When, Unix milliseconds.
    pub at_ms: u64,
    /// The reason as a text.
    pub why: String,
}

/// A command that makes or changes a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutWebhook {
    /// The token that asks for it.
    pub by: Option<TokenId>,
    /// The webhook as it shall be. The state machine sets the revision and the times.
    pub webhook: Webhook,
    /// The revision that was read; `None` makes a new one.
    pub revision: Option<u64>,
    /// The seq of the first event that a new one gets. `None` is the stream's end, at the position in the log
    /// where the command is applied.
    pub start_seq: Option<u64>,
}

/// A command about one existing webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnWebhook<T> {
    /// The token that asks for it.
    pub by: Option<TokenId>,
    /// The webhook's map.
    pub map: MapId,
    /// The webhook.
    pub webhook: WebhookId,
    /// What it asks for.
    pub what: T,
}

/// The defaults of new webhooks, from the node's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// The deadline of a request, milliseconds.
    pub timeout_ms: u32,
    /// Attempts of a delivery, the first one included; `None` is the profile's.
    pub retry_attempts: Option<u32>,
    /// Delay before the second attempt, milliseconds; `None` is the profile's.
    pub retry_delay_ms: Option<u64>,
    /// Seconds of failing after which a webhook is disabled; `None` is never.
    pub auto_disable_seconds: Option<u64>,
}

/// A webhook in the clear. It lives from the request that makes or changes the webhook until it is encrypted.
/// `webhook.encrypted` and `webhook.fingerprint` have no meaning yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Plain {
    /// The settings that stay in the clear.
    pub webhook: Webhook,
    /// The settings that will be encrypted.
    pub private: Private,
}

impl Plain {
    /// A new webhook with the defaults of its profile, without a target and a secret.
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
            in_flight: None,
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
        // Chats do not compare ids: they would show a message twice.
        ambiguous: !profile.is_chat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The delays that receivers of this profile expect: 1, 2, 4, 8 and 16 s. Who wants to be tried for five
    /// minutes asks for ten attempts, as docs/PUSHER.md says.
    #[test]
    fn receivers_with_an_app_s_key_are_tried_for_half_a_minute() {
        let defaults = Defaults {
            timeout_ms: 1,
            retry_attempts: None,
            retry_delay_ms: None,
            auto_disable_seconds: None,
        };
        let usual = usual_retry(Profile::Pusher, &defaults);
        assert_eq!((usual.max_attempts, usual.longest_ms()), (6, 34_100), "31 s, and a tenth at most");
        let ten = usual_retry(Profile::Pusher, &Defaults { retry_attempts: Some(10), ..defaults });
        let shortest_ms: u64 = (1..10).filter_map(|attempts| ten.delay_ms(attempts, 0)).sum();
        assert!(shortest_ms > 300_000, "{shortest_ms}");
    }

    /// Each node keeps all webhooks in memory. With the counts of an `Arc`, a webhook takes the allocator's
    /// class of 512 bytes; the next class has 640.
    #[test]
    fn a_webhook_is_small() {
        assert!(size_of::<Webhook>() + 2 * size_of::<usize>() <= 512, "{}", size_of::<Webhook>());
    }
}
