//! Hashes over lists of parts. They are the same on every node, in every run and in every release.
//!
//! Each part is preceded by its length, so different lists never hash the same bytes: `x1`, `2` differs from
//! `x`, `12`. Use [`Parts`] where nobody who chooses the parts may cause a collision, and [`short`] where the
//! hash only distributes: which node owns a consumer, which lane an event is in. No other hash may decide
//! anything that nodes must agree on, because the hashes of collections (`rustc_hash`, `std`) change between
//! releases.

use sha2::{Digest, Sha256};
use siphasher::sip::SipHasher24;
use std::hash::Hasher;

/// Returns the SipHash-2-4, under the key 0, of the parts, each preceded by its length (8 bytes, big-endian).
pub fn short(parts: &[&[u8]]) -> u64 {
    let mut hasher = SipHasher24::new();
    for part in parts {
        hasher.write(&(part.len() as u64).to_be_bytes());
        hasher.write(part);
    }
    hasher.finish()
}

/// A SHA-256 over parts that are added one by one.
#[derive(Clone, Debug, Default)]
pub struct Parts(Sha256);

impl Parts {
    /// Adds a part.
    pub fn with(mut self, part: &[u8]) -> Self {
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part);
        self
    }

    /// Returns the first 16 bytes of the SHA-256.
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

    /// The first half of the SHA-256 of the parts `a` and `b`.
    const LONG: u128 = 0x3c9d591045bc8876f9d0399bbfb05c6a;

    fn of(parts: &[Vec<u8>]) -> [u8; 16] {
        parts.iter().map(Vec::as_slice).collect::<Parts>().half()
    }

    /// The expected values come from an implementation of SipHash-2-4 written for this test alone. They must
    /// never change: nodes of two releases would disagree.
    #[test]
    fn short_hashes_never_change() {
        let golden: [(&[&[u8]], u64); 6] = [
            (&[], 2_202_906_307_356_721_367),
            (&[b""], 16_738_165_381_834_614_119),
            (&[b"order-7"], 1_827_048_891_083_482_135),
            (&["\u{43a}\u{43b}\u{44e}\u{447}".as_bytes()], 17_657_917_479_764_906_784),
            (&[b"a", b"b"], 6_820_862_709_570_136_343),
            (&[b"ab"], 4_764_525_176_648_359_952),
        ];
        for (parts, hash) in golden {
            assert_eq!(short(parts), hash, "{parts:?}");
        }
    }

    #[test]
    fn long_hashes_never_change() {
        assert_eq!(u128::from_be_bytes(of(&[b"a".to_vec(), b"b".to_vec()])), LONG);
    }

    proptest! {
        /// Lists of strings over a small alphabet with different boundaries have different hashes.
        #[test]
        fn different_lists_have_different_hashes(
            one in prop::collection::vec(prop::collection::vec(0u8..2, 0..4), 0..5),
            other in prop::collection::vec(prop::collection::vec(0u8..2, 0..4), 0..5),
        ) {
            prop_assert_eq!(of(&one) == of(&other), one == other);
        }

        #[test]
        fn a_cut_elsewhere_is_another_list(
            bytes in prop::collection::vec(any::<u8>(), 1..40), cut in any::<prop::sample::Index>(),
        ) {
            let at = cut.index(bytes.len());
            let halves = [bytes[..at].to_vec(), bytes[at..].to_vec()];
            prop_assert_ne!(of(&halves), of(&[bytes.clone(), Vec::new()]));
            prop_assert_ne!(of(&halves), of(&[bytes]));
        }
    }
}
