//! The newest entries of the log in memory.

use std::collections::VecDeque;

use crate::types::{Entry, Payload};

/// What an entry takes in memory beside its data (bytes).
const HEAD: usize = 64;

/// Approximate size of an entry in memory (bytes).
pub(super) fn weight(entry: &Entry) -> usize {
    HEAD + match &entry.payload {
        Payload::Blank => 0,
        Payload::Normal(data) => data.0.len(),
        Payload::Membership(_) => 1024,
    }
}

/// How much one reading may return. It returns at least one entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub(super) bytes: usize,
    pub(super) entries: usize,
}

/// The result of a reading.
pub(super) struct Portion {
    pub(super) entries: Vec<Entry>,
    bytes: usize,
    limit: Limit,
    is_full: bool,
}

impl Portion {
    pub(super) fn new(limit: Limit) -> Self {
        Self { entries: Vec::new(), bytes: 0, limit, is_full: false }
    }

    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Adds an entry; false if it is beyond the limit.
    pub(super) fn add(&mut self, entry: Entry) -> bool {
        let bytes = self.bytes + weight(&entry);
        let beyond = bytes > self.limit.bytes || self.entries.len() >= self.limit.entries;
        self.is_full = beyond && !self.entries.is_empty();
        if !self.is_full {
            self.bytes = bytes;
            self.entries.push(entry);
        }
        !self.is_full
    }
}

/// The end of the log: the entries that no file has yet, and as many before them as there is room for.
/// Reading them waits for no disk.
pub(super) struct Recent {
    entries: VecDeque<Held>,
    bytes: usize,
    capacity: usize,
}

/// An entry, and the number of the write that it came with.
struct Held {
    write: u64,
    entry: Entry,
}

impl Recent {
    pub(super) fn new(capacity: usize) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, capacity }
    }

    /// Index of the first entry that is here.
    pub(super) fn first(&self) -> Option<u64> {
        self.entries.front().map(|held| held.entry.log_id.index)
    }

    pub(super) fn push(&mut self, write: u64, entry: Entry) {
        self.bytes += weight(&entry);
        self.entries.push_back(Held { write, entry });
    }

    /// Removes the entries from `from` on.
    pub(super) fn truncate(&mut self, from: u64) {
        while let Some(held) = self.entries.pop_back_if(|held| held.entry.log_id.index >= from) {
            self.bytes -= weight(&held.entry);
        }
    }

    /// Removes the entries up to `upto`.
    pub(super) fn purge(&mut self, upto: u64) {
        while let Some(held) = self.entries.pop_front_if(|held| held.entry.log_id.index <= upto) {
            self.bytes -= weight(&held.entry);
        }
    }

    /// Drops the oldest entries that are too many. The files have those of the writes up to `written`.
    pub(super) fn trim(&mut self, written: u64) {
        while self.bytes > self.capacity
            && let Some(held) = self.entries.pop_front_if(|held| held.write <= written)
        {
            self.bytes -= weight(&held.entry);
        }
    }

    /// Adds the entries from `start`, which is here, to `end` (exclusive).
    pub(super) fn read(&self, start: u64, end: u64, portion: &mut Portion) {
        let skip = start.saturating_sub(self.first().unwrap_or(start));
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        for held in self.entries.iter().skip(skip) {
            if held.entry.log_id.index >= end || !portion.add(held.entry.clone()) {
                break;
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::types::Data;
    use crate::wire::StoredLogId;

    fn entry(index: u64) -> Entry {
        let log_id = StoredLogId { term: 1, node: 1, index }.into();
        Entry { log_id, payload: Payload::Normal(Data(vec![0_u8; 100 - HEAD].into())) }
    }

    fn indexes(recent: &Recent, start: u64, end: u64, limit: Limit) -> Vec<u64> {
        let mut portion = Portion::new(limit);
        recent.read(start, end, &mut portion);
        portion.entries.iter().map(|entry| entry.log_id.index).collect()
    }

    const ALL: Limit = Limit { bytes: usize::MAX, entries: usize::MAX };

    #[test]
    fn entries_that_no_file_has_stay() {
        let mut recent = Recent::new(300);
        (1..=6).for_each(|index| recent.push(index, entry(index)));
        recent.trim(0);
        assert_eq!(recent.first(), Some(1), "nothing is written, so nothing may be dropped");
        recent.trim(2);
        assert_eq!(recent.first(), Some(3), "too much is left, but no file has it");
        recent.trim(6);
        assert_eq!(indexes(&recent, 4, u64::MAX, ALL), [4, 5, 6], "what there is room for");
        recent.truncate(6);
        recent.push(7, entry(6));
        recent.trim(6);
        assert_eq!(indexes(&recent, 4, u64::MAX, ALL), [4, 5, 6]);
        recent.purge(5);
        assert_eq!(indexes(&recent, 6, u64::MAX, ALL), [6]);
    }

    #[test]
    fn a_reading_has_limits_and_returns_at_least_one_entry() {
        let mut recent = Recent::new(usize::MAX);
        (1..=6).for_each(|index| recent.push(index, entry(index)));
        assert_eq!(indexes(&recent, 2, 5, ALL), [2, 3, 4]);
        assert_eq!(indexes(&recent, 2, 9, Limit { bytes: 1, ..ALL }), [2]);
        assert_eq!(indexes(&recent, 2, 9, Limit { bytes: 250, ..ALL }), [2, 3]);
        assert_eq!(indexes(&recent, 2, 9, Limit { entries: 3, ..ALL }), [2, 3, 4]);
    }
}
