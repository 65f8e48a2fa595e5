//! Reports the settings that shall be the same on all nodes to the other nodes, as hashes under a key that
//! only the nodes have.

use super::health::Health;
use super::vault::{Encryption, Vault};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Bytes of a hash that are reported: enough that different values differ.
const REPORTED: usize = 8;

/// Reports the hashes once the node has the key.
pub(super) async fn report(settings: Vec<(String, String)>, vault: Vault, health: Health) {
    let encryption = vault.known_encryption().await;
    health.report_settings(hashes(&settings, &encryption));
}

fn hashes(settings: &[(String, String)], encryption: &Encryption) -> BTreeMap<String, String> {
    let hash = |(name, value): &(String, String)| {
        let hash = encryption.setting_hash(name, value);
        let hex = hash[..REPORTED].iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        (name.clone(), hex)
    };
    settings.iter().map(hash).collect()
}
