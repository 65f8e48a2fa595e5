//! The encoding of records and commands: a format byte, then bincode with a decode limit.
//!
//! The format byte lets a later release read what this one wrote.

use bincode::error::DecodeError;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The largest value that is decoded, in bytes. The largest log entry is much smaller.
const LIMIT_BYTES: usize = 16 << 20;
const FORMAT_V1: u8 = 1;

/// Why bytes are not a valid record.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// A release wrote it that this one does not know.
    #[error("unknown format {0}")]
    Format(u8),
    /// Truncated, too long, or of another type.
    #[error("malformed record: {0}")]
    Malformed(String),
}

/// Encodes `value`.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    encode_about(value, 0)
}

/// Does the same with a value whose encoding has about so many bytes.
pub fn encode_about<T: Serialize>(value: &T, bytes: usize) -> Result<Vec<u8>, CodecError> {
    let config = bincode::config::standard().with_limit::<LIMIT_BYTES>();
    let mut bytes = Vec::with_capacity(bytes);
    bytes.push(FORMAT_V1);
    bincode::serde::encode_into_std_write(value, &mut bytes, config)
        .map_err(|error| CodecError::Malformed(error.to_string()))?;
    Ok(bytes)
}

/// Decodes what [`encode`] wrote. Bytes that remain behind the value are an error.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let config = bincode::config::standard().with_limit::<LIMIT_BYTES>();
    whole(bytes, |body| bincode::serde::decode_from_slice(body, config))
}

/// Does the same with a value that borrows from the bytes.
pub fn decode_borrowed<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, CodecError> {
    let config = bincode::config::standard().with_limit::<LIMIT_BYTES>();
    whole(bytes, |body| bincode::serde::borrow_decode_from_slice(body, config))
}

/// The value that `read` finds behind the format. It must fill the bytes.
fn whole<'a, T>(
    bytes: &'a [u8],
    read: impl FnOnce(&'a [u8]) -> Result<(T, usize), DecodeError>,
) -> Result<T, CodecError> {
    let (&format, body) = bytes.split_first().ok_or_else(|| CodecError::Malformed("empty".into()))?;
    if format != FORMAT_V1 {
        return Err(CodecError::Format(format));
    }
    let (value, used) = read(body).map_err(|error| CodecError::Malformed(error.to_string()))?;
    if used != body.len() {
        return Err(CodecError::Malformed(format!("{} bytes left over", body.len() - used)));
    }
    Ok(value)
}
