//! The key that encrypts the secrets of webhooks (addresses, headers, signing keys) and of apps.
//!
//! The key is the same on all nodes. It comes from the configuration; otherwise the first node generates it.
//! Then it is kept in a file that only the server's user can read, and is handed to the nodes that join. The
//! cluster keeps the key's fingerprint, so that a wrong key is noticed before it encrypts anything. A key is
//! never logged.

mod encryption;

pub use encryption::{Encryption, EncryptionError};

use super::archive::{Archive, ArchiveError};
use super::error::HubError;
use super::log::Log;
use super::peers::{Lane, PeerRequest, PeerServer, Peers};
use crate::core::command::{Command, Refusal};
use crate::core::state::keys;
use crate::core::store::ReadStore;
use encryption::KEY_BYTES;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::SetOnce;
use tokio::time::timeout;
use waypost_cluster::Cluster;

/// The name of the key's file in a data directory, and in a backup.
pub const KEY_FILE: &str = "webhooks.key";
const RETRY_PAUSE: Duration = Duration::from_millis(300);
/// After this many failed attempts to get the key from other nodes, an error is logged. It is not logged
/// earlier, because a node that joins meets the others one by one.
const QUIET_TRIES: u32 = 30;
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// Asks a node for the key, if that node may hand it out.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AskKey;

impl PeerRequest for AskKey {
    type Answer = Option<Vec<u8>>;
    const KIND: u16 = 4;
    const LANE: Lane = Lane::quick(8, 8);
}

pub(super) fn serve(peers: &PeerServer, keys: Arc<KeyRing>) {
    peers.serve(move |_, AskKey| std::future::ready(keys.for_others()));
}

/// The sources of a node's key.
pub(super) struct KeyRing {
    configured: Option<[u8; KEY_BYTES]>,
    file: PathBuf,
    encryption: SetOnce<Arc<Encryption>>,
}

impl KeyRing {
    pub(super) fn new(configured: Option<[u8; KEY_BYTES]>, data_dir: &Path) -> Self {
        Self { configured, file: data_dir.join(KEY_FILE), encryption: SetOnce::new() }
    }

    /// The key for a node that joins. A configured key is never handed out: the other node must be configured
    /// with it too.
    pub(super) fn for_others(&self) -> Option<Vec<u8>> {
        if self.configured.is_some() {
            return None;
        }
        self.encryption.get().map(|encryption| encryption.key.to_vec())
    }

    fn here(&self) -> Option<[u8; KEY_BYTES]> {
        self.configured.or_else(|| fs::read(&self.file).ok()?.try_into().ok())
    }

    /// Writes the key's file atomically.
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

/// Obtains and holds the key that encrypts the secrets of webhooks; cheap to clone.
#[derive(Clone)]
pub struct Vault {
    keys: Arc<KeyRing>,
    cluster: Cluster,
    peers: Peers,
    log: Log,
    archive: Archive,
}

impl Vault {
    pub(super) fn new(
        keys: Arc<KeyRing>,
        cluster: Cluster,
        peers: Peers,
        log: Log,
        archive: Archive,
    ) -> Self {
        Self { keys, cluster, peers, log, archive }
    }

    /// The key's file, for a backup; `None` if the key is configured or is not known yet.
    pub fn key_file(&self) -> Option<(String, Vec<u8>)> {
        Some((KEY_FILE.to_owned(), self.keys.for_others()?))
    }

    /// The cluster's encryption, once its key is known.
    pub fn encryption(&self) -> Result<Arc<Encryption>, EncryptionError> {
        self.keys.encryption.get().cloned().ok_or(EncryptionError::NotYet)
    }

    /// The cluster's encryption. Waits for its key for at most `limit`: a node that has just started may not
    /// have it yet.
    pub async fn encryption_within(&self, limit: Duration) -> Result<Arc<Encryption>, EncryptionError> {
        timeout(limit, self.known_encryption()).await.map_err(|_| EncryptionError::NotYet)
    }

    /// The cluster's encryption. Waits until its key is known.
    pub async fn known_encryption(&self) -> Arc<Encryption> {
        self.keys.encryption.wait().await.clone()
    }

    /// Obtains the cluster's key; tries until it has it.
    pub(super) async fn settle(self) {
        let mut tries = 0;
        loop {
            match self.try_settle().await {
                Ok(Some(encryption)) => {
                    let _ = self.keys.encryption.set(Arc::new(encryption));
                    return;
                }
                Ok(None) => {
                    tries += 1;
                    let configured = self.keys.configured.is_some();
                    if tries == if configured { 1 } else { QUIET_TRIES } {
                        tracing::error!(
                            "this node hasn't got the key that encrypts webhooks: none of its own is the cluster's, and no \
                             other node hands it out; set webhooks.secret_key as on the other nodes, or start one that has it"
                        );
                    }
                }
                Err(error) => tracing::debug!(error, "the key that encrypts webhooks is not available yet"),
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    fn key_fingerprint(&self) -> Result<Option<Vec<u8>>, String> {
        let fingerprint =
            self.archive.look(|store| store.get(keys::KEY_FINGERPRINT).map_err(ArchiveError::of_store));
        fingerprint.map_err(|error| error.to_string())
    }

    /// `Ok(None)`: the cluster has a key, and this node can't get it.
    async fn try_settle(&self) -> Result<Option<Encryption>, String> {
        let keys = &self.keys;
        let own = |fingerprint: &[u8]| {
            keys.here()
                .map(Encryption::new)
                .filter(|encryption| encryption.key_fingerprint()[..] == *fingerprint)
        };
        // A fingerprint never changes, so a node with the matching key needs no majority.
        if let Some(encryption) = self.key_fingerprint()?.and_then(|fingerprint| own(&fingerprint)) {
            return Ok(Some(encryption));
        }
        self.log.barrier().await.map_err(|error| error.to_string())?;
        let Some(fingerprint) = self.key_fingerprint()? else {
            self.make_key().await?;
            return Err("the key's fingerprint is not stored yet".into());
        };
        if let Some(encryption) = own(&fingerprint) {
            return Ok(Some(encryption));
        }
        if keys.configured.is_some() {
            return Ok(None);
        }
        let me = self.cluster.node_id();
        for node in self.cluster.status().members.into_iter().map(|member| member.id).filter(|id| *id != me) {
            let Ok(Some(key)) = self.peers.ask(node, &AskKey, ASK_TIMEOUT).await else { continue };
            let Ok(key) = <[u8; KEY_BYTES]>::try_from(key) else { continue };
            let encryption = Encryption::new(key);
            if encryption.key_fingerprint()[..] == fingerprint[..] {
                keys.keep(&key).map_err(|error| format!("{}: {error}", keys.file.display()))?;
                return Ok(Some(encryption));
            }
        }
        Ok(None)
    }

    /// The cluster has no key yet. It takes this node's key, unless another node is faster.
    async fn make_key(&self) -> Result<(), String> {
        let keys = &self.keys;
        let key = match keys.here() {
            Some(key) => key,
            None => {
                let mut key = [0; KEY_BYTES];
                getrandom::fill(&mut key).map_err(|error| error.to_string())?;
                keys.keep(&key).map_err(|error| format!("{}: {error}", keys.file.display()))?;
                key
            }
        };
        match self.log.propose(&Command::SetKeyFingerprint(Encryption::new(key).key_fingerprint())).await {
            Ok(_) | Err(HubError::Refused(Refusal::IdTaken)) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_can_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let ring = KeyRing::new(None, folder.path());
        assert!(ring.here().is_none());
        ring.keep(&[7; 32]).unwrap();
        assert_eq!(ring.here(), Some([7; 32]));
        let mode = fs::metadata(folder.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
