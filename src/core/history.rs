//! A topic's past: where a resuming reader starts, and the events from there on.
//!
//! Ids and seqs sort alike, so an id is found by bisection and needs no index of its own. Times may go back, but the
//! highest time so far, which is stored with each event, does not: the first event that has it is the first of that
//! time or later.

use super::event::{Event, Times};
use super::ids::{EventId, TopicId};
use super::state::{TopicRecord, keys};
use super::store::{ReadStore, StoreError};
use bytes::Bytes;

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
    /// Seq of the next event to read.
    pub next_seq: u64,
    /// The position right before that event: who resumes by it starts here again. It is the id of an event of this
    /// topic, of the last that retention removed, or [`EventId::ZERO`] where nothing ever came before.
    pub before: EventId,
    /// Newest seq stored.
    pub head_seq: u64,
    /// Newest id stored, or of what retention last removed.
    pub head_id: EventId,
    /// Part of what was asked for is gone: reading starts with this oldest event that is left, if there is any.
    pub gap: Option<Option<EventId>>,
}

/// Why a topic's past can't be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored event is not readable.
    #[error("event {seq} of topic {topic} is damaged")]
    Damaged {
        /// The topic.
        topic: TopicId,
        /// The seq.
        seq: u64,
    },
}

/// A topic as it stands in a store.
pub struct History<'s, S> {
    store: &'s S,
    topic: TopicId,
    record: TopicRecord,
}

impl<'s, S: ReadStore> History<'s, S> {
    /// Opens the topic; one that never had an event is empty.
    pub fn open(store: &'s S, topic: TopicId) -> Result<Self, HistoryError> {
        let record = match store.get(&keys::topic(topic))? {
            Some(bytes) => super::codec::decode(&bytes).map_err(|_| HistoryError::Damaged { topic, seq: 0 })?,
            None => TopicRecord::default(),
        };
        Ok(Self { store, topic, record })
    }

    /// With the events that retention took from readers and keeps for webhooks.
    pub fn with_backlog(mut self) -> Self {
        self.record.first_seq = self.record.stored_seq;
        self
    }

    /// Newest seq stored; 0 before the first event.
    pub fn head_seq(&self) -> u64 {
        self.record.next_seq - 1
    }

    /// Oldest seq that is left.
    pub fn first_seq(&self) -> u64 {
        self.record.first_seq
    }

    /// Where a reader starts.
    pub fn locate(&self, start: Start) -> Result<Position, HistoryError> {
        let record = &self.record;
        let (next_seq, complete) = match start {
            Start::Live => (record.next_seq, true),
            Start::Last(count) => (record.next_seq.saturating_sub(count).max(record.first_seq), true),
            Start::Since(ms) => {
                let nothing_gone = record.trimmed_id == EventId::ZERO;
                let first = self.first_where(|_, times| times.peak_ms >= ms)?;
                (first, nothing_gone || record.trimmed_peak_ms < ms)
            }
            Start::After(id) => match self.seq_of(id)? {
                Some(seq) => (seq + 1, true),
                // Retention removed it and more, or it is no position of this topic: the reader is told, and gets all
                // that is left.
                None => (record.first_seq, false),
            },
        };
        let gap = if complete || crate::broken!("gap-not-told") { None } else { Some(self.id_at(record.first_seq)?) };
        let before = self.position_before(next_seq)?;
        Ok(Position { next_seq, before, head_seq: self.head_seq(), head_id: record.head_id, gap })
    }

    /// The seq at which a position lies: that of an event that is stored, or of the newest that retention removed.
    fn seq_of(&self, id: EventId) -> Result<Option<u64>, HistoryError> {
        let record = &self.record;
        if id == record.head_id {
            return Ok(Some(record.next_seq - 1));
        }
        if id == record.trimmed_id {
            return Ok(Some(record.first_seq - 1));
        }
        let seq = self.first_where(|found, _| found >= id)?;
        Ok((self.id_at(seq)? == Some(id)).then_some(seq))
    }

    /// The position by which a reader starts at `seq`, which must not lie before what is left.
    fn position_before(&self, seq: u64) -> Result<EventId, HistoryError> {
        let record = &self.record;
        if seq >= record.next_seq {
            return Ok(record.head_id);
        }
        Ok(self.id_at(seq.saturating_sub(1))?.unwrap_or(record.trimmed_id))
    }

    /// Seq of the first event for which `is_there` holds, as it must for all behind that; one past the head when there
    /// is none.
    fn first_where(&self, is_there: impl Fn(EventId, Times) -> bool) -> Result<u64, HistoryError> {
        let (mut low, mut high) = (self.record.first_seq, self.record.next_seq);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.found_at(middle)? {
                Some((id, times)) if !is_there(id, times) => low = middle + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// The id of the event at `seq`, if it is kept.
    pub fn id_at(&self, seq: u64) -> Result<Option<EventId>, HistoryError> {
        Ok(self.found_at(seq)?.map(|(id, _)| id))
    }

    fn found_at(&self, seq: u64) -> Result<Option<(EventId, Times)>, HistoryError> {
        if seq < self.record.first_seq || seq >= self.record.next_seq {
            return Ok(None);
        }
        let damaged = || HistoryError::Damaged { topic: self.topic, seq };
        let bytes = self.store.get(&keys::event(self.topic, seq))?.ok_or_else(damaged)?;
        let found = Event::stored_id(&bytes).zip(Event::stored_times(&bytes));
        found.map(Some).ok_or_else(damaged)
    }

    /// Reads events from `from_seq` on: at most `max_events`, and no more once `max_bytes` are reached.
    ///
    /// Starts at the oldest event that is left where `from_seq` is gone; the caller sees it by the seq.
    pub fn read(&self, from_seq: u64, max_events: usize, max_bytes: usize) -> Result<Vec<Event>, HistoryError> {
        let from_seq = from_seq.max(self.record.first_seq);
        let mut events = Vec::new();
        let mut expected = from_seq;
        let mut bytes = 0;
        let mut damaged = None;
        if from_seq >= self.record.next_seq || max_events == 0 {
            return Ok(events);
        }
        let (from, to) = (keys::event(self.topic, from_seq), keys::event(self.topic, self.record.next_seq));
        self.store.scan(&from, &to, &mut |key, value| {
            let event = keys::event_seq(key)
                .filter(|seq| *seq == expected)
                .and_then(|seq| Event::from_stored(seq, Bytes::copy_from_slice(value)));
            let Some(event) = event else {
                damaged = Some(HistoryError::Damaged { topic: self.topic, seq: expected });
                return false;
            };
            expected += 1;
            bytes += value.len();
            events.push(event);
            events.len() < max_events && bytes < max_bytes
        })?;
        match damaged {
            Some(error) => Err(error),
            None if events.is_empty() => Err(HistoryError::Damaged { topic: self.topic, seq: expected }),
            None => Ok(events),
        }
    }
}
