//! Reads whole lines of a file that grows, and that may be replaced by a new one.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::mark::{Identity, Mark};
use crate::cli::relay::events::MOST_BYTES;

/// Longest line, in bytes: the largest event that can be configured, and the JSON around it.
const LONGEST_LINE: usize = 17 * 1024 * 1024;

/// Why the file can't be relayed.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    /// It can't be read.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// Another process relays it.
    #[error("another relay publishes {}", .0.display())]
    Taken(PathBuf),
    /// What was not published yet is gone.
    #[error(
        "{} is not the file that was relayed up to byte {offset}, and that file is not in the same folder: \
         lines may be lost\nhint: put it back, or remove the file of the mark to publish this one from its beginning",
        path.display()
    )]
    Replaced {
        /// The file.
        path: PathBuf,
        /// How far the old one was published.
        offset: u64,
    },
    /// It is shorter than what was published of it.
    #[error(
        "{} has been cut to {length} bytes, and {offset} were published\n\
         hint: replace a file by a new one instead (for logrotate: create, not copytruncate)",
        path.display()
    )]
    Cut {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        length: u64,
        /// How far it was published.
        offset: u64,
    },
    /// A line is longer than any event.
    #[error("the line at byte {offset} of {} has more than 17 MiB", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Where the line begins.
        offset: u64,
    },
    /// A line is not text.
    #[error("the line at byte {offset} of {} is not UTF-8", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// Where the chunk with the line begins.
        offset: u64,
    },
}

/// Whole lines of a file.
pub(super) struct Chunk {
    offset: u64,
    /// The lines without their newlines; no empty ones.
    pub(super) lines: Vec<String>,
    /// Where each line ends, with its newline and empty lines before it, counted from `offset`.
    ends: Vec<u64>,
}

impl Chunk {
    /// The bytes of all lines.
    pub(super) fn bytes(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// The bytes up to the end of that line.
    pub(super) fn bytes_of(&self, index: usize) -> u64 {
        self.ends.get(index).copied().unwrap_or(0)
    }

    /// Where the bytes of that line begin in the file.
    pub(super) fn offset_of(&self, index: usize) -> u64 {
        self.offset + index.checked_sub(1).map_or(0, |before| self.bytes_of(before))
    }
}

/// An open file, which no other relay reads.
pub(super) struct Source {
    file: File,
    path: PathBuf,
    identity: Identity,
}

impl Source {
    /// Opens the file that the mark is about: the one of that name, or the one that had the name before.
    pub(super) fn open(path: &Path, mark: Option<&Mark>) -> Result<Self, SourceError> {
        let source = Self::take(path)?;
        let Some(mark) = mark else { return Ok(source) };
        if source.identity == mark.identity {
            return Ok(source);
        }
        let old = source.renamed(mark.identity)?;
        let replaced = || SourceError::Replaced { path: path.to_owned(), offset: mark.offset };
        old.ok_or_else(replaced)
    }

    fn take(path: &Path) -> Result<Self, SourceError> {
        let io = |error| SourceError::Io { path: path.to_owned(), error };
        let file = File::open(path).map_err(io)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(SourceError::Taken(path.to_owned())),
            Err(error) => return Err(io(error.into())),
        }
        let identity = identity(&file).map_err(io)?;
        Ok(Self { file, path: path.to_owned(), identity })
    }

    /// Finds that file in the same folder.
    fn renamed(&self, wanted: Identity) -> Result<Option<Self>, SourceError> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let io = |error| SourceError::Io { path: folder.to_owned(), error };
        for entry in fs::read_dir(folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            let Ok(known) = entry.metadata() else { continue };
            if known.is_file() && (known.dev(), known.ino()) == (wanted.device, wanted.inode) {
                return Self::take(&entry.path()).map(Some);
            }
        }
        Ok(None)
    }

    /// Which file it is.
    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// The file that now has the name, if it is another one. The present one has been read to its end.
    pub(super) fn next(&self, path: &Path) -> Result<Option<Self>, SourceError> {
        match fs::metadata(path) {
            Ok(known) if (known.dev(), known.ino()) == (self.identity.device, self.identity.inode) => {
                Ok(None)
            }
            Ok(_) => Self::take(path).map(Some),
            // Between the renaming and the creation.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(SourceError::Io { path: path.to_owned(), error }),
        }
    }

    /// The whole lines at that place: so many at most, with a bounded number of bytes, and the first one in
    /// any case.
    pub(super) fn lines(&self, offset: u64, most: usize) -> Result<Chunk, SourceError> {
        let mut wanted = MOST_BYTES;
        loop {
            let read = self.read(offset, wanted)?;
            let is_all = read.len() < wanted;
            let chunk = self.split(offset, &read, most)?;
            if !chunk.lines.is_empty() || is_all {
                return Ok(chunk);
            }
            if wanted >= LONGEST_LINE {
                return Err(SourceError::TooLong { path: self.path.clone(), offset });
            }
            wanted = (wanted * 4).min(LONGEST_LINE);
        }
    }

    /// The lines of these bytes, as they were read before.
    pub(super) fn exactly(&self, offset: u64, bytes: u64) -> Result<Chunk, SourceError> {
        let read = self.read(offset, usize::try_from(bytes).unwrap_or(LONGEST_LINE))?;
        self.split(offset, &read, usize::MAX)
    }

    fn read(&self, offset: u64, most: usize) -> Result<Vec<u8>, SourceError> {
        let io = |error| SourceError::Io { path: self.path.clone(), error };
        let length = self.file.metadata().map_err(io)?.len();
        let Some(left) = length.checked_sub(offset) else {
            return Err(SourceError::Cut { path: self.path.clone(), length, offset });
        };
        let mut bytes = vec![0; usize::try_from(left).unwrap_or(most).min(most)];
        self.file.read_exact_at(&mut bytes, offset).map_err(io)?;
        Ok(bytes)
    }

    fn split(&self, offset: u64, bytes: &[u8], most: usize) -> Result<Chunk, SourceError> {
        let mut chunk = Chunk { offset, lines: Vec::new(), ends: Vec::new() };
        let mut end = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if line.last() != Some(&b'\n') || chunk.lines.len() == most {
                break;
            }
            end += line.len() as u64;
            let Ok(text) = std::str::from_utf8(line) else {
                return Err(SourceError::NotText { path: self.path.clone(), offset });
            };
            let text = text.trim();
            if !text.is_empty() {
                chunk.lines.push(text.to_owned());
                chunk.ends.push(end);
            }
        }
        Ok(chunk)
    }
}

fn identity(file: &File) -> io::Result<Identity> {
    let known = file.metadata()?;
    Ok(Identity { device: known.dev(), inode: known.ino() })
}

#[cfg(test)]
mod tests;
