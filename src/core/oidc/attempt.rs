//! One sign-in under way: what the browser keeps, encrypted, until the issuer sends it back.

use crate::core::jwt::Claims;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The random bytes of an attempt.
pub const RANDOM_BYTES: usize = 96;

/// A sign-in that has begun.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// What the issuer hands back, so that nobody else's answer is taken.
    pub state: String,
    /// What the ID token must carry, so that it is of this attempt.
    pub nonce: String,
    /// What proves to the issuer that the code is redeemed by those who asked for it (PKCE).
    pub verifier: String,
    /// When the attempt is over (milliseconds of the cluster's time).
    pub end_ms: u64,
}

/// Why an ID token that its issuer signed lets nobody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongToken {
    /// It is of another attempt.
    #[error("the ID token has another nonce")]
    Nonce,
    /// It was made for another client.
    #[error("the ID token was made for another client")]
    Client,
    /// It does not say whom it is about.
    #[error("the ID token has no sub")]
    NoSub,
}

impl Attempt {
    /// An attempt made of random bytes.
    pub fn new(random: &[u8; RANDOM_BYTES], end_ms: u64) -> Self {
        let part = |place: usize| URL_SAFE_NO_PAD.encode(&random[place * 32..][..32]);
        Self { state: part(0), nonce: part(1), verifier: part(2), end_ms }
    }

    /// What the issuer gets of the verifier before it is shown (PKCE, S256).
    pub fn challenge(&self) -> String {
        let digest: [u8; 32] = Sha256::digest(self.verifier.as_bytes()).into();
        URL_SAFE_NO_PAD.encode(digest)
    }

    /// Whether an answer is one to this attempt, and in time.
    pub fn is_answered_by(&self, state: &str, now_ms: u64) -> bool {
        now_ms < self.end_ms && bool::from(self.state.as_bytes().ct_eq(state.as_bytes()))
    }

    /// Checks what verifying the ID token leaves open: that it is of this attempt, and for this client.
    pub fn check(&self, claims: &Claims, client_id: &str) -> Result<(), WrongToken> {
        let nonce = claims.text("nonce").unwrap_or_default();
        if !bool::from(self.nonce.as_bytes().ct_eq(nonce.as_bytes())) {
            return Err(WrongToken::Nonce);
        }
        let audiences = claims.object().get("aud").and_then(Value::as_array).map_or(1, Vec::len);
        match claims.object().get("azp") {
            None if audiences > 1 => return Err(WrongToken::Client),
            Some(party) if party.as_str() != Some(client_id) => return Err(WrongToken::Client),
            _ => {}
        }
        if claims.sub().is_some() { Ok(()) } else { Err(WrongToken::NoSub) }
    }
}
