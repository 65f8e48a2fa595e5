//! Who peers and clients are talking to: certificates, or the peers' shared key.

use super::{Config, Secret, fault::Fault};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use waypost_cluster::{Security, TlsFiles};

/// How peers know each other: certificates, a shared key, or (on loopback alone) not at all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Authorities (PEM) whose nodes are let in.
    pub tls_ca: Option<PathBuf>,
    /// This node's certificate (PEM).
    pub tls_cert: Option<PathBuf>,
    /// The private key of that certificate (PEM).
    pub tls_key: Option<PathBuf>,
    /// A secret that all nodes share, in place of certificates.
    pub key: Option<Secret>,
}

/// The client port.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Certificate (PEM) for clients, with those between it and the authority.
    pub tls_cert: Option<PathBuf>,
    /// The private key of that certificate (PEM).
    pub tls_key: Option<PathBuf>,
}

impl Peer {
    /// What the cluster is told.
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
    /// Certificate and key, if clients are to speak TLS.
    pub fn tls(&self) -> Option<(&PathBuf, &PathBuf)> {
        self.tls_cert.as_ref().zip(self.tls_key.as_ref())
    }
}

/// The first of these settings that is not allowed.
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
        Some(_) if some => fault("peer.key", "must not stand beside peer.tls_*: choose one of the two".to_owned()),
        Some(key) if key.expose().chars().count() < Security::KEY_LENGTH => {
            fault("peer.key", format!("must have at least {} characters", Security::KEY_LENGTH))
        }
        None if !some && !config.peer_addr.ip().to_canonical().is_loopback() => fault(
            "peer_addr",
            "must be on loopback as long as nothing says who the peers are: set peer.tls_ca, peer.tls_cert and \
             peer.tls_key (`waypost cluster certs` makes them), or the same peer.key on all nodes"
                .to_owned(),
        ),
        _ => None,
    }
}
