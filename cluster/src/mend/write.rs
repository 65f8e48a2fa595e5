//! Puts repaired files in place of the damaged ones. After a crash at any moment, the next start finds either
//! the damage again, or the repaired files.

use std::io;

use openraft::storage::{IOFlushed, RaftLogStorage};

use super::Patch;
use crate::config::Config;
use crate::damage::move_aside;
use crate::dir::sync_dir;
use crate::identity::Layout;
use crate::log::Log;
use crate::os::fs;
use crate::store::Received;
use crate::types::Entry;
use crate::wire::{StoredLogId, StoredPayload, StoredVote};

/// Entries are written in portions of at most this many …
const ENTRIES: usize = 256;
/// … or a little more than this many bytes.
const BYTES: usize = 4 * 1024 * 1024;

/// What the repaired log says.
pub(super) struct Repaired {
    pub(super) vote: Option<StoredVote>,
    /// It begins after this entry.
    pub(super) after: Option<StoredLogId>,
    pub(super) entries: Vec<StoredLogId>,
    pub(super) committed: Option<StoredLogId>,
}

/// Writes a log beside the damaged one, complete and durable.
pub(super) async fn log(
    layout: &Layout,
    config: &Config,
    patch: &Patch,
    repaired: Repaired,
) -> io::Result<()> {
    let dir = layout.log_draft();
    remove(&dir)?;
    let mut log = Log::open(&dir, config)?;
    if let Some(vote) = repaired.vote {
        log.save_vote(&vote.into()).await?;
    }
    if let Some(after) = repaired.after {
        log.purge(after.into()).await?;
    }
    // A committed entry that the repaired log lacks may belong to another log than its entries do.
    let committed = repaired.committed.filter(|id| repaired.entries.contains(id));
    let mut portion: Vec<Entry> = Vec::new();
    let mut bytes = 0;
    for id in repaired.entries {
        let entry = patch.entry(id)?;
        bytes += StoredPayload(entry.payload.clone()).size();
        portion.push(entry);
        if portion.len() >= ENTRIES || bytes > BYTES {
            bytes = 0;
            log.append(std::mem::take(&mut portion), IOFlushed::noop()).await?;
        }
    }
    log.append(portion, IOFlushed::noop()).await?;
    if let Some(committed) = committed {
        log.save_committed(Some(committed.into())).await?;
    }
    log.sync().await?;
    drop(log);
    sync_dir(Some(&dir))?;
    remove(&layout.log_repaired())?;
    fs::rename(&dir, layout.log_repaired())?;
    sync_dir(Some(&layout.root))
}

/// Puts a fetched state in place of a store that cannot be used; without one, the store is made anew from the
/// log.
pub(super) fn store(layout: &Layout, state: Option<&Received>) -> io::Result<()> {
    move_aside(layout, &[layout.store()])?;
    if let Some(state) = state {
        fs::rename(&state.path, layout.store())?;
    }
    sync_dir(Some(&layout.root))
}

/// Puts a repaired log in place, if there is one.
pub(super) fn swap(layout: &Layout) -> io::Result<()> {
    if !fs::exists(layout.log_repaired())? {
        return Ok(());
    }
    let moved = move_aside(layout, &[layout.log()])?;
    fs::rename(layout.log_repaired(), layout.log())?;
    tracing::warn!(?moved, "a repaired log is in place; the damaged one was moved aside");
    sync_dir(Some(&layout.root))
}

fn remove(dir: &std::path::Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
