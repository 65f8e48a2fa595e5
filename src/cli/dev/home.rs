//! Where `waypost dev` keeps data, logs and tokens: a directory that was asked for, or a temporary one.

use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::Context;

/// A directory with a place for each node.
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
        let failed = || format!("cannot make the directory {}", path.display());
        // For its owner alone: logs and data are nobody else's. One that exists keeps its mode.
        fs::DirBuilder::new().recursive(!temporary).mode(0o700).create(&path).with_context(failed)?;
        // Nodes start in a directory of their own, so a relative path would go astray.
        let path = path.canonicalize().with_context(failed)?;
        Ok(Self { path, temporary })
    }

    /// The directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What an earlier run left under a name.
    pub(super) fn kept(&self, name: &str) -> Option<String> {
        let text = fs::read_to_string(self.path.join(name)).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// Leaves a secret for later runs, in a file for its owner alone.
    pub(super) fn keep(&self, name: &str, secret: &str) -> anyhow::Result<()> {
        let path = self.path.join(name);
        let failed = || format!("cannot write {}", path.display());
        let mut options = fs::OpenOptions::new();
        options.create(true).truncate(true).write(true).mode(0o600);
        options.open(&path).and_then(|mut file| writeln!(file, "{secret}")).with_context(failed)
    }

    /// Removes it, if it was temporary.
    pub(super) fn leave(&self) {
        if self.temporary {
            // What cannot be removed is the temporary directory's usual fate.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
