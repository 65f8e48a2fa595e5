//! TLS between peers, with certificates on both sides.
//!
//! Names in certificates do not matter, because nodes move: only the cluster's authority counts. Sessions are
//! never resumed, so every connection is checked with the certificates that are valid at that time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::os::TcpStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use tokio_rustls::rustls::crypto::{self, CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig,
    SignatureScheme,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::certificate::{BadFile, Certificate, PemFile};
use crate::config::TlsFiles;
use crate::net::stream;

/// The server name that callers send. It is in no certificate and is not compared with any.
const NAME: &str = "peer.waypost.invalid";

/// A node's certificate and the authorities that it trusts, for both sides of a connection.
pub(super) struct OfPeer {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    /// When it expires (seconds since 1970).
    until: u64,
}

/// The content of the files.
#[derive(PartialEq)]
pub(super) struct Files {
    ca: PemFile,
    cert: PemFile,
    key: PemFile,
}

impl OfPeer {
    /// TLS on a connection that this node made.
    pub(super) async fn connect(&self, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        let connected = TlsConnector::from(self.client.clone()).connect(name, socket).await;
        connected.map(Into::into).map_err(explained)
    }

    /// TLS on a connection that a peer made.
    pub(super) async fn accept(&self, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let accepted = TlsAcceptor::from(self.server.clone()).accept(socket).into_fallible().await;
        match accepted {
            Ok(stream) => Ok(stream.into()),
            Err((error, socket)) => {
                // The alert with the reason must still be sent.
                let (read, write) = stream::plain(socket);
                stream::part(read, write, &[]).await;
                Err(explained(error))
            }
        }
    }
}

impl Certificate for OfPeer {
    const NAME: &'static str = "peer certificate";
    const NAMES: &'static str = "peer certificates";
    const SHOWN_TO: &'static str = "peers";

    type Paths = TlsFiles;
    type Files = Files;

    fn read(paths: &TlsFiles) -> Result<Files, BadFile> {
        let TlsFiles { ca, cert, key } = paths;
        Ok(Files { ca: PemFile::read(ca)?, cert: PemFile::read(cert)?, key: PemFile::read(key)? })
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
        let check = OfCluster { roots: Arc::new(roots), provider: provider.clone() };
        let refused = check.refused(&chain).map_err(|why| bad(&files.cert, why))?;
        let until = check.until(&chain);
        let server = check.server(chain.clone(), key()?).map_err(|error| bad(&files.key, unfit(&error)))?;
        let client = check.client(chain, key()?).map_err(|error| bad(&files.key, unfit(&error)))?;
        let made = Self { server: Arc::new(server), client: Arc::new(client), until };
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

/// Accepts every certificate of the cluster's authorities, whatever its name.
#[derive(Debug)]
struct OfCluster {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl OfCluster {
    fn check(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), Error> {
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
    fn check_caller(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), Error> {
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
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<ServerConfig, Error> {
        let callers = self.callers()?;
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(callers)
            .with_single_cert(chain, key)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    fn client(
        self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<ClientConfig, Error> {
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(self))
            .with_client_auth_cert(chain, key)?;
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

impl ServerCertVerifier for OfCluster {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let known = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(own)?,
            &self.roots,
            between,
            now,
            known,
        )
        .map(|()| ServerCertVerified::assertion())
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

fn is_about_time(why: &CertificateError) -> bool {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    matches!(why, Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. })
}

fn words_of(why: &CertificateError) -> String {
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

/// The error of a TLS connection, in an operator's words.
pub(super) fn explained(error: io::Error) -> io::Error {
    use tokio_rustls::rustls::AlertDescription as Alert;
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return error;
    };
    let text = match tls {
        Error::InvalidMessage(_) => {
            "the peer does not speak TLS: all nodes need the same kind of security".to_owned()
        }
        Error::NoCertificatesPresented => "the peer shows no certificate".to_owned(),
        Error::InvalidCertificate(why) => format!("the peer: {}", words_of(why)),
        Error::AlertReceived(alert) => {
            let why = match alert {
                Alert::UnknownCA | Alert::DecryptError => "it is of another authority".to_owned(),
                Alert::CertificateExpired => "it has ended, or is not valid yet there".to_owned(),
                Alert::CertificateRequired => "there is none".to_owned(),
                other => format!("{other:?}"),
            };
            format!("the peer refuses this node's certificate: {why}")
        }
        other => other.to_string(),
    };
    io::Error::new(io::ErrorKind::InvalidData, text)
}
