//! The list of subjects that have events in a stream.

use super::{History, HistoryError};
use crate::core::state::keys;
use crate::core::state::subjects::SubjectRecord;
use crate::core::store::ReadStore;
use crate::core::subject::Subject;

/// A subject and what readers can read of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSubject {
    /// The subject.
    pub subject: Subject,
    /// Seq of its oldest event.
    pub first_seq: u64,
    /// Seq of its newest event.
    pub last_seq: u64,
    /// The number of events.
    pub count: u64,
    /// Their bytes, as stored.
    pub bytes: u64,
}

impl<S: ReadStore> History<'_, S> {
    /// Returns the subjects that have events and whose names begin with `prefix`, by name, at most `max` of
    /// those after `after`. The server's own subjects are left out.
    pub fn subjects(
        &self,
        prefix: &str,
        after: Option<&Subject>,
        max: usize,
    ) -> Result<Vec<StoredSubject>, HistoryError> {
        let mut found = Vec::new();
        if prefix.is_empty() && after.is_none() && self.record.own.count > 0 {
            found.push((Subject::own(), self.record.own.clone()));
        }
        let (mut from, to) = keys::subjects_from(self.stream, prefix);
        if let Some(after) = after {
            let mut behind = keys::subject(self.stream, after.as_str());
            // The first key right behind it.
            behind.push(0);
            from = from.max(behind);
        }
        if from > to {
            return Ok(Vec::new());
        }
        let mut damaged = None;
        self.store.scan(&from, &to, &mut |key, value| {
            let name = keys::subject_name(key).and_then(|name| Subject::parse_any(name).ok());
            match (name, self.decode_subject(value)) {
                (Some(name), Ok(record)) if record.count > 0 && !name.is_reserved() && !name.is_own() => {
                    found.push((name, record));
                }
                (_, Ok(_)) => {}
                (_, Err(error)) => damaged = Some(error),
            }
            damaged.is_none() && found.len() < max
        })?;
        match damaged {
            Some(error) => Err(error),
            None => found.iter().take(max).map(|(name, record)| self.stored(name, record)).collect(),
        }
    }

    fn stored(&self, subject: &Subject, record: &SubjectRecord) -> Result<StoredSubject, HistoryError> {
        let mut first_seq = record.first_seq;
        let mut last_seq = record.last_seq;
        self.runs(subject, record).visit(0, &mut |run| {
            first_seq = *run.start();
            false
        })?;
        self.runs(subject, record).visit_back(&mut |run| {
            last_seq = *run.end();
            false
        })?;
        let count = record.count;
        let bytes = record.bytes;
        Ok(StoredSubject { subject: subject.clone(), first_seq, last_seq, count, bytes })
    }
}
