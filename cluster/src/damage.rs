//! Handles a disk that returned wrong data: damaged files are moved aside, never deleted, and no node
//! continues under its old id with less data than it had.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::StartError;
use crate::identity::Layout;
use crate::os::fs;

/// Damage that was found while opening.
#[derive(Debug)]
pub(crate) struct Damage {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) reason: String,
}

impl From<Damage> for StartError {
    fn from(damage: Damage) -> Self {
        Self::Damaged { files: damage.files, reason: damage.reason }
    }
}

/// Whether the error means "the data differs from what was written" rather than "the data cannot be read
/// now".
pub(crate) fn is_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, NotFound, Other, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof | NotFound | Other)
}

/// Moves all files with the node's identity and data into `damaged-<n>`. The caller holds the lock.
pub(crate) fn set_aside(layout: &Layout) -> io::Result<Vec<PathBuf>> {
    // The identity is moved last: if the move is interrupted, the next start finds the directory damaged
    // again.
    // The key goes too, because a node that joins again is another member, with an identity of its own.
    // So does the vote, because it was that of the former id.
    let [vote, other_vote] = layout.votes();
    let data = [layout.store(), layout.snapshot(), layout.log(), vote, other_vote];
    let all: Vec<PathBuf> = data.into_iter().chain([layout.identity_key(), layout.identity()]).collect();
    move_aside(layout, &all)
}

/// Moves files, or folders, of which others are whole copies, into `damaged-<n>`. Those that are absent are
/// left out.
pub(crate) fn move_aside(layout: &Layout, paths: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let target = (1..)
        .map(|n| layout.root.join(format!("damaged-{n}")))
        .find(|dir| !fs::exists(dir).unwrap_or(true))
        .ok_or_else(|| io::Error::other("no free name to move the damaged files to"))?;
    fs::create_dir(&target)?;
    let mut moved = Vec::new();
    for path in paths {
        if let (true, Some(name)) = (fs::exists(path)?, path.file_name()) {
            fs::rename(path, target.join(name))?;
            moved.push(target.join(name));
        }
    }
    // The new names first: while only the old ones vanish, a power cut would take the files with them.
    crate::dir::sync_dir(Some(&target))?;
    crate::dir::sync_dir(Some(&layout.root))?;
    Ok(moved)
}

/// Moves the files of a stopped node aside (into `damaged-<n>` in its data directory), so that it can join
/// the cluster again as a new member at its old address. Returns the new paths of the files.
pub fn repair(data_dir: &Path) -> Result<Vec<PathBuf>, StartError> {
    let layout = Layout::new(data_dir);
    let _lock = layout.lock()?;
    Ok(set_aside(&layout)?)
}
