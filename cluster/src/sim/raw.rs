//! Reads a simulated log around what is damaged in it, with the names of the real `mend::raw`.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use super::broken::{Piece, voters};
use crate::sim::{fs, lock};
use crate::types::Entry;
use crate::wire::StoredLogId;

/// The bytes that a damaged record had.
const RECORD: u64 = 100;

/// The whole entries of a log.
#[derive(Debug, Default)]
pub(crate) struct Raw(HashMap<StoredLogId, Entry>);

impl Raw {
    pub(crate) fn read(dir: &Path, take: &mut dyn FnMut(Piece)) -> io::Result<Self> {
        let mut raw = Self::default();
        if !fs::exists(dir)? {
            return Ok(raw);
        }
        let journal = fs::journal(dir)?;
        let journal = lock(&journal);
        let now = &journal.now;
        let damaged = &journal.damaged;
        let purged = now.purged.as_ref().map(StoredLogId::from);
        take(Piece::State { vote: None, last: purged, committed: None, purged });
        match now.vote.as_ref().filter(|_| !damaged.vote) {
            Some(vote) => take(Piece::Vote(vote.into())),
            None if damaged.vote => take(Piece::Damage(RECORD)),
            None => {}
        }
        for entry in &now.entries {
            let id = StoredLogId::from(&entry.log_id);
            if damaged.entries.contains(&id.index) {
                take(Piece::Damage(RECORD));
            } else {
                raw.0.insert(id, entry.clone());
                take(Piece::Entry(id));
                voters(id.index, &entry.payload).into_iter().for_each(&mut *take);
            }
        }
        if let Some(committed) = &now.committed {
            take(Piece::Committed(committed.into()));
        }
        Ok(raw)
    }

    pub(crate) fn entry(&self, id: StoredLogId) -> io::Result<Entry> {
        self.0.get(&id).cloned().ok_or_else(|| io::Error::other(format!("the log has no {id:?}")))
    }
}
