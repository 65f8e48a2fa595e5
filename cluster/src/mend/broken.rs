//! What is whole of a damaged log, and what it lacks. Pure: it neither reads files nor asks peers.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::Payload;
use crate::wire::{StoredLogId, StoredVote, SystemV1};

/// The fewest bytes of a record with an entry: kind of record, log id, head of a payload, checksum.
const SHORTEST_ENTRY: u64 = 4 + 24 + 9 + 8;

/// One record of a log, or a place in it that cannot be read. A simulated log is read as what it is, so it
/// has no records of removals.
#[cfg_attr(feature = "sim", allow(dead_code))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    Vote(StoredVote),
    Entry(StoredLogId),
    /// The entry with that index names the voters. `only`: there is no other.
    Voters {
        index: u64,
        only: Option<u64>,
    },
    Committed(StoredLogId),
    /// All entries after this one were removed.
    Truncated(Option<StoredLogId>),
    /// All entries up to this one were removed.
    Purged(StoredLogId),
    /// What the log was when a file of it began, or a mark was written.
    State {
        vote: Option<StoredVote>,
        last: Option<StoredLogId>,
        committed: Option<StoredLogId>,
        purged: Option<StoredLogId>,
    },
    /// So many bytes that may hide any records.
    Damage(u64),
}

/// What a log lacks before its node may vote again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Nothing,
    /// The applied state, up to this index at least.
    State {
        at_least: u64,
    },
    /// The entries from `from` on, of a log that holds `upto`. Logs that hold the same entry are the same up
    /// to it.
    Records {
        from: u64,
        upto: StoredLogId,
    },
    /// Whatever this node may have acknowledged after its last whole entry.
    End,
}

/// What is whole of a log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Broken {
    pub(crate) vote: Option<StoredVote>,
    /// No damage may hide a later vote.
    pub(crate) vote_is_sure: bool,
    pub(crate) committed: Option<StoredLogId>,
    pub(crate) purged: Option<StoredLogId>,
    /// What the store has applied.
    pub(crate) applied: Option<StoredLogId>,
    /// The store cannot be read, or ends before the log begins.
    pub(crate) lacks_store: bool,
    ids: BTreeMap<u64, StoredLogId>,
    /// The entry before the first of them, as far as records say.
    before: Option<StoredLogId>,
    /// The only voter from an entry on, or `None` if there were several.
    voters: BTreeMap<u64, Option<u64>>,
    /// Entries that may follow others than those that stand before them here.
    seams: BTreeSet<u64>,
    /// Bytes after the last whole entry that may hide records.
    doubt: u64,
}

impl Broken {
    /// Takes the next piece of the log.
    pub(crate) fn take(&mut self, piece: Piece) {
        match piece {
            Piece::Vote(vote) => {
                self.vote = self.vote.max(Some(vote));
                self.vote_is_sure = true;
            }
            Piece::Entry(id) => self.entry(id),
            Piece::Voters { index, only } => {
                self.voters.insert(index, only);
            }
            Piece::Committed(id) => self.committed = self.committed.max(Some(id)),
            Piece::Truncated(keep) => self.cut_after(keep),
            Piece::Purged(id) => self.purge(id),
            Piece::State { vote, last, committed, purged } => {
                self.vote = self.vote.max(vote);
                self.vote_is_sure = true;
                self.committed = self.committed.max(committed);
                if self.is_empty() {
                    self.before = self.before.max(last);
                }
                if let Some(purged) = purged {
                    self.purge(purged);
                }
            }
            Piece::Damage(bytes) => {
                self.doubt = self.doubt.saturating_add(bytes);
                self.vote_is_sure = false;
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    fn entry(&mut self, id: StoredLogId) {
        if self.last().is_some_and(|last| id.index <= last.index) {
            // Its predecessors were removed by a record that is damaged.
            self.drop_from(id.index);
        }
        let last = self.last();
        let follows = last.is_none_or(|last| last.index + 1 == id.index);
        // Damage may hide that entries were removed and others written in their place. A leader never
        // replaces its own entries, so between two of the same leader nothing can be hidden.
        let same = last.is_some_and(|last| (last.term, last.node) == (id.term, id.node));
        if !follows || !(same || self.end_is_sure()) {
            self.seams.insert(id.index);
        }
        self.doubt = 0;
        self.ids.insert(id.index, id);
    }

    fn cut_after(&mut self, keep: Option<StoredLogId>) {
        self.drop_from(keep.map_or(0, |id| id.index + 1));
        if keep > self.last() {
            // The entry that stayed is hidden by damage.
            self.doubt = u64::MAX;
        }
    }

    fn drop_from(&mut self, index: u64) {
        self.ids.split_off(&index);
        self.seams.split_off(&index);
        if self.before.is_some_and(|before| before.index >= index) {
            self.before = None;
        }
    }

    fn purge(&mut self, upto: StoredLogId) {
        self.purged = self.purged.max(Some(upto));
        self.ids = self.ids.split_off(&(upto.index + 1));
        self.seams = self.seams.split_off(&(upto.index + 2));
        if self.is_empty() {
            self.before = self.before.max(Some(upto));
        }
    }

    /// The last entry that is whole.
    pub(crate) fn last(&self) -> Option<StoredLogId> {
        self.ids.values().next_back().copied().or(self.before)
    }

    /// The whole entry with that index.
    pub(crate) fn id(&self, index: u64) -> Option<StoredLogId> {
        self.ids.get(&index).copied()
    }

    /// Assumes that entries are missing after the last one, and that nobody knows how many.
    pub(crate) fn lost_its_end(&mut self) {
        self.doubt = u64::MAX;
    }

    /// Whether nothing that this node acknowledged can be missing after its last entry.
    pub(crate) fn end_is_sure(&self) -> bool {
        self.doubt < SHORTEST_ENTRY
    }

    /// Assumes that the log ends with its last whole entry.
    pub(crate) fn found_end(&mut self) {
        self.doubt = 0;
        self.before = None;
    }

    /// The index of the first entry that the log must have.
    pub(crate) fn start(&self) -> u64 {
        self.applied.max(self.purged).map_or(0, |id| id.index + 1)
    }

    /// What is missing. The end is last, because only what goes before shows what it follows.
    pub(crate) fn need(&self) -> Need {
        if let Some(purged) = self.purged.filter(|_| self.lacks_store) {
            return Need::State { at_least: purged.index };
        }
        let start = self.start();
        let first = self.ids.range(start..).next().filter(|(index, _)| **index > start);
        let seam = first.map(|(index, _)| *index).or_else(|| self.seams.range(start + 1..).next().copied());
        if let Some(upto) = seam.and_then(|index| self.id(index)) {
            let from = self.ids.range(start..upto.index).next_back().map_or(start, |(index, _)| *index);
            return Need::Records { from, upto };
        }
        let begins = self.ids.range(start..).next().is_some();
        let names_more = self.before.is_some_and(|before| !begins && before.index >= start);
        if self.end_is_sure() && !names_more { Need::Nothing } else { Need::End }
    }

    /// Whether the entries from `from` to `upto` are whole and follow each other.
    pub(crate) fn is_whole(&self, from: u64, upto: u64) -> bool {
        if from > upto {
            return true;
        }
        let held = self.ids.range(from..=upto).count() as u64;
        held == upto + 1 - from && self.seams.range(from..=upto).all(|seam| *seam == from)
    }

    /// Takes entries of a log that holds the last of them. They replace what this log has in their place; and
    /// what follows, unless it follows that last one.
    pub(crate) fn put(&mut self, entries: &[StoredLogId]) {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return };
        if self.id(last.index) != Some(*last) {
            self.drop_from(first.index);
        }
        for id in entries {
            self.ids.insert(id.index, *id);
            self.seams.remove(&id.index);
        }
        self.before = None;
    }

    /// Drops everything from that index on. What this node acknowledged there must be found again.
    pub(crate) fn drop_end(&mut self, index: u64) {
        self.drop_from(index);
        self.lost_its_end();
    }

    /// Takes what the store has applied.
    pub(crate) fn applied_is(&mut self, state: &SystemV1) {
        self.applied = state.applied;
        if let Some(applied) = state.applied {
            self.voters.insert(applied.index, only_voter(&state.membership.voters));
        }
    }

    /// Whether some of what is missing may have committed without any other node: this one was the only voter
    /// where it is missing, or later.
    pub(crate) fn decided_alone(&self, node: u64) -> bool {
        let from = match self.need() {
            Need::Records { from, .. } => from,
            _ => self.last().map_or(0, |last| last.index).max(self.start()),
        };
        let before = self.voters.range(..from).next_back();
        before.into_iter().chain(self.voters.range(from..)).any(|(_, only)| *only == Some(node))
    }

    /// Takes note that the store has the state at `applied`.
    pub(crate) fn installed(&mut self, applied: StoredLogId) {
        self.lacks_store = false;
        if self.id(applied.index).is_some_and(|own| own != applied) {
            // What is here follows another entry than the one that committed.
            self.drop_from(applied.index);
        }
        let next = self.ids.range(applied.index + 1..).next();
        if next.is_some_and(|(_, id)| *id < applied) {
            // What follows was written by a leader before the one that wrote what committed.
            self.drop_from(applied.index + 1);
        }
        self.applied = Some(applied);
        self.before = self.before.filter(|before| before.index > applied.index);
    }

    /// What the repaired log begins after, and its entries. Entries that the store has are left out if the
    /// log would have a hole with them.
    pub(crate) fn repaired(&self) -> (Option<StoredLogId>, Vec<StoredLogId>) {
        let start = self.purged.map_or(0, |id| id.index + 1);
        let last = self.ids.keys().next_back().copied();
        let reaches = self.applied.is_none_or(|at| last.is_some_and(|last| last >= at.index));
        if reaches && last.is_none_or(|last| self.is_whole(start, last)) {
            return (self.purged, self.ids.values().copied().collect());
        }
        let entries = self.ids.range(self.start()..).map(|(_, id)| *id).collect();
        (self.applied.max(self.purged), entries)
    }
}

/// The voters that the entry with that index names, if it names any.
pub(crate) fn voters(index: u64, payload: &Payload) -> Option<Piece> {
    let Payload::Membership(members) = payload else { return None };
    Some(Piece::Voters { index, only: only_voter(members.get_joint_config()) })
}

/// The voter that is in all these sets, if there is no other.
fn only_voter<'a, S>(sets: impl IntoIterator<Item = S>) -> Option<u64>
where
    S: IntoIterator<Item = &'a u64>,
{
    let mut voters = sets.into_iter().flatten();
    let first = voters.next()?;
    voters.all(|voter| voter == first).then_some(*first)
}

#[cfg(all(test, not(feature = "sim")))]
#[path = "broken/tests.rs"]
mod tests;
