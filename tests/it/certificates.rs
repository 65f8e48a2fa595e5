//! Authorities and certificates for tests: valid ones, as `waypost cluster certs` makes them, and bad ones.

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    date_time_ymd,
};
use std::path::{Path, PathBuf};

/// The last year of a certificate that never expires during a test.
pub(crate) const FAR: i32 = 4000;

/// A certificate authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// The paths of a node's authority, certificate and key.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) ca: PathBuf,
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// Returns the authority's certificate (PEM).
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Writes a certificate and its key below `dir`, with this authority's certificate; it is valid until the
    /// end of `year`.
    pub(crate) fn issue(&self, dir: &Path, name: &str, year: i32) -> Result<Files> {
        let path = |end: &str| dir.join(format!("{name}{end}"));
        let files = Files { ca: path("-ca.pem"), cert: path(".pem"), key: path(".key") };
        std::fs::write(&files.ca, self.pem())?;
        self.replace(&files, year)?;
        Ok(files)
    }

    /// Replaces the certificate and the key by new ones.
    pub(crate) fn replace(&self, files: &Files, year: i32) -> Result<()> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        params.not_after = date_time_ymd(year, 12, 31);
        let certificate = params.signed_by(&key, &self.0)?;
        std::fs::write(&files.key, key.serialize_pem())?;
        Ok(std::fs::write(&files.cert, certificate.pem())?)
    }
}

impl Files {
    /// Returns the files as settings of the peer port.
    pub(crate) fn peer(&self) -> Vec<(String, String)> {
        let files = [("CA", &self.ca), ("CERT", &self.cert), ("KEY", &self.key)];
        files.map(|(name, file)| (format!("WAYPOST_PEER_TLS_{name}"), file.display().to_string())).to_vec()
    }
}
