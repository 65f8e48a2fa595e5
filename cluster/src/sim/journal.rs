//! The disk of the Raft log: one ordered stream of records, of which a crash leaves a prefix.
//!
//! It replaces raft-log and has the same contract: flushed records stay, and the others are cut off
//! somewhere.

use std::collections::VecDeque;

use crate::types::{Entry, LogId, Vote};

/// One record.
#[derive(Debug, Clone)]
pub(crate) enum Record {
    Vote(Vote),
    Append(Entry),
    Truncate(u64),
    Purge(LogId),
    Commit(LogId),
}

/// The state that the records describe.
#[derive(Debug, Clone, Default)]
pub(crate) struct Image {
    pub(crate) vote: Option<Vote>,
    pub(crate) committed: Option<LogId>,
    pub(crate) purged: Option<LogId>,
    pub(crate) entries: VecDeque<Entry>,
}

impl Image {
    pub(crate) fn last(&self) -> Option<LogId> {
        self.entries.back().map(|e| e.log_id).or(self.purged)
    }

    fn take(&mut self, record: Record) {
        match record {
            Record::Vote(vote) => self.vote = Some(vote),
            Record::Commit(id) => self.committed = Some(id),
            Record::Append(entry) => self.entries.push_back(entry),
            Record::Truncate(from) => self.entries.retain(|e| e.log_id.index < from),
            Record::Purge(upto) => {
                self.entries.retain(|e| e.log_id.index > upto.index);
                self.purged = self.purged.max(Some(upto));
            }
        }
    }
}

/// The stream of records.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    /// Identifies the stream for witnesses, through crashes.
    pub(crate) serial: u64,
    pub(crate) now: Image,
    synced: Image,
    pending: VecDeque<Record>,
    /// Number of records that were ever written, and how many of them are synced.
    pub(crate) written: u64,
    pub(crate) flushed: u64,
}

impl Journal {
    pub(super) fn new(serial: u64) -> Self {
        Self { serial, ..Self::default() }
    }

    pub(crate) fn write(&mut self, record: Record) {
        self.written += 1;
        self.pending.push_back(record.clone());
        self.now.take(record);
    }

    /// Makes the first `upto` records durable.
    pub(crate) fn sync(&mut self, upto: u64) {
        while self.flushed < upto
            && let Some(record) = self.pending.pop_front()
        {
            self.flushed += 1;
            self.synced.take(record);
        }
    }

    /// The stream after a crash.
    pub(super) fn crashed(&self, power: bool, mut survives: impl FnMut() -> bool) -> Self {
        let mut left = self.synced.clone();
        for record in self.pending.iter().take_while(|_| !power || survives()) {
            left.take(record.clone());
        }
        Self { serial: self.serial, now: left.clone(), synced: left, ..Self::default() }
    }
}
