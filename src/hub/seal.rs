//! The key that seals what is secret of endpoints: addresses, headers, signing keys.
//!
//! The same on all nodes: from the configuration, else made by the first node, kept in a file that only the server's
//! user can read, and handed to the nodes that join. The cluster keeps the key's mark, so that a wrong key is noticed
//! before it seals anything. Never logs a key.

use super::peers::{Lane, PeerRequest, Peers};
use super::{Hub, HubError};
use crate::core::codec;
use crate::core::command::{Command, Refusal};
use crate::core::ids::EndpointId;
use crate::core::state::keys;
use crate::core::store::ReadStore;
use crate::core::webhook::Private;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Name of the key's file in the data directory.
const FILE: &str = "endpoints.key";
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
const RETRY_PAUSE: Duration = Duration::from_millis(300);
/// So often may no other node have handed out the key before that is told as an error: a node that joins meets them
/// one by one.
const QUIET_TRIES: u32 = 30;
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

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
    key: [u8; KEY_BYTES],
}

impl Seal {
    fn new(key: [u8; KEY_BYTES]) -> Self {
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
    fn key_mark(&self) -> [u8; 16] {
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

/// The key, where you have one to hand out.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AskKey;

impl PeerRequest for AskKey {
    type Answer = Option<Vec<u8>>;
    const KIND: u16 = 4;
    const LANE: Lane = Lane::quick(8, 8);
}

pub(super) fn serve(peers: &Peers, keys: Arc<KeyRing>) {
    peers.serve(move |_, AskKey| std::future::ready(keys.for_others()));
}

/// Where a node's key comes from.
pub(super) struct KeyRing {
    configured: Option<[u8; KEY_BYTES]>,
    file: PathBuf,
    seal: OnceLock<Arc<Seal>>,
}

impl KeyRing {
    pub(super) fn new(configured: Option<[u8; KEY_BYTES]>, data_dir: &Path) -> Self {
        Self { configured, file: data_dir.join(FILE), seal: OnceLock::new() }
    }

    /// The key, for a node that joins. One that was configured is never handed out: it is configured there too.
    pub(super) fn for_others(&self) -> Option<Vec<u8>> {
        if self.configured.is_some() {
            return None;
        }
        self.seal.get().map(|seal| seal.key.to_vec())
    }

    fn here(&self) -> Option<[u8; KEY_BYTES]> {
        self.configured.or_else(|| fs::read(&self.file).ok()?.try_into().ok())
    }

    /// Writes the key so that it is there, whole, or not at all.
    fn keep(&self, key: &[u8; KEY_BYTES]) -> std::io::Result<()> {
        let new = self.file.with_extension("new");
        let _ = fs::remove_file(&new);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(key)?;
        file.sync_all()?;
        fs::rename(&new, &self.file)?;
        self.file.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
    }
}

impl Hub {
    /// The file with the key that seals endpoints, for a backup; `None` where the key stands in the configuration, or is
    /// not here yet.
    pub fn key_file(&self) -> Option<(String, Vec<u8>)> {
        Some((FILE.to_owned(), self.0.keys.for_others()?))
    }

    /// The cluster's seal.
    pub fn seal(&self) -> Result<Arc<Seal>, SealError> {
        self.0.keys.seal.get().cloned().ok_or(SealError::NotYet)
    }

    /// Gets the cluster's key, and goes on trying until it has it.
    pub(super) async fn settle_seal(self) {
        let mut tries = 0;
        loop {
            match self.try_settle().await {
                Ok(Some(seal)) => {
                    let _ = self.0.keys.seal.set(Arc::new(seal));
                    return;
                }
                Ok(None) => {
                    tries += 1;
                    let configured = self.0.keys.configured.is_some();
                    if tries == if configured { 1 } else { QUIET_TRIES } {
                        tracing::error!(
                            "this node hasn't got the key that seals webhooks: none of its own is the cluster's, and no \
                             other node hands it out; set webhooks.secret_key as on the other nodes, or start one that has it"
                        );
                    }
                }
                Err(error) => tracing::debug!(error, "the key that seals webhooks can't be had yet"),
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    fn seal_mark(&self) -> Result<Option<Vec<u8>>, String> {
        let mark = self.look(|store| store.get(keys::SEAL_MARK).map_err(super::ArchiveError::of_store));
        mark.map_err(|error| error.to_string())
    }

    /// `Ok(None)`: there is a key, and it is not the cluster's.
    async fn try_settle(&self) -> Result<Option<Seal>, String> {
        let keys = &self.0.keys;
        let own = |mark: &[u8]| keys.here().map(Seal::new).filter(|seal| seal.key_mark()[..] == *mark);
        // A mark never changes: who has its key needs no majority.
        if let Some(seal) = self.seal_mark()?.and_then(|mark| own(&mark)) {
            return Ok(Some(seal));
        }
        self.barrier().await.map_err(|error| error.to_string())?;
        let Some(mark) = self.seal_mark()? else {
            self.make_key().await?;
            return Err("the key's mark is on its way".into());
        };
        if let Some(seal) = own(&mark) {
            return Ok(Some(seal));
        }
        if keys.configured.is_some() {
            return Ok(None);
        }
        for node in self.status().members.into_iter().map(|member| member.id).filter(|id| *id != self.node_id()) {
            let Ok(Some(key)) = self.ask(node, &AskKey, ASK_TIMEOUT).await else { continue };
            let Ok(key) = <[u8; KEY_BYTES]>::try_from(key) else { continue };
            let seal = Seal::new(key);
            if seal.key_mark()[..] == mark[..] {
                keys.keep(&key).map_err(|error| format!("{}: {error}", keys.file.display()))?;
                return Ok(Some(seal));
            }
        }
        Ok(None)
    }

    /// The cluster has no key yet: this node's becomes it, unless another node is faster.
    async fn make_key(&self) -> Result<(), String> {
        let keys = &self.0.keys;
        let key = match keys.here() {
            Some(key) => key,
            None => {
                let mut key = [0; KEY_BYTES];
                getrandom::fill(&mut key).map_err(|error| error.to_string())?;
                keys.keep(&key).map_err(|error| format!("{}: {error}", keys.file.display()))?;
                key
            }
        };
        match self.propose(&Command::SetSealMark(Seal::new(key).key_mark())).await {
            Ok(_) | Err(HubError::Refused(Refusal::IdTaken)) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
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

    #[test]
    fn the_file_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let ring = KeyRing::new(None, folder.path());
        assert!(ring.here().is_none());
        ring.keep(&[7; 32]).unwrap();
        assert_eq!(ring.here(), Some([7; 32]));
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
