//! Compares what the hosts' disks contain: a checker at a lower level than the clients.
//!
//! It checks facts that hold in every correct cluster: an acknowledged vote of a node never goes back, a log
//! id has one content, and a node that starts relies on nothing that is not on disk. It is outside the
//! simulated hosts, so a crash does not erase its memory.

use std::collections::HashMap;

use crate::types::{Entry, Vote};
use crate::wire::{StoredLogId, StoredPayload, StoredVote};

/// Most violations that are kept of one run.
const MOST: usize = 20;

#[derive(Default)]
pub(crate) struct Witness {
    pub(super) violations: Vec<(u64, String)>,
    pub(super) damaged: Vec<(usize, String)>,
    /// How often a replica answered a proposal that it had applied before.
    pub(super) repeated: u64,
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

    /// A node opened the log at `journal` and relies from now on on all that it read. So no record may be
    /// left that a power cut could take: `unsynced` of them are. The higher copy of the vote is the newest
    /// one. It counts as acknowledged if both copies say it: before the node goes on, it writes it to both.
    pub(crate) fn opened(
        &mut self,
        at: u64,
        journal: u64,
        (logged, kept): (Option<StoredVote>, Option<StoredVote>),
        unsynced: u64,
    ) {
        let vote = logged.max(kept);
        if unsynced > 0 {
            self.violation(at, format!("log {journal} was opened, and {unsynced} records are not on disk"));
        }
        if let Some(before) = self.votes.get(&journal).copied().filter(|before| vote < Some(*before)) {
            self.violation(at, format!("log {journal} came back with vote {vote:?} after {before:?}"));
        }
        // That a vote has won the election need not be on disk.
        if let Some(vote) = logged.min(kept).map(|vote| StoredVote { committed: false, ..vote }) {
            self.votes.entry(journal).and_modify(|highest| *highest = vote.max(*highest)).or_insert(vote);
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
