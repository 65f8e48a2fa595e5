//! What a stream has, in one small record.

use crate::core::channel_rules::ChannelRules;
use crate::core::ids::{EventId, WebhookId};
use crate::core::state::subjects::SubjectRecord;
use crate::core::subject::Subject;
use serde::{Deserialize, Serialize};

/// A stream's place: which events it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicRecord {
    /// Seqs below this are gone from readers. Not always an event's seq.
    pub first_seq: u64,
    /// Oldest seq stored: those before `first_seq` are kept for webhooks alone.
    pub stored_seq: u64,
    /// Seq of the next event.
    pub next_seq: u64,
    /// Id of the newest event, kept when it is removed.
    pub head_id: EventId,
    /// Id of the newest event that left the old end, taken by retention or deleted and met there by it; one that a rule or
    /// somebody removed inside the stream is not counted (see `removed_id`).
    pub trimmed_id: EventId,
    /// The highest time of an event (Unix milliseconds), kept when retention removes it.
    pub peak_ms: u64,
    /// The highest time of an event that retention removed at the old end (Unix milliseconds).
    pub trimmed_peak_ms: u64,
    /// Events that readers have.
    pub count: u64,
    /// Bytes of the events that readers have.
    pub bytes: u64,
    /// Bytes of the events that are kept for webhooks alone.
    pub backlog_bytes: u64,
    /// Of these, how many were taken from readers inside the stream, by a rule ([`super::keys::withheld`]).
    pub withheld: u64,
    /// Seq of the newest event that readers lost inside the stream; 0 where there is none.
    pub removed_seq: u64,
    /// Id of that event.
    pub removed_id: EventId,
    /// What the stream has of the map's own subject: its record stands here and has no key.
    pub own: SubjectRecord,
    /// Other subjects that have events.
    pub subjects: u64,
    /// Other subjects that have none left, and a record.
    pub empty: u64,
    /// The newest event of all subjects whose record was forgotten: of a subject without a record nobody knows what was
    /// removed up to there. 0 where none was forgotten.
    pub forgotten_seq: u64,
    /// Id of that event.
    pub forgotten_id: EventId,
    /// Histories of subjects that were deleted and are not wholly removed yet.
    pub deletions: Vec<Deletion>,
    /// By rule: events below this seq were looked at for their age.
    pub aged: Vec<u64>,
    /// The rules were changed: the subject from which on what they keep less is still to be removed.
    pub sweep: Option<Subject>,
    /// State of the publish limit (see [`crate::core::rate`]).
    pub full_at_us: u64,
}

/// A subject's history was deleted: readers have lost all events of it before `below_seq`, also where they are stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// The subject.
    pub subject: Subject,
    /// The deletion came before this seq.
    pub below_seq: u64,
    /// What is kept for webhooks was looked through below this seq.
    pub backlog_seq: u64,
    /// What is kept for retries and dead letters was looked through up to there: this webhook's below this seq, and that
    /// of all webhooks with lower ids.
    pub copies_from: (WebhookId, u64),
}

impl Deletion {
    /// Of all before `below_seq`; nothing is removed yet.
    pub(super) fn new(subject: Subject, below_seq: u64) -> Self {
        Self { subject, below_seq, backlog_seq: 0, copies_from: (WebhookId::from_bytes([0; 16]), 0) }
    }
}

impl TopicRecord {
    /// Whether the event was deleted and is only still to be removed: nobody gets it any more.
    pub fn is_deleted(&self, subject: &str, seq: u64) -> bool {
        self.deleted_below(subject) > seq
    }

    /// All events of the subject below that seq were deleted and are to be removed; 0 where that is done.
    pub fn deleted_below(&self, subject: &str) -> u64 {
        let found = self.deletions.iter().find(|deletion| deletion.subject.as_str() == subject);
        found.map_or(0, |deletion| deletion.below_seq)
    }

    /// A subject's record where it has none: nothing is known of it.
    pub fn unknown_subject(&self) -> SubjectRecord {
        SubjectRecord {
            trimmed_seq: self.forgotten_seq,
            trimmed_id: self.forgotten_id,
            ..SubjectRecord::default()
        }
    }

    /// Readers lost that event inside the stream.
    pub(super) fn lost_inside(&mut self, seq: u64, id: EventId) {
        (self.removed_seq, self.removed_id) = (self.removed_seq, self.removed_id).max((seq, id));
    }

    /// Events that readers have are gone.
    pub(super) fn take(&mut self, count: u64, bytes: u64) {
        self.count = self.count.saturating_sub(count);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// What there is is to be looked at under these rules.
    pub(super) fn begin_rules(&mut self, rules: &ChannelRules) {
        self.aged = vec![self.first_seq; rules.all().len()];
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
            full_at_us: 0,
        }
    }
}
