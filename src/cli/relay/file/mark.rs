//! How far a file is published, on disk.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
}

/// The request that may have been sent, and whose answer is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UnderWay {
    /// Its idempotency key.
    pub(super) key: Uuid,
    /// How many bytes of the file it has.
    pub(super) bytes: u64,
}

/// How far a file is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    #[serde(flatten)]
    pub(super) identity: Identity,
    /// The bytes that are published.
    pub(super) offset: u64,
    pub(super) under_way: Option<UnderWay>,
}

impl Mark {
    /// The beginning of that file.
    pub(super) fn begin(identity: Identity) -> Self {
        Self { identity, offset: 0, under_way: None }
    }

    /// The next bytes are published, or set aside.
    pub(super) fn pass(&mut self, bytes: u64) {
        self.offset += bytes;
        self.under_way = None;
    }

    /// Reads the mark; `None` if there is none yet.
    pub(super) fn read(path: &Path) -> io::Result<Option<Self>> {
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the mark. It is on disk when this returns, and a cut of the power leaves the old one or the new.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        let mut new = File::create(&name)?;
        new.write_all(serde_json::to_string(self)?.as_bytes())?;
        new.sync_all()?;
        fs::rename(&name, path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.relayed");
        assert_eq!(Mark::read(&path).unwrap(), None);
        let mut mark = Mark::begin(Identity { device: 1, inode: 2 });
        mark.under_way = Some(UnderWay { key: Uuid::from_u128(3), bytes: 10 });
        mark.write(&path).unwrap();
        assert_eq!(Mark::read(&path).unwrap(), Some(mark.clone()));
        mark.pass(10);
        mark.write(&path).unwrap();
        let read = Mark::read(&path).unwrap().unwrap();
        assert_eq!((read.offset, read.under_way), (10, None));
    }
}
