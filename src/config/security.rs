//! How peers and clients verify a node: certificates, or the peers' shared key.

use super::{Config, Secret, fault::Fault};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use waypost_cluster::{Security, TlsFiles};

/// How peers authenticate each other: by certificates, by a shared key, or (on loopback only) not at all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Authorities (PEM); nodes with a certificate from one of them are accepted.
    pub tls_ca: Option<PathBuf>,
    /// This node's certificate (PEM).
    pub tls_cert: Option<PathBuf>,
    /// The private key of that certificate (PEM).
    pub tls_key: Option<PathBuf>,
    /// A secret that all nodes share, instead of certificates.
    pub key: Option<Secret>,
}

/// The client port.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// The certificate (PEM) for clients, with its intermediate certificates.
    pub tls_cert: Option<PathBuf>,
    /// The private key of that certificate (PEM).
    pub tls_key: Option<PathBuf>,
}

impl Peer {
    /// The security settings for the cluster crate.
    pub fn security(&self) -> Security {
        match (&self.tls_ca, &self.tls_cert, &self.tls_key, &self.key) {
            (Some(ca), Some(cert), Some(key), _) => {
                Security::Tls(TlsFiles { ca: ca.clone(), cert: cert.clone(), key: key.clone() })
            }
            (.., Some(key)) => Security::Key(key.expose().to_owned()),
            _ => Security::None,
        }
    }
}

impl Http {
    /// Certificate and key, if clients use TLS.
    pub fn tls(&self) -> Option<(&PathBuf, &PathBuf)> {
        self.tls_cert.as_ref().zip(self.tls_key.as_ref())
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
    match &peer.key {
        Some(_) if some => {
            fault("peer.key", "must not be set together with peer.tls_*: choose one".to_owned())
        }
        Some(key) if key.expose().chars().count() < Security::KEY_LENGTH => {
            fault("peer.key", format!("must have at least {} characters", Security::KEY_LENGTH))
        }
        None if !some && !config.peer_addr.ip().to_canonical().is_loopback() => fault(
            "peer_addr",
            "must be on loopback unless peers authenticate each other: set peer.tls_ca, peer.tls_cert and \
             peer.tls_key (`waypost cluster certs` makes them), or the same peer.key on all nodes"
                .to_owned(),
        ),
        _ => None,
    }
}
