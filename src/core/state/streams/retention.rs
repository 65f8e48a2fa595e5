//! Retention: removes the oldest events by count, bytes and age, and the events of deleted maps. Each call
//! does a bounded amount of work.
//!
//! An event is first taken from readers. It is removed once no active webhook needs it (see
//! [`super::backlog`]).

use super::removal::{BacklogEvent, backlog};
use super::{Context, StateError, Streams, TopicRecord, keys};
use crate::core::access::Map;
use crate::core::command::Reply;
use crate::core::event::Event;
use crate::core::ids::{EventId, TopicId, WebhookId};
use crate::core::state::subjects;
use crate::core::store::WriteStore;
use crate::core::subject::Subject;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Events beyond the bound that may accumulate before they are removed together: one scan serves many.
const SLACK_EVENTS: u64 = 256;
/// The largest number of events removed after one publish. It is more than one publish can add in the long
/// run, so the excess shrinks.
const TRIM_PER_PUBLISH: usize = 2048;
/// Events kept for webhooks that a publish looks at for lifecycle events to remove, beside four for each new
/// event. It may find few, and the next publish looks again.
const LOOKED_PER_PUBLISH: usize = 256;
/// The largest number of events removed in one tick.
const TRIM_PER_TICK: usize = 8192;
/// Prefixes of what is stored of a stream, beside its record.
const OF_STREAMS: [u8; 11] = [
    b'e',
    keys::WITHHELD,
    keys::HOLES,
    keys::RUNS,
    keys::EMPTIES,
    keys::LIFECYCLE_EMPTIES,
    keys::THINNING,
    keys::SUBJECTS,
    keys::IDEMPOTENCY,
    keys::EXPIRIES,
    keys::ENDED_USAGE,
];
/// The smallest share of a tick that a map gets while there is something left (events).
const SMALLEST_PART: usize = 64;

impl Streams {
    /// Takes the oldest events from readers where the stream exceeds its count or bytes by the slack. Removes
    /// those that no webhook needs, and those beyond the bound for webhooks. The stream has just got `new`
    /// events.
    pub(super) fn trim_to_size<S: WriteStore>(
        &mut self,
        map: &Map,
        new: usize,
        now_ms: u64,
        store: &mut S,
    ) -> Result<(), StateError> {
        let Some(record) = self.topics.get(&map.topic) else { return Ok(()) };
        let retention = &map.retention;
        let max_count = retention.events.unwrap_or(u64::MAX);
        let max_bytes = retention.bytes.unwrap_or(u64::MAX);
        let average = record.bytes / record.count.max(1);
        let slack_bytes = average.saturating_mul(SLACK_EVENTS).min(max_bytes / 16);
        let (count, bytes) = record.ordinary();
        let over_count = count > max_count.saturating_add(SLACK_EVENTS.min(max_count / 16));
        let mut left = TRIM_PER_PUBLISH;
        // The newest event that is no lifecycle event stays, however large it is.
        if over_count || count > 1 && bytes > max_bytes.saturating_add(slack_bytes) {
            let over = |count: u64, bytes: u64, _| count > max_count || count > 1 && bytes > max_bytes;
            left -= self.retire(map, left, now_ms, store, over)?;
        }
        left -= self.trim_lifecycle(map, left, now_ms, store)?;
        let looked = left.min(LOOKED_PER_PUBLISH.saturating_add(new.saturating_mul(4)));
        left -= self.release_lifecycle(map, looked, now_ms, store)?;
        self.release(map, left, 0, now_ms, store)?;
        Ok(())
    }

    /// Takes up to `max` events of the stream's old end from readers while `over(count, bytes, time when the
    /// oldest was stored)` holds; that time is of the expiry clock, and lifecycle events are not counted. The
    /// newest event always stays. Events that no webhook needs are removed at once. Returns how many events were
    /// taken.
    fn retire<S: WriteStore>(
        &mut self,
        map: &Map,
        max: usize,
        now_ms: u64,
        store: &mut S,
        over: impl Fn(u64, u64, u64) -> bool,
    ) -> Result<usize, StateError> {
        let topic = map.topic;
        let floor = self.holds.floor(map.topic);
        let Some(record) = self.topics.get_mut(&topic) else { return Ok(0) };
        let (from, to) = (keys::event(topic, record.first_seq), keys::event(topic, record.next_seq));
        let mut taken = Taken::default();
        let mut free = Vec::new();
        let mut deleted = Vec::new();
        store.scan(&from, &to, &mut |key, value| {
            let times = Event::stored_id(value).zip(Event::stored_times(value));
            let Some((seq, (id, times))) = keys::event_seq(key).zip(times) else { return false };
            let subject = Event::stored_subject(value).unwrap_or_default();
            let is_deleted = record.is_deleted(subject, seq);
            let (count, bytes) = record.ordinary();
            let goes = record.count > 1 && over(count, bytes, times.expiry_ms);
            if taken.events + deleted.len() == max || !is_deleted && !goes {
                return false;
            }
            // While nothing is kept for webhooks, an event that no webhook needs is removed at once. A
            // deleted event is removed in any case and leaves a hole: there may be events before it that
            // webhooks need.
            let bytes = value.len() as u64;
            let is_free = record.stored_seq == record.first_seq && seq < floor;
            record.first_seq = seq + 1;
            if is_free {
                record.stored_seq = seq + 1;
            }
            record.trimmed_id = id;
            record.lost(subject, id);
            record.trimmed_peak_ms = times.peak_ms;
            if is_deleted {
                deleted.push(seq);
                return true;
            }
            if is_free {
                free.push(seq);
            } else {
                record.keep(subject, bytes);
            }
            record.take(subject, 1, bytes);
            taken.add(subject, seq, id, bytes);
            true
        })?;
        let events = taken.events + deleted.len();
        if events == 0 {
            return Ok(0);
        }
        self.dirty.insert(topic);
        self.remove_retired(map, &free, &deleted, now_ms, store)?;
        self.trim_subjects(topic, taken, store)?;
        self.forget_holes(topic, store)?;
        Ok(events)
    }

    /// Removes retired events: `free`, which no active webhook has to read, and `deleted`, which leave holes.
    fn remove_retired<S: WriteStore>(
        &mut self,
        map: &Map,
        free: &[u64],
        deleted: &[u64],
        now_ms: u64,
        store: &mut S,
    ) -> Result<(), StateError> {
        for seq in deleted {
            store.delete(&keys::event(map.topic, *seq))?;
            subjects::add_hole(map.topic, *seq, store)?;
        }
        self.copy_needed(map, free, now_ms, store)?;
        free.iter().try_for_each(|seq| store.delete(&keys::event(map.topic, *seq)))?;
        Ok(())
    }

    fn trim_subjects<S: WriteStore>(
        &mut self,
        stream: TopicId,
        taken: Taken,
        store: &mut S,
    ) -> Result<(), StateError> {
        for (name, part) in taken.of {
            let Ok(subject) = Subject::parse_any(&name) else { continue };
            let runs_from = self.topics.get(&stream).map_or(0, |record| record.deleted_below(&name));
            self.change_subject(stream, &subject, store, |one, store| {
                one.trim((stream, &subject), part.newest, (part.count, part.bytes), runs_from, store)
            })?;
        }
        Ok(())
    }

    /// Removes the holes before the stream's first stored event: they have no meaning there.
    fn forget_holes<S: WriteStore>(&mut self, stream: TopicId, store: &mut S) -> Result<(), StateError> {
        let Some(record) = self.topics.get(&stream) else { return Ok(()) };
        subjects::forget_holes(stream, record.stored_seq, TRIM_PER_TICK, store)?;
        Ok(())
    }

    /// Removes up to `max` of the events that readers have lost: those that every active webhook has passed,
    /// and the oldest beyond the bound for webhooks, which count as lost. Events published before
    /// `keep_from_ms` are beyond the bound. Returns how many were removed.
    fn release<S: WriteStore>(
        &mut self,
        map: &Map,
        max: usize,
        keep_from_ms: u64,
        now_ms: u64,
        store: &mut S,
    ) -> Result<usize, StateError> {
        let topic = map.topic;
        let floor = self.holds.floor(map.topic);
        let max_bytes = map.retention.webhook_backlog.bytes.unwrap_or(u64::MAX);
        let Some(record) = self.topics.get_mut(&topic) else { return Ok(0) };
        let stored = record.stored_seq;
        let first = record.first_seq;
        // Withheld events may lie before `stored`, where retention has passed them since.
        let none_goes = floor <= stored && record.ordinary_backlog() <= max_bytes && keep_from_ms == 0;
        if record.withheld == 0 && (stored == first || none_goes) || max == 0 {
            return Ok(0);
        }
        // The first event shows whether any must go; usually none must.
        let beyond = |record: &TopicRecord, one: &BacklogEvent| {
            record.ordinary_backlog() > max_bytes || one.stored_ms < keep_from_ms
        };
        let goes = |record: &TopicRecord, one: &BacklogEvent| one.seq < floor || beyond(record, one);
        let oldest = backlog(topic, 0, first, 1, store)?;
        if oldest.first().is_some_and(|one| !goes(record, one)) {
            return Ok(0);
        }
        let mut gone: Vec<BacklogEvent> = Vec::new();
        let kept = backlog(topic, 0, first, max, store)?;
        let all = kept.len() < max;
        for one in kept {
            if !goes(record, &one) {
                break;
            }
            record.drop_kept(&one.subject, one.bytes);
            record.withheld = record.withheld.saturating_sub(u64::from(one.is_withheld()));
            record.stored_seq = record.stored_seq.max(one.seq + 1).min(first);
            gone.push(one);
        }
        // Only holes remain before `first_seq`. A webhook that has not passed them misses nothing.
        if all && record.backlog_bytes == 0 {
            record.stored_seq = record.stored_seq.max(floor).min(first);
        }
        if record.stored_seq != stored || !gone.is_empty() {
            self.dirty.insert(topic);
        }
        // Deleted events are copied for no webhook, and count as lost for none.
        let record = &*record;
        let left = gone.iter().filter(|one| !record.is_deleted(&one.subject, one.seq));
        let seqs: Vec<u64> = left.map(|one| one.seq).collect();
        self.copy_needed(map, &seqs, now_ms, store)?;
        gone.iter().try_for_each(|one| store.delete(&one.key))?;
        self.forget_holes(topic, store)?;
        let lost: Vec<u64> = seqs.iter().copied().filter(|seq| *seq >= floor).collect();
        self.lose_events(map, &lost, now_ms);
        Ok(gone.len())
    }

    /// Does a part of the clean-up that is due. Returns whether more is left.
    pub(super) fn tick<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        // Events age by this clock, for readers and for webhooks.
        let now_ms = context.expiry_ms();
        let mut left = TRIM_PER_TICK;
        left -= self.remove_deleted_maps(left / 2, store)?;
        left -= self.remove_deleted_consumers(left / 2, store)?;
        // Each map in turn gets its share of what is left. The first map changes from tick to tick.
        let mut maps: Vec<Arc<Map>> = self.facts.maps().cloned().collect();
        let count = maps.len();
        maps.rotate_left((context.index() % count.max(1) as u64) as usize);
        let mut more =
            !self.tombstone.is_empty() || !self.tombstone_webhooks.is_empty() || left < TRIM_PER_TICK / 8;
        for (index, map) in maps.iter().enumerate() {
            let part = (left / (count - index)).max(SMALLEST_PART).min(left);
            let done = self.tick_map(map, part, now_ms, store)?;
            more |= done == part;
            left -= done;
        }
        self.announce_losses(context, store)?;
        Ok(Reply::Ticked(more))
    }

    /// Does the clean-up of one map for at most `max` events. Returns how many were examined.
    fn tick_map<S: WriteStore>(
        &mut self,
        map: &Map,
        max: usize,
        now_ms: u64,
        store: &mut S,
    ) -> Result<usize, StateError> {
        let mut left = max - self.forget_expired(map.topic, max / 2, now_ms, store)?;
        let before = |age_seconds: Option<u64>| now_ms.saturating_sub(age_seconds.map_or(now_ms, millis));
        let keep_from_ms = before(map.retention.age_seconds);
        if keep_from_ms > 0 {
            left -= self.retire(map, left, now_ms, store, |_, _, stored_ms| stored_ms < keep_from_ms)?;
        }
        left -= self.remove_deleted(map, left, store)?;
        left -= self.age_by_rules(map, left, now_ms, store)?;
        left -= self.thin_waiting(map, left, now_ms, store)?;
        left -= self.trim_lifecycle(map, left, now_ms, store)?;
        left -= self.release_lifecycle(map, left, now_ms, store)?;
        left -= self.sweep(map, left, now_ms, store)?;
        let keep_from_ms = before(map.retention.webhook_backlog.age_seconds);
        left -= self.release(map, left, keep_from_ms, now_ms, store)?;
        left -= self.drop_aged_copies(map, left, keep_from_ms, now_ms, store)?;
        Ok(max - left)
    }

    /// Removes copies for retries and dead letters whose events were published too long ago.
    fn drop_aged_copies<S: WriteStore>(
        &mut self,
        map: &Map,
        max: usize,
        keep_from_ms: u64,
        now_ms: u64,
        store: &mut S,
    ) -> Result<usize, StateError> {
        let mut gone = 0;
        let ids: Vec<WebhookId> = self.facts.webhooks().of_map(map.id).map(|webhook| webhook.id).collect();
        for id in ids {
            let aged = |published_ms| published_ms < keep_from_ms;
            gone += self.trim_copies(id, max - gone, now_ms, store, |_, published_ms| aged(published_ms))?;
        }
        Ok(gone)
    }

    /// Removes up to `max` events and other records of deleted maps.
    fn remove_deleted_maps<S: WriteStore>(&mut self, max: usize, store: &mut S) -> Result<usize, StateError> {
        let mut gone = 0;
        while let Some(&topic) = self.tombstone.first()
            && gone < max
        {
            for prefix in OF_STREAMS {
                let mut keys: Vec<Vec<u8>> = Vec::new();
                let (from, to) = keys::of_stream(prefix, topic);
                store.scan(&from, &to, &mut |key, _| {
                    if gone + keys.len() < max {
                        keys.push(key.to_vec());
                    }
                    gone + keys.len() < max
                })?;
                gone += keys.len();
                keys.iter().try_for_each(|key| store.delete(key))?;
            }
            if gone < max {
                self.tombstone.remove(&topic);
                store.delete(&keys::tombstone(topic))?;
            }
        }
        Ok(gone)
    }
}

/// Events that are taken from readers, by subject.
#[derive(Default)]
struct Taken {
    events: usize,
    of: BTreeMap<String, Part>,
}

/// The taken events of one subject.
struct Part {
    newest: (u64, EventId),
    count: u64,
    bytes: u64,
}

impl Taken {
    fn add(&mut self, subject: &str, seq: u64, id: EventId, bytes: u64) {
        self.events += 1;
        let newest = (seq, id);
        match self.of.get_mut(subject) {
            Some(part) => *part = Part { newest, count: part.count + 1, bytes: part.bytes + bytes },
            None => drop(self.of.insert(subject.to_owned(), Part { newest, count: 1, bytes })),
        }
    }
}

fn millis(seconds: u64) -> u64 {
    seconds.saturating_mul(1000)
}
