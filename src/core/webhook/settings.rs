//! The settings of a webhook as they are replicated. Never a secret in the clear: addresses, headers and keys come sealed.

use super::Profile;
use crate::core::consumer::plan::Batch;
use crate::core::consumer::schedule::RetryPolicy;
use crate::core::ids::{EndpointId, MapId, TokenId};
use crate::core::rate::Rate;
use crate::core::subject::{Selector, SelectorError};
use serde::{Deserialize, Serialize};

/// Longest list of event types of one endpoint.
pub const MAX_KINDS: usize = crate::core::filter::MAX_KINDS;
/// Events in one request at most, whatever the endpoint asks for.
pub const MAX_BATCH: u32 = 1000;
/// Longest source of a template, in bytes.
pub const MAX_TEMPLATE: usize = 16 * 1024;

/// One endpoint as it is replicated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Id.
    pub id: EndpointId,
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
    pub mark: [u8; 16],
    /// [`Private`], sealed.
    #[serde(with = "serde_bytes")]
    pub sealed: Vec<u8>,
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

/// What only the owner and the editors of an endpoint may see.
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

/// Who made an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// The API.
    Api,
    /// The configuration file; the API can't change it.
    Config,
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

/// Which events of the wanted types.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFilter {
    /// Only of these subjects, exact or with `*`. Where neither this nor another choice of subjects is given, only of the
    /// map's own.
    pub subjects: Option<Vec<String>>,
    /// Only of subjects that are channels of that kind.
    pub topic_kind: Option<TopicKind>,
    /// Only of subjects whose name starts so.
    pub topic_prefix: Option<String>,
    /// Only events for which this holds (see [`crate::core::expression`]).
    pub expression: Option<String>,
}

/// Kinds of channels, by the first part of their subjects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TopicKind {
    /// The map's own subject.
    Map,
    /// A Pusher channel for everybody.
    Public,
    /// `private-…`.
    Private,
    /// `presence-…`.
    Presence,
}

impl TopicKind {
    /// All, by name.
    pub const NAMES: [(&'static str, TopicKind); 4] =
        [("map", Self::Map), ("public", Self::Public), ("private", Self::Private), ("presence", Self::Presence)];

    /// The kind of the channel that has that subject.
    pub fn of(subject: &str) -> Self {
        match subject {
            "" => Self::Map,
            subject if subject.starts_with("private-") => Self::Private,
            subject if subject.starts_with("presence-") => Self::Presence,
            _ => Self::Public,
        }
    }
}

impl EventFilter {
    /// Which subjects it lets through.
    pub fn subjects(&self) -> Result<SubjectFilter, SelectorError> {
        let selector = match &self.subjects {
            Some(names) => Selector::from_names(names.iter().map(|name| Ok(name.as_str())))?,
            // They choose among all.
            None if self.topic_kind.is_some() || self.topic_prefix.is_some() => Selector::All,
            None => Selector::default(),
        };
        Ok(SubjectFilter { selector, kind: self.topic_kind, prefix: self.topic_prefix.clone() })
    }
}

/// Which subjects a webhook wants, made once from its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectFilter {
    selector: Selector,
    kind: Option<TopicKind>,
    prefix: Option<String>,
}

impl SubjectFilter {
    /// Whether events of that subject are wanted.
    pub fn takes(&self, subject: &str) -> bool {
        self.selector.matches(subject)
            && self.kind.is_none_or(|kind| kind == TopicKind::of(subject))
            && self.prefix.as_deref().is_none_or(|prefix| subject.starts_with(prefix))
    }
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

/// Why an endpoint was disabled without anybody asking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disabled {
    /// Unix milliseconds.
    pub at_ms: u64,
    /// In words.
    pub why: String,
}

/// Asks for an endpoint to be made or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutEndpoint {
    /// Who asks.
    pub by: Option<TokenId>,
    /// The endpoint as it shall be; revision and times are set where it is applied.
    pub endpoint: Endpoint,
    /// The revision that was read; `None` makes a new one.
    pub revision: Option<u64>,
}

/// Asks for something about one endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnEndpoint<T> {
    /// Who asks.
    pub by: Option<TokenId>,
    /// The map.
    pub map: MapId,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// What.
    pub what: T,
}
