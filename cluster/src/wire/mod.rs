//! The only place that knows the byte formats: of log entries, of the store's own record, of peer frames.
//!
//! Every layout is an explicit versioned type in bincode 2 (variable-length integers). Decoding is bounded,
//! and left-over bytes are an error. Golden tests pin each layout. A changed layout is a new version beside
//! the old one.

mod entry;
mod founding;
pub(crate) mod frame;
mod ids;
#[cfg(not(feature = "sim"))]
mod mark;
mod peer;
mod proposal;
mod received;
mod system;

use bincode::enc::write::SizeWriter;
use bincode::error::EncodeError;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub(crate) use entry::{EntryData, StoredPayload};
pub(crate) use founding::{AgreementV1, NewcomerV1};
pub(crate) use ids::{StoredLogId, StoredVote};
#[cfg(not(feature = "sim"))]
pub(crate) use mark::StoredMark;
pub(crate) use peer::{
    Announce, Answer, Append, Appended, EndV1, Forwarded, Greeted, Greeting, Hello, JoinReply, PairV1,
    ProcessV1, Records, Request, ShownV1, Welcome, WireEntry,
};
pub(crate) use proposal::{IncarnationV1, PartV1, ProposalV1, ProposerV1, RememberedV1};
#[cfg(not(feature = "sim"))]
pub(crate) use system::MemberV1;
pub(crate) use system::{
    AwaitedV1, FormerV1, IdentityV1, IntroductionV1, KnownV1, MembershipV1, StampV1, SystemV1,
};

/// Largest command, entry, request body or append that the layouts carry (bytes).
pub(crate) const MAX_COMMAND: usize = 2 * 1024 * 1024;
/// Largest encoded value: twice the largest content, so that envelopes always fit.
pub(crate) const MAX_ENCODED: usize = 2 * MAX_COMMAND + 64 * 1024;

/// Bytes that do not have the expected layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    #[error("cannot be decoded: {0}")]
    Malformed(String),
    #[error("{0} bytes are left over")]
    Trailing(usize),
    #[error("cannot be encoded: {0}")]
    Unencodable(String),
}

impl From<WireError> for std::io::Error {
    fn from(error: WireError) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}

// The limit counts what decoding would allocate, so a hostile length fails before memory is allocated.
type Layout = bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<MAX_ENCODED>,
>;

const fn layout() -> Layout {
    bincode::config::standard().with_limit::<MAX_ENCODED>()
}

/// Encodes a layout. Its bytes are counted first, so that those of a large message are written where they
/// stay.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, WireError> {
    let unencodable = |e: EncodeError| WireError::Unencodable(e.to_string());
    let mut size = SizeWriter::default();
    bincode::serde::encode_into_writer(value, &mut size, layout()).map_err(unencodable)?;
    let mut bytes = Vec::with_capacity(size.bytes_written);
    bincode::serde::encode_into_std_write(value, &mut bytes, layout()).map_err(unencodable)?;
    Ok(bytes)
}

/// Decodes a layout, which must fill `bytes`.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    let (value, used) = bincode::serde::decode_from_slice(bytes, layout())
        .map_err(|e| WireError::Malformed(e.to_string()))?;
    whole(value, used, bytes)
}

/// Decodes a layout that borrows from `bytes` and must fill it.
pub(crate) fn decode_borrowed<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, WireError> {
    let (value, used) = bincode::serde::borrow_decode_from_slice(bytes, layout())
        .map_err(|e| WireError::Malformed(e.to_string()))?;
    whole(value, used, bytes)
}

fn whole<T>(value: T, used: usize, bytes: &[u8]) -> Result<T, WireError> {
    match bytes.len() - used {
        0 => Ok(value),
        rest => Err(WireError::Trailing(rest)),
    }
}

#[cfg(all(test, not(feature = "sim")))]
mod tests;
