//! The proof of a backup's origin.

use ring::hmac;
use serde::Serialize;

/// What the HMAC is about, so that it is no proof of anything else.
const PROOF: &[u8] = b"waypost backup\0";

/// A key that only the nodes of a cluster have. It proves the origin of their backups.
#[derive(Clone, PartialEq, Eq)]
pub struct BackupKey(pub [u8; 32]);

impl std::fmt::Debug for BackupKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BackupKey")
    }
}

impl BackupKey {
    pub(super) fn proof(&self, hash: &[u8]) -> hmac::Tag {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        hmac::sign(&key, &[PROOF, hash].concat())
    }

    pub(super) fn made(&self, hash: &[u8], proof: &[u8]) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        hmac::verify(&key, &[PROOF, hash].concat(), proof).is_ok()
    }
}

/// What a reader of a backup expects of it.
#[derive(Debug, Clone, Default)]
pub struct Expected<'a> {
    /// The key of the cluster that it shall be from.
    pub key: Option<BackupKey>,
    /// The names that files beside the state may have.
    pub files: &'a [&'a str],
}

/// What is known about the origin of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupOrigin {
    /// It has no proof: an older release made it, or a node that did not have the key.
    Unproved,
    /// It has a proof, which was not checked because no key was given.
    Unchecked,
    /// A node that has the given key made it.
    Proved,
}
