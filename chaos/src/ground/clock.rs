//! Clocks that are turned while a node runs, with libfaketime. The monotonic clock stays as it is.

use crate::node::Node;
use anyhow::{Context, Result};
use std::path::PathBuf;

/// Where Debian puts it.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// The library, if it is installed.
pub fn library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    folders.map(|folder| folder.join(LIBRARY)).find(|path| path.exists())
}

/// A node's clock.
#[derive(Debug)]
pub struct Clock {
    file: PathBuf,
}

impl Clock {
    /// From its next start on, the node reads its time through this.
    pub fn give(node: &mut Node) -> Result<Self> {
        let library = library().context("libfaketime is not installed (apt-get install libfaketime)")?;
        let file = node.log.with_file_name("clock");
        let clock = Self { file };
        if let Some(dir) = clock.file.parent() {
            std::fs::create_dir_all(dir)?;
        }
        clock.turn(0)?;
        for (name, value) in [
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", clock.file.display().to_string()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
        ] {
            node.env.insert(name.to_owned(), value);
        }
        Ok(clock)
    }

    /// So many seconds ahead of the true time, or behind it.
    pub fn turn(&self, seconds: i64) -> Result<()> {
        let next = self.file.with_extension("next");
        std::fs::write(&next, format!("{seconds:+}s\n"))?;
        // At once: a file that is half written would be another time.
        Ok(std::fs::rename(next, &self.file)?)
    }
}
