//! The history of a stream as readers of some of its subjects see it: where a reader starts, and the events
//! from there on.
//!
//! Ids and seqs sort alike, so an id is found by bisection and needs no index. Times may go back, but the
//! highest time so far, which is stored with each event, does not: the first event that has it is the first
//! of that time or later.
//!
//! The id of any event of the stream is a position for every reader, whatever subjects it wants, even if the
//! event was removed. A reader is told a gap if an event that it wants, after its position, was removed.
//! Where the stream knows too little, it tells a gap too many and never one too few: for subjects whose
//! records were forgotten, and where more subjects match than are examined.

mod gone;
mod locate;
mod page;
mod subjects;
#[cfg(test)]
mod tests;

pub use page::{Bounds, Page};
pub use subjects::StoredSubject;

use super::ids::{EventId, TopicId};
use super::state::subjects::{Runs, SubjectRecord};
use super::state::{TopicRecord, keys};
use super::store::{ReadStore, StoreError};
use super::subject::{CHANNEL_PREFIX, Selector, Several, Subject};
use std::sync::Arc;

/// The largest number of subjects that are examined for one answer.
const MAX_VISITED: usize = 10_000;

/// Where a reader asks to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the next new event.
    Live,
    /// After that event.
    After(EventId),
    /// With the first event, by seq, of that time or later (Unix milliseconds).
    Since(u64),
    /// With the last events, of this number.
    Last(u64),
}

impl Start {
    /// Returns whether a reader that starts here is told of requested events that were removed.
    pub fn tells_gaps(self) -> bool {
        matches!(self, Self::After(_) | Self::Since(_))
    }
}

/// The position at which a reader starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The seq to read from: the next event that the reader wants has this seq or a higher one.
    pub next_seq: u64,
    /// The position right before that seq: a reader that resumes by it starts here again. It is the id of an
    /// event of this stream, which may have been removed, or [`EventId::ZERO`] if there is no earlier event.
    pub before: EventId,
    /// Newest seq of the stream.
    pub head_seq: u64,
    /// Id of that event. It stays when the event is removed.
    pub head_id: EventId,
    /// Whether the reader starts where it asked to. It does not if it named a position that this stream does
    /// not have.
    pub is_known: bool,
    /// Set if some of the requested events were removed: reading starts with this oldest event that is left,
    /// if there is one.
    pub gap: Option<Option<EventId>>,
    /// Highest seq of a removed event that the reader wants; 0 if there is none. The reader knows of removals
    /// up to this seq.
    pub gone_seq: u64,
}

impl Position {
    /// Where a reader of a stream starts that never had an event.
    pub const OF_EMPTY: Self = Self {
        next_seq: 1,
        before: EventId::ZERO,
        head_seq: 0,
        head_id: EventId::ZERO,
        is_known: true,
        gap: None,
        gone_seq: 0,
    };
}

/// Why a stream's history cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored event cannot be decoded, or is missing although nothing was removed there.
    #[error("event {seq} of topic {topic} is damaged")]
    Damaged {
        /// The stream.
        topic: TopicId,
        /// The seq.
        seq: u64,
    },
    /// A subject's record cannot be decoded.
    #[error("the record of a subject of topic {topic} is damaged")]
    Subject {
        /// The stream.
        topic: TopicId,
    },
}

/// A stream in a store, for a reader of some of its events.
pub struct History<'s, S> {
    store: &'s S,
    stream: TopicId,
    record: TopicRecord,
    wanted: Wanted,
    /// Whether events that are kept for webhooks alone are included.
    backlog: bool,
}

/// Which events of the stream the reader receives.
enum Wanted {
    /// Every event, of any subject.
    Whole,
    /// The events of one subject, with its record.
    One(Subject, SubjectRecord),
    /// The events of several subjects.
    Several(Arc<Several>),
    /// All events except those of the server's own subjects.
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
    /// Opens the whole stream. A stream that never had an event is empty.
    pub fn open(store: &'s S, stream: TopicId) -> Result<Self, HistoryError> {
        let record = match store.get(&keys::topic(stream))? {
            Some(bytes) => {
                super::codec::decode(&bytes).map_err(|_| HistoryError::Damaged { topic: stream, seq: 0 })?
            }
            None => TopicRecord::default(),
        };
        Ok(Self { store, stream, record, wanted: Wanted::Whole, backlog: false })
    }

    /// Opens the stream for a reader of those subjects.
    pub fn of(store: &'s S, stream: TopicId, selector: &Selector) -> Result<Self, HistoryError> {
        let mut history = Self::open(store, stream)?;
        history.wanted = match selector {
            Selector::One(one) => Wanted::One(one.clone(), history.subject(one)?),
            Selector::Several(several) => Wanted::Several(several.clone()),
            Selector::All => Wanted::All,
        };
        Ok(history)
    }

    /// Includes the events that retention took from readers and keeps for webhooks.
    pub fn with_backlog(mut self) -> Self {
        self.record.first_seq = self.record.stored_seq;
        self.backlog = true;
        self
    }

    /// Returns the newest seq of the stream; 0 before the first event.
    pub fn head_seq(&self) -> u64 {
        self.record.next_seq - 1
    }

    /// Returns the oldest seq that is left. It need not be the seq of an event.
    pub fn first_seq(&self) -> u64 {
        self.record.first_seq
    }

    fn subject(&self, subject: &Subject) -> Result<SubjectRecord, HistoryError> {
        if subject.is_own() {
            return Ok(self.record.own.clone());
        }
        match self.store.get(&keys::subject(self.stream, subject.as_str()))? {
            Some(bytes) => self.decode_subject(&bytes),
            None => Ok(self.record.unknown_subject(subject.as_str())),
        }
    }

    fn decode_subject(&self, bytes: &[u8]) -> Result<SubjectRecord, HistoryError> {
        super::codec::decode(bytes).map_err(|_| HistoryError::Subject { topic: self.stream })
    }

    fn runs<'a>(&'a self, subject: &'a Subject, record: &'a SubjectRecord) -> Runs<'a, &'a S> {
        Runs::new(self.store, self.stream, subject.as_str(), record)
    }

    /// Visits the records of several subjects: the named ones, and all whose names begin with a pattern's
    /// prefix. Returns whether these were all: at most [`MAX_VISITED`] are examined.
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
        // It is unknown whether subjects whose records were forgotten match. No pattern matches both those that
        // clients name and those of lifecycle events.
        let reserved = several.patterns().iter().filter(|pattern| pattern.prefix().starts_with('$')).count();
        if reserved < several.patterns().len() {
            visit(&self.record.unknown_subject(""));
        }
        if reserved > 0 {
            visit(&self.record.unknown_subject(CHANNEL_PREFIX));
        }
        let mut prefixes: Vec<&str> = several.patterns().iter().map(|pattern| pattern.prefix()).collect();
        prefixes.sort_unstable();
        // In sorted order a prefix follows every shorter one that it begins with, and is visited with it.
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

    /// Visits the records of all subjects except the server's own. Returns whether these were all.
    fn visit_open(&self, visit: &mut dyn FnMut(&SubjectRecord)) -> Result<bool, HistoryError> {
        visit(&self.record.own);
        visit(&self.record.unknown_subject(""));
        // However many subjects of the server there are, they are passed over.
        let (first, last) = keys::subjects_from(self.stream, "");
        let (reserved, after) = keys::subjects_from(self.stream, "$");
        let mut left = MAX_VISITED;
        let mut visit = |_: &str, record: &SubjectRecord| visit(record);
        Ok(self.visit_range((&first, &reserved), &mut left, &mut visit)?
            && self.visit_range((&after, &last), &mut left, &mut visit)?)
    }

    /// Visits the subjects whose names begin with `prefix`, without the map's own subject, at most `left` of
    /// them. Returns whether these were all.
    fn visit_named(
        &self,
        prefix: &str,
        left: &mut usize,
        visit: &mut dyn FnMut(&str, &SubjectRecord),
    ) -> Result<bool, HistoryError> {
        let (from, to) = keys::subjects_from(self.stream, prefix);
        self.visit_range((&from, &to), left, visit)
    }

    /// Visits the subjects in a range of their keys, at most `left` of them. Returns whether these were all.
    fn visit_range(
        &self,
        (from, to): (&[u8], &[u8]),
        left: &mut usize,
        visit: &mut dyn FnMut(&str, &SubjectRecord),
    ) -> Result<bool, HistoryError> {
        let mut damaged = None;
        let mut is_whole = true;
        self.store.scan(from, to, &mut |key, value| {
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

    /// Returns whether the stream has, or had, events of the server's own subjects.
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
