//! The record of a stream.

use crate::core::channel_rules::ChannelRules;
use crate::core::ids::{EventId, WebhookId};
use crate::core::rate::Charged;
use crate::core::state::subjects::SubjectRecord;
use crate::core::subject::Subject;
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
    /// The number of other subjects with events, without those of lifecycle events.
    pub subjects: u64,
    /// The number of other subjects that have a record and no events.
    pub empty: u64,
    /// Seq of the newest event of all subjects whose records were forgotten; 0 if no record was. For a
    /// subject without a record it is unknown which events up to this seq were removed.
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
    pub fn unknown_subject(&self) -> SubjectRecord {
        SubjectRecord {
            trimmed_seq: self.forgotten_seq,
            trimmed_id: self.forgotten_id,
            ..SubjectRecord::default()
        }
    }

    /// Records that readers lost an event inside the stream.
    pub(super) fn lost_inside(&mut self, seq: u64, id: EventId) {
        (self.removed_seq, self.removed_id) = (self.removed_seq, self.removed_id).max((seq, id));
    }

    /// Subtracts events that readers have lost.
    pub(super) fn take(&mut self, count: u64, bytes: u64) {
        self.count = self.count.saturating_sub(count);
        self.bytes = self.bytes.saturating_sub(bytes);
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
        }
    }
}
