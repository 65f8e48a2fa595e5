//! Why a request has no answer, and what to do about it where that does not depend on the URL.

use std::io;

use tokio_rustls::rustls::{CertificateError, Error as TlsError, OtherError};

use crate::tls::OfAuthority;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum HttpError {
    /// No process listens at the address.
    #[error("connection refused")]
    Refused,
    /// The node's certificate was signed by an authority that is not trusted here.
    #[error(
        "its certificate is of an authority that is not trusted here; --ca FILE or WAYPOST_CA names the authority's \
         certificate (PEM)"
    )]
    Untrusted,
    /// The node's certificate can't be accepted for another reason.
    #[error("{0}")]
    BadCertificate(String),
    /// The URL has the scheme http, and TLS is spoken there.
    #[error("https is spoken there, not http")]
    SpeaksTls,
    /// The URL has the scheme https, and plain HTTP is spoken there.
    #[error("http is spoken there, not https")]
    SpeaksPlain,
    /// The peer port of a node listens there.
    #[error("this is the peer port of a node, where only nodes talk")]
    PeerPort,
    /// The connection could not be opened.
    #[error("{0}")]
    Connect(String),
    /// The connection ended before anything was sent.
    #[error("the connection broke")]
    Unsent,
    /// The connection broke after something of the request was sent.
    #[error("the connection broke")]
    Broken,
    /// The answer did not come in time.
    #[error("no answer in time")]
    Late,
    /// The answer is not HTTP, or is too long.
    #[error("{0}")]
    Foreign(String),
}

impl HttpError {
    /// Whether nothing of the request was sent.
    pub(in crate::cli) fn is_unsent(&self) -> bool {
        matches!(
            self,
            Self::Refused
                | Self::Untrusted
                | Self::BadCertificate(_)
                | Self::SpeaksPlain
                | Self::PeerPort
                | Self::Connect(_)
                | Self::Unsent
        )
    }
}

/// Why no connection could be opened.
pub(super) fn no_connection(error: &io::Error) -> HttpError {
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    match (of_tls, error.kind()) {
        (Some(TlsError::InvalidCertificate(CertificateError::UnknownIssuer)), _) => HttpError::Untrusted,
        (Some(TlsError::InvalidCertificate(why)), _) => HttpError::BadCertificate(bad_certificate(why)),
        (None, io::ErrorKind::ConnectionRefused) => HttpError::Refused,
        _ => HttpError::Connect(error.to_string()),
    }
}

/// What is wrong with a node's certificate, and what to do.
fn bad_certificate(why: &CertificateError) -> String {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired; give the node a new one (http.tls_cert, http.tls_key)".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet; compare the clocks of the two machines".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for other names than the host in the URL; use one of those, or add this one to the \
             certificate"
                .to_owned()
        }
        CertificateError::Other(OtherError(why)) if why.is::<OfAuthority>() => {
            "its certificate is self-signed or an authority's own, and not trusted here; --ca FILE or WAYPOST_CA names \
             it (PEM)"
                .to_owned()
        }
        other => format!("its certificate can't be accepted: {other}"),
    }
}

/// Why a connection ended before the answer did.
pub(super) fn broken(error: &hyper::Error) -> HttpError {
    if error.is_parse() { HttpError::Foreign(format!("{error}")) } else { HttpError::Broken }
}
