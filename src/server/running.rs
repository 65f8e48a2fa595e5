//! Whether the process before this one ended as it was told to: as long as a process runs in a data directory, a
//! file there says so. What is killed, or crashes, or loses its machine leaves the file behind.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The name of the file.
const FILE: &str = "running";

/// A process that runs in a data directory, which it has locked.
#[derive(Debug)]
pub(super) struct Running {
    path: PathBuf,
}

impl Running {
    /// Notes that this process runs. Returns whether the one before it ended without being told to; `None` if
    /// that is not known, because nothing can be written there.
    pub(super) fn begin(data_dir: &Path) -> (Self, Option<bool>) {
        let running = Self { path: data_dir.join(FILE) };
        let was_crash = running.note();
        if let Err(error) = &was_crash {
            let file = running.path.display();
            tracing::warn!(%file, %error, "it can't be noted that this process runs: a crash leaves no trace");
        }
        (running, was_crash.ok())
    }

    fn note(&self) -> io::Result<bool> {
        let was_crash = fs::exists(&self.path)?;
        let mut file = File::create(&self.path)?;
        writeln!(file, "{}", std::process::id())?;
        file.sync_all()?;
        Ok(was_crash)
    }

    /// Notes that this process ends as it was told to.
    pub(super) fn end(self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "the next start will look like one after a crash");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
