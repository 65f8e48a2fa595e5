//! An event as a client sees it.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// An event as a client received it, or as a node stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its id.
    pub id: String,
    /// Its position in the stream.
    pub seq: u64,
    /// Its type.
    pub kind: String,
    /// Its subject; empty for the map's own subject.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// The `key` of its payload; empty when it has none.
    pub key: String,
    /// A digest of its time and of the bytes of its payload.
    pub hash: String,
}

/// An envelope, as clients and webhooks receive it.
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

/// The `key` of a payload, which the test publishers set.
#[derive(Deserialize)]
struct Keyed {
    #[serde(default)]
    key: String,
}

impl Event {
    /// From an envelope that is already parsed.
    pub fn from_envelope(envelope: &Value) -> Result<Self> {
        Self::read(&envelope.to_string())
    }

    /// Parses an envelope.
    pub fn read(envelope: &str) -> Result<Self> {
        let Envelope { id, seq, kind, subject, ts, payload } =
            serde_json::from_str(envelope).with_context(|| format!("not an envelope: {envelope}"))?;
        let key = serde_json::from_str::<Keyed>(payload.get()).map_or_else(|_| String::new(), |k| k.key);
        let hash = digest(&[ts.as_bytes(), payload.get().as_bytes()]);
        Ok(Self { id, seq, kind, subject, key, hash })
    }
}

/// The first eight bytes of SHA-256 over the parts, each preceded by its length, in hexadecimal.
pub fn digest(parts: &[&[u8]]) -> String {
    let with =
        |hash: Sha256, part: &&[u8]| hash.chain_update((part.len() as u64).to_be_bytes()).chain_update(part);
    let hash = parts.iter().fold(Sha256::new(), with).finalize();
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
