//! The certificates that nodes may have for each other, of authorities that sign certificates of nodes only.
//! They admit newcomers, and every connection of a node that has them needs one. Which member a peer is, they
//! do not say: identities do.

use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use tokio_rustls::rustls::crypto::{self, CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    ServerConfig, SignatureScheme,
};

use crate::certificate::{BadFile, Certificate, PemFile};
use crate::config::TlsFiles;

/// Which certificates a node shows, and whether it accepts peers without one of the authorities.
pub(super) struct Shown {
    pub(super) files: TlsFiles,
    /// Every peer must have one. Otherwise a peer may have the cluster's key instead, which is so while a
    /// cluster changes from its key to certificates.
    pub(super) only: bool,
}

/// A node's certificate and the authorities that it trusts, for both sides of a connection.
pub(super) struct OfPeer {
    pub(super) server: Arc<ServerConfig>,
    pub(super) client: Arc<ClientConfig>,
    pub(super) check: Arc<OfCluster>,
    /// When it expires (seconds since 1970).
    until: u64,
}

/// The content of the files.
#[derive(PartialEq)]
pub(super) struct Files {
    ca: PemFile,
    cert: PemFile,
    key: PemFile,
    only: bool,
}

impl Certificate for OfPeer {
    const NAME: &'static str = "peer certificate";
    const NAMES: &'static str = "peer certificates";
    const SHOWN_TO: &'static str = "peers";

    type Paths = Shown;
    type Files = Files;

    fn read(paths: &Shown) -> Result<Files, BadFile> {
        let TlsFiles { ca, cert, key } = &paths.files;
        let ca = PemFile::read(ca)?;
        let cert = PemFile::read(cert)?;
        let key = PemFile::read(key)?;
        Ok(Files { ca, cert, key, only: paths.only })
    }

    fn make(files: &Files) -> Result<(Self, Option<BadFile>), BadFile> {
        let bad = |file: &PemFile, reason: String| BadFile::new(&file.path, reason);
        let chain = files.cert.certificates()?;
        let key = || files.key.private_key();
        let mut roots = RootCertStore::empty();
        for authority in files.ca.certificates()? {
            roots.add(authority).map_err(|error| bad(&files.ca, error.to_string()))?;
        }
        let provider = Arc::new(crypto::ring::default_provider());
        let check = OfCluster { roots: Arc::new(roots), provider, only: files.only };
        let refused = check.refused(&chain).map_err(|why| bad(&files.cert, why))?;
        let until = check.until(&chain);
        let check = Arc::new(check);
        let server = check.server(chain.clone(), key()?).map_err(|error| bad(&files.key, unfit(&error)))?;
        let client = check.client(chain, key()?).map_err(|error| bad(&files.key, unfit(&error)))?;
        let made = Self { server: Arc::new(server), client: Arc::new(client), check, until };
        Ok((made, refused.map(|why| bad(&files.cert, why))))
    }

    fn until(&self) -> Option<u64> {
        Some(self.until)
    }
}

/// Why a certificate does not belong to this cluster; `side`: the side that it was checked for.
fn misfit(why: &CertificateError, side: &str) -> String {
    use CertificateError::{BadSignature, InvalidPurpose, InvalidPurposeContext, UnknownIssuer};
    match why {
        UnknownIssuer | BadSignature => "the certificate is not of these authorities".to_owned(),
        InvalidPurpose | InvalidPurposeContext { .. } => {
            format!(
                "the certificate is not for {side} (extendedKeyUsage): a node is client and server to its peers"
            )
        }
        other => format!("the certificate: {other}"),
    }
}

fn unfit(error: &Error) -> String {
    match error {
        Error::InconsistentKeys(_) => "the private key is not that of the certificate".to_owned(),
        other => other.to_string(),
    }
}

/// Checks whether a certificate is of the cluster's authorities, whatever its name.
#[derive(Debug)]
pub(super) struct OfCluster {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
    /// See [`Shown::only`].
    only: bool,
}

impl OfCluster {
    pub(super) fn check(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), Error> {
        let (own, between) = chain.split_first().ok_or(Error::NoCertificatesPresented)?;
        let known = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(own)?,
            &self.roots,
            between,
            now,
            known,
        )
    }

    /// Like [`Self::check`], but as the called peer checks.
    pub(super) fn check_caller(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), Error> {
        let (own, between) = chain.split_first().ok_or(Error::NoCertificatesPresented)?;
        self.callers()?.verify_client_cert(own, between, now).map(drop)
    }

    /// Why a certificate is not valid today, if so. The error says why it does not belong to this cluster.
    fn refused(&self, chain: &[CertificateDer<'_>]) -> Result<Option<String>, String> {
        let now = UnixTime::now();
        let checked = match self.check(chain, now).map_err(|error| (error, "servers")) {
            Ok(()) => self.check_caller(chain, now).map_err(|error| (error, "clients")),
            refused => refused,
        };
        match checked {
            Ok(()) => Ok(None),
            Err((Error::InvalidCertificate(why), _)) if is_about_time(&why) => Ok(Some(words_of(&why))),
            Err((Error::InvalidCertificate(why), side)) => Err(misfit(&why, side)),
            Err((error, _)) => Err(format!("the certificate: {error}")),
        }
    }

    /// The earliest expiry of a certificate and of its intermediate certificates (seconds since 1970). The
    /// authority's own does not count: it is trusted because it is in the file.
    fn until(&self, chain: &[CertificateDer<'_>]) -> u64 {
        let mut until = u64::MAX / 4;
        // Checks the chain in the far future, then at the expiry that this check reports, and so on: each
        // check finds one certificate.
        for _ in chain {
            match self.check(chain, UnixTime::since_unix_epoch(Duration::from_secs(until))) {
                Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
                    until = until.min(not_after.as_secs());
                }
                _ => break,
            }
        }
        until
    }

    /// The verifier of callers.
    fn callers(&self) -> Result<Arc<dyn ClientCertVerifier>, Error> {
        let callers =
            WebPkiClientVerifier::builder_with_provider(self.roots.clone(), self.provider.clone()).build();
        callers.map_err(|error| Error::General(error.to_string()))
    }

    fn server(
        self: &Arc<Self>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<ServerConfig, Error> {
        let callers = Arc::new(Callers { known: self.callers()?, only: self.only });
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(callers)
            .with_single_cert(chain, key)?;
        never_resume(&mut config);
        Ok(config)
    }

    fn client(
        self: &Arc<Self>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<ClientConfig, Error> {
        let called = Called { cluster: Some(self.clone()), provider: self.provider.clone() };
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(called))
            .with_client_auth_cert(chain, key)?;
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

/// Checks the certificates of called nodes: those of `cluster` if there is one and its peers need them, and
/// none otherwise. Identities are proved inside the connection either way.
#[derive(Debug)]
pub(super) struct Called {
    pub(super) cluster: Option<Arc<OfCluster>>,
    pub(super) provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Called {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(cluster) = self.cluster.as_ref().filter(|cluster| cluster.only) {
            let chain: Vec<CertificateDer<'_>> = std::iter::once(own).chain(between).cloned().collect();
            cluster.check(&chain, now)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Checks the certificates of callers. Unless every peer needs one, a caller without one is let through.
#[derive(Debug)]
struct Callers {
    known: Arc<dyn ClientCertVerifier>,
    only: bool,
}

impl ClientCertVerifier for Callers {
    fn client_auth_mandatory(&self) -> bool {
        self.only
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.known.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match self.known.verify_client_cert(own, between, now) {
            Err(error) if self.only => Err(error),
            _ => Ok(ClientCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.known.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.known.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.known.supported_verify_schemes()
    }
}

fn is_about_time(why: &CertificateError) -> bool {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    matches!(why, Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. })
}

pub(super) fn words_of(why: &CertificateError) -> String {
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidYet, NotValidYetContext, UnknownIssuer,
    };
    match why {
        Expired | ExpiredContext { .. } => "the certificate has ended".to_owned(),
        NotValidYet | NotValidYetContext { .. } => {
            "the certificate is not valid yet: compare the clocks".to_owned()
        }
        // `BadSignature`: another authority has the same name.
        UnknownIssuer | BadSignature => "the certificate is of another authority".to_owned(),
        other => format!("the certificate is refused: {other}"),
    }
}

/// Every connection is checked with the certificates that are valid at that time.
pub(super) fn never_resume(server: &mut ServerConfig) {
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
}
