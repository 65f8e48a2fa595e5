//! Operators' part in repairs: to put back what an older release set aside, and to let a node go on without
//! what no node has.

use std::io;
use std::path::{Path, PathBuf};

use super::broken::Broken;
use super::raw::Raw;
use crate::dir::sync_dir;
use crate::error::StartError;
use crate::identity::Layout;
use crate::os::fs;
use crate::votes::Votes;
use crate::wire::StoredVote;

/// Added to the highest term that a log with damage shows. The damage may hide votes of later terms. No
/// cluster gets so far in the life of a log.
const TERMS_BEYOND: u64 = 1_000_000;

/// Why nothing was put back.
#[derive(Debug, thiserror::Error)]
pub enum PutBackError {
    /// The folder has no node's files.
    #[error("{} has no identity of a node: name a folder damaged-* with a node's files", .0.display())]
    NothingThere(PathBuf),
    /// The data directory is in use by another id.
    #[error("{} has the identity of a node, or files of one: nothing of it may be overwritten", .0.display())]
    Occupied(PathBuf),
    /// The data directory cannot be used.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Reading or writing failed.
    #[error("data directory: {0}")]
    Io(#[from] io::Error),
}

/// Moves the files of a node that a release before this one set aside as damaged from the folder `from` back
/// into its data directory, which has no identity now. What a node that waits for a cluster made there meanwhile
/// is no obstacle. Its next start repairs what is damaged of them, under
/// the id that it had. Returns the new paths of the files.
///
/// # Errors
/// If there is nothing to put back, or it would overwrite something. After a failure, the next attempt
/// moves only what is left.
pub fn put_back(data_dir: &Path, from: &Path) -> Result<Vec<PathBuf>, PutBackError> {
    let layout = Layout::new(data_dir);
    let aside = Layout::new(from);
    let _lock = layout.lock()?;
    let Some(identity) = aside.read_identity()? else {
        return Err(PutBackError::NothingThere(from.to_owned()));
    };
    // Damaged copies of the vote stay where they are, and not in place of the one that is written instead.
    let is_sure = Votes::new(&aside).read()?.is_sure;
    let votes = is_sure.then(|| layout.votes()).into_iter().flatten();
    let data = [layout.store(), layout.log()].into_iter().chain(votes);
    let targets: Vec<PathBuf> = data.chain([layout.identity_key(), layout.identity()]).collect();
    // A node that waited for a cluster after its files were set aside made a key, which no member knows.
    let waited = layout.read_newcomer()?.is_some();
    let occupied = |target: &PathBuf| {
        if waited && *target == layout.identity_key() {
            return Ok(false);
        }
        let source = target.file_name().map(|name| from.join(name));
        let both = fs::exists(target)? && source.is_some_and(|source| fs::exists(source).unwrap_or(true));
        Ok::<bool, io::Error>(both)
    };
    for target in &targets {
        if occupied(target)? || fs::exists(layout.identity())? {
            return Err(PutBackError::Occupied(data_dir.to_owned()));
        }
    }
    if !is_sure {
        keep_vote(&layout, &aside, identity.node_id)?;
    }
    let mut moved = Vec::new();
    // The identity is last: until then, the next attempt goes on here.
    for target in targets {
        let Some(source) = target.file_name().map(|name| from.join(name)) else { continue };
        if fs::exists(&source)? {
            fs::rename(&source, &target)?;
            moved.push(target);
        }
    }
    layout.write_former(&identity)?;
    layout.remove_newcomer()?;
    sync_dir(Some(&layout.root))?;
    Ok(moved)
}

/// Writes the vote that such a node goes on with, which its release kept in the log alone. If damage may hide
/// the newest one, it is a vote for the node itself in a term that nobody has reached.
fn keep_vote(layout: &Layout, aside: &Layout, node: u64) -> io::Result<()> {
    let mut broken = Broken::default();
    let log = if fs::exists(layout.log())? { layout.log() } else { aside.log() };
    Raw::read(&log, &mut |piece| broken.take(piece))?;
    if broken.vote_is_sure {
        return Ok(());
    }
    let voted = broken.vote.map_or(0, |vote| vote.term);
    let written = broken.last().map_or(0, |id| id.term);
    let term = voted.max(written) + TERMS_BEYOND;
    // Both copies, so that none is from before.
    let votes = Votes::new(layout);
    votes.read()?;
    votes.write(&StoredVote { term, node, committed: false })?;
    votes.write(&StoredVote { term, node, committed: false })
}

/// Lets the node of that data directory, which waits at its start for entries of its log that are damaged, go
/// on without them. What was acknowledged in them is lost where no other node has it.
///
/// # Errors
/// If the file that says so cannot be written.
pub fn go_on(data_dir: &Path) -> Result<(), StartError> {
    let layout = Layout::new(data_dir);
    fs::File::create(layout.go_on())?.sync_all()?;
    Ok(sync_dir(Some(&layout.root))?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::wire::{IdentityV1, NewcomerV1};

    fn set_aside() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let aside = Layout::new(&dir.path().join("damaged-1"));
        std::fs::create_dir_all(aside.log()).unwrap();
        std::fs::write(aside.log().join("r-00_000_000_000_000_000_000.wal"), [9_u8; 60]).unwrap();
        std::fs::write(aside.store(), "store").unwrap();
        aside.make_identity_key().unwrap();
        aside.write_identity(&IdentityV1 { node_id: 3, joined: true, ..IdentityV1::default() }).unwrap();
        let from = aside.root;
        (dir, from)
    }

    #[test]
    fn what_was_set_aside_is_put_back_with_a_vote_that_is_beyond_all() {
        let (dir, from) = set_aside();
        let moved = put_back(dir.path(), &from).unwrap();
        assert_eq!(moved.len(), 4);
        let layout = Layout::new(dir.path());
        assert_eq!(layout.read_identity().unwrap().unwrap().node_id, 3);
        assert!(layout.log().exists() && layout.store().exists() && !from.join("identity").exists());
        let kept = Votes::new(&layout).read().unwrap();
        let expected = StoredVote { term: TERMS_BEYOND, node: 3, committed: false };
        assert!(kept.is_sure && kept.highest == Some(expected));
        let again = put_back(dir.path(), &from);
        assert!(matches!(again, Err(PutBackError::NothingThere(_))), "{again:?}");
    }

    #[test]
    fn a_damaged_copy_of_the_vote_does_not_replace_the_one_that_is_written() {
        let (dir, from) = set_aside();
        for path in Layout::new(&from).votes() {
            std::fs::write(path, "WPVO").unwrap();
        }
        put_back(dir.path(), &from).unwrap();
        let kept = Votes::new(&Layout::new(dir.path())).read().unwrap();
        assert!(kept.is_sure && kept.highest.is_some_and(|vote| vote.term == TERMS_BEYOND), "{kept:?}");
    }

    #[test]
    fn what_a_waiting_node_made_meanwhile_is_replaced() {
        let (dir, from) = set_aside();
        let key = Layout::new(&from).read_identity_key().unwrap().unwrap().public();
        let layout = Layout::new(dir.path());
        layout.make_identity_key().unwrap();
        let refused = put_back(dir.path(), &from);
        assert!(matches!(refused, Err(PutBackError::Occupied(_))), "a key that may be a node's: {refused:?}");
        layout.write_newcomer(&NewcomerV1::default()).unwrap();
        std::fs::create_dir(layout.snapshot()).unwrap();
        put_back(dir.path(), &from).unwrap();
        assert_eq!(layout.read_identity_key().unwrap().unwrap().public(), key);
        assert!(layout.read_identity().unwrap().is_some() && layout.read_newcomer().unwrap().is_none());
    }

    #[test]
    fn nothing_is_overwritten() {
        let (dir, from) = set_aside();
        let layout = Layout::new(dir.path());
        layout.write_identity(&IdentityV1::default()).unwrap();
        let refused = put_back(dir.path(), &from);
        assert!(matches!(refused, Err(PutBackError::Occupied(_))), "{refused:?}");
        assert!(from.join("raft").exists());
    }
}
