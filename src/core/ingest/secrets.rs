//! The secrets of a source: the present one, and during a rotation the one before it.

use super::settings::{Authentication, KeyKind};
use crate::core::jwt::MAX_JWKS_LEN;
use crate::core::webhook::secret::{BASE64_PREFIX, encoded_key};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::RangeInclusive;

/// Length of a secret (bytes).
const LENGTH: RangeInclusive<usize> = 8..=512;

/// The secrets of a source in the clear. `Debug` gives a mask.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSecrets {
    /// The present secret; empty if the source needs none.
    pub current: String,
    /// The secret before it, while both are valid.
    pub previous: Option<Previous>,
}

/// A secret that is being replaced.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// The secret.
    pub secret: String,
    /// When it ends (milliseconds of the expiry clock).
    pub until_ms: u64,
}

impl fmt::Debug for SourceSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SourceSecrets(********)")
    }
}

impl fmt::Debug for Previous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Previous").field("until_ms", &self.until_ms).finish_non_exhaustive()
    }
}

impl SourceSecrets {
    /// One secret.
    pub fn new(current: impl Into<String>) -> Self {
        Self { current: current.into(), previous: None }
    }

    /// Replaces the secret. The one before stays valid until then; one that was being replaced already ends.
    pub fn rotate(&mut self, secret: String, until_ms: u64) {
        if secret == self.current {
            return;
        }
        let old = std::mem::replace(&mut self.current, secret);
        self.previous = Some(Previous { secret: old, until_ms });
    }

    /// Ends a rotation: only the present secret is valid. Returns whether there was one.
    pub fn end_rotation(&mut self) -> bool {
        self.previous.take().is_some()
    }

    /// Returns when the secret before the present one ends, if it is still valid at that time.
    pub fn previous_until(&self, expiry_ms: u64) -> Option<u64> {
        self.previous.as_ref().map(|previous| previous.until_ms).filter(|until_ms| *until_ms > expiry_ms)
    }
}

/// Returns why the text can't be the secret of a source with that authentication.
pub(super) fn problem(authentication: Authentication, key: Option<KeyKind>, secret: &str) -> Option<String> {
    if matches!(key, Some(KeyKind::Pem | KeyKind::Jwks)) {
        // The verifier reads it, and says what is wrong with it.
        return (secret.len() > MAX_JWKS_LEN).then(|| format!("may have at most {MAX_JWKS_LEN} bytes"));
    }
    if !LENGTH.contains(&secret.len()) || !secret.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        let (least, most) = LENGTH.into_inner();
        return Some(format!("must have {least} to {most} printable ASCII characters"));
    }
    let is_encoded = authentication.is_standard() && secret.starts_with(BASE64_PREFIX);
    (is_encoded && encoded_key(secret).is_none_or(|key| key.is_empty()))
        .then(|| format!("what follows {BASE64_PREFIX} must be base64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_secrets_are_valid_until_a_time_or_until_the_rotation_is_ended() {
        let mut secrets = SourceSecrets::new("first-secret");
        secrets.rotate("first-secret".to_owned(), 100);
        assert_eq!(secrets, SourceSecrets::new("first-secret"), "the same secret is no rotation");
        secrets.rotate("second-secret".to_owned(), 100);
        assert_eq!((secrets.previous_until(99), secrets.previous_until(100)), (Some(100), None));
        secrets.rotate("third-secret".to_owned(), 200);
        let previous = secrets.previous.as_ref().map(|previous| (&*previous.secret, previous.until_ms));
        assert_eq!(previous, Some(("second-secret", 200)));
        assert!(secrets.end_rotation() && !secrets.end_rotation());
        assert!(!format!("{secrets:?}").contains("third"));
    }

    #[test]
    fn secrets_have_the_form_that_their_senders_give_them() {
        for (authentication, secret, is_good) in [
            (Authentication::Hmac, "your-secret-key", true),
            (Authentication::ApiKey, "your-api-key", true),
            (Authentication::Hmac, "short", false),
            (Authentication::GitHub, "It's a Secret to Everybody", true),
            (Authentication::Hmac, "has\ta tab", false),
            (Authentication::Standard, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", true),
            (Authentication::Standard, "whsec_!!!!", false),
            (Authentication::Stripe, "whsec_!!!!", true),
        ] {
            assert_eq!(problem(authentication, None, secret).is_none(), is_good, "{secret}");
        }
    }
}
