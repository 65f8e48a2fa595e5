//! Which events of a stream belong to a subject, and which were removed from inside the stream.
//!
//! A **run** is a range of seqs whose events are all stored and all of one subject. The open run, which grows
//! with each event, is part of the subject's record. A run that another subject's event has ended has a key
//! of its own, by its last seq. So a reader of a subject reads its runs and events and nothing else, and a
//! map with only its own subject writes no runs at all.
//!
//! A **hole** is a range of seqs that were removed inside the stream. A reader that finds a seq missing
//! checks whether a hole covers it. If none does, the store is damaged.

use super::keys;
use crate::core::ids::{EventId, TopicId};
use crate::core::store::{ReadStore, StoreError, WriteStore};
use crate::core::subject::Subject;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// The record of one subject of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectRecord {
    /// Readers of the subject have lost the events below this seq. It need not be the seq of an event.
    pub first_seq: u64,
    /// Seq of the newest event ever; 0 before the first one.
    pub last_seq: u64,
    /// Id of that event.
    pub last_id: EventId,
    /// First seq of the open run, which ends with `last_seq`; 0 if there is none.
    pub open_seq: u64,
    /// Seq of the newest event that was removed; 0 if none was.
    pub trimmed_seq: u64,
    /// Id of that event.
    pub trimmed_id: EventId,
    /// The number of events that readers can read.
    pub count: u64,
    /// Their bytes, as stored.
    pub bytes: u64,
    /// Whether the subject has more events than its rule keeps and waits for a tick (see
    /// [`super::keys::thinning`]).
    pub waits_for_thinning: bool,
}

/// The runs of a subject, read with its record.
pub struct Runs<'a, S> {
    store: S,
    stream: TopicId,
    subject: &'a str,
    record: &'a SubjectRecord,
}

impl SubjectRecord {
    /// Adds the event at `seq`, which is higher than every earlier seq of the stream.
    pub fn append<S: WriteStore>(
        &mut self,
        (stream, subject): (TopicId, &Subject),
        (seq, id, bytes): (u64, EventId, u64),
        store: &mut S,
    ) -> Result<(), StoreError> {
        if self.last_seq + 1 != seq || self.open_seq == 0 {
            self.close_run(stream, subject, store)?;
            self.open_seq = seq;
        }
        if self.count == 0 {
            self.first_seq = seq;
        }
        self.last_seq = seq;
        self.last_id = id;
        self.count += 1;
        self.bytes += bytes;
        Ok(())
    }

    /// Ends the open run: the next event begins another.
    pub fn end_run<S: WriteStore>(
        &mut self,
        (stream, subject): (TopicId, &Subject),
        store: &mut S,
    ) -> Result<(), StoreError> {
        self.close_run(stream, subject, store)?;
        self.open_seq = 0;
        Ok(())
    }

    fn close_run<S: WriteStore>(
        &mut self,
        stream: TopicId,
        subject: &Subject,
        store: &mut S,
    ) -> Result<(), StoreError> {
        let start = self.open_seq.max(self.first_seq);
        if self.open_seq > 0 && start <= self.last_seq {
            put_run(stream, subject.as_str(), start..=self.last_seq, store)?;
        }
        Ok(())
    }

    /// Moves the beginning for readers behind the event with that seq and id, the newest of `gone` events
    /// with this number of bytes. Runs that end before `runs_from` stay: they show what of a deleted history
    /// is still to be removed.
    pub fn trim<S: WriteStore>(
        &mut self,
        (stream, subject): (TopicId, &Subject),
        (newest_seq, newest_id): (u64, EventId),
        (gone, bytes): (u64, u64),
        runs_from: u64,
        store: &mut S,
    ) -> Result<(), StoreError> {
        (self.trimmed_seq, self.trimmed_id) =
            (self.trimmed_seq, self.trimmed_id).max((newest_seq, newest_id));
        self.first_seq = self.first_seq.max(newest_seq + 1);
        self.count = self.count.saturating_sub(gone);
        self.bytes = self.bytes.saturating_sub(bytes);
        let (from, to) = keys::runs(stream, subject.as_str(), runs_from, self.first_seq.max(runs_from));
        let mut over = Vec::new();
        store.scan(&from, &to, &mut |key, _| {
            over.push(key.to_vec());
            true
        })?;
        over.iter().try_for_each(|key| store.delete(key))
    }

    /// Removes an event that readers have from inside the subject. Its run is split in two.
    pub fn remove<S: WriteStore>(
        &mut self,
        (stream, subject): (TopicId, &Subject),
        (seq, id, bytes): (u64, EventId, u64),
        store: &mut S,
    ) -> Result<(), StoreError> {
        let name = subject.as_str();
        let mut found = None;
        Runs::new(&*store, stream, name, self).visit(seq, &mut |run| {
            found = Some(run);
            false
        })?;
        let Some(run) = found.filter(|run| run.contains(&seq)) else { return Ok(()) };
        (self.trimmed_seq, self.trimmed_id) = (self.trimmed_seq, self.trimmed_id).max((seq, id));
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        let is_open = *run.end() == self.last_seq && self.open_seq > 0;
        if !is_open {
            store.delete(&keys::run(stream, name, *run.end()))?;
        }
        if seq > *run.start() {
            put_run(stream, name, *run.start()..=seq - 1, store)?;
        }
        match (is_open, seq < *run.end()) {
            (true, true) => self.open_seq = seq + 1,
            // The newest event was removed: the next one begins a run.
            (true, false) => self.open_seq = 0,
            (false, true) => put_run(stream, name, seq + 1..=*run.end(), store)?,
            (false, false) => {}
        }
        Ok(())
    }
}

impl<'a, S: ReadStore> Runs<'a, &'a S> {
    /// Reads the runs of a subject.
    pub fn new(store: &'a S, stream: TopicId, subject: &'a str, record: &'a SubjectRecord) -> Self {
        Self { store, stream, subject, record }
    }

    /// Visits the runs from `from_seq` on, ascending, until `visit` returns false. The first may begin before
    /// `from_seq`, but not before what readers can read.
    pub fn visit(
        &self,
        from_seq: u64,
        visit: &mut dyn FnMut(RangeInclusive<u64>) -> bool,
    ) -> Result<(), StoreError> {
        let (from, to) = keys::runs(self.stream, self.subject, from_seq.max(self.record.first_seq), u64::MAX);
        let mut goes_on = true;
        // The ended runs lie before the open one.
        if self.record.open_seq == 0 || from_seq < self.record.open_seq {
            self.store.scan(&from, &to, &mut |key, value| {
                goes_on = self.clipped(key, value).is_none_or(&mut *visit);
                goes_on
            })?;
        }
        if goes_on && let Some(open) = self.open().filter(|open| *open.end() >= from_seq) {
            visit(open);
        }
        Ok(())
    }

    /// Visits the runs from the newest to the oldest, until `visit` returns false.
    pub fn visit_back(&self, visit: &mut dyn FnMut(RangeInclusive<u64>) -> bool) -> Result<(), StoreError> {
        if self.open().is_some_and(|open| !visit(open)) {
            return Ok(());
        }
        let (from, to) = keys::runs(self.stream, self.subject, self.record.first_seq, u64::MAX);
        self.store.scan_back(&from, &to, &mut |key, value| self.clipped(key, value).is_none_or(&mut *visit))
    }

    /// Returns the seq of the oldest of the subject's last `count` events; one past its newest event if there
    /// are none.
    pub fn last(&self, count: u64) -> Result<u64, StoreError> {
        let mut left = count;
        let mut seq = self.record.last_seq + 1;
        self.visit_back(&mut |run| {
            let length = run.end() - run.start() + 1;
            if left > 0 {
                seq = run.end() + 1 - left.min(length);
            }
            left = left.saturating_sub(length);
            left > 0
        })?;
        Ok(seq)
    }

    fn open(&self) -> Option<RangeInclusive<u64>> {
        let record = self.record;
        let start = record.open_seq.max(record.first_seq);
        (record.open_seq > 0 && start <= record.last_seq).then_some(start..=record.last_seq)
    }

    fn clipped(&self, key: &[u8], value: &[u8]) -> Option<RangeInclusive<u64>> {
        let start = keys::run_start(value)?;
        let end = keys::run_end(key)?;
        Some(start.max(self.record.first_seq)..=end)
    }
}

fn put_run<S: WriteStore>(
    stream: TopicId,
    subject: &str,
    run: RangeInclusive<u64>,
    store: &mut S,
) -> Result<(), StoreError> {
    store.put(&keys::run(stream, subject, *run.end()), &run.start().to_be_bytes())
}

/// Records that `seq` was removed inside the stream. Adjacent holes become one.
pub fn add_hole<S: WriteStore>(stream: TopicId, seq: u64, store: &mut S) -> Result<(), StoreError> {
    let mut hole = seq..=seq;
    if let Some(value) = store.get(&keys::hole(stream, seq - 1))? {
        store.delete(&keys::hole(stream, seq - 1))?;
        hole = keys::run_start(&value).unwrap_or(seq)..=seq;
    }
    match hole_from(stream, seq + 1, store)? {
        Some(next) if *next.start() == seq + 1 => {
            store.put(&keys::hole(stream, *next.end()), &hole.start().to_be_bytes())
        }
        _ => store.put(&keys::hole(stream, seq), &hole.start().to_be_bytes()),
    }
}

/// Returns the first hole that ends at `seq` or later.
pub fn hole_from<S: ReadStore>(
    stream: TopicId,
    seq: u64,
    store: &S,
) -> Result<Option<RangeInclusive<u64>>, StoreError> {
    let from = keys::hole(stream, seq);
    let to = keys::hole(stream, u64::MAX);
    let mut found = None;
    store.scan(&from, &to, &mut |key, value| {
        found = keys::hole_end(key).zip(keys::run_start(value)).map(|(end, start)| start..=end);
        false
    })?;
    Ok(found)
}

/// Returns whether all of `seqs` were removed inside the stream.
pub fn is_hole<S: ReadStore>(
    stream: TopicId,
    seqs: RangeInclusive<u64>,
    store: &S,
) -> Result<bool, StoreError> {
    let hole = hole_from(stream, *seqs.start(), store)?;
    Ok(hole.is_some_and(|hole| hole.start() <= seqs.start() && seqs.end() <= hole.end()))
}

/// Removes at most `max` holes that end before `seq`, where the stream begins.
pub fn forget_holes<S: WriteStore>(
    stream: TopicId,
    seq: u64,
    max: usize,
    store: &mut S,
) -> Result<usize, StoreError> {
    let mut over = Vec::new();
    store.scan(&keys::hole(stream, 0), &keys::hole(stream, seq), &mut |key, _| {
        over.push(key.to_vec());
        over.len() < max
    })?;
    over.iter().try_for_each(|key| store.delete(key))?;
    Ok(over.len())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::store::memory::MemoryStore;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    const STREAM: TopicId = TopicId(7);

    #[derive(Clone, Debug)]
    enum Step {
        Append(usize, u8),
        Trim(usize, u8),
        Remove(usize, u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..3usize, 1..5u8).prop_map(|(subject, count)| Step::Append(subject, count)),
            1 => (0..3usize, 1..4u8).prop_map(|(subject, count)| Step::Trim(subject, count)),
            1 => (0..3usize, any::<u8>()).prop_map(|(subject, nth)| Step::Remove(subject, nth)),
        ];
        proptest::collection::vec(step, 1..60)
    }

    fn id(seq: u64) -> EventId {
        EventId::new(1, seq, 0)
    }

    fn seqs_of(store: &MemoryStore, subject: &Subject, record: &SubjectRecord, from: u64) -> Vec<u64> {
        let mut seqs = Vec::new();
        Runs::new(store, STREAM, subject.as_str(), record)
            .visit(from, &mut |run| {
                seqs.extend(run.filter(|seq| *seq >= from));
                true
            })
            .unwrap();
        seqs
    }

    proptest! {
        #[test]
        fn runs_are_exactly_the_subjects_events(steps in steps()) {
            // One name is a prefix of another.
            let subjects = ["", "a", "a:b"].map(|name| Subject::parse(name).unwrap());
            let mut model: [BTreeSet<u64>; 3] = Default::default();
            let mut records: [SubjectRecord; 3] = Default::default();
            let mut store = MemoryStore(BTreeMap::new());
            let mut next_seq = 1;
            for step in steps {
                match step {
                    Step::Append(of, count) => for _ in 0..count {
                        records[of].append((STREAM, &subjects[of]), (next_seq, id(next_seq), 10), &mut store).unwrap();
                        model[of].insert(next_seq);
                        next_seq += 1;
                    },
                    Step::Trim(of, count) => {
                        let gone: Vec<u64> = model[of].iter().copied().take(count.into()).collect();
                        let Some(&newest) = gone.last() else { continue };
                        model[of].retain(|seq| *seq > newest);
                        let all = (gone.len() as u64, 10 * gone.len() as u64);
                        records[of].trim((STREAM, &subjects[of]), (newest, id(newest)), all, 0, &mut store).unwrap();
                    }
                    Step::Remove(of, nth) => {
                        let all: Vec<u64> = model[of].iter().copied().collect();
                        let Some(&seq) = all.get(usize::from(nth) % all.len().max(1)) else { continue };
                        model[of].remove(&seq);
                        records[of].remove((STREAM, &subjects[of]), (seq, id(seq), 10), &mut store).unwrap();
                    }
                }
                for (of, subject) in subjects.iter().enumerate() {
                    let wanted: Vec<u64> = model[of].iter().copied().collect();
                    prop_assert_eq!(records[of].count, wanted.len() as u64);
                    prop_assert_eq!(records[of].bytes, 10 * wanted.len() as u64);
                    prop_assert_eq!(&seqs_of(&store, subject, &records[of], 0), &wanted);
                    for from in [next_seq / 2, next_seq] {
                        let later: Vec<u64> = model[of].range(from..).copied().collect();
                        prop_assert_eq!(&seqs_of(&store, subject, &records[of], from), &later);
                    }
                    for count in [1u64, 2, 5] {
                        let runs = Runs::new(&store, STREAM, subject.as_str(), &records[of]);
                        let last = wanted[wanted.len().saturating_sub(count as usize)..].first().copied();
                        prop_assert_eq!(runs.last(count).unwrap(), last.unwrap_or(records[of].last_seq + 1));
                    }
                }
            }
        }

        #[test]
        fn holes_are_exactly_the_removed_seqs(
            removed in proptest::collection::vec(2..40u64, 0..40), below in 0..45u64,
        ) {
            let mut store = MemoryStore(BTreeMap::new());
            let mut model = BTreeSet::new();
            for seq in removed {
                if model.insert(seq) {
                    add_hole(STREAM, seq, &mut store).unwrap();
                }
            }
            for (from, to) in (1..45u64).flat_map(|from| (from..45).map(move |to| (from, to))) {
                let all = (from..=to).all(|seq| model.contains(&seq));
                prop_assert_eq!(is_hole(STREAM, from..=to, &store).unwrap(), all, "{}..={}", from, to);
            }
            let gaps = model.iter().filter(|seq| !model.contains(&(**seq + 1))).count();
            prop_assert_eq!(store.0.len(), gaps);
            forget_holes(STREAM, below, usize::MAX, &mut store).unwrap();
            for seq in model.range(below..) {
                prop_assert!(is_hole(STREAM, *seq..=*seq, &store).unwrap());
            }
        }
    }

    #[test]
    fn a_stream_of_one_subject_writes_no_runs() {
        let mut store = MemoryStore(BTreeMap::new());
        let mut record = SubjectRecord::default();
        for seq in 1..1000 {
            record.append((STREAM, &Subject::own()), (seq, id(seq), 1), &mut store).unwrap();
        }
        assert!(store.0.is_empty());
        assert_eq!(seqs_of(&store, &Subject::own(), &record, 998), [998, 999]);
    }
}
