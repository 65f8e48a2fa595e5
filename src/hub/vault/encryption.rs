//! Encrypts and decrypts the secrets of webhooks, apps and ingest sources, and what browsers keep for the
//! cluster.

use crate::core::app::Secret;
use crate::core::codec;
use crate::core::ids::{SourceId, TokenId, WebhookId};
use crate::core::ingest::SourceSecrets;
use crate::core::webhook::Private;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use serde::{Serialize, de::DeserializeOwned};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use waypost_cluster::BackupKey;

pub(super) const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// Why something can't be encrypted or decrypted.
#[derive(Debug, thiserror::Error)]
pub enum EncryptionError {
    /// The node does not have the cluster's key yet.
    #[error("this node does not have the key that encrypts webhooks yet")]
    NotYet,
    /// The data was encrypted under another key, or is damaged.
    #[error("the encrypted data can't be decrypted with this node's key")]
    Wrong,
    /// There are no random bytes, or the record is too large.
    #[error("encryption failed: {0}")]
    Failed(String),
}

/// Encrypts and decrypts with one key. It lives as long as the node.
pub struct Encryption {
    cipher: XChaCha20Poly1305,
    pub(super) key: [u8; KEY_BYTES],
}

impl Encryption {
    /// With the bytes of the key.
    pub fn new(key: [u8; KEY_BYTES]) -> Self {
        Self { cipher: XChaCha20Poly1305::new(&Key::from(key)), key }
    }

    /// Encrypts for that webhook only: data encrypted for one webhook can't be used as another's.
    pub fn encrypt(&self, webhook: WebhookId, private: &Private) -> Result<Vec<u8>, EncryptionError> {
        let plain = codec::encode(private).map_err(|error| EncryptionError::Failed(error.to_string()))?;
        self.encrypt_for(webhook.as_bytes(), &plain)
    }

    /// Decrypts the result of [`Encryption::encrypt`].
    pub fn open(&self, webhook: WebhookId, encrypted: &[u8]) -> Result<Private, EncryptionError> {
        let plain = self.decrypt_of(webhook.as_bytes(), encrypted)?;
        codec::decode(&plain).map_err(|_| EncryptionError::Wrong)
    }

    /// Encrypts the secret of the app whose clients act as that token, for this app only.
    pub fn encrypt_secret(&self, app: TokenId, secret: &Secret) -> Result<Vec<u8>, EncryptionError> {
        self.encrypt_for(&owner_of_secret(app), secret.expose().as_bytes())
    }

    /// Decrypts the result of [`Encryption::encrypt_secret`].
    pub fn open_secret(&self, app: TokenId, encrypted: &[u8]) -> Result<Secret, EncryptionError> {
        let plain = self.decrypt_of(&owner_of_secret(app), encrypted)?;
        std::str::from_utf8(&plain).map(Secret::new).map_err(|_| EncryptionError::Wrong)
    }

    /// Encrypts the secrets of an ingest source, for this source only.
    pub fn encrypt_source(&self, id: SourceId, secrets: &SourceSecrets) -> Result<Vec<u8>, EncryptionError> {
        let plain = codec::encode(secrets).map_err(|error| EncryptionError::Failed(error.to_string()))?;
        self.encrypt_for(&owner_of_source(id), &plain)
    }

    /// Decrypts the result of [`Encryption::encrypt_source`].
    pub fn open_source(&self, id: SourceId, encrypted: &[u8]) -> Result<SourceSecrets, EncryptionError> {
        let plain = self.decrypt_of(&owner_of_source(id), encrypted)?;
        codec::decode(&plain).map_err(|_| EncryptionError::Wrong)
    }

    /// Encrypts what a client keeps for the cluster, as text (base64url). What is encrypted for one purpose
    /// can't be used for another.
    pub fn encrypt_kept<T: Serialize>(&self, purpose: &str, value: &T) -> Result<String, EncryptionError> {
        let plain = codec::encode(value).map_err(|error| EncryptionError::Failed(error.to_string()))?;
        Ok(URL_SAFE_NO_PAD.encode(self.encrypt_for(&owner_of_kept(purpose), &plain)?))
    }

    /// Decrypts the result of [`Encryption::encrypt_kept`].
    pub fn open_kept<T: DeserializeOwned>(&self, purpose: &str, text: &str) -> Result<T, EncryptionError> {
        let encrypted = URL_SAFE_NO_PAD.decode(text).map_err(|_| EncryptionError::Wrong)?;
        let plain = self.decrypt_of(&owner_of_kept(purpose), &encrypted)?;
        codec::decode(&plain).map_err(|_| EncryptionError::Wrong)
    }

    /// Encrypts for one owner: whoever decrypts must name the same one.
    fn encrypt_for(&self, owner: &[u8], plain: &[u8]) -> Result<Vec<u8>, EncryptionError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|error| EncryptionError::Failed(error.to_string()))?;
        let payload = Payload { msg: plain, aad: owner };
        let encrypted = self.cipher.encrypt(&XNonce::from(nonce), payload);
        let encrypted = encrypted.map_err(|error| EncryptionError::Failed(error.to_string()))?;
        Ok([&nonce[..], &encrypted].concat())
    }

    fn decrypt_of(&self, owner: &[u8], encrypted: &[u8]) -> Result<Vec<u8>, EncryptionError> {
        let (nonce, encrypted) =
            encrypted.split_first_chunk::<NONCE_BYTES>().ok_or(EncryptionError::Wrong)?;
        let payload = Payload { msg: encrypted, aad: owner };
        self.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| EncryptionError::Wrong)
    }

    /// A keyed hash of a target, which is given by its parts. Equal targets have equal hashes, so they are
    /// recognised without decryption.
    pub fn fingerprint(&self, target: &[&str]) -> [u8; 16] {
        self.keyed_hash("target", target)
    }

    /// A keyed hash of a setting's name and value. Without the key nobody can find out the value by trying.
    pub(in crate::hub) fn setting_hash(&self, name: &str, value: &str) -> [u8; 16] {
        self.keyed_hash("setting", &[name, value])
    }

    /// A key derived from this one, which proves that a backup is from this cluster.
    pub fn backup_key(&self) -> BackupKey {
        BackupKey(self.whole_hash("backup", &[]))
    }

    /// The secret, derived from this key, of the client tokens that the cluster itself hands out.
    pub(in crate::hub) fn login_secret(&self) -> Secret {
        Secret::new(&hex::encode(self.whole_hash("login", &[])))
    }

    /// A tag that only nodes with this key can make. `purpose` keeps the tags of different uses apart.
    pub fn tag(&self, purpose: &str, parts: &[&str]) -> [u8; 16] {
        self.keyed_hash(purpose, parts)
    }

    /// Whether `tag` is the tag of these parts. It takes as long wherever they differ.
    pub fn is_tag(&self, tag: &[u8; 16], purpose: &str, parts: &[&str]) -> bool {
        self.tag(purpose, parts).ct_eq(tag).into()
    }

    /// Encryption with a key that is made of `byte`.
    #[cfg(test)]
    pub fn for_tests(byte: u8) -> Self {
        Self::new([byte; KEY_BYTES])
    }

    /// A fingerprint that distinguishes this key from others.
    pub(super) fn key_fingerprint(&self) -> [u8; 16] {
        self.keyed_hash("key", &[])
    }

    fn keyed_hash(&self, what: &str, parts: &[&str]) -> [u8; 16] {
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&self.whole_hash(what, parts)[..16]);
        fingerprint
    }

    /// Each part is hashed after its length, so that no two lists of parts give the same bytes.
    fn whole_hash(&self, what: &str, parts: &[&str]) -> [u8; 32] {
        // HMAC pads a key with zeros to the length of its block.
        let mut block = [0; 64];
        block[..KEY_BYTES].copy_from_slice(&self.key);
        let mut hash = <Hmac<Sha256> as hmac::KeyInit>::new(&block.into());
        for part in [what].iter().chain(parts) {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.finalize().into_bytes().into()
    }
}

/// The owner of an app's secret. A webhook, whose owner is the bytes of its id, is never the same.
fn owner_of_secret(app: TokenId) -> Vec<u8> {
    [b"app ", &app.as_bytes()[..]].concat()
}

/// The owner of what a client keeps. It is longer than the id of a webhook, whatever the purpose is.
fn owner_of_kept(purpose: &str) -> Vec<u8> {
    [b"kept by a client ", purpose.as_bytes()].concat()
}

/// The owner of a source's secrets.
fn owner_of_source(id: SourceId) -> Vec<u8> {
    [b"source ", &id.as_bytes()[..]].concat()
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
    fn data_is_decrypted_only_for_the_same_webhook_and_key() {
        let encryption = Encryption::new([1; 32]);
        let one = WebhookId::from_bytes([1; 16]);
        let two = WebhookId::from_bytes([2; 16]);
        let encrypted = encryption.encrypt(one, &private()).unwrap();
        assert!(encryption.open(one, &encrypted).unwrap() == private());
        assert!(encryption.open(two, &encrypted).is_err());
        assert!(Encryption::new([2; 32]).open(one, &encrypted).is_err());
        let mut flipped = encrypted.clone();
        flipped[30] ^= 1;
        assert!(encryption.open(one, &flipped).is_err());
        assert!(encryption.open(one, &encrypted[..10]).is_err());
        assert!(!encrypted.windows(7).any(|bytes| bytes == b"example"));
    }

    #[test]
    fn a_secret_is_decrypted_only_for_its_app() {
        let encryption = Encryption::new([1; 32]);
        let [one, two] = [1, 2].map(|n| TokenId::from_bytes([n; 16]));
        let encrypted = encryption.encrypt_secret(one, &Secret::new("hush")).unwrap();
        assert_eq!(encryption.open_secret(one, &encrypted).unwrap().expose(), "hush");
        assert!(encryption.open_secret(two, &encrypted).is_err());
        assert!(Encryption::new([2; 32]).open_secret(one, &encrypted).is_err());
        assert!(encryption.open(WebhookId::from_bytes([1; 16]), &encrypted).is_err());
        assert!(!encrypted.windows(4).any(|bytes| bytes == b"hush"));
    }

    #[test]
    fn secrets_are_decrypted_only_for_their_source() {
        let encryption = Encryption::new([1; 32]);
        let [one, two] = [1, 2].map(|n| SourceId::from_bytes([n; 16]));
        let encrypted = encryption.encrypt_source(one, &SourceSecrets::new("hush-hush")).unwrap();
        assert_eq!(encryption.open_source(one, &encrypted).unwrap(), SourceSecrets::new("hush-hush"));
        assert!(encryption.open_source(two, &encrypted).is_err());
        assert!(!encrypted.windows(4).any(|bytes| bytes == b"hush"));
    }

    #[test]
    fn what_a_client_keeps_is_read_for_its_purpose_alone() {
        let encryption = Encryption::new([1; 32]);
        let kept = encryption.encrypt_kept("session", &(7u64, "ann".to_owned())).unwrap();
        let open = |purpose: &str, text: &str| encryption.open_kept::<(u64, String)>(purpose, text);
        assert_eq!(open("session", &kept).unwrap(), (7, "ann".to_owned()));
        assert!(open("link", &kept).is_err());
        assert!(Encryption::new([2; 32]).open_kept::<(u64, String)>("session", &kept).is_err());
        for at in [0, 40, kept.len() - 2] {
            let mut changed = kept.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert!(open("session", std::str::from_utf8(&changed).unwrap()).is_err(), "{at}");
        }
        assert!(open("session", "").is_err() && open("session", "=").is_err());
        assert!(open("session", &kept[..kept.len() / 2]).is_err());
    }

    #[test]
    fn targets_are_distinguished_by_their_parts() {
        let encryption = Encryption::new([1; 32]);
        assert_eq!(
            encryption.fingerprint(&["lambda", "r", "f"]),
            encryption.fingerprint(&["lambda", "r", "f"])
        );
        assert_ne!(
            encryption.fingerprint(&["lambda", "r", "f"]),
            Encryption::new([2; 32]).fingerprint(&["lambda", "r", "f"])
        );
        let one = encryption.fingerprint(&["lambda", "r1", "2", ""]);
        let other = encryption.fingerprint(&["lambda", "r", "12", ""]);
        assert_ne!(one, other);
        assert_ne!(encryption.fingerprint(&["a", "b"]), encryption.fingerprint(&["a\0b"]));
    }
}
