//! What admits a newcomer among the peers, and the certificates that peers and clients see.

use super::{Config, Secret, fault::Fault};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use waypost_cluster::{Security, TlsFiles};

/// What admits a newcomer: a certificate, a shared key, either of them, or (on loopback only) nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Authorities (PEM); a node with a certificate from one of them is admitted.
    pub tls_ca: Option<PathBuf>,
    /// This node's certificate (PEM).
    pub tls_cert: Option<PathBuf>,
    /// The private key of that certificate (PEM).
    pub tls_key: Option<PathBuf>,
    /// A secret that all nodes share.
    pub key: Option<Secret>,
    /// The secret before it, which also admits while `key` is replaced on each node.
    pub previous_key: Option<Secret>,
}

/// The client port.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// The certificate (PEM) for clients, with its intermediate certificates.
    pub tls_cert: Option<PathBuf>,
    /// The private key of that certificate (PEM).
    pub tls_key: Option<PathBuf>,
    /// The beginning of the addresses of ingest sources and portal links, as in `https://events.example.com`.
    /// If absent, it is made of `advertise_http_addr` or `http_addr`.
    pub public_url: Option<String>,
}

impl Peer {
    /// The security settings for the cluster crate.
    pub fn security(&self) -> Security {
        let tls = match (&self.tls_ca, &self.tls_cert, &self.tls_key) {
            (Some(ca), Some(cert), Some(key)) => {
                Some(TlsFiles { ca: ca.clone(), cert: cert.clone(), key: key.clone() })
            }
            _ => None,
        };
        let keys = [&self.key, &self.previous_key].into_iter().flatten();
        Security { keys: keys.map(|key| key.expose().to_owned()).collect(), tls }
    }
}

impl Http {
    /// Whether `public_url` can begin an address: a scheme and a host, perhaps a path, and no more.
    pub fn has_good_public_url(&self) -> bool {
        let Some(url) = &self.public_url else { return true };
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let is_good = |byte: u8| byte.is_ascii_graphic() && !b"?#@\\\"<>".contains(&byte);
        rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && rest.bytes().all(is_good))
            && !url.ends_with('/')
    }

    /// Certificate and key, if clients use TLS.
    pub fn tls(&self) -> Option<(&PathBuf, &PathBuf)> {
        self.tls_cert.as_ref().zip(self.tls_key.as_ref())
    }
}

impl Config {
    /// What the addresses begin with under which others reach this node's client port.
    pub fn base_url(&self) -> String {
        let address = self.advertise_http_addr.clone().unwrap_or_else(|| self.http_addr.to_string());
        let scheme = if self.http.tls().is_some() { "https" } else { "http" };
        self.http.public_url.clone().unwrap_or_else(|| format!("{scheme}://{address}"))
    }
}

/// Returns the first of these settings that is invalid.
pub(super) fn check(config: &Config) -> Option<Fault> {
    let fault = |path, allowed: String| Some(Fault { path, allowed });
    let peer = &config.peer;
    let files =
        [("peer.tls_ca", &peer.tls_ca), ("peer.tls_cert", &peer.tls_cert), ("peer.tls_key", &peer.tls_key)];
    let some = files.iter().any(|(_, file)| file.is_some());
    if some && let Some((path, _)) = files.iter().find(|(_, file)| file.is_none()) {
        return fault(
            path,
            "must be set: peer.tls_ca, peer.tls_cert and peer.tls_key go together".to_owned(),
        );
    }
    if config.http.tls_cert.is_some() != config.http.tls_key.is_some() {
        return fault("http.tls_cert", "must be set together with http.tls_key".to_owned());
    }
    for (path, key) in [("peer.key", &peer.key), ("peer.previous_key", &peer.previous_key)] {
        if key.as_ref().is_some_and(|key| key.expose().chars().count() < Security::KEY_LENGTH) {
            return fault(path, format!("must have at least {} characters", Security::KEY_LENGTH));
        }
    }
    if peer.previous_key.is_some() && peer.key.is_none() {
        return fault("peer.previous_key", "must be set only together with peer.key".to_owned());
    }
    if peer.key.is_none() && !some && !config.peer_addr.ip().to_canonical().is_loopback() {
        let allowed = "must be on loopback unless something says which nodes may join: set peer.tls_ca, \
                       peer.tls_cert and peer.tls_key (`waypost cluster certs` makes them), or the same \
                       peer.key on all nodes";
        return fault("peer_addr", allowed.to_owned());
    }
    None
}
