//! The key that all nodes of a cluster share. It admits newcomers and does nothing else: between members the
//! pinned identities decide.
//!
//! A proof is an HMAC over the exporter of the TLS connection, the prover's side and identity, and the hello.
//! So it is worth nothing on another connection and cannot be relayed. The caller proves first, so a scanner
//! gets nothing with which it could test guesses of the key; and each guess at a proof is expensive.

use std::num::NonZeroU32;

use ring::{hmac, pbkdf2};
use subtle::ConstantTimeEq;

/// Makes each guess at a weak key expensive. Computed once at the start.
const ROUNDS: NonZeroU32 = NonZeroU32::MIN.saturating_add(99_999);

/// A key of 256 bits that is derived from the configured text.
pub(super) struct SharedKey(hmac::Key);

impl SharedKey {
    pub(super) fn new(text: &str) -> Self {
        let mut key = [0; 32];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, b"waypost peers 2", text.as_bytes(), &mut key);
        Self(hmac::Key::new(hmac::HMAC_SHA256, &key))
    }

    /// Proves that this node has the key.
    pub(super) fn prove(&self, message: &[u8]) -> [u8; 32] {
        let mut proof = [0; 32];
        proof.copy_from_slice(hmac::sign(&self.0, message).as_ref());
        proof
    }

    /// Whether a proof over `message` was made with this key; compares in constant time.
    pub(super) fn proved(&self, message: &[u8], proof: &[u8; 32]) -> bool {
        self.prove(message).ct_eq(proof).into()
    }
}
