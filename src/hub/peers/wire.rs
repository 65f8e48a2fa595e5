//! The bytes of requests between nodes.
//!
//! Request: kind (2 bytes, little-endian), then what [`codec`] makes of it. Answer: [`Outcome`] (1 byte), then, where there
//! is an answer, what [`codec`] makes of it.

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
    /// The kind is not known.
    Unknown = 1,
    /// Too many of its kind.
    Busy = 2,
    /// The request can't be read.
    Malformed = 3,
    /// It was taken up, and there is no answer.
    Failed = 4,
}

/// A whole request.
pub(super) fn request<T: Serialize>(kind: Kind, request: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend(codec::encode(request)?);
    Ok(bytes)
}

/// What kind of request that is.
pub(super) fn kind(request: &[u8]) -> Option<Kind> {
    request.first_chunk().map(|kind| Kind::from_le_bytes(*kind))
}

/// The request behind its kind.
pub(super) fn body(request: &[u8]) -> &[u8] {
    request.get(HEAD..).unwrap_or_default()
}

/// A whole answer.
pub(super) fn answer(mut body: Vec<u8>) -> Bytes {
    body.insert(0, Outcome::Answered as u8);
    body.into()
}

/// An answer without one.
pub(super) fn refusal(outcome: Outcome) -> Bytes {
    vec![outcome as u8].into()
}

/// What was answered.
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
