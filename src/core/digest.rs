//! Hashes of several parts. Each part goes in behind its length, so no two lists of parts are the same bytes: `x1`, `2`
//! is not `x`, `12`.

use sha2::{Digest, Sha256};

/// A hash in the making.
#[derive(Clone, Debug, Default)]
pub struct Parts(Sha256);

impl Parts {
    /// The hash of what went in before, and of `part`.
    pub fn with(mut self, part: &[u8]) -> Self {
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part);
        self
    }

    /// The first 16 bytes of the SHA-256.
    pub fn half(self) -> [u8; 16] {
        let mut half = [0; 16];
        half.copy_from_slice(&self.0.finalize()[..16]);
        half
    }
}

impl<'a> FromIterator<&'a [u8]> for Parts {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(parts: I) -> Self {
        parts.into_iter().fold(Self::default(), Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(parts: &[Vec<u8>]) -> [u8; 16] {
        parts.iter().map(Vec::as_slice).collect::<Parts>().half()
    }

    proptest! {
        /// Bytes of a small alphabet, cut at different places: the hash tells every two lists apart.
        #[test]
        fn another_list_is_another_hash(
            one in prop::collection::vec(prop::collection::vec(0u8..2, 0..4), 0..5),
            other in prop::collection::vec(prop::collection::vec(0u8..2, 0..4), 0..5),
        ) {
            prop_assert_eq!(of(&one) == of(&other), one == other);
        }

        #[test]
        fn a_cut_elsewhere_is_another_list(bytes in prop::collection::vec(any::<u8>(), 1..40), cut in any::<prop::sample::Index>()) {
            let at = cut.index(bytes.len());
            let halves = [bytes[..at].to_vec(), bytes[at..].to_vec()];
            prop_assert_ne!(of(&halves), of(&[bytes.clone(), Vec::new()]));
            prop_assert_ne!(of(&halves), of(&[bytes]));
        }
    }
}
