//! The secrets of a webhook's signatures: which texts are valid, and how long old secrets sign beside the new
//! one. Delivery makes the signatures.

use super::Private;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::ops::RangeInclusive;

/// The prefix of a secret that has the key in base64 (Standard Webhooks).
pub const BASE64_PREFIX: &str = "whsec_";
/// Old secrets that sign at a time, at most.
pub const MAX_PREVIOUS: usize = 4;
/// Length of a secret, in characters.
pub const LENGTH: RangeInclusive<usize> = 8..=256;

/// Padding is allowed and not required, because people type secrets.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The change would leave more old secrets that sign than [`MAX_PREVIOUS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_PREVIOUS} old secrets sign already")]
pub struct TooMany {
    /// When the first of the old secrets ends, Unix milliseconds. The change is possible from then on.
    pub until_ms: u64,
}

/// Why the text is not a valid secret; `None` if it is valid.
pub fn problem(secret: &str) -> Option<String> {
    if !LENGTH.contains(&secret.chars().count()) || secret.chars().any(char::is_control) {
        let least = LENGTH.start();
        let most = LENGTH.end();
        return Some(format!("must have {least} to {most} characters and no control characters"));
    }
    let encoded = secret.starts_with(BASE64_PREFIX);
    (encoded && encoded_key(secret).is_none_or(|key| key.is_empty()))
        .then(|| format!("what follows {BASE64_PREFIX} must be base64"))
}

/// The key that a secret of the form `whsec_<base64>` encodes.
pub fn encoded_key(secret: &str) -> Option<Vec<u8>> {
    BASE64.decode(secret.strip_prefix(BASE64_PREFIX)?).ok()
}

impl Private {
    /// The old secrets that still sign, the newest first.
    pub fn previous_at(&self, now_ms: u64) -> impl Iterator<Item = &(String, u64)> {
        self.previous.iter().filter(move |(_, until_ms)| *until_ms > now_ms)
    }

    /// Takes over the old secrets when this replaces `old`. If the secret has changed, the one of `old` signs
    /// too for `overlap_ms`, and each earlier one until its own end. With an overlap of 0, no old secret
    /// signs any more.
    ///
    /// # Errors
    /// If too many old secrets would sign.
    pub fn follow(&mut self, old: &Self, overlap_ms: u64, now_ms: u64) -> Result<(), TooMany> {
        self.previous.clone_from(&old.previous);
        if self.secret == old.secret {
            return Ok(());
        }
        if overlap_ms == 0 {
            self.previous.clear();
            return Ok(());
        }
        let secret = &self.secret;
        self.previous.retain(|(previous, until_ms)| *until_ms > now_ms && previous != secret);
        if self.previous.len() >= MAX_PREVIOUS {
            let until_ms = self.previous.iter().map(|(_, until_ms)| *until_ms).min().unwrap_or(now_ms);
            return Err(TooMany { until_ms });
        }
        self.previous.insert(0, (old.secret.clone(), now_ms + overlap_ms));
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::webhook::Target;

    #[test]
    fn valid_and_invalid_secrets() {
        for good in
            ["12345678", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_aGk", "whsec_aGk=", "no whsec_ !!"]
        {
            assert_eq!(problem(good), None, "{good}");
        }
        for bad in ["1234567", "whsec_!!!!notbase64", "whsec_", "whsec_==", "whsec_a b c d", "a\nbcdefgh"] {
            assert!(problem(bad).is_some(), "{bad}");
        }
        assert_eq!(encoded_key("whsec_aGk="), Some(b"hi".to_vec()));
        assert_eq!(encoded_key("aGk="), None);
    }

    fn rotated(private: &Private, secret: &str, overlap_ms: u64, now_ms: u64) -> Result<Private, TooMany> {
        let mut new = Private { secret: secret.into(), ..private.clone() };
        new.follow(private, overlap_ms, now_ms).map(|()| new)
    }

    #[test]
    fn each_old_secret_signs_until_its_own_end() {
        let target = Target::Http(String::new());
        let first = Private { target, headers: Vec::new(), secret: "1".into(), previous: Vec::new() };
        let signing = |private: &Private, now_ms| -> Vec<String> {
            private.previous_at(now_ms).map(|(secret, _)| secret.clone()).collect()
        };
        let third = rotated(&rotated(&first, "2", 100, 0).unwrap(), "3", 100, 50).unwrap();
        assert_eq!(signing(&third, 99), ["2", "1"]);
        assert_eq!(signing(&third, 100), ["2"]);
        let fifth = rotated(&rotated(&third, "4", 100, 60).unwrap(), "5", 100, 70).unwrap();
        assert_eq!(signing(&fifth, 70), ["4", "3", "2", "1"]);
        assert_eq!(rotated(&fifth, "6", 100, 80).err(), Some(TooMany { until_ms: 100 }));
        assert_eq!(signing(&rotated(&fifth, "6", 100, 100).unwrap(), 100), ["5", "4", "3", "2"]);
        assert!(rotated(&fifth, "5", 100, 80).unwrap() == fifth, "the same secret is no rotation");
        assert_eq!(signing(&rotated(&fifth, "3", 100, 80).unwrap(), 80), ["5", "4", "2", "1"], "one is back");
        assert!(signing(&rotated(&fifth, "6", 0, 80).unwrap(), 80).is_empty());
    }
}
