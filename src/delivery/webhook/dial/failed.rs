//! Why there is no connection, in the words of an operator.

use std::io;

use tokio_rustls::rustls::{CertificateError, Error as TlsError, InvalidMessage, OtherError};

use crate::core::time::iso_millis;
use crate::tls::OfAuthority;

/// Why no TCP connection was made.
pub(super) fn connect_error(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::TimedOut => "no answer to the connection attempt".to_owned(),
        _ => format!("no connection: {error}"),
    }
}

/// Why a TLS handshake failed.
pub(super) fn tls_error(error: &io::Error) -> String {
    match error.get_ref().and_then(|cause| cause.downcast_ref::<TlsError>()) {
        // The bytes that came back are not a TLS message.
        Some(TlsError::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "the receiver does not speak TLS; if it speaks plain HTTP, use http://".to_owned()
        }
        Some(TlsError::InvalidCertificate(why)) => bad_certificate(why),
        Some(TlsError::AlertReceived(alert)) => format!("the receiver ended the TLS handshake: {alert:?}"),
        None if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
            "the receiver closed the connection within the TLS handshake".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Why a receiver's certificate is refused, and what to do.
fn bad_certificate(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer => {
            "the authority of the receiver's certificate is not known; add it, or the certificate itself if it is \
             self-signed, to webhooks.ca_file"
                .to_owned()
        }
        CertificateError::Other(OtherError(why)) if why.is::<OfAuthority>() => {
            "the receiver's certificate is self-signed or an authority's own; add it to webhooks.ca_file".to_owned()
        }
        CertificateError::Expired => "the receiver's certificate has ended".to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => {
            let ended = iso_millis(not_after.as_secs().saturating_mul(1000));
            format!("the receiver's certificate has ended at {ended}")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the receiver's certificate is not valid yet: compare the clocks of the receiver and of this node".to_owned()
        }
        CertificateError::NotValidForName => "the receiver's certificate is for other names".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names = if presented.is_empty() { "no name".to_owned() } else { presented.join(", ") };
            format!("the receiver's certificate is not for {}, but for {names}", expected.to_str())
        }
        other => format!("the receiver's certificate is refused: {other}"),
    }
}
