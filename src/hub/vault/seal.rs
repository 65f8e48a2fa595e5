//! Seals what is secret of endpoints, and opens it.

use crate::core::codec;
use crate::core::ids::EndpointId;
use crate::core::webhook::Private;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;

pub(super) const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// Why something can't be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The node has not got the cluster's key yet.
    #[error("this node has not got the key that seals webhooks yet")]
    NotYet,
    /// What was sealed under another key, or damaged.
    #[error("what is sealed can't be opened with this node's key")]
    Wrong,
    /// No random bytes, or a record that is too large.
    #[error("sealing failed: {0}")]
    Failed(String),
}

/// Seals and opens.
pub struct Seal {
    cipher: XChaCha20Poly1305,
    pub(super) key: [u8; KEY_BYTES],
}

impl Seal {
    pub(super) fn new(key: [u8; KEY_BYTES]) -> Self {
        Self { cipher: XChaCha20Poly1305::new(&Key::from(key)), key }
    }

    /// Seals for that endpoint alone: what was sealed for one can't be passed off as another's.
    pub fn seal(&self, endpoint: EndpointId, private: &Private) -> Result<Vec<u8>, SealError> {
        let plain = codec::encode(private).map_err(|error| SealError::Failed(error.to_string()))?;
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|error| SealError::Failed(error.to_string()))?;
        let payload = Payload { msg: &plain, aad: endpoint.as_bytes() };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.map_err(|error| SealError::Failed(error.to_string()))?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Opens what [`Seal::seal`] made.
    pub fn open(&self, endpoint: EndpointId, sealed: &[u8]) -> Result<Private, SealError> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::Wrong)?;
        let payload = Payload { msg: sealed, aad: endpoint.as_bytes() };
        let plain = self.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| SealError::Wrong)?;
        codec::decode(&plain).map_err(|_| SealError::Wrong)
    }

    /// A hash by which two targets, given by their parts, are found to be the same without opening them.
    pub fn mark(&self, target: &[&str]) -> [u8; 16] {
        self.keyed_hash("target", target)
    }

    /// Tells this key from another.
    pub(super) fn key_mark(&self) -> [u8; 16] {
        self.keyed_hash("key", &[])
    }

    /// Each part goes in behind its length: no two lists of parts are the same bytes.
    fn keyed_hash(&self, what: &str, parts: &[&str]) -> [u8; 16] {
        // HMAC fills a key up with zeros to its block.
        let mut block = [0; 64];
        block[..KEY_BYTES].copy_from_slice(&self.key);
        let mut hash = <Hmac<Sha256> as hmac::KeyInit>::new(&block.into());
        for part in [what].iter().chain(parts) {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let mut mark = [0; 16];
        mark.copy_from_slice(&hash.finalize().into_bytes()[..16]);
        mark
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::webhook::Target;

    fn private() -> Private {
        let target = Target::Http("https://example.com/hook".into());
        Private {
            target,
            headers: vec![("Authorization".into(), "Bearer x".into())],
            secret: "whsec_x".into(),
            previous: Vec::new(),
        }
    }

    #[test]
    fn opens_for_the_same_endpoint_and_key_only() {
        let (seal, one, two) = (Seal::new([1; 32]), EndpointId::from_bytes([1; 16]), EndpointId::from_bytes([2; 16]));
        let sealed = seal.seal(one, &private()).unwrap();
        assert!(seal.open(one, &sealed).unwrap() == private());
        assert!(seal.open(two, &sealed).is_err());
        assert!(Seal::new([2; 32]).open(one, &sealed).is_err());
        let mut flipped = sealed.clone();
        flipped[30] ^= 1;
        assert!(seal.open(one, &flipped).is_err());
        assert!(seal.open(one, &sealed[..10]).is_err());
        assert!(!sealed.windows(7).any(|bytes| bytes == b"example"));
    }

    #[test]
    fn targets_are_told_apart_by_their_parts() {
        let seal = Seal::new([1; 32]);
        assert_eq!(seal.mark(&["lambda", "r", "f"]), seal.mark(&["lambda", "r", "f"]));
        assert_ne!(seal.mark(&["lambda", "r", "f"]), Seal::new([2; 32]).mark(&["lambda", "r", "f"]));
        let (one, other) = (seal.mark(&["lambda", "r1", "2", ""]), seal.mark(&["lambda", "r", "12", ""]));
        assert_ne!(one, other);
        assert_ne!(seal.mark(&["a", "b"]), seal.mark(&["a\0b"]));
    }
}
