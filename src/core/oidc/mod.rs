//! Sign-in by OpenID Connect: what it is configured with, what an issuer says of itself, and whom an ID token
//! lets in.
//!
//! This module makes no requests and reads no clock. [`Attempt`] is one sign-in under way, [`Discovery`] the
//! issuer's document, and [`admission`] what a person may do, by the claims of a verified ID token.

mod admission;
mod attempt;
mod discovery;
mod settings;

pub use admission::{Admission, MAX_MAPS, admission};
pub use attempt::{Attempt, RANDOM_BYTES, WrongToken};
pub use discovery::{BadDiscovery, Discovery, MAX_DISCOVERY_LEN};
pub use settings::{MapsClaim, OidcSettings};

#[cfg(test)]
mod tests;
