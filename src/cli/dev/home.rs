//! The directory in which `waypost dev` keeps data, logs and tokens: the one that was given, or a temporary
//! one.

use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::Context;

/// The directory of `waypost dev`. It has a directory for each node.
pub(super) struct Home {
    path: PathBuf,
    temporary: bool,
}

impl Home {
    /// Makes the directory.
    pub(super) fn open(asked: Option<PathBuf>) -> anyhow::Result<Self> {
        let temporary = asked.is_none();
        let path = asked.unwrap_or_else(|| {
            std::env::temp_dir().join(format!("waypost-dev-{}", uuid::Uuid::new_v4().simple()))
        });
        let failed = || format!("cannot make the directory {}; --data-dir names another", path.display());
        // Only the owner may read logs and data. A directory that exists keeps its mode.
        fs::DirBuilder::new().recursive(!temporary).mode(0o700).create(&path).with_context(failed)?;
        // Each node runs in its own directory, so the path must be absolute.
        let path = path.canonicalize().with_context(failed)?;
        Ok(Self { path, temporary })
    }

    /// The directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The secret that an earlier run kept under that name.
    pub(super) fn kept(&self, name: &str) -> Option<String> {
        let text = fs::read_to_string(self.path.join(name)).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// Keeps a secret for later runs, in a file that only its owner may read.
    pub(super) fn keep(&self, name: &str, secret: &str) -> anyhow::Result<()> {
        let path = self.path.join(name);
        let failed = || format!("cannot write {}", path.display());
        let mut options = fs::OpenOptions::new();
        options.create(true).truncate(true).write(true).mode(0o600);
        options.open(&path).and_then(|mut file| writeln!(file, "{secret}")).with_context(failed)
    }

    /// Removes the directory if it is temporary.
    pub(super) fn leave(&self) {
        if self.temporary {
            // The system cleans temporary directories, so an error is ignored.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
