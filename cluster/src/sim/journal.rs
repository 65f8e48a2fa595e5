//! The disk of the Raft log: one ordered stream of records.
//!
//! It replaces raft-log and has the same contract: flushed records stay. Of the others a power cut keeps any,
//! in no order, and the next opening cuts the stream off at the first that is missing.

use std::collections::{BTreeSet, VecDeque};
use std::io;

use crate::tail::{End, end_at};
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

/// A record that is not synced, with the number of those that were when it was written: its mark.
#[derive(Debug, Clone)]
struct Pending {
    record: Record,
    mark: u64,
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

/// What of the stream cannot be read any more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Damaged {
    /// The record with the vote.
    pub(crate) vote: bool,
    /// Entries, by index.
    pub(crate) entries: BTreeSet<u64>,
}

/// The stream of records.
#[derive(Debug, Default, Clone)]
pub(crate) struct Journal {
    /// Identifies the stream for witnesses, through crashes.
    pub(crate) serial: u64,
    pub(crate) now: Image,
    synced: Image,
    pending: VecDeque<Pending>,
    /// Number of records that were ever written, and how many of them are synced.
    pub(crate) written: u64,
    pub(crate) flushed: u64,
    /// What a power cut left of the records that were not synced, until the stream is opened.
    torn: Vec<Option<Pending>>,
    pub(crate) damaged: Damaged,
}

impl Journal {
    pub(super) fn new(serial: u64) -> Self {
        Self { serial, ..Self::default() }
    }

    /// Refuses a stream with damage, as raft-log does.
    pub(crate) fn check(&self) -> io::Result<()> {
        let is_damaged = |entry: &Entry| self.damaged.entries.contains(&entry.log_id.index);
        if self.damaged.vote || self.now.entries.iter().any(is_damaged) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a record of the log is damaged"));
        }
        Ok(())
    }

    pub(crate) fn write(&mut self, record: Record) {
        let mark = if crate::failpoint!("mark-before-sync") { self.written } else { self.flushed };
        self.written += 1;
        self.pending.push_back(Pending { record: record.clone(), mark });
        self.now.take(record);
    }

    /// Makes the first `upto` records durable.
    pub(crate) fn sync(&mut self, upto: u64) {
        while self.flushed < upto
            && let Some(pending) = self.pending.pop_front()
        {
            self.flushed += 1;
            self.synced.take(pending.record);
        }
    }

    /// Cuts off what a power cut tore, as the real log does when it is opened.
    pub(crate) fn open(&mut self) -> io::Result<()> {
        let mut found = std::mem::take(&mut self.torn).into_iter();
        // What is left of a power cut is on disk.
        while let Some(Some(pending)) = found.next() {
            self.written += 1;
            self.flushed += 1;
            self.synced.take(pending.record.clone());
            self.now.take(pending.record);
        }
        let marks = found.flatten().map(|behind| behind.mark);
        match end_at(self.flushed, true, marks) {
            End::Torn => Ok(()),
            End::Damaged => {
                let what = format!("record {} of the log is missing, and was synced", self.flushed);
                Err(io::Error::new(io::ErrorKind::InvalidData, what))
            }
        }
    }

    /// The stream after the end of a process: what was not synced stays readable, but is not on disk.
    pub(super) fn killed(&self) -> Self {
        self.clone()
    }

    /// The stream after a power cut. Of what was not synced `survives` selects the records that are left.
    pub(super) fn cut(&self, survives: &mut impl FnMut() -> bool) -> Self {
        // A stream that was not opened since the last cut loses nothing more: what was left of it is on disk.
        let torn = if self.torn.is_empty() {
            self.pending.iter().map(|pending| survives().then(|| pending.clone())).collect()
        } else {
            self.torn.clone()
        };
        Self {
            serial: self.serial,
            now: self.synced.clone(),
            synced: self.synced.clone(),
            pending: VecDeque::new(),
            written: self.flushed,
            flushed: self.flushed,
            torn,
            damaged: self.damaged.clone(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::types::{LeaderId, Payload};

    fn journal(synced: u64, written: u64) -> Journal {
        let mut journal = Journal::new(1);
        for index in 0..written {
            if index == synced {
                journal.sync(synced);
            }
            let log_id = LogId::new(LeaderId { term: 1, node_id: 1 }, index);
            journal.write(Record::Append(Entry { log_id, payload: Payload::Blank }));
        }
        journal
    }

    fn indices(journal: &Journal) -> Vec<u64> {
        journal.now.entries.iter().map(|entry| entry.log_id.index).collect()
    }

    #[test]
    fn a_killed_process_leaves_what_it_wrote_and_the_power_may_take_it_later() {
        let mut left = journal(2, 4).killed();
        left.open().unwrap();
        assert_eq!(indices(&left), [0, 1, 2, 3]);
        let mut dark = left.cut(&mut || false);
        dark.open().unwrap();
        assert_eq!(indices(&dark), [0, 1]);
        left.sync(left.written);
        let mut dark = left.cut(&mut || false);
        dark.open().unwrap();
        assert_eq!(indices(&dark), [0, 1, 2, 3]);
    }

    #[test]
    fn a_power_cut_may_leave_a_hole_and_the_log_ends_before_it() {
        for torn in 0..16_u64 {
            let mut bits = (0..4).map(|bit| torn >> bit & 1 == 1);
            let mut left = journal(2, 6).cut(&mut || bits.next().unwrap());
            left.open().unwrap();
            let whole = torn.trailing_ones().min(4) as usize;
            assert_eq!(indices(&left), (0..2 + whole as u64).collect::<Vec<_>>(), "{torn:b}");
            assert_eq!((left.flushed, left.written), (2 + whole as u64, 2 + whole as u64));
        }
    }

    #[test]
    fn a_hole_that_was_synced_is_damage() {
        let mut journal = journal(2, 6);
        let mark = 4;
        let behind = journal.pending.back().unwrap().record.clone();
        journal.torn = vec![None, Some(Pending { record: behind, mark })];
        assert_eq!(journal.open().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
