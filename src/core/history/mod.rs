//! A stream's past, as readers of some of its subjects see it: where a reader starts, and the events from there on.
//!
//! Ids and seqs sort alike, so an id is found by bisection and needs no index of its own. Times may go back, but the
//! highest time so far, which is stored with each event, does not: the first event that has it is the first of that
//! time or later.
//!
//! Any event of the stream is a position for every reader, whatever subjects it wants, and also when the event itself
//! was removed. A reader is told a gap when an event that it wants, after its position, is gone. Where the stream knows
//! too little it is told one too many, never one too few: of subjects whose records were forgotten, and of more subjects
//! than are looked through.

mod gone;
mod page;
mod place;
mod subjects;
#[cfg(test)]
mod tests;

pub use page::{Bounds, Page};
pub use subjects::StoredSubject;

use super::ids::{EventId, TopicId};
use super::state::subjects::{Runs, SubjectRecord};
use super::state::{TopicRecord, keys};
use super::store::{ReadStore, StoreError};
use super::subject::{Selector, Several, Subject};
use std::sync::Arc;

/// Subjects looked at for one answer.
const MAX_VISITED: usize = 10_000;

/// Where a reader wants to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With what comes from now on.
    Live,
    /// After that event.
    After(EventId),
    /// With the first event, by seq, of that time or later (Unix milliseconds).
    Since(u64),
    /// With the last so many events.
    Last(u64),
}

/// Where a reader does start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Seq to read from: the next event that the reader wants has it, or a higher one.
    pub next_seq: u64,
    /// The position right before that seq: who resumes by it starts here again. It is the id of an event of this
    /// stream, also of one that was removed, or [`EventId::ZERO`] where nothing ever came before.
    pub before: EventId,
    /// Newest seq of the stream.
    pub head_seq: u64,
    /// Id of that event, kept when it is removed.
    pub head_id: EventId,
    /// Whether this is where the reader asked to start; not so where it named a position that is none of this stream.
    pub is_known: bool,
    /// Part of what was asked for is gone: reading starts with this oldest event that is left, if there is any.
    pub gap: Option<Option<EventId>>,
    /// Highest seq of an event that the reader wants and that is gone; 0 where none is. What is gone up to there is no
    /// news to this reader.
    pub gone_seq: u64,
}

/// Why a stream's past can't be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored event is not readable, or missing where nothing was removed.
    #[error("event {seq} of topic {topic} is damaged")]
    Damaged {
        /// The stream.
        topic: TopicId,
        /// The seq.
        seq: u64,
    },
    /// A subject's record is not readable.
    #[error("the record of a subject of topic {topic} is damaged")]
    Subject {
        /// The stream.
        topic: TopicId,
    },
}

/// A stream as it stands in a store, for a reader of some of its events.
pub struct History<'s, S> {
    store: &'s S,
    stream: TopicId,
    record: TopicRecord,
    wanted: Wanted,
    /// With what is kept for webhooks alone.
    backlog: bool,
}

/// Which events of the stream the reader gets.
enum Wanted {
    /// Every one, of whatever subject.
    Whole,
    /// Those of one subject, which has that record.
    One(Subject, SubjectRecord),
    /// Those of several subjects.
    Several(Arc<Several>),
    /// All but the server's own.
    All,
}

impl Wanted {
    fn matches(&self, subject: &str) -> bool {
        match self {
            Self::Whole => true,
            Self::One(one, _) => one.as_str() == subject,
            Self::Several(several) => several.matches(subject),
            Self::All => !subject.starts_with('$'),
        }
    }
}

impl<'s, S: ReadStore> History<'s, S> {
    /// Opens the whole stream; one that never had an event is empty.
    pub fn open(store: &'s S, stream: TopicId) -> Result<Self, HistoryError> {
        let record = match store.get(&keys::topic(stream))? {
            Some(bytes) => {
                super::codec::decode(&bytes).map_err(|_| HistoryError::Damaged { topic: stream, seq: 0 })?
            }
            None => TopicRecord::default(),
        };
        Ok(Self { store, stream, record, wanted: Wanted::Whole, backlog: false })
    }

    /// Opens what a reader of those subjects gets of the stream.
    pub fn of(store: &'s S, stream: TopicId, selector: &Selector) -> Result<Self, HistoryError> {
        let mut history = Self::open(store, stream)?;
        history.wanted = match selector {
            Selector::One(one) => Wanted::One(one.clone(), history.subject(one)?),
            Selector::Several(several) => Wanted::Several(several.clone()),
            Selector::All => Wanted::All,
        };
        Ok(history)
    }

    /// With the events that retention took from readers and keeps for webhooks.
    pub fn with_backlog(mut self) -> Self {
        self.record.first_seq = self.record.stored_seq;
        self.backlog = true;
        self
    }

    /// Newest seq of the stream; 0 before the first event.
    pub fn head_seq(&self) -> u64 {
        self.record.next_seq - 1
    }

    /// Oldest seq that is left. Not always an event's.
    pub fn first_seq(&self) -> u64 {
        self.record.first_seq
    }

    fn subject(&self, subject: &Subject) -> Result<SubjectRecord, HistoryError> {
        if subject.is_own() {
            return Ok(self.record.own.clone());
        }
        match self.store.get(&keys::subject(self.stream, subject.as_str()))? {
            Some(bytes) => self.decode_subject(&bytes),
            None => Ok(self.record.unknown_subject()),
        }
    }

    fn decode_subject(&self, bytes: &[u8]) -> Result<SubjectRecord, HistoryError> {
        super::codec::decode(bytes).map_err(|_| HistoryError::Subject { topic: self.stream })
    }

    fn runs<'a>(&'a self, subject: &'a Subject, record: &'a SubjectRecord) -> Runs<'a, &'a S> {
        Runs::new(self.store, self.stream, subject.as_str(), record)
    }

    /// Visits the records of several subjects: what is named, and all that begin as a pattern does. Answers whether that
    /// were all: at most [`MAX_VISITED`] are looked at.
    fn visit_records(
        &self,
        several: &Several,
        visit: &mut dyn FnMut(&SubjectRecord),
    ) -> Result<bool, HistoryError> {
        if several.matches("") {
            visit(&self.record.own);
        }
        for name in several.named().iter().filter(|name| !name.is_own()) {
            visit(&self.subject(name)?);
        }
        if !several.patterns().is_empty() {
            // Of subjects whose records were forgotten nobody knows whether they fit.
            visit(&self.record.unknown_subject());
        }
        let mut prefixes: Vec<&str> = several.patterns().iter().map(|pattern| pattern.prefix()).collect();
        prefixes.sort_unstable();
        // Sorted, what begins like another comes right behind it, and is visited with it.
        prefixes.dedup_by(|longer, shorter| longer.starts_with(*shorter));
        let mut left = MAX_VISITED;
        for prefix in prefixes {
            let is_whole = self.visit_named(prefix, &mut left, &mut |name, record| {
                let is_named = several.named().binary_search_by(|probe| probe.as_str().cmp(name)).is_ok();
                if !is_named && several.matches(name) {
                    visit(record);
                }
            })?;
            if !is_whole {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Visits the records of all subjects but the server's own. Answers whether that were all.
    fn visit_open(&self, visit: &mut dyn FnMut(&SubjectRecord)) -> Result<bool, HistoryError> {
        visit(&self.record.own);
        visit(&self.record.unknown_subject());
        self.visit_named("", &mut MAX_VISITED.clone(), &mut |name, record| {
            if !name.starts_with('$') {
                visit(record);
            }
        })
    }

    /// Visits the subjects whose names begin so, but the map's own, `left` of them at most. Answers whether that were all.
    fn visit_named(
        &self,
        prefix: &str,
        left: &mut usize,
        visit: &mut dyn FnMut(&str, &SubjectRecord),
    ) -> Result<bool, HistoryError> {
        let (from, to) = keys::subjects_from(self.stream, prefix);
        let (mut damaged, mut is_whole) = (None, true);
        self.store.scan(&from, &to, &mut |key, value| {
            is_whole = *left > 0;
            if !is_whole {
                return false;
            }
            *left -= 1;
            match (keys::subject_name(key), self.decode_subject(value)) {
                (Some(name), Ok(record)) => visit(name, &record),
                (None, _) => {}
                (_, Err(error)) => damaged = Some(error),
            }
            damaged.is_none()
        })?;
        damaged.map_or(Ok(is_whole), Err)
    }

    /// Whether the stream has, or had, events of the server's own subjects.
    fn has_reserved(&self) -> Result<bool, HistoryError> {
        let (from, to) = keys::subjects_from(self.stream, "$");
        let mut found = false;
        self.store.scan(&from, &to, &mut |_, _| {
            found = true;
            false
        })?;
        Ok(found)
    }

    fn damaged(&self, seq: u64) -> HistoryError {
        HistoryError::Damaged { topic: self.stream, seq }
    }
}
