//! Looks into certificates that this program does not show: for people who check their files.

use std::path::Path;
use std::time::Duration;

use tokio_rustls::rustls::{
    CertificateError,
    client::verify_server_name,
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use waypost_cluster::{BadFile, PemFile};

use super::trust::refused;

/// The time at which the first certificate of a file (PEM) expires (seconds since 1970), if it can be told.
///
/// # Errors
/// If the file can't be used.
pub fn until(cert: &Path) -> Result<Option<u64>, BadFile> {
    let first = first(cert)?;
    let parsed = ParsedCertificate::try_from(&first).map_err(|error| BadFile::new(cert, error))?;
    // A check for a time in the far future fails, and the error contains the certificate's end.
    Ok(match refused(&parsed, UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX / 4))) {
        Some(CertificateError::ExpiredContext { not_after, .. }) => Some(not_after.as_secs()),
        _ => None,
    })
}

/// Whether the first certificate of a file (PEM) is for that host: a name or an address.
///
/// # Errors
/// If the file can't be used, or nothing can have that name.
pub fn is_for(cert: &Path, host: &str) -> Result<bool, BadFile> {
    let first = first(cert)?;
    let parsed = ParsedCertificate::try_from(&first).map_err(|error| BadFile::new(cert, error))?;
    let name = ServerName::try_from(host).map_err(|error| BadFile::new(cert, error))?;
    Ok(verify_server_name(&parsed, &name).is_ok())
}

fn first(cert: &Path) -> Result<CertificateDer<'static>, BadFile> {
    let mut found = PemFile::read(cert)?.certificates()?.into_iter();
    found.next().ok_or_else(|| BadFile::new(cert, "no certificate in the file"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    #[test]
    fn a_file_tells_its_end_and_its_names() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cert");
        let mut params = CertificateParams::new(vec!["a.example".to_owned(), "10.0.0.1".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 12, 31));
        let pair = KeyPair::generate().unwrap();
        std::fs::write(&path, params.self_signed(&pair).unwrap().pem()).unwrap();
        let end = u64::try_from(date_time_ymd(2001, 12, 31).unix_timestamp()).unwrap();
        assert_eq!(until(&path).unwrap(), Some(end));
        for (host, is) in [("a.example", true), ("10.0.0.1", true), ("b.example", false), ("10.0.0.2", false)]
        {
            assert_eq!(is_for(&path, host).unwrap(), is, "{host}");
        }
        assert!(is_for(&path, "no name").is_err());
        assert!(until(&dir.path().join("absent")).is_err());
    }
}
