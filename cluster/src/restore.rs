//! A new cluster of one node, made of a backup.
//!
//! Owns the new data directory until it is whole: it is filled under another name and renamed at last, so that a failure
//! leaves nothing behind. The cluster gets an id of its own and its first node an id that the old one never gave out: no
//! node of the old cluster can take it for its own. Log positions go on where they stood, since event ids hold them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::backup::{BackupError, BackupInfo, Block, FileV1, Reader};
use crate::config::Config;
use crate::identity::{Layout, fresh_cluster_id, shown};
use crate::log::Log;
use crate::store::{Incoming, chunk_crc, sync_dir};
use crate::wire::{IdentityV1, MemberV1, MembershipV1, SystemV1};

/// What a restore made.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Restored {
    /// What it was made of.
    pub backup: BackupInfo,
    /// Id of the new cluster.
    pub cluster_id: String,
    /// Id of its only node.
    pub node_id: u64,
}

/// A directory under construction; removed unless it is put in place.
struct Draft(Option<PathBuf>);

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(path) = self.0.take()
            && let Err(error) = fs::remove_dir_all(&path)
        {
            tracing::warn!(%error, path = %path.display(), "cannot remove what an interrupted restore left behind");
        }
    }
}

/// Makes the data directory of a new cluster's first node. `dir` must be empty or absent; `files` (name and content) are
/// put into it, over those of the backup.
///
/// # Errors
/// What is wrong with the backup or the directory; then nothing is left behind.
pub fn restore(backup: &Path, dir: &Path, files: Vec<(String, Vec<u8>)>) -> Result<Restored, BackupError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| BackupError::Io { path, source }
    };
    let mut reader = Reader::open(backup)?;
    let dir = std::path::absolute(dir).map_err(at(dir))?;
    is_empty(&dir)?;
    let (Some(parent), Some(name)) = (dir.parent(), dir.file_name()) else {
        return Err(BackupError::NotEmpty(dir));
    };
    fs::create_dir_all(parent).map_err(at(parent))?;
    let path = parent.join(format!(".{}.restoring-{}", name.to_string_lossy(), std::process::id()));
    fs::DirBuilder::new().mode(0o700).create(&path).map_err(at(&path))?;
    let mut draft = Draft(Some(path.clone()));
    let (cluster_id, node_id) = fill(&mut reader, &Layout::new(&path), files).map_err(|failed| match failed {
        Failed::Backup(error) => error,
        Failed::Io(source) => at(&path)(source),
    })?;
    // Over an empty directory too.
    fs::rename(&path, &dir).map_err(at(&dir))?;
    draft.0 = None;
    sync_dir(Some(parent)).map_err(at(parent))?;
    Ok(Restored { backup: reader.info(), cluster_id: shown(&cluster_id), node_id })
}

fn is_empty(dir: &Path) -> Result<(), BackupError> {
    match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(BackupError::NotEmpty(dir.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(BackupError::Io { path: dir.to_owned(), source }),
    }
}

enum Failed {
    Backup(BackupError),
    Io(io::Error),
}

impl<E: Into<BackupError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Backup(error.into())
    }
}

fn fill(reader: &mut Reader, layout: &Layout, files: Vec<(String, Vec<u8>)>) -> Result<([u8; 16], u64), Failed> {
    let (applied, node_id) = (reader.head.applied, reader.head.last_node_id + 1);
    let cluster_id = fresh_cluster_id().map_err(Failed::Io)?;
    let member = MemberV1::default();
    let state = SystemV1 {
        applied: Some(applied),
        // The node tells its address once it runs.
        membership: MembershipV1 { log_id: Some(applied), voters: vec![vec![node_id]], nodes: vec![(node_id, member)] },
        time_ms: reader.head.time_ms,
        last_node_id: node_id,
    };
    let mut incoming = Incoming::begin(&layout.root, state)?;
    let (mut chunks, mut pairs) = (0, 0);
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
    let identity = IdentityV1 { cluster_id, node_id, joined: true, peers: Vec::new() };
    layout.write_identity(&identity).map_err(Failed::Io)?;
    Ok((cluster_id, node_id))
}

/// A file beside the state, for its owner alone. Names are names: no paths.
fn put(root: &Path, file: &FileV1) -> io::Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_' || c == '-';
    if file.name.starts_with('.') || file.name.is_empty() || !file.name.chars().all(plain) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a file named {:?}", file.name)));
    }
    let mut out: File =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(root.join(&file.name))?;
    out.write_all(&file.content)?;
    out.sync_all()
}
