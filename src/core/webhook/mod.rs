//! Webhooks: consumers whose worker is ours. Events are delivered to them by request.
//!
//! Owns what is special about them: settings and how people write them, what came of a request and which verdict on the
//! delivery follows from it, the replicated records that name such things. What is sent next, and what becomes of what
//! fails, [`consumer`](super::consumer) decides. Never: a secret in the clear; addresses, headers and keys come encrypted.

pub mod check;
pub mod directory;
mod filter;
pub mod mask;
pub mod outcome;
pub mod patch;
mod plan;
mod profile;
pub mod promises;
pub mod records;
pub mod secret;
mod settings;
pub mod shown;

pub use super::consumer::plan::Batch;
pub use super::consumer::schedule::RetryPolicy;
pub use filter::{EventFilter, SubjectFilter, TopicKind};
pub use profile::Profile;
pub use settings::{
    Defaults, Disabled, Invocation, Lambda, MAX_BATCH, MAX_KINDS, MAX_TEMPLATE, Method, OnWebhook, Ordering,
    Origin, Plain, Private, PutWebhook, RateLimit, Target, TargetKind, Template, Webhook,
};
