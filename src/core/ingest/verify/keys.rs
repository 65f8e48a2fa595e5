//! The keys of a source, ready to verify with.

use crate::core::ingest::secrets::SourceSecrets;
use crate::core::ingest::settings::{KeyKind, Settings};
use crate::core::jwt::{KeyError, KeySource, Verifier};
use std::fmt;

/// One valid secret. `Debug` gives a mask.
pub(super) struct Key {
    /// The secret as text.
    pub(super) secret: String,
    /// Verifies JWTs, if the source takes them.
    pub(super) verifier: Option<Verifier>,
    /// When it ends (milliseconds of the expiry clock); `None` is never.
    until_ms: Option<u64>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(********)")
    }
}

/// The secrets of a source that may be valid, the present one first.
#[derive(Debug, Default)]
pub struct Keys(Vec<Key>);

impl Keys {
    /// Reads the secrets of a source.
    ///
    /// # Errors
    /// A key of JWTs can't be used.
    pub fn read(settings: &Settings, secrets: &SourceSecrets) -> Result<Self, KeyError> {
        let mut keys = vec![key(settings, &secrets.current, None)?];
        if let Some(previous) = &secrets.previous {
            keys.push(key(settings, &previous.secret, Some(previous.until_ms))?);
        }
        Ok(Self(keys))
    }

    /// Returns the secrets that are valid at that time.
    pub(super) fn valid_at(&self, expiry_ms: u64) -> impl Iterator<Item = &Key> {
        self.0.iter().filter(move |key| key.until_ms.is_none_or(|until_ms| until_ms > expiry_ms))
    }
}

fn key(settings: &Settings, secret: &str, until_ms: Option<u64>) -> Result<Key, KeyError> {
    let verifier = match &settings.jwt {
        None => None,
        Some(rules) => {
            let source = match rules.key {
                KeyKind::Secret => KeySource::Secret(secret.to_owned()),
                KeyKind::Pem => KeySource::Pem(secret.to_owned()),
                KeyKind::Jwks => KeySource::Jwks(secret.to_owned()),
            };
            let (issuer, audience) = (rules.issuer.as_deref(), rules.audience.as_deref());
            Some(Verifier::new(rules.algorithm, &source, issuer, audience)?)
        }
    };
    Ok(Key { secret: secret.to_owned(), verifier, until_ms })
}
