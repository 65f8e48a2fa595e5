//! Reports the settings that shall be the same on all nodes to the other nodes, as hashes under a key that
//! only the nodes have.

use super::Hub;
use super::vault::Encryption;
use std::collections::BTreeMap;

/// Bytes of a hash that are reported: enough that different values differ.
const REPORTED: usize = 8;

/// Reports the settings that shall be the same on all nodes, with their values, to the other nodes: as hashes
/// that tell nothing about a secret. Waits until the node has the key.
pub async fn report_settings(hub: Hub, settings: Vec<(String, String)>) {
    let encryption = hub.vault().known_encryption().await;
    hub.health().report_settings(hashes(&settings, &encryption));
}

fn hashes(settings: &[(String, String)], encryption: &Encryption) -> BTreeMap<String, String> {
    let hash = |(name, value): &(String, String)| {
        let hash = encryption.setting_hash(name, value);
        (name.clone(), hex::encode(&hash[..REPORTED]))
    };
    settings.iter().map(hash).collect()
}
