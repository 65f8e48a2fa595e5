//! A source as it is replicated: its settings, and its secrets in encrypted form.

use crate::core::ids::{MapId, SourceId, TokenId};
use crate::core::jwt::Algorithm;
use serde::{Deserialize, Serialize};

/// Sources of one map, at most.
pub const MAX_SOURCES: usize = 100;

/// How senders prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Authentication {
    /// The header `X-API-Key` has the key.
    ApiKey,
    /// The signature of Game Insights: HMAC-SHA256 over time and body.
    Hmac,
    /// A JWT in the header `Authorization`.
    Jwt,
    /// Nothing: whoever knows the address may send.
    None,
    /// As GitHub signs.
    GitHub,
    /// As GitLab proves itself: by a token in a header.
    GitLab,
    /// As Stripe signs.
    Stripe,
    /// As Shopify signs.
    Shopify,
    /// As Slack signs.
    Slack,
    /// As Twilio signs.
    Twilio,
    /// As Standard Webhooks and Svix sign.
    Standard,
    /// As Waypost's own webhooks sign.
    Waypost,
}

impl Authentication {
    /// All ways with their names.
    pub const NAMES: [(&'static str, Self); 12] = [
        ("api_key", Self::ApiKey),
        ("hmac", Self::Hmac),
        ("jwt", Self::Jwt),
        ("none", Self::None),
        ("github", Self::GitHub),
        ("gitlab", Self::GitLab),
        ("stripe", Self::Stripe),
        ("shopify", Self::Shopify),
        ("slack", Self::Slack),
        ("twilio", Self::Twilio),
        ("standard", Self::Standard),
        ("waypost", Self::Waypost),
    ];

    /// Returns the name in settings.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, known)| *known == self).map_or("none", |(name, _)| name)
    }

    /// Returns whether its secrets sign as those of Standard Webhooks do.
    pub fn is_standard(self) -> bool {
        matches!(self, Self::Standard | Self::Waypost)
    }
}

/// What the key of a source that takes JWTs is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyKind {
    /// A secret that the sender has too.
    Secret,
    /// A public key in PEM form.
    Pem,
    /// A JWKS document.
    Jwks,
}

/// What a JWT must be. Its key is the source's secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JwtRules {
    /// The only algorithm.
    pub algorithm: Algorithm,
    /// What the key is.
    pub key: KeyKind,
    /// The claim `iss`, if it must be this.
    pub issuer: Option<Box<str>>,
    /// What the claim `aud` must name, if something.
    pub audience: Option<Box<str>>,
}

/// What happens to an event whose payload the schema does not allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnInvalid {
    /// The whole request is refused.
    #[default]
    Refuse,
    /// The event is stored and counts as not validated.
    Mark,
}

impl OnInvalid {
    /// Both with their names.
    pub const NAMES: [(&'static str, Self); 2] = [("refuse", Self::Refuse), ("mark", Self::Mark)];

    /// Returns the name in settings.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, known)| *known == self).map_or("refuse", |(name, _)| name)
    }
}

/// How many requests a source takes in a minute, on each node; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLimits {
    /// From all addresses together.
    pub per_minute: Option<u32>,
    /// From one address.
    pub per_minute_per_address: Option<u32>,
}

impl Default for SourceLimits {
    fn default() -> Self {
        Self { per_minute: Some(60_000), per_minute_per_address: Some(6000) }
    }
}

/// The settings of a source, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Name for people.
    pub name: Box<str>,
    /// How senders prove who they are.
    pub authentication: Authentication,
    /// What a JWT must be, if JWTs prove it.
    pub jwt: Option<JwtRules>,
    /// Whether the source takes events.
    pub active: bool,
    /// How a body becomes events: a mapping document. `None` is the usual way of the authentication.
    pub mapping: Option<Box<str>>,
    /// The JSON Schema of the payloads.
    pub schema: Option<Box<str>>,
    /// What happens to an event whose payload the schema does not allow.
    pub on_invalid: OnInvalid,
    /// How many requests it takes.
    pub limits: SourceLimits,
    /// The header in which a sender without signatures names its delivery, so that a repeated one counts once.
    pub dedupe_header: Box<str>,
}

impl Settings {
    /// The settings of a new source before anything is asked for.
    pub fn new() -> Self {
        Self {
            name: "".into(),
            authentication: Authentication::Hmac,
            jwt: None,
            active: true,
            mapping: None,
            schema: None,
            on_invalid: OnInvalid::Refuse,
            limits: SourceLimits::default(),
            dedupe_header: "idempotency-key".into(),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::new()
    }
}

/// A source as it is replicated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The id, which its address ends with.
    pub id: SourceId,
    /// The map that it publishes into.
    pub map: MapId,
    /// Its settings.
    pub settings: Settings,
    /// Its secrets, encrypted.
    #[serde(with = "serde_bytes")]
    pub encrypted: Vec<u8>,
    /// Counts its changes, from 1.
    pub revision: u64,
    /// When it was made (Unix milliseconds).
    pub inserted_ms: u64,
    /// When it was last changed (Unix milliseconds).
    pub updated_ms: u64,
}

/// Creates or changes a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutSource {
    /// The caller's token; `None` is the admin.
    pub by: Option<TokenId>,
    /// The source. The state machine sets its revision and its times.
    pub source: Source,
    /// The revision that it changes; `None` creates a source.
    pub base: Option<u64>,
}

/// Deletes a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteSource {
    /// The map.
    pub map: MapId,
    /// The caller's token; `None` is the admin.
    pub by: Option<TokenId>,
    /// The source.
    pub id: SourceId,
}
