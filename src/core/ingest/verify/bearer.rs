//! Senders that prove themselves by a header alone: a key, or a JWT.

use super::{Head, Keys, Proof};
use crate::core::ingest::Headers;
use crate::core::ingest::denied::Denied;
use crate::core::jwt::JwtError;
use subtle::ConstantTimeEq;

/// The header of JWTs.
const AUTHORIZATION: &str = "authorization";

/// Compares a header with the valid secrets, in a time that does not depend on where they differ.
pub(super) fn of_header(
    name: &'static str,
    keys: &Keys,
    headers: &Headers,
    expiry_ms: u64,
) -> Result<Head, Denied> {
    let given = headers.need(name)?.as_bytes();
    let mut is_known = false;
    for key in keys.valid_at(expiry_ms) {
        // An empty secret opens nothing.
        is_known |= !key.secret.is_empty() && bool::from(key.secret.as_bytes().ct_eq(given));
    }
    if is_known { Ok(Head::Proved(Proof::default())) } else { Err(Denied::WrongKey(name)) }
}

/// Verifies the JWT in the header `Authorization`. A token is made for many requests, so it makes none of them
/// one delivery.
pub(super) fn of_jwt(keys: &Keys, headers: &Headers, now_ms: u64, expiry_ms: u64) -> Result<Head, Denied> {
    let header = headers.need(AUTHORIZATION)?;
    let (scheme, token) = header.split_once(' ').ok_or(Denied::Malformed(AUTHORIZATION))?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Denied::Malformed(AUTHORIZATION));
    }
    let mut refused = JwtError::BadSignature;
    for verifier in keys.valid_at(expiry_ms).filter_map(|key| key.verifier.as_ref()) {
        match verifier.verify(token.trim(), now_ms) {
            Ok(_) => return Ok(Head::Proved(Proof::default())),
            Err(error) => refused = error,
        }
    }
    Err(Denied::Jwt(refused))
}
