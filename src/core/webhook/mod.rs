//! Webhooks: consumers whose worker is part of the server. The worker delivers the events by HTTP request.
//!
//! This module has what is special about webhooks: the settings and the JSON in which callers write them, the
//! outcome of a request and the verdict on the delivery, and the replicated records of attempts and dead
//! letters. [`consumer`](super::consumer) decides which event is sent next and whether a failed one is tried
//! again. A replicated record never has a secret in the clear: addresses, headers and keys are encrypted.

pub mod check;
pub mod directory;
mod filter;
mod lifecycle;
pub mod mask;
pub mod outcome;
pub mod patch;
mod plan;
mod profile;
pub mod promises;
pub mod records;
mod repaired;
pub mod reserved;
pub mod secret;
mod settings;
pub mod shown;
pub mod standing;

pub use super::consumer::plan::Batch;
pub use super::consumer::retry_policy::RetryPolicy;
pub use filter::{EventFilter, SubjectFilter, TopicKind};
pub use lifecycle::{Wants, shown_as};
pub use profile::Profile;
pub use settings::{
    Defaults, Disabled, Invocation, Lambda, MAX_BATCH, MAX_KINDS, MAX_TEMPLATE, Method, OnWebhook, Ordering,
    Origin, Plain, Private, PutWebhook, RateLimit, Target, TargetKind, Template, Webhook,
};
