//! The authorities that webhooks trust: the system's certificate authorities, and those of a file.

use std::{path::Path, sync::Arc};

use tokio_rustls::{TlsConnector, rustls::ClientConfig};

use crate::tls::{BadTls, trusting};

/// TLS for all clients of a node: TLS 1.2 and 1.3, HTTP/1.1 only. It is made once, at the start, since it
/// reads files.
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Trusts the system's authorities and those of `ca_file` (PEM).
    pub fn load(ca_file: Option<&Path>) -> Result<Self, BadTls> {
        Ok(Self(Arc::new(trusting(ca_file)?)))
    }

    pub(super) fn connector(&self) -> TlsConnector {
        TlsConnector::from(self.0.clone())
    }
}
