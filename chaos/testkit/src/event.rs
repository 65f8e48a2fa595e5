//! An event as those outside see it.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// An event as it was seen or is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its id.
    pub id: String,
    /// Its place in the stream.
    pub seq: u64,
    /// Its type.
    pub kind: String,
    /// Its subject; empty for the map's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// The `key` of its payload; empty when it has none.
    pub key: String,
    /// Digest of its time and of the bytes of its payload.
    pub hash: String,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    id: String,
    seq: u64,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    subject: String,
    ts: String,
    #[serde(borrow)]
    payload: &'a RawValue,
}

#[derive(Deserialize)]
struct Keyed {
    #[serde(default)]
    key: String,
}

impl Event {
    /// From an envelope that was parsed before.
    pub fn from_envelope(envelope: &Value) -> Result<Self> {
        Self::read(&envelope.to_string())
    }

    /// From an envelope's text.
    pub fn read(envelope: &str) -> Result<Self> {
        let Envelope { id, seq, kind, subject, ts, payload } =
            serde_json::from_str(envelope).with_context(|| format!("not an envelope: {envelope}"))?;
        let key = serde_json::from_str::<Keyed>(payload.get()).map_or_else(|_| String::new(), |k| k.key);
        let hash = digest(&[ts.as_bytes(), payload.get().as_bytes()]);
        Ok(Self { id, seq, kind, subject, key, hash })
    }
}

/// Eight bytes of SHA-256 over the parts, each behind its length, in hexadecimal.
pub fn digest(parts: &[&[u8]]) -> String {
    let with =
        |hash: Sha256, part: &&[u8]| hash.chain_update((part.len() as u64).to_be_bytes()).chain_update(part);
    let hash = parts.iter().fold(Sha256::new(), with).finalize();
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
