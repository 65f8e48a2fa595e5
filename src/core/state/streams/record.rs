//! The record of a stream.

use super::keys;
use crate::core::channel_rules::ChannelRules;
use crate::core::ids::{EventId, WebhookId};
use crate::core::rate::Charged;
use crate::core::retention::LifecycleBound;
use crate::core::state::subjects::SubjectRecord;
use crate::core::subject::{CHANNEL_PREFIX, Subject};
use serde::{Deserialize, Serialize};

/// The record of a stream: which events it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicRecord {
    /// Readers have lost the events below this seq. It need not be the seq of an event.
    pub first_seq: u64,
    /// The oldest stored seq. Events before `first_seq` are kept for webhooks alone.
    pub stored_seq: u64,
    /// Seq of the next event.
    pub next_seq: u64,
    /// Id of the newest event. It stays when the event is removed.
    pub head_id: EventId,
    /// Id of the newest event that left the old end of the stream: retention removed it, or found it deleted
    /// there. An event that a rule or a deletion removed inside the stream does not count (see `removed_id`).
    pub trimmed_id: EventId,
    /// The highest time of an event (Unix milliseconds). It stays when retention removes the event.
    pub peak_ms: u64,
    /// The highest time of an event that retention removed at the old end (Unix milliseconds).
    pub trimmed_peak_ms: u64,
    /// The number of events that readers can read.
    pub count: u64,
    /// Bytes of the events that readers can read.
    pub bytes: u64,
    /// Bytes of the events that are kept for webhooks alone.
    pub backlog_bytes: u64,
    /// How many of the events kept for webhooks alone are withheld: a rule took them from readers inside the
    /// stream ([`super::keys::withheld`]).
    pub withheld: u64,
    /// Seq of the newest event that readers lost inside the stream; 0 if there is none.
    pub removed_seq: u64,
    /// Id of that event.
    pub removed_id: EventId,
    /// The record of the map's own subject. It has no key of its own.
    pub own: SubjectRecord,
    /// The number of other subjects with events, without the server's own.
    pub subjects: u64,
    /// The number of other subjects that have a record and no events, without those of lifecycle events.
    pub empty: u64,
    /// Seq of the newest event of all subjects whose records were forgotten, without those of lifecycle events;
    /// 0 if no record was. For a subject without a record it is unknown which events up to this seq were removed.
    pub forgotten_seq: u64,
    /// Id of that event.
    pub forgotten_id: EventId,
    /// Deleted histories of subjects that are not completely removed yet.
    pub deletions: Vec<Deletion>,
    /// For each rule: events below this seq were checked for their age. One more entry is for the lifecycle
    /// events that no rule of the map covers, once there was one.
    pub aged: Vec<u64>,
    /// Set after a change of the rules: the first subject that is still to be checked against them.
    pub sweep: Option<Subject>,
    /// What was charged to the map's publish rates.
    pub charged: Charged,
    /// The number of idempotency keys that are stored, with those that have expired and are still to be
    /// removed.
    pub keys: u64,
    /// What it has of lifecycle events. They are part of the other numbers, except where those say otherwise.
    pub lifecycle: LifecycleRecord,
}

/// Which subjects without events: each kind has a bound of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Empties {
    /// Those that clients name.
    Ordinary,
    /// Those of lifecycle events.
    Lifecycle,
}

impl Empties {
    /// Returns the kind of a subject.
    pub(super) fn of(subject: &str) -> Self {
        if is_lifecycle(subject) { Self::Lifecycle } else { Self::Ordinary }
    }

    /// Returns the prefix of the keys of its subjects.
    pub(super) fn prefix(self) -> u8 {
        match self {
            Self::Ordinary => keys::EMPTIES,
            Self::Lifecycle => keys::LIFECYCLE_EMPTIES,
        }
    }
}

/// The deletion of a subject's history: readers have lost all its events before `below_seq`, even where they
/// are still stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// The subject.
    pub subject: Subject,
    /// The stream's next seq at the time of the deletion.
    pub below_seq: u64,
    /// The events that are kept for webhooks alone were searched below this seq.
    pub backlog_seq: u64,
    /// How far the copies for retries and dead letters were searched: this webhook's copies below this seq,
    /// and those of all webhooks with lower ids.
    pub copies_from: (WebhookId, u64),
}

impl Deletion {
    /// Begins a deletion of all events before `below_seq`; nothing is removed yet.
    pub(super) fn new(subject: Subject, below_seq: u64) -> Self {
        Self { subject, below_seq, backlog_seq: 0, copies_from: (WebhookId::from_bytes([0; 16]), 0) }
    }
}

impl TopicRecord {
    /// Returns whether the event was deleted and is still to be removed. Nobody can read it any more.
    pub fn is_deleted(&self, subject: &str, seq: u64) -> bool {
        self.deleted_below(subject) > seq
    }

    /// Returns the seq below which all events of the subject were deleted and are still to be removed; 0 if
    /// there are none.
    pub fn deleted_below(&self, subject: &str) -> u64 {
        let found = self.deletions.iter().find(|deletion| deletion.subject.as_str() == subject);
        found.map_or(0, |deletion| deletion.below_seq)
    }

    /// Returns a record for a subject that has none: nothing is known of it.
    pub fn unknown_subject(&self, subject: &str) -> SubjectRecord {
        let (trimmed_seq, trimmed_id) = self.forgotten(subject);
        SubjectRecord { trimmed_seq, trimmed_id, ..SubjectRecord::default() }
    }

    /// Returns the newest event of all subjects of the same kind whose records were forgotten.
    pub(super) fn forgotten(&self, subject: &str) -> (u64, EventId) {
        match is_lifecycle(subject) {
            true => (self.lifecycle.forgotten_seq, self.lifecycle.forgotten_id),
            false => (self.forgotten_seq, self.forgotten_id),
        }
    }

    /// Records that the record of a subject without events was forgotten.
    pub(super) fn forget(&mut self, subject: &str, gone: &SubjectRecord) {
        let newest = self.forgotten(subject).max((gone.trimmed_seq, gone.trimmed_id));
        match is_lifecycle(subject) {
            true => (self.lifecycle.forgotten_seq, self.lifecycle.forgotten_id) = newest,
            false => (self.forgotten_seq, self.forgotten_id) = newest,
        }
    }

    /// The number of subjects of one kind that have a record and no events.
    pub(super) fn empty_of(&mut self, kind: Empties) -> &mut u64 {
        match kind {
            Empties::Ordinary => &mut self.empty,
            Empties::Lifecycle => &mut self.lifecycle.empty,
        }
    }

    /// Records that readers lost an event of the subject inside the stream.
    pub(super) fn lost_inside(&mut self, subject: &str, seq: u64, id: EventId) {
        (self.removed_seq, self.removed_id) = (self.removed_seq, self.removed_id).max((seq, id));
        self.lost(subject, id);
    }

    /// Notes that the stream has lifecycle events from its next seq on. The map has this many rules.
    pub(super) fn age_lifecycle_from(&mut self, rules: usize) {
        if self.aged.len() <= rules {
            self.aged.resize(rules, 1);
            self.aged.push(self.next_seq);
        }
    }

    /// Schedules a check of all existing events against these rules, which replace `had` rules.
    pub(super) fn begin_rules(&mut self, rules: &ChannelRules, had: usize) {
        let has_lifecycle = self.aged.len() > had;
        self.aged = vec![self.first_seq; rules.all().len() + usize::from(has_lifecycle)];
        let keeps_less = rules.all().iter().any(|rule| rule.history.events.or(rule.history.bytes).is_some());
        self.sweep = keeps_less.then(Subject::own);
    }
}

impl Default for TopicRecord {
    fn default() -> Self {
        Self {
            first_seq: 1,
            stored_seq: 1,
            next_seq: 1,
            head_id: EventId::ZERO,
            trimmed_id: EventId::ZERO,
            peak_ms: 0,
            trimmed_peak_ms: 0,
            count: 0,
            bytes: 0,
            backlog_bytes: 0,
            withheld: 0,
            removed_seq: 0,
            removed_id: EventId::ZERO,
            own: SubjectRecord::default(),
            subjects: 0,
            empty: 0,
            forgotten_seq: 0,
            forgotten_id: EventId::ZERO,
            deletions: Vec::new(),
            aged: Vec::new(),
            sweep: None,
            charged: Charged::default(),
            keys: 0,
            lifecycle: LifecycleRecord::default(),
        }
    }
}

/// What a stream has of lifecycle events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleRecord {
    /// The number of those that readers can read.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of those that are kept for webhooks alone.
    pub backlog_bytes: u64,
    /// Readers can read none before this seq.
    pub from_seq: u64,
    /// None before this seq is kept for webhooks alone, or it was looked at.
    pub backlog_seq: u64,
    /// Id of the newest that readers lost.
    pub gone_id: EventId,
    /// The number of their subjects that have a record and no events.
    pub empty: u64,
    /// As [`TopicRecord::forgotten_seq`], of their subjects.
    pub forgotten_seq: u64,
    /// Id of that event.
    pub forgotten_id: EventId,
}

/// Whether the events of a subject are lifecycle events.
pub(super) fn is_lifecycle(subject: &str) -> bool {
    subject.starts_with(CHANNEL_PREFIX)
}

impl LifecycleRecord {
    /// Whether there are more than the bound allows. One may stay, whatever its size.
    pub(super) fn is_over(&self, bound: LifecycleBound) -> bool {
        self.count > 1 && (self.count > bound.events || self.bytes > bound.bytes)
    }
}
