//! Lifecycle events share a stream with what a map publishes, and have bounds of their own: whoever opens and
//! closes channels pushes no other event out.
//!
//! A stream counts them apart. They never count towards the map's retention, and the oldest of them go from
//! inside the stream when they are more than a part of it ([`Retention::lifecycle`]). For webhooks alone, they
//! are kept up to the same part of the webhook backlog. A live reader reads an event a little after it learned
//! of it, so young ones ([`YOUNG_MS`]) wait for a tick beyond the bound, up to twice as many.
//!
//! [`Retention::lifecycle`]: crate::core::retention::Retention::lifecycle

use super::record::{LifecycleRecord, is_lifecycle};
use super::removal::{BacklogEvent, backlog};
use super::rules::{ByRule, YOUNG_MS};
use super::{StateError, Streams, TopicRecord, keys};
use crate::core::access::Map;
use crate::core::event::Event;
use crate::core::ids::EventId;
use crate::core::state::subjects;
use crate::core::store::WriteStore;
use crate::core::subject::Subject;

/// Events beyond the bound that may accumulate before they are taken together.
const SLACK_EVENTS: u64 = 256;

impl TopicRecord {
    /// The number and the bytes of the events that count towards the map's retention.
    pub(super) fn ordinary(&self) -> (u64, u64) {
        let LifecycleRecord { count, bytes, .. } = self.lifecycle;
        (self.count.saturating_sub(count), self.bytes.saturating_sub(bytes))
    }

    /// The bytes that count towards the map's webhook backlog.
    pub(super) fn ordinary_backlog(&self) -> u64 {
        self.backlog_bytes.saturating_sub(self.lifecycle.backlog_bytes)
    }

    /// Adds an event of the subject, which readers can read.
    pub(super) fn add(&mut self, subject: &str, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
        if is_lifecycle(subject) {
            self.lifecycle.count += 1;
            self.lifecycle.bytes += bytes;
        }
    }

    /// Subtracts events of the subject that readers have lost.
    pub(super) fn take(&mut self, subject: &str, count: u64, bytes: u64) {
        self.count = self.count.saturating_sub(count);
        self.bytes = self.bytes.saturating_sub(bytes);
        if is_lifecycle(subject) {
            self.lifecycle.count = self.lifecycle.count.saturating_sub(count);
            self.lifecycle.bytes = self.lifecycle.bytes.saturating_sub(bytes);
        }
    }

    /// Readers lost an event of the subject.
    pub(super) fn lost(&mut self, subject: &str, id: EventId) {
        if is_lifecycle(subject) {
            self.lifecycle.gone_id = self.lifecycle.gone_id.max(id);
        }
    }

    /// An event of the subject is kept for webhooks alone from now on.
    pub(super) fn keep(&mut self, subject: &str, bytes: u64) {
        self.backlog_bytes += bytes;
        if is_lifecycle(subject) {
            self.lifecycle.backlog_bytes += bytes;
        }
    }

    /// An event of the subject was kept for webhooks alone, and is so no longer.
    pub(super) fn drop_kept(&mut self, subject: &str, bytes: u64) {
        self.backlog_bytes = self.backlog_bytes.saturating_sub(bytes);
        if is_lifecycle(subject) {
            self.lifecycle.backlog_bytes = self.lifecycle.backlog_bytes.saturating_sub(bytes);
        }
    }
}

impl Streams {
    /// Takes the oldest lifecycle events from readers where they exceed their part of the map's retention by the
    /// slack. Young ones stay, up to twice that part. Looks at up to `max` events. Returns at how many.
    pub(super) fn trim_lifecycle<S: WriteStore>(
        &mut self,
        map: &Map,
        max: usize,
        now_ms: u64,
        store: &mut S,
    ) -> Result<usize, StateError> {
        let bound = map.retention.lifecycle();
        let most = bound.twice();
        let Some(record) = self.topics.get_mut(&map.topic) else { return Ok(0) };
        if !record.lifecycle.is_over(bound.with_slack(SLACK_EVENTS)) {
            return Ok(0);
        }
        let mut left = record.lifecycle.clone();
        let mut looked = 0;
        let mut taken = ByRule::new();
        let from = keys::event(map.topic, left.from_seq.max(record.first_seq));
        let to = keys::event(map.topic, record.next_seq);
        store.scan(&from, &to, &mut |key, value| {
            let Some(seq) = keys::event_seq(key) else { return false };
            let times = Event::stored_times(value);
            let is_young = times.is_some_and(|times| times.expiry_ms.saturating_add(YOUNG_MS) > now_ms);
            let bound = if is_young { most } else { bound };
            if looked == max || !left.is_over(bound) {
                return false;
            }
            looked += 1;
            left.from_seq = seq + 1;
            let name = Event::stored_subject(value).unwrap_or_default();
            if is_lifecycle(name)
                && !record.is_deleted(name, seq)
                && let Ok(subject) = Subject::parse_any(name)
            {
                left.count = left.count.saturating_sub(1);
                left.bytes = left.bytes.saturating_sub(value.len() as u64);
                taken.entry(subject).or_default().push(seq);
            }
            true
        })?;
        record.lifecycle.from_seq = left.from_seq;
        self.dirty.insert(map.topic);
        self.take_inside(map, &taken, now_ms, store)?;
        Ok(looked)
    }

    /// Removes the oldest lifecycle events that are kept for webhooks alone, where they exceed their part of the
    /// webhook backlog by a sixteenth. Looks at up to `max` events. Returns at how many.
    pub(super) fn release_lifecycle<S: WriteStore>(
        &mut self,
        map: &Map,
        max: usize,
        now_ms: u64,
        store: &mut S,
    ) -> Result<usize, StateError> {
        let most = map.retention.webhook_backlog.lifecycle_bytes();
        let Some(record) = self.topics.get_mut(&map.topic) else { return Ok(0) };
        if record.lifecycle.backlog_bytes <= most.saturating_add(most / 16) || max == 0 {
            return Ok(0);
        }
        let kept = backlog(map.topic, record.lifecycle.backlog_seq, record.first_seq, max, store)?;
        let looked = kept.len();
        // What a rule took later may lie before what was looked at: the next look begins with the oldest again.
        record.lifecycle.backlog_seq =
            if looked < max { 0 } else { kept.last().map_or(0, |one| one.seq + 1) };
        let mut gone: Vec<BacklogEvent> = Vec::new();
        for one in kept.into_iter().filter(|one| is_lifecycle(&one.subject)) {
            // Another removal is about to take an event that was deleted.
            if record.lifecycle.backlog_bytes <= most || record.is_deleted(&one.subject, one.seq) {
                continue;
            }
            record.drop_kept(&one.subject, one.bytes);
            record.withheld = record.withheld.saturating_sub(u64::from(one.is_withheld()));
            gone.push(one);
        }
        self.dirty.insert(map.topic);
        let floor = self.holds.floor(map.topic);
        let seqs: Vec<u64> = gone.iter().map(|one| one.seq).collect();
        self.copy_needed(map, &seqs, now_ms, store)?;
        for one in &gone {
            store.delete(&one.key)?;
            if !one.is_withheld() {
                subjects::add_hole(map.topic, one.seq, store)?;
            }
        }
        let lost: Vec<u64> = seqs.into_iter().filter(|seq| *seq >= floor).collect();
        self.lose_events(map, &lost, now_ms);
        Ok(looked)
    }
}
