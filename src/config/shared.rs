//! Which settings shall be the same on all nodes.

use super::{Config, KEYS, Key, keys::pointer};

/// Settings that each node has for itself: its place, its machine, and what differs while it is rotated.
/// Every other setting shall be the same on all nodes.
const OF_ONE_NODE: &[&str] = &[
    "advertise_http_addr",
    "advertise_peer_addr",
    "audit.file",
    "console.oidc.client_secret",
    "data_dir",
    "disk.reserve_mb",
    "http.tls_cert",
    "http.tls_key",
    "http_addr",
    "join",
    "limits.sockets",
    "log",
    "log_format",
    "node.name",
    "otel.endpoint",
    "otel.headers",
    "peer.previous_key",
    "peer.tls_ca",
    "peer.tls_cert",
    "peer.tls_key",
    "peer_addr",
    "raft.cache_bytes",
    "role",
    "session.rings_bytes",
    "webhooks.aws.access_key_id",
    "webhooks.aws.secret_access_key",
    "webhooks.aws.session_token",
    "webhooks.ca_file",
    "webhooks.connections",
    // A node with another key never gets the cluster's key, which is reported by itself.
    "webhooks.secret_key",
    "webhooks.workers",
    "workers",
];

impl Config {
    /// The settings that shall be the same on all nodes: their names, and their values as JSON. The admin
    /// token and the peers' key are among them, so the values must be neither logged nor sent.
    pub fn shared(&self) -> Vec<(String, String)> {
        let tree = serde_json::to_value(self).unwrap_or_default();
        let secret = |key: &Key| match &*key.path {
            "admin_token" => self.admin_token.as_ref(),
            "peer.key" => self.peer.key.as_ref(),
            _ => None,
        };
        let plain = |key: &Key| tree.pointer(&pointer(&key.path)).map(ToString::to_string);
        let value = |key: &Key| match secret(key) {
            Some(secret) => secret.expose().to_owned(),
            None => plain(key).unwrap_or_default(),
        };
        let shared = KEYS.iter().filter(|key| !OF_ONE_NODE.contains(&&*key.path));
        shared.map(|key| (key.path.clone(), value(key))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    #[test]
    fn each_setting_of_one_node_exists() {
        for path in OF_ONE_NODE {
            assert!(Key::by_path(path).is_some(), "{path}");
        }
    }

    #[test]
    fn the_admin_token_the_key_and_limits_are_shared_and_addresses_are_not() {
        let of = |config: &Config, name: &str| {
            config.shared().into_iter().find(|(path, _)| path == name).map(|(_, value)| value)
        };
        let mut config = Config::default();
        assert_eq!(of(&config, "admin_token").as_deref(), Some("null"));
        config.admin_token = Some(Secret::new("one"));
        let one = of(&config, "admin_token");
        config.admin_token = Some(Secret::new("two"));
        assert_ne!(one, of(&config, "admin_token"));
        let without = of(&config, "peer.key");
        config.peer.key = Some(Secret::new("the first key of the peers"));
        let first = of(&config, "peer.key");
        config.peer.key = Some(Secret::new("the second key of the peers"));
        assert!(without != first && first != of(&config, "peer.key"));
        assert_eq!(of(&config, "limits.event_bytes").as_deref(), Some("262144"));
        assert_eq!(of(&config, "peer_addr"), None);
        // No other secret is shared: the mask of its value would hide a difference.
        let secret = |name: &str| Key::by_path(name).is_some_and(|key| key.secret);
        let shared: Vec<String> = config.shared().into_iter().map(|(path, _)| path).collect();
        let secrets: Vec<String> = shared.into_iter().filter(|path| secret(path)).collect();
        assert_eq!(secrets, ["admin_token", "peer.key"]);
    }
}
