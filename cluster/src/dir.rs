//! Directories: a file that was made or renamed is there for good once its directory is on disk.

use std::path::Path;

use crate::os;

/// Makes the entries of a directory durable.
pub(crate) fn sync_dir(dir: Option<&Path>) -> std::io::Result<()> {
    if crate::failpoint!("no-directory-sync") {
        return Ok(());
    }
    match dir {
        Some(dir) if !dir.as_os_str().is_empty() => os::fs::File::open(dir)?.sync_all(),
        _ => os::fs::File::open(".")?.sync_all(),
    }
}
