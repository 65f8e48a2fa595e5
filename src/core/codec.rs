//! Records and commands as bytes: a format byte, then bincode with a decode limit.
//!
//! What decodes must have used every byte. The format byte lets a later release read what this one wrote.

use serde::{Serialize, de::DeserializeOwned};

/// Nothing larger is decoded; what the log takes is far less.
const LIMIT_BYTES: usize = 16 << 20;
const FORMAT_V1: u8 = 1;

/// Why bytes are not a record.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Written by a release that this one doesn't know.
    #[error("unknown format {0}")]
    Format(u8),
    /// Cut short, too long, or not what was expected.
    #[error("malformed record: {0}")]
    Malformed(String),
}

/// `value` as bytes.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    let config = bincode::config::standard().with_limit::<LIMIT_BYTES>();
    let mut bytes = vec![FORMAT_V1];
    bincode::serde::encode_into_std_write(value, &mut bytes, config)
        .map_err(|error| CodecError::Malformed(error.to_string()))?;
    Ok(bytes)
}

/// Back from [`encode`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (&format, body) = bytes.split_first().ok_or_else(|| CodecError::Malformed("empty".into()))?;
    if format != FORMAT_V1 {
        return Err(CodecError::Format(format));
    }
    let config = bincode::config::standard().with_limit::<LIMIT_BYTES>();
    let (value, used) = bincode::serde::decode_from_slice(body, config)
        .map_err(|error| CodecError::Malformed(error.to_string()))?;
    if used != body.len() {
        return Err(CodecError::Malformed(format!("{} bytes left over", body.len() - used)));
    }
    Ok(value)
}
