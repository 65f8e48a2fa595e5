//! Makes a new cluster of one node from a backup.
//!
//! The files of the new data directory are made in a folder inside it and then moved up, the identity last.
//! So a failure leaves nothing behind, and after a crash no node starts with a partial directory. The cluster
//! gets a new id, and its first node gets an id that the old cluster never allocated, so no node of the old
//! cluster takes the new node for a member of its own. Log positions continue from the backup, since event
//! ids contain them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::backup::{BackupError, BackupInfo, Block, Expected, FileV1, Reader};
use crate::config::Config;
use crate::dir::sync_dir;
use crate::error::StartError;
use crate::identity::{LOCK, Layout, fresh_cluster_id, shown};
use crate::log::Log;
use crate::os::LOST;
use crate::store::{Incoming, chunk_crc};
use crate::wire::{IdentityV1, MemberV1, MembershipV1, StampV1, SystemV1};

/// The result of a restore.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Restored {
    /// The backup that was restored.
    pub backup: BackupInfo,
    /// Id of the new cluster.
    pub cluster_id: String,
    /// Id of the new cluster's only node.
    pub node_id: u64,
}

/// The new node's files while they are made and moved. If that fails, all of them are removed.
struct Draft<'a> {
    dir: &'a Path,
    /// Whether the restore created the directory.
    made: bool,
    done: bool,
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let cleared = clear(self.dir);
        // Without the lock file, a directory that the restore created is empty again.
        let _ = fs::remove_file(self.dir.join(LOCK));
        let removed = cleared.and_then(|()| if self.made { fs::remove_dir(self.dir) } else { Ok(()) });
        if let Err(error) = removed {
            tracing::warn!(%error, path = %self.dir.display(), "cannot remove what an interrupted restore left behind");
        }
    }
}

/// Makes the data directory of a new cluster's first node. `dir` must be absent, empty (`lost+found` does not
/// count), or left behind by an interrupted restore, whose files are removed. `files` (name and content) are
/// put into it and replace files of the backup, which must be as `expected`.
///
/// # Errors
/// If the backup or the directory cannot be used; then nothing is left behind.
pub fn restore(
    backup: &Path,
    dir: &Path,
    files: Vec<(String, Vec<u8>)>,
    expected: &Expected<'_>,
) -> Result<Restored, BackupError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| BackupError::Io { path, source }
    };
    let mut reader = Reader::open(backup, expected)?;
    let dir = std::path::absolute(dir).map_err(at(dir))?;
    let made = !dir.exists();
    let free = |dir: &Path| match is_free(dir) {
        Ok(true) => Ok(()),
        Ok(false) => Err(BackupError::NotEmpty(dir.to_owned())),
        Err(source) => Err(at(dir)(source)),
    };
    if made {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(at(&dir))?;
    } else {
        free(&dir)?;
    }
    let layout = Layout::new(&dir);
    let _lock = layout.lock().map_err(|error| match error {
        StartError::Io(source) => at(&dir)(source),
        other => at(&dir)(io::Error::new(io::ErrorKind::ResourceBusy, other)),
    })?;
    // Another restore may just have finished here.
    free(&dir)?;
    let mut draft = Draft { dir: &dir, made, done: false };
    let (cluster_id, node_id) = fill(&mut reader, &layout, files).map_err(|failed| match failed {
        Failed::Backup(error) => error,
        Failed::Io(source) => at(&dir)(source),
    })?;
    draft.done = true;
    if made {
        sync_dir(dir.parent()).map_err(at(&dir))?;
    }
    Ok(Restored { backup: reader.info(), cluster_id: shown(&cluster_id), node_id })
}

/// Makes the parts in [`Layout::restoring`] and moves them up. The directory may be a mounted file system,
/// which cannot be replaced as a whole.
fn fill(
    reader: &mut Reader<'_>,
    layout: &Layout,
    files: Vec<(String, Vec<u8>)>,
) -> Result<([u8; 16], u64), Failed> {
    clear(&layout.root).map_err(Failed::Io)?;
    let path = layout.restoring();
    fs::DirBuilder::new().mode(0o700).create(&path).map_err(Failed::Io)?;
    sync_dir(Some(&layout.root)).map_err(Failed::Io)?;
    let draft = Layout::new(&path);
    let made = make(reader, &draft, files)?;
    move_up(&draft, layout).map_err(Failed::Io)?;
    Ok(made)
}

/// Moves the identity last: until then a node refuses to start in the directory, because it has a restore
/// folder but no identity.
fn move_up(draft: &Layout, layout: &Layout) -> io::Result<()> {
    sync_dir(Some(&draft.root))?;
    for entry in fs::read_dir(&draft.root)? {
        let path = entry?.path();
        if let Some(name) = path.file_name().filter(|_| path != draft.identity()) {
            fs::rename(&path, layout.root.join(name))?;
        }
    }
    sync_dir(Some(&layout.root))?;
    fs::rename(draft.identity(), layout.identity())?;
    sync_dir(Some(&layout.root))?;
    fs::remove_dir(&draft.root)?;
    sync_dir(Some(&layout.root))
}

/// Whether the directory contains neither a node's files nor other files that a restore could destroy.
fn is_free(dir: &Path) -> io::Result<bool> {
    if Layout::new(dir).is_half_restored() {
        return Ok(true);
    }
    let names: Result<Vec<_>, _> =
        fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.file_name())).collect();
    Ok(names?.iter().all(|name| name == LOST || name == LOCK))
}

/// Removes what a restore has made so far. The directory was empty when the restore began, and no node runs
/// in an incomplete one, so all the files belong to the restore.
fn clear(dir: &Path) -> io::Result<()> {
    // The folder that marks the restore as incomplete is removed last.
    let draft = Layout::new(dir).restoring();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kept = entry.file_name() == LOST || entry.file_name() == LOCK || entry.path() == draft;
        match entry.file_type()?.is_dir() {
            _ if kept => {}
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    match fs::remove_dir_all(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => sync_dir(Some(dir)),
    }
}

/// Why a restore failed. An I/O error gets the path of the directory later.
enum Failed {
    Backup(BackupError),
    Io(io::Error),
}

impl<E: Into<BackupError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Backup(error.into())
    }
}

fn make(
    reader: &mut Reader<'_>,
    layout: &Layout,
    files: Vec<(String, Vec<u8>)>,
) -> Result<([u8; 16], u64), Failed> {
    let applied = reader.head.applied;
    let node_id = reader.head.last_node_id + 1;
    let cluster_id = fresh_cluster_id().map_err(Failed::Io)?;
    let key = layout.make_identity_key().map_err(Failed::Io)?;
    let member = MemberV1 { identity: Some(key.public().0), ..MemberV1::default() };
    let state = SystemV1 {
        applied: Some(applied),
        // The node reports its address once it runs.
        membership: MembershipV1 {
            log_id: Some(applied),
            voters: vec![vec![node_id]],
            nodes: vec![(node_id, member)],
        },
        // The stamp was not checked against the clocks of the new cluster.
        stamp: StampV1 { checked: false, ..reader.head.stamp },
        id_ms: reader.head.id_ms,
        last_node_id: node_id,
        awaited: Vec::new(),
    };
    let mut incoming = Incoming::begin(&layout.root, state)?;
    let mut chunks = 0;
    let mut pairs = 0;
    while let Some(block) = reader.next()? {
        match block {
            Block::Pairs(chunk) => {
                incoming.chunk(chunks, chunk_crc(&chunk), &chunk)?;
                chunks += 1;
                pairs += chunk.len() as u64;
            }
            Block::File(file) => put(&layout.root, &file).map_err(Failed::Io)?,
        }
    }
    for (name, content) in files {
        put(&layout.root, &FileV1 { name, content: content.into() }).map_err(Failed::Io)?;
    }
    let received = incoming.finish(chunks, pairs)?;
    fs::rename(&received.path, layout.store()).map_err(Failed::Io)?;
    let log = Log::open(&layout.log(), &Config::default()).map_err(Failed::Io)?;
    log.begin_after(applied, node_id).map_err(Failed::Io)?;
    drop(log);
    layout.write_format().map_err(Failed::Io)?;
    let identity = IdentityV1 { cluster_id, node_id, joined: true, ..IdentityV1::default() };
    layout.write_identity(&identity).map_err(Failed::Io)?;
    Ok((cluster_id, node_id))
}

/// Writes a file in addition to the state, readable by its owner only. The caller knows its name.
fn put(root: &Path, file: &FileV1) -> io::Result<()> {
    let mut out: File =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(root.join(&file.name))?;
    out.write_all(&file.content)?;
    out.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::backup::BackupKey;
    use crate::backup::tests::{KEY, small};

    /// A directory like a new file system: a rename cannot replace it.
    fn volume(root: &Path) -> std::path::PathBuf {
        let dir = root.join("volume");
        fs::create_dir_all(dir.join(LOST)).unwrap();
        dir
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn is_whole(dir: &Path) {
        let layout = Layout::new(dir);
        layout.check_format().unwrap();
        assert_eq!(layout.read_identity().unwrap().unwrap().node_id, 8);
        assert!(!layout.restoring().exists());
        let log = Log::open(&layout.log(), &Config::default()).unwrap();
        assert_eq!(log.purged().unwrap().index, 42);
    }

    #[test]
    fn a_mounted_directory_is_filled_in_place() {
        use std::os::unix::fs::MetadataExt;
        let root = tempfile::tempdir().unwrap();
        let backup = small(root.path());
        let dir = volume(root.path());
        let before = dir.metadata().unwrap().ino();
        restore(&backup, &dir, vec![("key".to_owned(), b"k".to_vec())], &Expected::default()).unwrap();
        assert_eq!(dir.metadata().unwrap().ino(), before);
        let expected = "LOCK format identity identity.key key lost+found raft state.redb vote.0";
        assert_eq!(names(&dir).join(" "), expected);
        is_whole(&dir);
        assert!(matches!(
            restore(&backup, &dir, Vec::new(), &Expected::default()),
            Err(BackupError::NotEmpty(_))
        ));
        is_whole(&dir);
        let absent = root.path().join("a/b");
        restore(&backup, &absent, Vec::new(), &Expected::default()).unwrap();
        is_whole(&absent);
    }

    #[test]
    fn no_node_starts_after_an_interrupted_restore_and_it_can_be_repeated() {
        let root = tempfile::tempdir().unwrap();
        let backup = small(root.path());
        for moved in 0..=5 {
            let dir = root.path().join(moved.to_string());
            let layout = Layout::new(&dir);
            restore(&backup, &dir, Vec::new(), &Expected::default()).unwrap();
            // The state of the directory when `moved` parts were already moved.
            fs::create_dir(layout.restoring()).unwrap();
            let parts = ["identity", "format", "identity.key", "raft", "state.redb", "vote.0"];
            for part in parts.iter().take(6 - moved) {
                fs::rename(dir.join(part), layout.restoring().join(part)).unwrap();
            }
            let refused = layout.check_format().unwrap_err();
            assert!(refused.to_string().contains("restore"), "{refused}");
            restore(&backup, &dir, Vec::new(), &Expected::default()).unwrap();
            is_whole(&dir);
        }
    }

    #[test]
    fn a_backup_of_another_cluster_is_not_restored() {
        let root = tempfile::tempdir().unwrap();
        let backup = small(root.path());
        let absent = root.path().join("absent");
        let with = |key| Expected { key: Some(key), files: &[] };
        let refused = restore(&backup, &absent, Vec::new(), &with(BackupKey([0; 32])));
        assert!(matches!(refused, Err(BackupError::Foreign)) && !absent.exists(), "{refused:?}");
        restore(&backup, &absent, Vec::new(), &with(KEY)).unwrap();
        is_whole(&absent);
    }

    #[test]
    fn a_failed_restore_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let backup = small(root.path());
        let dir = volume(root.path());
        let absent = root.path().join("absent");
        let whole = fs::read(&backup).unwrap();
        fs::write(&backup, &whole[..whole.len() - 1]).unwrap();
        restore(&backup, &dir, Vec::new(), &Expected::default()).unwrap_err();
        assert_eq!(names(&dir), [LOST]);
        restore(&backup, &absent, Vec::new(), &Expected::default()).unwrap_err();
        assert!(!absent.exists());
    }
}
