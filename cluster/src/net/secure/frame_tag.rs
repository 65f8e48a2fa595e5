//! How peers use a shared key: they prove that they have it, and tag each frame.
//!
//! The caller sends its hello with a nonce, and the other side answers with a nonce of its own. The proofs
//! and the keys of this connection are computed from both nonces and the hello (cluster, caller, called node,
//! address), so nothing from one connection is valid on another. The caller proves first, so a scanner gets
//! nothing with which it could test guesses of the key. Each direction has its own key, and each tag includes a
//! counter: a frame that is changed, repeated, left out, moved or sent back does not match its tag. Nothing
//! is encrypted.

use std::io;
use std::num::NonZeroU32;

use ring::{hmac, pbkdf2};
use subtle::ConstantTimeEq;

use crate::wire::{self, KeyHello, WireError};

/// Bytes of a tag.
pub(crate) const TAG: usize = 16;
/// Makes each guess at a weak key expensive. Computed once at the start.
const ROUNDS: NonZeroU32 = NonZeroU32::MIN.saturating_add(99_999);

/// The key that all nodes share.
pub(super) struct SharedKey(hmac::Key);

impl SharedKey {
    pub(super) fn new(text: &str) -> Self {
        let mut key = [0; 32];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, b"waypost peers 1", text.as_bytes(), &mut key);
        Self(hmac::Key::new(hmac::HMAC_SHA256, &key))
    }

    /// Computes the proofs and keys from the first two frames of a connection.
    pub(super) fn agree(&self, hello: &KeyHello, nonce: &[u8; 32]) -> Result<Agreed, WireError> {
        let hello = wire::encode(hello)?;
        let made = |what: &[u8]| -> [u8; 32] {
            let mut context = hmac::Context::with_key(&self.0);
            // The hello comes last, because only its length varies.
            [what, nonce, &hello].iter().for_each(|part| context.update(part));
            let mut bytes = [0; 32];
            bytes.copy_from_slice(context.sign().as_ref());
            bytes
        };
        Ok(Agreed {
            caller_proof: made(b"caller proof"),
            called_proof: made(b"called proof"),
            from_caller: made(b"caller seals"),
            from_called: made(b"called seals"),
        })
    }
}

/// The proofs and the keys of a connection.
pub(super) struct Agreed {
    pub(super) caller_proof: [u8; 32],
    pub(super) called_proof: [u8; 32],
    from_caller: [u8; 32],
    from_called: [u8; 32],
}

impl Agreed {
    pub(super) fn caller_tag(&self) -> FrameTag {
        FrameTag::new(&self.from_caller)
    }

    pub(super) fn called_tag(&self) -> FrameTag {
        FrameTag::new(&self.from_called)
    }
}

/// Whether a proof is the expected one; compares in constant time.
pub(super) fn proves(expected: &[u8; 32], proof: &[u8; 32]) -> bool {
    expected.ct_eq(proof).into()
}

/// Tags the frames of one direction, or checks their tags.
pub(crate) struct FrameTag {
    key: hmac::Key,
    count: u64,
}

impl FrameTag {
    fn new(key: &[u8; 32]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key), count: 0 }
    }

    /// The tag of the next frame, which is given in parts.
    pub(crate) fn tag(&mut self, parts: &[&[u8]]) -> [u8; TAG] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&self.count.to_le_bytes());
        parts.iter().for_each(|part| context.update(part));
        self.count += 1;
        let mut tag = [0; TAG];
        tag.copy_from_slice(&context.sign().as_ref()[..TAG]);
        tag
    }

    /// Refuses a frame unless it is the next one, as it was tagged.
    pub(crate) fn check(&mut self, parts: &[&[u8]], tag: &[u8; TAG]) -> io::Result<()> {
        match self.tag(parts).ct_eq(tag).into() {
            true => Ok(()),
            false => Err(io::Error::new(io::ErrorKind::InvalidData, "a frame whose tag does not match")),
        }
    }
}

/// The same tagging state twice: one to send with, one to check with.
#[cfg(all(test, not(feature = "sim")))]
pub(crate) fn pair() -> (FrameTag, FrameTag) {
    (FrameTag::new(&[1; 32]), FrameTag::new(&[1; 32]))
}

/// The tagging states of one connection: the caller's and the called node's.
#[cfg(all(test, not(feature = "sim")))]
pub(crate) fn both_ways() -> (FrameTag, FrameTag) {
    let agreed =
        Agreed { caller_proof: [0; 32], called_proof: [0; 32], from_caller: [1; 32], from_called: [2; 32] };
    (agreed.caller_tag(), agreed.called_tag())
}
