//! Which servers this program trusts when it opens a connection.

use std::sync::Arc;

use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

/// A server shows a certificate that is marked as that of an authority. Only a listed one is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is marked as that of an authority")]
pub struct OfAuthority;

/// Trusts certificates of authorities, and listed certificates themselves.
///
/// A self-signed certificate is often marked as that of an authority. The library accepts no such certificate
/// from a server, although the operator has listed exactly this one.
#[derive(Debug)]
pub(super) struct Trust {
    /// `None` if there is no authority.
    authorities: Option<Arc<WebPkiServerVerifier>>,
    listed: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Trust {
    pub(super) fn new(
        authorities: RootCertStore,
        listed: Vec<CertificateDer<'static>>,
        provider: &Arc<CryptoProvider>,
    ) -> Self {
        // It fails only if there is no authority.
        let builder = WebPkiServerVerifier::builder_with_provider(authorities.into(), provider.clone());
        let algorithms = provider.signature_verification_algorithms;
        Self { authorities: builder.build().ok(), listed, algorithms }
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.listed.iter().any(|listed| listed == own) {
            let parsed = ParsedCertificate::try_from(own)?;
            if let Some(why) = refused(&parsed, now) {
                return Err(why.into());
            }
            return verify_server_name(&parsed, name).map(|()| ServerCertVerified::assertion());
        }
        match &self.authorities {
            Some(authorities) => authorities
                .verify_server_cert(own, intermediates, name, ocsp, now)
                .map_err(|error| refusal(error, own, now)),
            None => Err(refusal(CertificateError::UnknownIssuer.into(), own, now)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, own, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, own, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The error of the library, or our own where the certificate is marked as that of an authority: the library's
/// error of that has no type that others can know.
fn refusal(error: Error, own: &CertificateDer<'_>, at: UnixTime) -> Error {
    match error {
        Error::InvalidCertificate(CertificateError::Other(_) | CertificateError::UnknownIssuer)
            if is_of_authority(own, at) =>
        {
            CertificateError::Other(OtherError(Arc::new(OfAuthority))).into()
        }
        other => other,
    }
}

/// Whether a certificate, within its validity period, is marked as that of an authority.
fn is_of_authority(own: &CertificateDer<'_>, at: UnixTime) -> bool {
    let Ok(parsed) = ParsedCertificate::try_from(own) else { return false };
    let known = ring::default_provider().signature_verification_algorithms.all;
    // Without authorities and a chain, the library checks the certificate alone. All that it then finds, other than
    // this, has an error of its own.
    let checked = verify_server_cert_signed_by_trust_anchor(&parsed, &RootCertStore::empty(), &[], at, known);
    matches!(checked, Err(Error::InvalidCertificate(CertificateError::Other(_))))
}

/// Why clients would refuse a server's certificate at a time, as far as that can be known without their list
/// of authorities: its validity period and its purpose.
pub(super) fn refused(own: &ParsedCertificate<'_>, at: UnixTime) -> Option<CertificateError> {
    use CertificateError as Why;
    let known = ring::default_provider().signature_verification_algorithms.all;
    // The library checks the validity period first, then the purpose. Without authorities, it refuses every
    // certificate in the end.
    match verify_server_cert_signed_by_trust_anchor(own, &RootCertStore::empty(), &[], at, known) {
        Err(Error::InvalidCertificate(why)) => match why {
            Why::Expired
            | Why::ExpiredContext { .. }
            | Why::NotValidYet
            | Why::NotValidYetContext { .. }
            | Why::InvalidPurpose
            | Why::InvalidPurposeContext { .. } => Some(why),
            _ => None,
        },
        _ => None,
    }
}
