//! The files of a data directory. The identity file says which node of which cluster this is. The identity
//! key proves it to peers.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Serialize, de::DeserializeOwned};

use crate::dir::sync_dir;
use crate::error::StartError;
use crate::identity_key::IdentityKey;
use crate::os;
use crate::os::fs::{self, File, TryLockError};
use crate::types::Member;
use crate::wire::{self, FormerV1, IdentityV1, NewcomerV1};

/// Format of the data directory as a whole. A release that writes anything in it which an older release
/// cannot read increases it. What changes between two releases is one format: before the first release this
/// is 1, whatever changes, and the kept data of `tests/it/formats.rs` is made anew.
const FORMAT: u32 = 1;
/// The process that uses the directory holds a lock on this file.
pub(crate) const LOCK: &str = "LOCK";
const FORMAT_FILE: &str = "format";
const FORMAT_WORDS: &str = "waypost data directory, format ";
const MAGIC: &[u8; 8] = b"WPIDENT1";
const NEWCOMER_MAGIC: &[u8; 8] = b"WPNEWCM1";
const FORMER_MAGIC: &[u8; 8] = b"WPFORMR1";
const KEY_MAGIC: &[u8; 8] = b"WPIDKEY1";

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

    /// What a newcomer must remember until it has an identity.
    fn newcomer(&self) -> PathBuf {
        self.root.join("newcomer")
    }

    /// Which cluster the directory belongs to, or belonged to.
    fn former(&self) -> PathBuf {
        self.root.join("cluster")
    }

    /// The private half of the node's key pair, see [`IdentityKey`].
    pub(crate) fn identity_key(&self) -> PathBuf {
        self.root.join("identity.key")
    }

    /// The second copy of the vote, see [`crate::votes`].
    pub(crate) fn votes(&self) -> [PathBuf; 2] {
        ["vote.0", "vote.1"].map(|name| self.root.join(name))
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("raft")
    }

    /// Where a repaired log is made.
    pub(crate) fn log_draft(&self) -> PathBuf {
        self.root.join("raft.draft")
    }

    /// A repaired log that is complete, until it takes the place of the damaged one.
    pub(crate) fn log_repaired(&self) -> PathBuf {
        self.root.join("raft.repaired")
    }

    /// An operator makes this file to let a node go on without what no node has.
    pub(crate) fn go_on(&self) -> PathBuf {
        self.root.join("go-on-without-what-is-lost")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.root.join("state.redb")
    }

    pub(crate) fn snapshot(&self) -> PathBuf {
        self.root.join("snapshot")
    }

    /// Where a restore makes the files before it moves them up.
    pub(crate) fn restoring(&self) -> PathBuf {
        self.root.join(".restoring")
    }

    /// Whether a restore began here and did not finish.
    pub(crate) fn is_half_restored(&self) -> bool {
        let exists = |path: PathBuf| fs::exists(path).unwrap_or(false);
        exists(self.restoring()) && !exists(self.identity())
    }

    /// Locks the directory for this process. The lock is released when the file is dropped, however the
    /// process ends.
    pub(crate) fn lock(&self) -> Result<File, StartError> {
        self.make_root()?;
        match os::lock(&self.root.join(LOCK)) {
            Ok(file) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(StartError::Locked(self.root.clone())),
            Err(TryLockError::Error(error)) => Err(at(&self.root, &error).into()),
        }
    }

    /// Makes the directory. What an earlier process left in it is in it for good when this returns: it may
    /// have been killed before it synced the directory, and this one relies on what it reads.
    fn make_root(&self) -> io::Result<()> {
        let is_new = |path: &&Path| !path.as_os_str().is_empty() && !fs::exists(path).unwrap_or(true);
        let made: Vec<&Path> = self.root.ancestors().take_while(is_new).collect();
        os::private_dir(&self.root).map_err(|error| at(&self.root, &error))?;
        for path in made {
            sync_dir(path.parent()).map_err(|error| at(path, &error))?;
        }
        sync_dir(Some(&self.root)).map_err(|error| at(&self.root, &error))
    }

    /// Refuses a directory that a newer release wrote, which would otherwise be considered damaged and be set
    /// aside. Also refuses one that is half restored, which would otherwise be considered empty and begin a
    /// new cluster.
    pub(crate) fn check_format(&self) -> Result<(), StartError> {
        if self.is_half_restored() {
            return Err(StartError::HalfRestored(self.root.clone()));
        }
        let bytes = match fs::read(self.root.join(FORMAT_FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(self.write_format()?),
            other => other?,
        };
        match read_format(&String::from_utf8_lossy(&bytes)) {
            Some(found) if found > FORMAT => Err(StartError::Newer {
                what: "data directory",
                path: self.root.clone(),
                found,
                known: FORMAT,
            }),
            Some(found) if found == FORMAT => Ok(()),
            _ => Ok(self.write_format()?),
        }
    }

    /// Writes the format that this release writes.
    pub(crate) fn write_format(&self) -> io::Result<()> {
        self.make_root()?;
        let draft = self.root.join("format.new");
        let mut file = File::create(&draft)?;
        file.write_all(format_line(FORMAT).as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, self.root.join(FORMAT_FILE))?;
        sync_dir(Some(&self.root))
    }

    /// Reads the identity; `None` if there is none, `InvalidData` if it is damaged.
    pub(crate) fn read_identity(&self) -> io::Result<Option<IdentityV1>> {
        read_record(&self.identity(), MAGIC)
    }

    /// Writes the identity, completely or not at all. If there are other members, it is also written which
    /// cluster the directory belongs to.
    pub(crate) fn write_identity(&self, identity: &IdentityV1) -> io::Result<()> {
        self.write_record(&self.identity(), MAGIC, identity)?;
        self.write_former(identity)
    }

    /// Writes which cluster the directory belongs to, if that is news.
    pub(crate) fn write_former(&self, identity: &IdentityV1) -> io::Result<()> {
        let addrs: Vec<String> = identity.peers.iter().map(|known| known.addr.clone()).collect();
        let former = FormerV1 { cluster_id: identity.cluster_id, addrs };
        if former.addrs.is_empty() || self.read_former()?.as_ref() == Some(&former) {
            return Ok(());
        }
        self.write_record(&self.former(), FORMER_MAGIC, &former)
    }

    /// The cluster that the directory belongs to, or belonged to; without addresses if the file is damaged.
    pub(crate) fn read_former(&self) -> io::Result<Option<FormerV1>> {
        match read_record(&self.former(), FORMER_MAGIC) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Some(FormerV1::default())),
            other => other,
        }
    }

    /// Reads the identity key; `None` if there is none, `InvalidData` if it is damaged.
    pub(crate) fn read_identity_key(&self) -> io::Result<Option<IdentityKey>> {
        read_record(&self.identity_key(), KEY_MAGIC)?.map(IdentityKey::from_private).transpose()
    }

    /// Makes a new identity key, for a node that no peer knows yet.
    pub(crate) fn make_identity_key(&self) -> io::Result<IdentityKey> {
        let key = IdentityKey::random()?;
        self.write_record(&self.identity_key(), KEY_MAGIC, key.private())?;
        Ok(key)
    }

    /// Reads what this node remembers as a newcomer; `None` if it has never waited for a cluster,
    /// `InvalidData` if the file is damaged.
    pub(crate) fn read_newcomer(&self) -> io::Result<Option<NewcomerV1>> {
        read_record(&self.newcomer(), NEWCOMER_MAGIC)
    }

    /// Writes what this node must remember as a newcomer, completely or not at all.
    pub(crate) fn write_newcomer(&self, newcomer: &NewcomerV1) -> io::Result<()> {
        self.write_record(&self.newcomer(), NEWCOMER_MAGIC, newcomer)
    }

    /// Forgets what this node remembered as a newcomer. It has an identity instead.
    pub(crate) fn remove_newcomer(&self) -> io::Result<()> {
        match fs::remove_file(self.newcomer()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn write_record<T: Serialize>(&self, path: &Path, magic: &[u8; 8], record: &T) -> io::Result<()> {
        let content = wire::encode(record)?;
        let draft = path.with_added_extension("new");
        let mut file = os::private_file(&draft)?;
        file.write_all(magic)?;
        file.write_all(&crc32fast::hash(&content).to_le_bytes())?;
        file.write_all(&content)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        sync_dir(Some(&self.root))
    }
}

/// Reads a record with its checksum; `None` if there is no such file, `InvalidData` if it is damaged.
fn read_record<T: DeserializeOwned>(path: &Path, magic: &[u8; 8]) -> io::Result<Option<T>> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let damaged = || {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        io::Error::new(io::ErrorKind::InvalidData, format!("the {name} file is damaged"))
    };
    let rest = bytes.strip_prefix(magic).ok_or_else(damaged)?;
    let (crc, content) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
    if u32::from_le_bytes(*crc) != crc32fast::hash(content) {
        return Err(damaged());
    }
    Ok(Some(wire::decode(content)?))
}

/// The identity of a running node: the identity file, and what the node reports to the members.
pub(crate) struct Identity {
    layout: Layout,
    written: Mutex<IdentityV1>,
    /// Held while the file is written, which takes as long as the disk. True when nothing may be written any
    /// more.
    turn: Mutex<bool>,
    member: Member,
}

impl Identity {
    pub(crate) fn new(layout: Layout, written: IdentityV1, member: Member) -> Self {
        Self { layout, written: Mutex::new(written), turn: Mutex::default(), member }
    }

    fn written(&self) -> MutexGuard<'_, IdentityV1> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The paths of its files.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What the node reports to the members.
    pub(crate) fn member(&self) -> &Member {
        &self.member
    }

    /// Whether it is, or was, a member of the cluster.
    pub(crate) fn has_joined(&self) -> bool {
        self.written().joined
    }

    /// Updates the file if `change` changes anything, on a thread that may block. Changes are made one after
    /// another.
    pub(crate) async fn update(
        self: &Arc<Self>,
        change: impl FnOnce(&mut IdentityV1) + Send + 'static,
    ) -> io::Result<()> {
        let this = self.clone();
        os::spawn_blocking(move || this.update_now(change)).await.map_err(io::Error::other)?
    }

    /// Waits for the updates that are under way, and refuses all others: the data directory may be another
    /// process's from then on.
    pub(crate) async fn close(self: &Arc<Self>) -> io::Result<()> {
        let this = self.clone();
        let close = move || *this.turn.lock().unwrap_or_else(PoisonError::into_inner) = true;
        os::spawn_blocking(close).await.map_err(io::Error::other)
    }

    fn update_now(&self, change: impl FnOnce(&mut IdentityV1)) -> io::Result<()> {
        let is_closed = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_closed {
            return Err(io::Error::other("the node has stopped"));
        }
        let before = self.written().clone();
        let mut next = before.clone();
        change(&mut next);
        if before != next {
            self.layout.write_identity(&next)?;
            *self.written() = next;
        }
        Ok(())
    }
}

fn format_line(format: u32) -> String {
    let words = format!("{FORMAT_WORDS}{format}");
    format!("{words}, check {:08x}\n", crc32fast::hash(words.as_bytes()))
}

/// The format that a line contains; `None` if the line is damaged, which says nothing about the other files.
fn read_format(line: &str) -> Option<u32> {
    let (words, _) = line.split_once(", check ")?;
    let format = words.strip_prefix(FORMAT_WORDS)?.parse().ok()?;
    (format_line(format) == line).then_some(format)
}

/// The error with the path that it is about.
fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// The cluster id as shown to people.
pub(crate) fn shown(cluster_id: &[u8; 16]) -> String {
    cluster_id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A new random cluster id.
pub(crate) fn fresh_cluster_id() -> io::Result<[u8; 16]> {
    let mut id = [0; 16];
    os::random(&mut id)?;
    Ok(id)
}

#[cfg(all(test, not(feature = "sim")))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_error_names_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("data");
        std::fs::write(&file, "no directory").unwrap();
        let error = Layout::new(&file).lock().unwrap_err().to_string();
        assert!(error.contains(&file.display().to_string()), "{error}");
    }

    #[test]
    fn only_the_owner_can_access_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(&dir.path().join("above/data"));
        let _held = layout.lock().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&layout.root), 0o700);
        // The mode of an existing directory is not changed.
        std::fs::set_permissions(&layout.root, PermissionsExt::from_mode(0o750)).unwrap();
        layout.write_format().unwrap();
        assert_eq!(mode(&layout.root), 0o750);
    }

    #[test]
    fn the_identity_key_is_private_and_stays_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        assert!(layout.read_identity_key().unwrap().is_none());
        let made = layout.make_identity_key().unwrap();
        let mode = std::fs::metadata(layout.identity_key()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(layout.read_identity_key().unwrap().unwrap().public(), made.public());
        let mut bytes = std::fs::read(layout.identity_key()).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(layout.identity_key(), bytes).unwrap();
        assert_eq!(layout.read_identity_key().err().unwrap().kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test]
    async fn nothing_is_written_after_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let identity = Arc::new(Identity::new(layout, IdentityV1::default(), Member::default()));
        identity.update(|identity| identity.node_id = 7).await.unwrap();
        identity.close().await.unwrap();
        assert!(identity.update(|identity| identity.node_id = 8).await.is_err());
        assert_eq!(identity.layout().read_identity().unwrap().unwrap().node_id, 7);
    }

    #[test]
    fn files_that_others_can_read_are_made_private() {
        let dir = tempfile::tempdir().unwrap();
        let raft = dir.path().join("raft");
        let file = dir.path().join("raft/0.wal");
        std::fs::create_dir(&raft).unwrap();
        std::fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink("/etc/hostname", dir.path().join("link")).unwrap();
        let set =
            |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        set(&raft, 0o755);
        set(&file, 0o664);
        os::make_private(dir.path());
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&raft), mode(&file)), (0o700, 0o600));
        assert_ne!(mode(Path::new("/etc/hostname")), 0o600, "a link leads elsewhere");
    }

    #[test]
    fn a_newer_format_is_refused_and_a_damaged_line_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        layout.check_format().unwrap();
        layout.check_format().unwrap();
        let file = dir.path().join(FORMAT_FILE);
        std::fs::write(&file, format_line(FORMAT + 1)).unwrap();
        let refused = layout.check_format().unwrap_err();
        assert!(matches!(refused, StartError::Newer { found, .. } if found == FORMAT + 1), "{refused}");
        std::fs::write(&file, format_line(FORMAT).replace("format 1", "format 5")).unwrap();
        layout.check_format().unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), format_line(FORMAT));
    }
}
