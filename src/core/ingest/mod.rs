//! Ingest sources: addresses at which other services post events into a map.
//!
//! A [`Source`] has the settings of one address: how its senders prove who they are, how their bodies become
//! events, and how much they may send. Everything here is a pure function of settings, a request and the time:
//!
//! 1. [`check_head`] looks at the headers. Where a header alone proves the sender, the body need not be read
//!    to refuse a stranger. Otherwise [`verify`] checks the signature over the body.
//! 2. [`Reader`] turns the body into events: the format of Game Insights, the forms of the known senders,
//!    CloudEvents, or anything else by a mapping of the source's owner.
//! 3. [`Schema`] checks the payloads.
//!
//! Secrets are replicated in encrypted form only.

mod challenge;
mod denied;
mod directory;
mod headers;
mod mapped;
mod mapping;
mod patch;
mod reader;
mod schema;
mod secrets;
mod settings;
mod sign;
mod verify;

pub use challenge::challenge_of;
pub use denied::Denied;
pub use directory::Sources;
pub use headers::Headers;
pub use mapped::{Bad, Mapped};
pub use mapping::Mapping;
pub use patch::{Rotation, SourcePatch};
pub use reader::{Form, Reader};
pub use schema::{BadSchema, MAX_SCHEMA, Schema};
pub use secrets::{Previous, SourceSecrets};
pub use settings::{
    Authentication, DeleteSource, JwtRules, KeyKind, MAX_SOURCES, OnInvalid, PutSource, Settings, Source,
    SourceLimits,
};
pub use sign::signed_headers;
pub use verify::{Head, Incoming, Keys, Proof, TOLERANCE_MS, check_head, verify};
