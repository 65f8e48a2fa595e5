//! Whom webhooks trust: the system's certificate authorities, and those of a file.

use std::{path::Path, sync::Arc};

use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore, crypto,
        pki_types::{CertificateDer, pem::PemObject},
    },
};

/// Why there can be no TLS.
#[derive(Debug, thiserror::Error)]
pub enum BadTls {
    /// The authorities of a file can't be used.
    #[error("{path}: {reason}")]
    Authorities {
        /// Which file.
        path: String,
        /// Why.
        reason: String,
    },
    /// The library refuses its own settings.
    #[error("TLS cannot be set up: {0}")]
    Library(#[from] tokio_rustls::rustls::Error),
}

/// TLS for all clients of a node: TLS 1.2 and 1.3, HTTP/1.1 only. Reads files, so it is made once, at the start.
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Trusts the system's authorities and, beside them, those of `ca_file` (PEM).
    pub fn load(ca_file: Option<&Path>) -> Result<Self, BadTls> {
        let mut roots = RootCertStore::empty();
        // What can't be read is left out: a single odd certificate in the system's store is no reason to trust none.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = ca_file {
            let bad = |reason: String| BadTls::Authorities { path: path.display().to_string(), reason };
            let mut added = 0;
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| bad(error.to_string()))? {
                let certificate = certificate.map_err(|error| bad(error.to_string()))?;
                roots.add(certificate).map_err(|error| bad(error.to_string()))?;
                added += 1;
            }
            if added == 0 {
                return Err(bad("no certificate in it".to_owned()));
            }
        }
        if roots.is_empty() {
            tracing::warn!("no certificate authorities on this system: webhooks to https will fail");
        }
        Self::trusting(roots)
    }

    fn trusting(roots: RootCertStore) -> Result<Self, BadTls> {
        let provider = Arc::new(crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    pub(super) fn connector(&self) -> TlsConnector {
        TlsConnector::from(self.0.clone())
    }
}
