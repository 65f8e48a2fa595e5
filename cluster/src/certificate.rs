//! Certificates that are read from files, and read again when the files change.
//!
//! This module reads the files and writes to the log about them. A kind of certificate decides what the
//! certificate is for and who trusts it: peers have one kind, a server's clients may have another.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::clock;
use crate::os::spawn_blocking;
use crate::status::certificate_days_left;

/// How often the files are checked for changes.
const LOOK: Duration = Duration::from_secs(3);
/// Largest file that is read (bytes).
const LARGEST: u64 = 1024 * 1024;
/// A day, in seconds.
const DAY: u64 = 86_400;

/// A file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct BadFile {
    /// Its path.
    pub path: PathBuf,
    /// Why it cannot be used.
    pub reason: String,
}

impl BadFile {
    /// An error for this path and reason.
    pub fn new(path: &Path, reason: impl ToString) -> Self {
        Self { path: path.to_owned(), reason: reason.to_string() }
    }
}

/// A file and its content.
#[derive(Clone, PartialEq, Eq)]
pub struct PemFile {
    /// Its path.
    pub path: PathBuf,
    /// Its content.
    pub content: Vec<u8>,
}

impl PemFile {
    /// Reads a file of up to a megabyte.
    ///
    /// # Errors
    /// If it cannot be read, or is larger.
    pub fn read(path: &Path) -> Result<Self, BadFile> {
        let mut content = Vec::new();
        let file = std::fs::File::open(path).map_err(|error| BadFile::new(path, error))?;
        file.take(LARGEST + 1).read_to_end(&mut content).map_err(|error| BadFile::new(path, error))?;
        if content.len() as u64 > LARGEST {
            return Err(BadFile::new(path, format!("larger than {LARGEST} bytes")));
        }
        Ok(Self { path: path.to_owned(), content })
    }

    /// The certificates in the file, at least one.
    ///
    /// # Errors
    /// If the file holds none, or a damaged one.
    pub fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, BadFile> {
        let found = CertificateDer::pem_slice_iter(&self.content).collect::<Result<Vec<_>, _>>();
        match found {
            Err(error) => Err(BadFile::new(&self.path, error)),
            Ok(found) if found.is_empty() => Err(BadFile::new(&self.path, "no certificate in the file")),
            Ok(found) => Ok(found),
        }
    }

    /// The private key in the file.
    ///
    /// # Errors
    /// If the file holds none, or a damaged one.
    pub fn private_key(&self) -> Result<PrivateKeyDer<'static>, BadFile> {
        PrivateKeyDer::from_pem_slice(&self.content)
            .map_err(|error| BadFile::new(&self.path, format!("no private key: {error}")))
    }
}

/// A kind of certificate: how its files are read and used.
pub trait Certificate: Sized + Send + Sync + 'static {
    /// Its name in log lines, as in "the peer certificate ends soon".
    const NAME: &'static str;
    /// The name of its files in log lines, as in "took new peer certificates".
    const NAMES: &'static str;
    /// The parties that verify it, in log lines, as in "peers refuse it".
    const SHOWN_TO: &'static str;
    /// The paths of its files.
    type Paths: Send + Sync + 'static;
    /// The content of its files.
    type Files: PartialEq + Send + Sync + 'static;

    /// Reads the files.
    ///
    /// # Errors
    /// If one of them cannot be read.
    fn read(paths: &Self::Paths) -> Result<Self::Files, BadFile>;

    /// Makes a certificate from its files. Also returns why the other parties would refuse it today, as far
    /// as that is known.
    ///
    /// # Errors
    /// If a file cannot be used.
    fn make(files: &Self::Files) -> Result<(Self, Option<BadFile>), BadFile>;

    /// When it expires (seconds since 1970), if known.
    fn until(&self) -> Option<u64>;
}

/// A certificate in use, and the paths of its files.
///
/// Life: it is loaded once; then the files are checked every few seconds. When they change, a new certificate
/// is made from them and replaces the one in use. If the files cannot be used, or the new certificate would
/// be refused today, the one in use stays.
pub struct Renewed<C: Certificate> {
    paths: C::Paths,
    current: RwLock<Current<C>>,
}

/// The certificate in use, and the content of the files that it was made from.
struct Current<C: Certificate> {
    files: C::Files,
    certificate: Arc<C>,
}

/// What was already logged, so that it is logged only once.
#[derive(Debug, Default)]
pub struct Said {
    /// Why the last check did not take the files, and how many checks in a row had the same result.
    refused: Option<(BadFile, u32)>,
    /// When the coming expiry was last logged (seconds since 1970).
    ending: u64,
}

impl<C: Certificate> Renewed<C> {
    /// Reads the files. A certificate that is refused today is still taken: its node does what it can without
    /// a valid one, and takes another when the files are replaced.
    ///
    /// # Errors
    /// If a file cannot be used.
    pub fn load(paths: C::Paths) -> Result<Self, BadFile> {
        let files = C::read(&paths)?;
        let (certificate, refused) = C::make(&files)?;
        if let Some(BadFile { path, reason }) = refused {
            let path = path.display();
            tracing::error!(
                "{path}: {} refuse the {} until the file is replaced: {reason}",
                C::SHOWN_TO,
                C::NAME
            );
        }
        let current = RwLock::new(Current { files, certificate: Arc::new(certificate) });
        Ok(Self { paths, current })
    }

    /// The certificate in use.
    pub fn current(&self) -> Arc<C> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).certificate.clone()
    }

    /// Takes changed files, as long as the node runs.
    pub async fn keep_fresh(self: &Arc<Self>) {
        let mut said = Said::default();
        loop {
            let renewed = self.clone();
            // A disk that hangs must not block the runtime.
            let looked = spawn_blocking(move || {
                renewed.look(&mut said);
                said
            });
            said = looked.await.unwrap_or_default();
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Checks the files because an operator asked for it, and logs the result in any case.
    pub async fn look_now(self: &Arc<Self>) {
        let renewed = self.clone();
        match spawn_blocking(move || renewed.renew()).await {
            Ok(Ok(true)) => tracing::info!(until = self.current().until(), "took new {}", C::NAMES),
            Ok(Ok(false)) => tracing::info!("the files of the {} have not changed", C::NAMES),
            Ok(Err(why)) => {
                tracing::warn!(%why, "cannot use the files of the {}; going on with the old ones", C::NAMES);
            }
            Err(error) => tracing::warn!(%error, "cannot read the files of the {}", C::NAMES),
        }
    }

    /// Checks the files again, and logs the result.
    pub fn look(&self, said: &mut Said) {
        match self.renew() {
            Ok(true) => {
                *said = Said::default();
                tracing::info!(
                    until = self.current().until(),
                    "took new {}; connections from now on use them",
                    C::NAMES
                );
            }
            Ok(false) => said.refused = None,
            Err(why) => {
                let before = said.refused.take().filter(|(before, _)| *before == why);
                let looks = before.map_or(1, |(_, looks)| looks.saturating_add(1));
                // Logged at the second check, since several files are not replaced at the same moment.
                if looks == 2 {
                    tracing::warn!(%why, "cannot use the changed {}; going on with the old ones", C::NAMES);
                }
                said.refused = Some((why, looks));
            }
        }
        self.report_end(said);
    }

    /// Logs once a day that the certificate expires soon.
    fn report_end(&self, said: &mut Said) {
        let now = clock::now_ms() / 1000;
        let left = self.current().until().and_then(|until| certificate_days_left(until, now));
        if let Some(left) = left.filter(|_| now.saturating_sub(said.ending) >= DAY) {
            said.ending = now;
            match left {
                Some(days) => tracing::warn!(days, "the {} ends soon: replace its files", C::NAME),
                None => {
                    tracing::error!("the {} has ended: {} refuse it; replace its files", C::NAME, C::SHOWN_TO)
                }
            }
        }
    }

    /// Takes changed files. Returns whether they had changed.
    ///
    /// # Errors
    /// If they cannot be used, or make a certificate that would be refused: nothing changes.
    pub fn renew(&self) -> Result<bool, BadFile> {
        let files = C::read(&self.paths)?;
        if files == self.current.read().unwrap_or_else(PoisonError::into_inner).files {
            return Ok(false);
        }
        let (certificate, refused) = C::make(&files)?;
        if let Some(BadFile { path, reason }) = refused {
            return Err(BadFile::new(&path, format!("{} would refuse it: {reason}", C::SHOWN_TO)));
        }
        let certificate = Arc::new(certificate);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Current { files, certificate };
        Ok(true)
    }
}

/// Shows no content: one of the files is a private key.
impl<C: Certificate> fmt::Debug for Renewed<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewed").field("name", &C::NAME).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(feature = "sim")))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A certificate whose file contains its expiry, and whether it is refused.
    struct Plain(u64);

    impl Certificate for Plain {
        const NAME: &'static str = "plain certificate";
        const NAMES: &'static str = "plain certificates";
        const SHOWN_TO: &'static str = "others";
        type Paths = PathBuf;
        type Files = PemFile;

        fn read(path: &PathBuf) -> Result<PemFile, BadFile> {
            PemFile::read(path)
        }

        fn make(file: &PemFile) -> Result<(Self, Option<BadFile>), BadFile> {
            let text = String::from_utf8_lossy(&file.content).into_owned();
            let until =
                text.trim_end_matches('!').parse().map_err(|error| BadFile::new(&file.path, error))?;
            Ok((Self(until), text.ends_with('!').then(|| BadFile::new(&file.path, "of its sign"))))
        }

        fn until(&self) -> Option<u64> {
            Some(self.0)
        }
    }

    #[test]
    fn changed_files_are_taken_unless_they_are_bad_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        write("1!");
        let renewed = Renewed::<Plain>::load(path.clone()).unwrap();
        assert_eq!(renewed.current().0, 1, "at the start a refused certificate is taken");
        assert_eq!(renewed.renew(), Ok(false));
        write("2");
        assert_eq!((renewed.renew(), renewed.current().0), (Ok(true), 2));
        write("3!");
        assert!(renewed.renew().unwrap_err().reason.contains("others would refuse it: of its sign"));
        write("x");
        assert!(renewed.renew().unwrap_err().to_string().contains("file: invalid digit"));
        std::fs::remove_file(&path).unwrap();
        assert!(renewed.renew().unwrap_err().to_string().contains("file: No such file"));
        assert_eq!(renewed.current().0, 2);
        assert!(Renewed::<Plain>::load(path).is_err());
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, vec![b'1'; LARGEST as usize + 1]).unwrap();
        assert!(PemFile::read(&path).err().unwrap().reason.starts_with("larger than"));
    }
}
