//! Subjects' records as the transaction sees them, and the bound on how many subjects a stream remembers.

use super::{StateError, Streams, TopicRecord, keys};
use crate::core::codec;
use crate::core::ids::TopicId;
use crate::core::state::subjects::SubjectRecord;
use crate::core::store::{ReadStore, StoreError, WriteStore};
use crate::core::subject::Subject;

/// The largest number of records of subjects without events. They are kept because they tell gaps; beyond it
/// the oldest are forgotten.
pub(in crate::core::state) const MAX_EMPTY: u64 = 4096;

impl Streams {
    /// Returns the subject's record.
    pub(super) fn subject<S: ReadStore>(
        &self,
        stream: TopicId,
        subject: &Subject,
        store: &S,
    ) -> Result<Option<SubjectRecord>, StateError> {
        if subject.is_own() {
            return Ok(self.topics.get(&stream).map(|record| record.own.clone()));
        }
        if let Some(record) = self.touched.get(&(stream, subject.clone())) {
            return Ok(Some(record.clone()));
        }
        let bytes = store.get(&keys::subject(stream, subject.as_str()))?;
        Ok(bytes.map(|bytes| codec::decode(&bytes)).transpose()?)
    }

    /// Changes the subject's record, and creates it if there is none.
    pub(super) fn change_subject<S: WriteStore>(
        &mut self,
        stream: TopicId,
        subject: &Subject,
        store: &mut S,
        change: impl FnOnce(&mut SubjectRecord, &mut S) -> Result<(), StoreError>,
    ) -> Result<(), StateError> {
        let known = if subject.is_own() { None } else { self.subject(stream, subject, store)? };
        let Some(record) = self.topics.get_mut(&stream) else { return Ok(()) };
        self.dirty.insert(stream);
        if subject.is_own() {
            return Ok(change(&mut record.own, store)?);
        }
        let is_new = known.is_none();
        let mut one = known.unwrap_or_else(|| record.unknown_subject());
        let had = one.count > 0;
        let counts = u64::from(subject.channel().is_none());
        let trimmed_seq = one.trimmed_seq;
        change(&mut one, store)?;
        match (had, one.count > 0) {
            (false, true) => {
                if !is_new {
                    store.delete(&keys::empty(stream, trimmed_seq))?;
                    record.empty = record.empty.saturating_sub(1);
                }
                record.subjects += counts;
            }
            (true, false) => {
                store.put(&keys::empty(stream, one.trimmed_seq), subject.as_str().as_bytes())?;
                record.subjects = record.subjects.saturating_sub(counts);
                record.empty += 1;
            }
            _ => {}
        }
        self.touched.insert((stream, subject.clone()), one);
        self.forget_empty(stream, store)
    }

    /// Forgets subjects without events beyond the bound, those with the oldest events first.
    fn forget_empty<S: WriteStore>(&mut self, stream: TopicId, store: &mut S) -> Result<(), StateError> {
        while let Some(record) = self.topics.get_mut(&stream).filter(|record| record.empty > MAX_EMPTY) {
            let (from, to) = keys::of_stream(keys::EMPTIES, stream);
            let mut oldest = None;
            store.scan(&from, &to, &mut |key, name| {
                oldest = std::str::from_utf8(name).ok().map(|name| (key.to_vec(), name.to_owned()));
                false
            })?;
            let parsed = oldest.and_then(|(key, name)| Some((key, Subject::parse_any(&name).ok()?)));
            record.empty -= 1;
            let Some((key, subject)) = parsed else { return Ok(()) };
            store.delete(&key)?;
            let Some(gone) = self.subject(stream, &subject, store)? else { continue };
            self.touched.remove(&(stream, subject.clone()));
            store.delete(&keys::subject(stream, subject.as_str()))?;
            if let Some(record) = self.topics.get_mut(&stream) {
                forget(record, &gone);
            }
        }
        Ok(())
    }

    /// Returns how many of these subjects have no event.
    pub(super) fn count_new<'e, S: ReadStore>(
        &self,
        stream: TopicId,
        subjects: impl Iterator<Item = &'e Subject>,
        store: &S,
    ) -> Result<u64, StateError> {
        let mut named: Vec<&Subject> = subjects.filter(|subject| !subject.is_own()).collect();
        named.sort_unstable();
        named.dedup();
        let mut count = 0;
        for subject in named {
            count += u64::from(self.subject(stream, subject, store)?.is_none_or(|record| record.count == 0));
        }
        Ok(count)
    }
}

fn forget(record: &mut TopicRecord, gone: &SubjectRecord) {
    (record.forgotten_seq, record.forgotten_id) =
        (record.forgotten_seq, record.forgotten_id).max((gone.trimmed_seq, gone.trimmed_id));
}
