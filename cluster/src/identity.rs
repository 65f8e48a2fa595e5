//! Who this node is, on disk.
//!
//! Owns the lock and the identity file of the data directory; never invents an id for a cluster that exists.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::StartError;
use crate::os;
use crate::os::fs::{self, File, TryLockError};
use crate::store::sync_dir;
use crate::wire::{self, IdentityV1};

const MAGIC: &[u8; 8] = b"WPIDENT1";

/// The files of a data directory.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(crate) fn identity(&self) -> PathBuf {
        self.root.join("identity")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("raft")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.root.join("state.redb")
    }

    pub(crate) fn snapshot(&self) -> PathBuf {
        self.root.join("snapshot")
    }

    /// Takes the directory for this process; released when the file is dropped, however the process ends.
    pub(crate) fn lock(&self) -> Result<File, StartError> {
        fs::create_dir_all(&self.root)?;
        match os::lock(&self.root.join("LOCK")) {
            Ok(file) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(StartError::Locked(self.root.clone())),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// Reads the identity; `None` where there is none, `InvalidData` where it is damaged.
    pub(crate) fn read_identity(&self) -> io::Result<Option<IdentityV1>> {
        let bytes = match fs::read(self.identity()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the identity file is damaged");
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(damaged)?;
        let (crc, content) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
        if u32::from_le_bytes(*crc) != crc32fast::hash(content) {
            return Err(damaged());
        }
        Ok(Some(wire::decode(content)?))
    }

    /// Writes the identity: all of it or nothing.
    pub(crate) fn write_identity(&self, identity: &IdentityV1) -> io::Result<()> {
        let content = wire::encode(identity)?;
        let draft = self.root.join("identity.new");
        let mut file = File::create(&draft)?;
        file.write_all(MAGIC)?;
        file.write_all(&crc32fast::hash(&content).to_le_bytes())?;
        file.write_all(&content)?;
        file.sync_all()?;
        fs::rename(&draft, self.identity())?;
        sync_dir(Some(&self.root))
    }
}

/// The cluster id as people see it.
pub(crate) fn shown(cluster_id: &[u8; 16]) -> String {
    cluster_id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A cluster id that nobody has.
pub(crate) fn fresh_cluster_id() -> io::Result<[u8; 16]> {
    let mut id = [0; 16];
    os::random(&mut id)?;
    Ok(id)
}
