//! The bytes of requests between nodes.
//!
//! A request is its kind (2 bytes, little-endian), then the encoding by [`codec`]. An answer is an
//! [`Outcome`] (1 byte), then the encoding by [`codec`], if there is an answer.

use super::Kind;
use super::error::PeerError;
use crate::core::codec::{self, CodecError};
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

const HEAD: usize = size_of::<Kind>();

/// First byte of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The answer follows.
    Answered = 0,
    /// The kind is unknown.
    Unknown = 1,
    /// There are too many requests of this kind.
    Busy = 2,
    /// The request can't be read.
    Malformed = 3,
    /// The request was accepted, and there is no answer.
    Failed = 4,
}

/// Encodes a request.
pub(super) fn request<T: Serialize>(kind: Kind, request: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend(codec::encode(request)?);
    Ok(bytes)
}

/// The kind of a request.
pub(super) fn kind(request: &[u8]) -> Option<Kind> {
    request.first_chunk().map(|kind| Kind::from_le_bytes(*kind))
}

/// The body of a request, after its kind.
pub(super) fn body(request: &[u8]) -> &[u8] {
    request.get(HEAD..).unwrap_or_default()
}

/// Encodes an answer from its body.
pub(super) fn answer(mut body: Vec<u8>) -> Bytes {
    body.insert(0, Outcome::Answered as u8);
    body.into()
}

/// Encodes an outcome without an answer.
pub(super) fn refusal(outcome: Outcome) -> Bytes {
    vec![outcome as u8].into()
}

/// Decodes an answer.
pub(super) fn read_answer<T: DeserializeOwned>(answer: &[u8]) -> Result<T, PeerError> {
    let is = |outcome: Outcome| answer.first() == Some(&(outcome as u8));
    match answer.split_first() {
        Some((_, body)) if is(Outcome::Answered) => Ok(codec::decode(body)?),
        _ if is(Outcome::Unknown) => Err(PeerError::Unknown),
        _ if is(Outcome::Busy) => Err(PeerError::Busy),
        _ if is(Outcome::Malformed) => Err(PeerError::Malformed),
        _ => Err(PeerError::Failed),
    }
}
