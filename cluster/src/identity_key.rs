//! The key pair by which peers recognize a node. The public half is the node's identity.
//!
//! The pair is random. It is made once for each data directory and never leaves it. The membership pins the
//! public half to the node's id, so only the process that holds the private half can speak as that member.

use std::fmt;
use std::io;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::os;

/// Bytes of a private key, and of a public one.
pub(crate) const KEY: usize = 32;

/// The identity of a node: the public half of its key pair (Ed25519).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct PublicKey(pub(crate) [u8; KEY]);

impl PublicKey {
    /// Whether the holder of the private half signed `message`.
    pub(crate) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }
}

/// The first 16 of its 64 hexadecimal digits, which is enough to tell nodes apart.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// The key pair of this node. Nothing shows its private half.
pub(crate) struct IdentityKey {
    pair: Ed25519KeyPair,
    private: [u8; KEY],
    public: PublicKey,
}

impl IdentityKey {
    /// A new random pair.
    pub(crate) fn random() -> io::Result<Self> {
        let mut private = [0; KEY];
        os::random(&mut private)?;
        Self::from_private(private)
    }

    /// The pair with that private half.
    pub(crate) fn from_private(private: [u8; KEY]) -> io::Result<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&private)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "this is no private key"))?;
        let mut public = [0; KEY];
        public.copy_from_slice(pair.public_key().as_ref());
        Ok(Self { pair, private, public: PublicKey(public) })
    }

    /// The private half, for its file and for the certificate that is made of it.
    pub(crate) fn private(&self) -> &[u8; KEY] {
        &self.private
    }

    /// The identity that peers pin.
    pub(crate) fn public(&self) -> PublicKey {
        self.public
    }

    /// Signs `message`.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

#[cfg(all(test, not(feature = "sim")))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_the_holder_of_the_private_half_can_sign() {
        let one = IdentityKey::random().unwrap();
        let other = IdentityKey::random().unwrap();
        let signature = one.sign(b"message");
        assert!(one.public().signed(b"message", &signature));
        assert!(!one.public().signed(b"massage", &signature));
        assert!(!other.public().signed(b"message", &signature));
        assert!(!one.public().signed(b"message", &[]));
        let again = IdentityKey::from_private(*one.private()).unwrap();
        assert_eq!(again.public(), one.public());
        assert_ne!(one.public(), other.public());
    }
}
