//! Compares what the hosts' disks contain: a checker at a lower level than the clients.
//!
//! It checks facts that hold in every correct cluster: an acknowledged vote of a node never goes back, and a
//! log id has one content. It is outside the simulated hosts, so a crash does not erase its memory.

use std::collections::HashMap;

use crate::types::{Entry, Vote};
use crate::wire::{StoredLogId, StoredPayload, StoredVote};

/// Most violations that are kept of one run.
const MOST: usize = 20;

#[derive(Default)]
pub(crate) struct Witness {
    pub(super) violations: Vec<(u64, String)>,
    pub(super) damaged: Vec<(usize, String)>,
    /// Journal → the highest acknowledged vote.
    votes: HashMap<u64, StoredVote>,
    /// Log id → kind and checksum of the content.
    entries: HashMap<StoredLogId, (u8, u32)>,
}

impl Witness {
    pub(super) fn violation(&mut self, at: u64, what: String) {
        if self.violations.len() < MOST {
            self.violations.push((at, what));
        }
    }

    /// The log at `journal` acknowledged the vote.
    pub(crate) fn voted(&mut self, at: u64, journal: u64, vote: &Vote) {
        let vote = StoredVote::from(vote);
        let highest = self.votes.entry(journal).or_insert(vote);
        let before = std::mem::replace(highest, vote.max(*highest));
        if vote < before {
            self.violation(at, format!("log {journal} voted {vote:?} after {before:?}"));
        }
    }

    /// The log at `journal` is opened by a node that continues from this vote.
    pub(crate) fn opened(&mut self, at: u64, journal: u64, vote: Option<&Vote>) {
        let vote = vote.map(StoredVote::from);
        if let Some(before) = self.votes.get(&journal).copied().filter(|before| vote < Some(*before)) {
            self.violation(at, format!("log {journal} came back with vote {vote:?} after {before:?}"));
        }
    }

    pub(crate) fn appended(&mut self, at: u64, journal: u64, entry: &Entry) {
        let id = StoredLogId::from(&entry.log_id);
        let Ok((kind, content)) = StoredPayload(entry.payload.clone()).parts() else { return };
        let new = (kind, crc32fast::hash(&content));
        if *self.entries.entry(id).or_insert(new) != new {
            self.violation(at, format!("{id:?} was used twice, the second time in log {journal}"));
        }
    }
}
