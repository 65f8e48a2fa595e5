//! Certificates that stand in files, and are read again when these change.
//!
//! Owns the reading, and what is said of it in the log. What a certificate is for, and who trusts it, is up
//! to its kind: peers have one, a server's clients may have another.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::clock;
use crate::os::spawn_blocking;
use crate::status::certificate_days_left;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(3);
/// Largest file that is read (bytes).
const LARGEST: u64 = 1024 * 1024;
/// A day, in seconds.
const DAY: u64 = 86_400;

/// A file that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct BadFile {
    /// Which file.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

impl BadFile {
    /// Names the file and the reason.
    pub fn new(path: &Path, reason: impl ToString) -> Self {
        Self { path: path.to_owned(), reason: reason.to_string() }
    }
}

/// A file, as it was read.
#[derive(Clone, PartialEq, Eq)]
pub struct PemFile {
    /// Where it stands.
    pub path: PathBuf,
    /// What it holds.
    pub content: Vec<u8>,
}

impl PemFile {
    /// Reads a file, up to a megabyte.
    ///
    /// # Errors
    /// When it can't be read, or is larger.
    pub fn read(path: &Path) -> Result<Self, BadFile> {
        let mut content = Vec::new();
        let file = std::fs::File::open(path).map_err(|error| BadFile::new(path, error))?;
        file.take(LARGEST + 1).read_to_end(&mut content).map_err(|error| BadFile::new(path, error))?;
        if content.len() as u64 > LARGEST {
            return Err(BadFile::new(path, format!("larger than {LARGEST} bytes")));
        }
        Ok(Self { path: path.to_owned(), content })
    }

    /// The certificates in it, at least one.
    ///
    /// # Errors
    /// When it holds none, or one that is damaged.
    pub fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, BadFile> {
        let found = CertificateDer::pem_slice_iter(&self.content).collect::<Result<Vec<_>, _>>();
        match found {
            Err(error) => Err(BadFile::new(&self.path, error)),
            Ok(found) if found.is_empty() => Err(BadFile::new(&self.path, "no certificate in the file")),
            Ok(found) => Ok(found),
        }
    }

    /// The private key in it.
    ///
    /// # Errors
    /// When it holds none, or one that is damaged.
    pub fn private_key(&self) -> Result<PrivateKeyDer<'static>, BadFile> {
        PrivateKeyDer::from_pem_slice(&self.content)
            .map_err(|error| BadFile::new(&self.path, format!("no private key: {error}")))
    }
}

/// A kind of certificate: what is made of its files.
pub trait Certificate: Sized + Send + Sync + 'static {
    /// Its name in the log: "the peer certificate ends soon".
    const NAME: &'static str;
    /// Its name in the log where its files are meant: "took new peer certificates".
    const NAMES: &'static str;
    /// Those that it is shown to, in the log: "peers refuse it".
    const SHOWN_TO: &'static str;
    /// Where its files stand.
    type Paths: Send + Sync + 'static;
    /// Its files.
    type Files: PartialEq + Send + Sync + 'static;

    /// Reads the files.
    ///
    /// # Errors
    /// When one of them can't be read.
    fn read(paths: &Self::Paths) -> Result<Self::Files, BadFile>;

    /// Makes a certificate of its files. Beside it: why those that it is shown to refuse it today, as far as
    /// that can be told.
    ///
    /// # Errors
    /// When a file can't be used.
    fn make(files: &Self::Files) -> Result<(Self, Option<BadFile>), BadFile>;

    /// When it ends (seconds since 1970), where that can be read.
    fn until(&self) -> Option<u64>;
}

/// A certificate in use, and the files that it stands in.
///
/// Life: it is loaded once; then the files are looked at every few seconds. When they change, another is made
/// of them and takes the place of the one in use. Files that can't be used, or that make one that would be
/// refused today, leave the one in use where it is.
pub struct Renewed<C: Certificate> {
    paths: C::Paths,
    current: RwLock<Current<C>>,
}

struct Current<C: Certificate> {
    files: C::Files,
    certificate: Arc<C>,
}

/// What was said in the log, so that it is said once.
#[derive(Debug, Default)]
pub struct Said {
    /// Why the files were not taken at the last look, and how many looks in a row found them so.
    refused: Option<(BadFile, u32)>,
    /// When the coming end was last told (seconds since 1970).
    ending: u64,
}

impl<C: Certificate> Renewed<C> {
    /// Reads the files. A certificate that is refused today is taken all the same: its node does what it can
    /// without, and takes another when the files are replaced.
    ///
    /// # Errors
    /// When a file can't be used.
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

    /// The one in use.
    pub fn current(&self) -> Arc<C> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).certificate.clone()
    }

    /// Takes changed files, for as long as the node runs.
    pub async fn keep_fresh(self: &Arc<Self>) {
        let mut said = Said::default();
        loop {
            let renewed = self.clone();
            // A disk that hangs must not hold up the runtime.
            let looked = spawn_blocking(move || {
                renewed.look(&mut said);
                said
            });
            said = looked.await.unwrap_or_default();
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Looks at the files again, and says in the log what came of it.
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
                // At the second look: several files are not replaced in one moment.
                if looks == 2 {
                    tracing::warn!(%why, "cannot use the changed {}; going on with the old ones", C::NAMES);
                }
                said.refused = Some((why, looks));
            }
        }
        self.tell_end(said);
    }

    /// Says once a day that the certificate ends soon.
    fn tell_end(&self, said: &mut Said) {
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

    /// Takes changed files. Answers whether there were any.
    ///
    /// # Errors
    /// When they can't be used, or make a certificate that would be refused: all stays as it was.
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

/// Not the files: one of them is a private key.
impl<C: Certificate> fmt::Debug for Renewed<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewed").field("name", &C::NAME).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(feature = "sim")))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A certificate whose file says when it ends, and whether it is refused.
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
        assert_eq!(renewed.current().0, 1, "at the start one that is refused is taken");
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
    fn what_is_too_large_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, vec![b'1'; LARGEST as usize + 1]).unwrap();
        assert!(PemFile::read(&path).err().unwrap().reason.starts_with("larger than"));
    }
}
