//! Certificates of peers: read, looked at again when their files change, and shown in both directions.
//!
//! Names in certificates don't matter (nodes move): what counts is the cluster's authority. Never keeps a session for
//! later, so that every connection is judged by the certificates of its own day.

use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::os::TcpStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use tokio_rustls::rustls::crypto::{self, CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::clock;
use crate::config::TlsFiles;
use crate::net::stream;
use crate::status::certificate_days_left;

/// Largest file that is read (bytes).
const LARGEST: u64 = 1024 * 1024;
/// The name that callers give; it stands in no certificate and is not compared with any.
const NAME: &str = "peer.waypost.invalid";
/// A day, in seconds.
const DAY: u64 = 86_400;

/// A node's certificate and whom it trusts, as last read.
pub(super) struct Certificates {
    files: TlsFiles,
    current: RwLock<Arc<Current>>,
}

struct Current {
    content: Content,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    /// Seconds since 1970.
    until: u64,
}

/// What the files hold.
#[derive(Clone, PartialEq, Eq)]
struct Content {
    ca: Vec<u8>,
    cert: Vec<u8>,
    key: Vec<u8>,
}

/// What was said in the log, so that it is said once.
#[derive(Default)]
pub(super) struct Said {
    /// Why the files were not taken at the last look, and whether that was told.
    refused: Option<(String, bool)>,
    /// When the coming end was last told (seconds since 1970).
    ending: u64,
}

impl Certificates {
    /// Reads the files. A certificate that has ended is taken all the same: its node still serves its clients, and takes
    /// part again when the file is replaced.
    pub(super) fn load(files: &TlsFiles) -> Result<Self, String> {
        let (current, ended) = Current::of(Content::read(files)?)?;
        if let Some(ended) = ended {
            tracing::error!("{}: {ended}; peers refuse this node until the file is replaced", files.cert.display());
        }
        Ok(Self { files: files.clone(), current: RwLock::new(Arc::new(current)) })
    }

    fn current(&self) -> Arc<Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn until(&self) -> u64 {
        self.current().until
    }

    /// Looks at the files again. What can't be used leaves everything as it was; it is told at the second look, since
    /// three files are not replaced in one moment.
    pub(super) fn look(&self, said: &mut Said) {
        match self.reread() {
            Ok(changed) => {
                said.refused = None;
                if changed {
                    said.ending = 0;
                    tracing::info!(
                        until = self.until(),
                        "took new peer certificates; connections from now on use them"
                    );
                }
            }
            Err(reason) => {
                let seen = said.refused.take().filter(|(before, _)| *before == reason);
                if matches!(seen, Some((_, false))) {
                    tracing::warn!(reason, "cannot use the changed peer certificates; going on with the old ones");
                }
                said.refused = Some((reason, seen.is_some()));
            }
        }
        let now = clock::now_ms() / 1000;
        if let Some(left) = certificate_days_left(self.until(), now)
            && now.saturating_sub(said.ending) >= DAY
        {
            said.ending = now;
            match left {
                Some(days) => tracing::warn!(days, "the peer certificate ends soon: replace its files"),
                None => tracing::error!("the peer certificate has ended: peers refuse this node; replace its files"),
            }
        }
    }

    fn reread(&self) -> Result<bool, String> {
        let content = Content::read(&self.files)?;
        if content == self.current().content {
            return Ok(false);
        }
        let (current, ended) = Current::of(content)?;
        if let Some(ended) = ended {
            return Err(format!("{}: {ended}", self.files.cert.display()));
        }
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(current);
        Ok(true)
    }

    /// TLS on a connection that was made to a peer.
    pub(super) async fn connect(&self, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        let connected = TlsConnector::from(self.current().client.clone()).connect(name, socket).await;
        connected.map(Into::into).map_err(explained)
    }

    /// TLS on a connection that a peer made.
    pub(super) async fn accept(&self, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let accepted = TlsAcceptor::from(self.current().server.clone()).accept(socket).into_fallible().await;
        match accepted {
            Ok(stream) => Ok(stream.into()),
            Err((error, socket)) => {
                // The alert that says why is on its way.
                let (read, write) = stream::plain(socket);
                stream::part(read, write, &[]).await;
                Err(explained(error))
            }
        }
    }
}

impl Content {
    fn read(files: &TlsFiles) -> Result<Self, String> {
        Ok(Self { ca: read(&files.ca)?, cert: read(&files.cert)?, key: read(&files.key)? })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => Err(format!("{}: {error}", path.display())),
        Ok(_) if bytes.len() as u64 > LARGEST => Err(format!("{}: larger than {LARGEST} bytes", path.display())),
        Ok(_) => Ok(bytes),
    }
}

impl Current {
    /// Both sides' settings, and why the certificate is not valid today if it isn't.
    fn of(content: Content) -> Result<(Self, Option<String>), String> {
        let chain = certificates(&content.cert).map_err(|error| format!("the certificate: {error}"))?;
        let key = || PrivateKeyDer::from_pem_slice(&content.key).map_err(|error| format!("the private key: {error}"));
        let mut roots = RootCertStore::empty();
        for authority in certificates(&content.ca).map_err(|error| format!("the authorities: {error}"))? {
            roots.add(authority).map_err(|error| format!("the authorities: {error}"))?;
        }
        let provider = Arc::new(crypto::ring::default_provider());
        let judge = OfCluster { roots: Arc::new(roots), provider: provider.clone() };
        let now = UnixTime::now();
        let ended = match judge.judge(&chain, now).map_err(|error| (error, "servers")) {
            Ok(()) => judge.judge_caller(&chain, now).map_err(|error| (error, "clients")),
            refused => refused,
        };
        let ended = match ended {
            Ok(()) => None,
            Err((Error::InvalidCertificate(why), _)) if is_about_time(&why) => Some(words_of(&why)),
            Err((Error::InvalidCertificate(why), side)) => return Err(misfit(&why, side)),
            Err((error, _)) => return Err(format!("the certificate: {error}")),
        };
        let until = judge.until(&chain);
        let server = judge.server(chain.clone(), key()?).map_err(|error| unfit(&error))?;
        let client = judge.client(chain, key()?).map_err(|error| unfit(&error))?;
        Ok((Self { content, server: Arc::new(server), client: Arc::new(client), until }, ended))
    }
}

/// Why a certificate is none of this cluster; `side`: as what it was judged.
fn misfit(why: &CertificateError, side: &str) -> String {
    use CertificateError::{BadSignature, InvalidPurpose, InvalidPurposeContext, UnknownIssuer};
    match why {
        UnknownIssuer | BadSignature => "the certificate is not of these authorities".to_owned(),
        InvalidPurpose | InvalidPurposeContext { .. } => {
            format!("the certificate is not for {side} (extendedKeyUsage): a node is client and server to its peers")
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

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
    if found.is_empty() { Err("no certificate in the file".to_owned()) } else { Ok(found) }
}

/// Takes whoever has a certificate of the cluster's authorities, under whatever name.
#[derive(Debug)]
struct OfCluster {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl OfCluster {
    fn judge(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), Error> {
        let (own, between) = chain.split_first().ok_or(Error::NoCertificatesPresented)?;
        let known = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&ParsedCertificate::try_from(own)?, &self.roots, between, now, known)
    }

    /// As [`Self::judge`], but as the peer does that is called.
    fn judge_caller(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), Error> {
        let (own, between) = chain.split_first().ok_or(Error::NoCertificatesPresented)?;
        self.callers()?.verify_client_cert(own, between, now).map(drop)
    }

    /// The earliest end of a certificate and of those between it and its authority (seconds since 1970). The authority's
    /// own does not count: it is trusted for standing in the file.
    fn until(&self, chain: &[CertificateDer<'_>]) -> u64 {
        let mut until = u64::MAX / 4;
        // What it is refused for in the far future, then at the end of that: one certificate at a time.
        for _ in chain {
            match self.judge(chain, UnixTime::since_unix_epoch(Duration::from_secs(until))) {
                Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
                    until = until.min(not_after.as_secs());
                }
                _ => break,
            }
        }
        until
    }

    /// Who judges callers.
    fn callers(&self) -> Result<Arc<dyn ClientCertVerifier>, Error> {
        let callers = WebPkiClientVerifier::builder_with_provider(self.roots.clone(), self.provider.clone()).build();
        callers.map_err(|error| Error::General(error.to_string()))
    }

    fn server(&self, chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<ServerConfig, Error> {
        let callers = self.callers()?;
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(callers)
            .with_single_cert(chain, key)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    fn client(self, chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<ClientConfig, Error> {
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
        verify_server_cert_signed_by_trust_anchor(&ParsedCertificate::try_from(own)?, &self.roots, between, now, known)
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
    use CertificateError::{BadSignature, Expired, ExpiredContext, NotValidYet, NotValidYetContext, UnknownIssuer};
    match why {
        Expired | ExpiredContext { .. } => "the certificate has ended".to_owned(),
        NotValidYet | NotValidYetContext { .. } => "the certificate is not valid yet: compare the clocks".to_owned(),
        // The second: another authority that has the same name.
        UnknownIssuer | BadSignature => "the certificate is of another authority".to_owned(),
        other => format!("the certificate is refused: {other}"),
    }
}

/// What went wrong with TLS, as an operator would say it.
pub(super) fn explained(error: io::Error) -> io::Error {
    use tokio_rustls::rustls::AlertDescription as Alert;
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return error;
    };
    let text = match tls {
        Error::InvalidMessage(_) => "the peer does not speak TLS: all nodes need the same kind of security".to_owned(),
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
