//! Subjects' records as the transaction sees them, and the bound on how many subjects a stream remembers.

use super::record::Empties;
use super::{StateError, Streams, keys};
use crate::core::codec;
use crate::core::ids::TopicId;
use crate::core::state::subjects::SubjectRecord;
use crate::core::store::{ReadStore, StoreError, WriteStore};
use crate::core::subject::Subject;

/// The largest number of records of subjects without events, of those that clients name and of those of lifecycle
/// events each. They are kept because they tell gaps; beyond it the oldest are forgotten.
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
        let mut one = known.unwrap_or_else(|| record.unknown_subject(subject.as_str()));
        let had = one.count > 0;
        let counts = u64::from(!subject.is_reserved());
        let kind = Empties::of(subject.as_str());
        let trimmed_seq = one.trimmed_seq;
        change(&mut one, store)?;
        match (had, one.count > 0) {
            (false, true) => {
                if !is_new {
                    store.delete(&keys::empty(kind.prefix(), stream, trimmed_seq))?;
                    let empty = record.empty_of(kind);
                    *empty = empty.saturating_sub(1);
                }
                record.subjects += counts;
            }
            (true, false) => {
                let key = keys::empty(kind.prefix(), stream, one.trimmed_seq);
                store.put(&key, subject.as_str().as_bytes())?;
                record.subjects = record.subjects.saturating_sub(counts);
                *record.empty_of(kind) += 1;
            }
            _ => {}
        }
        self.touched.insert((stream, subject.clone()), one);
        self.forget_empty(stream, kind, store)
    }

    /// Forgets subjects of a kind without events beyond the bound, those with the oldest events first.
    fn forget_empty<S: WriteStore>(
        &mut self,
        stream: TopicId,
        kind: Empties,
        store: &mut S,
    ) -> Result<(), StateError> {
        while let Some(empty) = self.topics.get_mut(&stream).map(|record| record.empty_of(kind))
            && *empty > MAX_EMPTY
        {
            let (from, to) = keys::of_stream(kind.prefix(), stream);
            let mut oldest = None;
            store.scan(&from, &to, &mut |key, name| {
                oldest = std::str::from_utf8(name).ok().map(|name| (key.to_vec(), name.to_owned()));
                false
            })?;
            let parsed = oldest.and_then(|(key, name)| Some((key, Subject::parse_any(&name).ok()?)));
            *empty -= 1;
            let Some((key, subject)) = parsed else { return Ok(()) };
            store.delete(&key)?;
            let Some(gone) = self.subject(stream, &subject, store)? else { continue };
            self.touched.remove(&(stream, subject.clone()));
            store.delete(&keys::subject(stream, subject.as_str()))?;
            if let Some(record) = self.topics.get_mut(&stream) {
                record.forget(subject.as_str(), &gone);
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
