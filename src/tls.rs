//! TLS towards clients: the certificate that this node presents, which is read again when its file changes,
//! and the authorities that this program trusts when it opens connections itself.
//!
//! Owns the files and the settings of the TLS library; never opens a connection. TLS between peers is in the
//! cluster crate.

mod look;
mod trust;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, RootCertStore, ServerConfig, crypto,
    pki_types::UnixTime,
    server::{ClientHello, ParsedCertificate, ResolvesServerCert},
    sign::CertifiedKey,
};
use trust::{Trust, refused};
use waypost_cluster::{BadFile, Certificate, PemFile, Renewed};

pub use look::{is_for, until};
pub use trust::OfAuthority;

/// Why TLS can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum BadTls {
    /// A file can't be used.
    #[error(transparent)]
    File(#[from] BadFile),
    /// The library refuses its own settings.
    #[error("TLS cannot be set up: {0}")]
    Library(#[from] rustls::Error),
}

/// The settings of a client that trusts the system's authorities and those of `ca_file` (PEM), and servers
/// whose own certificate is in `ca_file`. HTTP/1.1 only.
///
/// # Errors
/// If the file can't be used.
pub fn trusting(ca_file: Option<&Path>) -> Result<ClientConfig, BadTls> {
    let mut roots = RootCertStore::empty();
    let mut listed = Vec::new();
    // Certificates that can't be read are left out: one odd certificate in the system's store is no reason to
    // trust none of the others.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        listed = PemFile::read(path)?.certificates()?;
        for certificate in &listed {
            roots.add(certificate.clone()).map_err(|error| BadFile::new(path, error))?;
        }
    }
    if roots.is_empty() {
        tracing::warn!("no certificate authorities on this system: connections to https will fail");
    }
    let provider = Arc::new(crypto::ring::default_provider());
    let trust = Trust::new(roots, listed, &provider);
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config =
        builder.dangerous().with_custom_certificate_verifier(Arc::new(trust)).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The certificate that the client port presents. Lives as long as the server.
#[derive(Debug)]
pub struct Shown(Arc<Renewed<OfServer>>);

/// Certificate and key, in the form that the library takes.
struct OfServer(Arc<CertifiedKey>);

/// The contents of the files.
#[derive(PartialEq)]
struct Files {
    cert: PemFile,
    key: PemFile,
}

impl Shown {
    /// Reads certificate and private key (PEM). A certificate that clients would refuse is presented anyway:
    /// the node takes part in its cluster, and presents another one once the files are replaced.
    ///
    /// # Errors
    /// If one of the files can't be used, or if the two don't belong together.
    pub fn load(cert: &Path, key: &Path) -> Result<Arc<Self>, BadTls> {
        Ok(Arc::new(Self(Arc::new(Renewed::load((cert.to_owned(), key.to_owned()))?))))
    }

    /// Settings of a server that presents this certificate. HTTP/1.1 only, because WebSocket needs it, and
    /// because every limit of this server (head size, slow clients, bytes waiting for each client) assumes
    /// connections that serve one request at a time.
    ///
    /// # Errors
    /// If the library refuses its own settings.
    pub fn server(self: &Arc<Self>) -> Result<ServerConfig, BadTls> {
        let builder = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()));
        let mut config = builder
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// The time at which the certificate expires (seconds since 1970), if it can be read.
    pub fn until(&self) -> Option<u64> {
        self.0.current().until()
    }

    /// Loads changed files now, and logs the result.
    pub async fn look_now(&self) {
        self.0.look_now().await;
    }

    /// Loads changed files, as long as the server runs. If they can't be used, the old certificate stays in
    /// place.
    pub async fn keep_fresh(self: Arc<Self>) {
        self.0.keep_fresh().await;
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current().0.clone())
    }
}

impl Certificate for OfServer {
    const NAME: &'static str = "certificate for clients";
    const NAMES: &'static str = "certificates for clients";
    const SHOWN_TO: &'static str = "clients";
    type Paths = (PathBuf, PathBuf);
    type Files = Files;

    fn read((cert, key): &Self::Paths) -> Result<Files, BadFile> {
        Ok(Files { cert: PemFile::read(cert)?, key: PemFile::read(key)? })
    }

    fn make(Files { cert, key }: &Files) -> Result<(Self, Option<BadFile>), BadFile> {
        let chain = cert.certificates()?;
        let private = key.private_key()?;
        let certified = CertifiedKey::from_der(chain, private, &crypto::ring::default_provider());
        let certified = certified.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                BadFile::new(&key.path, "not the private key of the certificate")
            }
            other => BadFile::new(&cert.path, other),
        })?;
        let refused = refused_of(&certified, UnixTime::now()).map(|why| BadFile::new(&cert.path, why));
        Ok((Self(Arc::new(certified)), refused))
    }

    /// Intermediate certificates are not considered: clients may know other chains.
    fn until(&self) -> Option<u64> {
        // A check for a time in the far future fails, and the error contains the certificate's end.
        match refused_of(&self.0, UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX / 4))) {
            Some(CertificateError::ExpiredContext { not_after, .. }) => Some(not_after.as_secs()),
            _ => None,
        }
    }
}

fn refused_of(shown: &CertifiedKey, at: UnixTime) -> Option<CertificateError> {
    refused(&ParsedCertificate::try_from(shown.cert.first()?).ok()?, at)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};

    #[test]
    fn files_are_read_again_and_bad_ones_change_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
            std::fs::write(dir.path().join("cert"), made.cert.pem()).unwrap();
            (made.cert.der().clone(), made.signing_key.serialize_pem())
        };
        let cert = dir.path().join("cert");
        let key = dir.path().join("key");
        let (first, first_key) = write("a");
        std::fs::write(&key, &first_key).unwrap();
        let shown = Shown::load(&cert, &key).unwrap();
        let now = || shown.0.current().0.cert[0].clone();
        assert_eq!(now(), first);

        let (second, second_key) = write("b");
        assert!(shown.0.renew().unwrap_err().to_string().contains("not the private key"));
        assert_eq!(now(), first);
        std::fs::write(&key, second_key).unwrap();
        shown.0.renew().unwrap();
        assert_eq!(now(), second);
        std::fs::remove_file(&key).unwrap();
        assert!(shown.0.renew().unwrap_err().to_string().contains("key: No such file"));
        assert_eq!(now(), second);
        assert!(Shown::load(&cert, &cert).is_err());
    }

    #[test]
    fn a_certificate_that_clients_would_refuse_does_not_replace_a_good_one() {
        /// Years far in the past and far in the future.
        const PAST: i32 = 2000;
        const FAR: i32 = 4000;
        let dir = tempfile::tempdir().unwrap();
        let cert = dir.path().join("cert");
        let key = dir.path().join("key");
        let write = |years: (i32, i32), purpose: ExtendedKeyUsagePurpose| {
            let mut params = CertificateParams::new(vec!["a".to_owned()]).unwrap();
            (params.not_before, params.not_after) =
                (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 12, 31));
            params.extended_key_usages = vec![purpose];
            let pair = KeyPair::generate().unwrap();
            std::fs::write(&cert, params.self_signed(&pair).unwrap().pem()).unwrap();
            std::fs::write(&key, pair.serialize_pem()).unwrap();
        };
        let end = |year| Some(u64::try_from(date_time_ymd(year, 12, 31).unix_timestamp()).unwrap());
        write((PAST, FAR), ExtendedKeyUsagePurpose::ServerAuth);
        let shown = Shown::load(&cert, &key).unwrap();
        assert_eq!(shown.until(), end(FAR));

        let wrong = [
            ((PAST - 1, PAST), ExtendedKeyUsagePurpose::ServerAuth, "expired"),
            ((FAR - 1, FAR), ExtendedKeyUsagePurpose::ServerAuth, "not valid yet"),
            ((PAST, FAR), ExtendedKeyUsagePurpose::ClientAuth, "extended key usage"),
        ];
        for (years, purpose, why) in wrong {
            write(years, purpose);
            let told = shown.0.renew().unwrap_err().to_string();
            assert!(told.contains("clients would refuse it") && told.contains(why), "{told}");
            assert_eq!(shown.until(), end(FAR));
            // A node that starts with such a certificate can still serve its cluster.
            Shown::load(&cert, &key).unwrap();
        }
        write((PAST, FAR + 1), ExtendedKeyUsagePurpose::ServerAuth);
        shown.0.renew().unwrap();
        assert_eq!(shown.until(), end(FAR + 1));
    }
}
