//! Whether a request comes from a sender of its source: pure functions over headers, body, address and time.
//!
//! Wire sources: the documentation of each sender and its own libraries, whose published examples are the
//! golden signatures of the tests. A header that takes part must be given once.
//!
//! A [`Proof`] says what makes the request one delivery: what its signature covers, or an id that the signature
//! covers. A signature with other bytes that verifies the same content is the same delivery.

mod bearer;
mod keys;
mod signed;
#[cfg(test)]
mod tests;
mod twilio;

pub use keys::Keys;
pub(super) use signed::hmac_of;

use super::Headers;
use super::denied::Denied;
use super::settings::{Authentication, Settings};

/// How far the time of a signature may be from the cluster's time, in both directions (milliseconds).
pub const TOLERANCE_MS: u64 = 300_000;

/// Twilio's signature of an address and a form, decoded.
pub(super) fn twilio_signature(secret: &[u8], url: &str, form: &[u8]) -> Vec<u8> {
    twilio::mac(secret, url, &twilio::parameters(form))
}

/// A request whose sender is to be verified.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'r> {
    /// The headers.
    pub headers: &'r Headers,
    /// The bytes of the body.
    pub body: &'r [u8],
    /// The whole address to which the sender posted, as it knows it.
    pub url: &'r str,
    /// The cluster's time (Unix milliseconds).
    pub now_ms: u64,
    /// The expiry clock (milliseconds).
    pub expiry_ms: u64,
}

/// What is known once the headers are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// The headers alone prove the sender.
    Proved(Proof),
    /// They may: the signature covers the body.
    NeedsBody,
}

/// The proof that a request comes from a sender of the source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// What makes it one delivery. `None` if the sender proves itself by a key that every request has.
    pub delivery: Option<Vec<u8>>,
}

/// Checks the headers of a request, before its body is read.
///
/// # Errors
/// Whatever its body, the request does not come from a sender of the source.
pub fn check_head(
    settings: &Settings,
    keys: &Keys,
    headers: &Headers,
    now_ms: u64,
    expiry_ms: u64,
) -> Result<Head, Denied> {
    match settings.authentication {
        Authentication::None => Ok(Head::Proved(Proof::default())),
        Authentication::ApiKey => bearer::of_header("x-api-key", keys, headers, expiry_ms),
        Authentication::GitLab => bearer::of_header("x-gitlab-token", keys, headers, expiry_ms),
        Authentication::Jwt => bearer::of_jwt(keys, headers, now_ms, expiry_ms),
        Authentication::Twilio => headers.need(twilio::SIGNATURE).map(|_| Head::NeedsBody),
        signed => signed::read(signed, headers, now_ms).map(|_| Head::NeedsBody),
    }
}

/// Verifies a request with its body.
///
/// # Errors
/// It does not come from a sender of the source.
pub fn verify(settings: &Settings, keys: &Keys, incoming: &Incoming<'_>) -> Result<Proof, Denied> {
    let Incoming { headers, now_ms, expiry_ms, .. } = *incoming;
    if let Head::Proved(proof) = check_head(settings, keys, headers, now_ms, expiry_ms)? {
        return Ok(proof);
    }
    match settings.authentication {
        Authentication::Twilio => twilio::verify(keys, incoming),
        signed => signed::read(signed, headers, now_ms)?.verify(signed, keys, incoming),
    }
}
