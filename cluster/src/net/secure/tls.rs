//! TLS 1.3 between peers, always.
//!
//! A node with configured certificates shows its own, and checks that a peer's is of the cluster's authority.
//! Names in certificates do not matter, because nodes move. A node without them shows one that it signs
//! itself with its identity key, and checks none: identities are proved inside the connection either way (see
//! the parent module). Sessions are never resumed, so every connection is checked with the certificates that
//! are valid at that time.

use std::io;
use std::sync::Arc;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ED25519};
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto;
use tokio_rustls::rustls::pki_types::{PrivatePkcs8KeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, ConnectionCommon, Error, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::certificates::{Called, OfPeer, Shown, never_resume, words_of};
use crate::certificate::{Certificate, Renewed};
use crate::config::Security;
use crate::error::StartError;
use crate::identity_key::IdentityKey;
use crate::net::stream::{self, Reader, Writer};
use crate::os::{PeerStream, TcpStream};

/// The server name that callers send. It is in no certificate and is not compared with any.
const NAME: &str = "peer.waypost.invalid";
/// Names the bytes that both sides derive from a connection, and that are the same on no other.
const EXPORTER: &[u8] = b"EXPORTER-waypost-peer";
/// What precedes the 32 bytes of a private Ed25519 key in PKCS #8 (RFC 8410).
const PKCS8: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// The error for what is no TLS.
const NO_TLS: &str = "the peer does not speak TLS: it is no node of a cluster";

/// Begins and accepts connections.
pub(super) enum Tls {
    /// Without configured certificates.
    SelfSigned(SelfSigned),
    /// With certificates of an authority, read again when they change.
    Certificates(Arc<Renewed<OfPeer>>),
}

/// Both sides of a connection without configured certificates.
pub(super) struct SelfSigned {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

/// A connection.
pub(super) struct Channel {
    pub(super) read: Reader,
    pub(super) write: Writer,
    /// The same bytes on both sides of this connection, and on no other.
    pub(super) exporter: [u8; 32],
    /// Whether the peer has shown a certificate of the cluster's authorities.
    pub(super) certified: bool,
}

impl Tls {
    pub(super) fn new(security: &Security, identity: &IdentityKey) -> Result<Self, StartError> {
        match &security.tls {
            None => SelfSigned::new(identity)
                .map(Self::SelfSigned)
                .map_err(|error| StartError::Config(format!("TLS between peers: {error}"))),
            Some(files) => {
                let shown = Shown { files: files.clone(), only: security.keys.is_empty() };
                let read = Renewed::load(shown);
                let bad = |why| {
                    StartError::Config(format!(
                        "peer certificates (peer.tls_ca, peer.tls_cert, peer.tls_key): {why}"
                    ))
                };
                Ok(Self::Certificates(Arc::new(read.map_err(bad)?)))
            }
        }
    }

    /// When this node's certificate expires (seconds since 1970).
    pub(super) fn certificate_until(&self) -> Option<u64> {
        match self {
            Self::SelfSigned(_) => None,
            Self::Certificates(certificates) => certificates.current().until(),
        }
    }

    /// Takes changed certificates, as long as the node runs.
    pub(super) async fn keep_fresh(&self) {
        if let Self::Certificates(certificates) = self {
            certificates.keep_fresh().await;
        }
    }

    /// Takes changed certificates now.
    pub(super) async fn renew(&self) {
        if let Self::Certificates(certificates) = self {
            certificates.look_now().await;
        }
    }

    /// TLS on a connection that this node made.
    pub(super) async fn connect(&self, socket: TcpStream) -> io::Result<Channel> {
        let (client, check) = match self {
            Self::SelfSigned(own) => (own.client.clone(), None),
            Self::Certificates(certificates) => {
                let current = certificates.current();
                (current.client.clone(), Some(current.check.clone()))
            }
        };
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        let stream =
            TlsConnector::from(client).connect(name, stream::buffered(socket)).await.map_err(explained)?;
        let connection = stream.get_ref().1;
        let exporter = exporter(connection)?;
        let certified = check.is_some_and(|check| {
            connection.peer_certificates().is_some_and(|chain| check.check(chain, UnixTime::now()).is_ok())
        });
        Ok(channel(stream.into(), exporter, certified))
    }

    /// TLS on a connection that a peer made. A caller that begins with a text instead is told `without_tls`, and
    /// turned away.
    pub(super) async fn accept(&self, socket: TcpStream, without_tls: &[u8]) -> io::Result<Channel> {
        if begins_with_text(&socket).await? {
            stream::leave(socket, without_tls).await;
            return Err(io::Error::new(io::ErrorKind::InvalidData, NO_TLS));
        }
        let (server, check) = match self {
            Self::SelfSigned(own) => (own.server.clone(), None),
            Self::Certificates(certificates) => {
                let current = certificates.current();
                (current.server.clone(), Some(current.check.clone()))
            }
        };
        let stream = match TlsAcceptor::from(server).accept(stream::buffered(socket)).into_fallible().await {
            Ok(stream) => stream,
            Err((error, socket)) => {
                // The alert with the reason must still be sent.
                stream::leave(socket.into_inner(), &[]).await;
                return Err(explained(error));
            }
        };
        let connection = stream.get_ref().1;
        let exporter = exporter(connection)?;
        let certified = check.is_some_and(|check| {
            connection
                .peer_certificates()
                .is_some_and(|chain| check.check_caller(chain, UnixTime::now()).is_ok())
        });
        Ok(channel(stream.into(), exporter, certified))
    }
}

/// Waits for the first byte of a caller, which stays to be read, and tells whether it is a capital letter, with
/// which no record of TLS begins.
async fn begins_with_text(socket: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    Ok(socket.peek(&mut first).await? == 1 && first[0].is_ascii_uppercase())
}

fn exporter<Data>(connection: &ConnectionCommon<Data>) -> io::Result<[u8; 32]> {
    connection.export_keying_material([0; 32], EXPORTER, None).map_err(io::Error::other)
}

fn channel(stream: PeerStream, exporter: [u8; 32], certified: bool) -> Channel {
    let (read, write) = stream::ends(stream);
    Channel { read, write, exporter, certified }
}

impl SelfSigned {
    /// Certificate and settings of a node that has only its identity.
    fn new(identity: &IdentityKey) -> Result<Self, Error> {
        let general = |error: rcgen::Error| Error::General(error.to_string());
        let key = PrivatePkcs8KeyDer::from([&PKCS8[..], identity.private()].concat());
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ED25519).map_err(general)?;
        let mut params = CertificateParams::new(vec![NAME.to_owned()]).map_err(general)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, format!("waypost {}", identity.public()));
        let own = params.self_signed(&pair).map_err(general)?.der().clone();
        let provider = Arc::new(crypto::ring::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![own], key.into())?;
        never_resume(&mut server);
        let mut client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Called { cluster: None, provider }))
            .with_no_client_auth();
        client.resumption = Resumption::disabled();
        Ok(Self { server: Arc::new(server), client: Arc::new(client) })
    }
}

/// The error of a TLS connection, in an operator's words.
pub(super) fn explained(error: io::Error) -> io::Error {
    use tokio_rustls::rustls::AlertDescription as Alert;
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return error;
    };
    let text = match tls {
        Error::InvalidMessage(_) => NO_TLS.to_owned(),
        Error::NoCertificatesPresented => {
            "the peer shows no certificate, and this node's peers need one (peer.tls_*)".to_owned()
        }
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
