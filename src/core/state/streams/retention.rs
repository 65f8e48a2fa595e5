//! Dropping what is too old: by count, bytes and age, and the events of deleted maps. Bounded work each time.
//!
//! An event is first taken from readers; it is removed once no active webhook needs it (see [`super::backlog`]).

use super::{Context, StateError, Streams, keys, publish};
use crate::core::access::Map;
use crate::core::command::Reply;
use crate::core::event::Event;
use crate::core::ids::EndpointId;
use crate::core::store::WriteStore;
use std::ops::Range;
use std::sync::Arc;

/// Events beyond the bound that may pile up before they are removed together: one scan for many.
const SLACK_EVENTS: u64 = 256;
/// Most events removed after one publish. More than one publish can add in the long run, so the excess shrinks.
const TRIM_PER_PUBLISH: usize = 2048;
/// Most events removed in one tick.
const TRIM_PER_TICK: usize = 8192;

impl Streams {
    /// Takes the oldest events from readers where the topic exceeds its count or bytes by the slack, and removes what no
    /// webhook needs, or more than may be kept for webhooks.
    pub(super) fn trim_to_size<S: WriteStore>(
        &mut self,
        map: &Map,
        now_ms: u64,
        store: &mut S,
    ) -> Result<(), StateError> {
        let Some(record) = self.topics.get(&map.topic) else { return Ok(()) };
        let count = record.next_seq - record.first_seq;
        let retention = &map.retention;
        let (max_count, max_bytes) = (retention.events.unwrap_or(u64::MAX), retention.bytes.unwrap_or(u64::MAX));
        let average = record.bytes / count.max(1);
        let slack_bytes = average.saturating_mul(SLACK_EVENTS).min(max_bytes / 16);
        let over_count = count > max_count.saturating_add(SLACK_EVENTS.min(max_count / 16));
        let mut left = TRIM_PER_PUBLISH;
        if over_count || record.bytes > max_bytes.saturating_add(slack_bytes) {
            let over = |count, bytes, _| count > max_count || bytes > max_bytes;
            left -= self.retire(map, left, now_ms, store, over)?;
        }
        self.release(map, left, 0, now_ms, store)?;
        Ok(())
    }

    /// Takes up to `max` events of the topic's old end from readers while `over(count, bytes, when the oldest was stored)`
    /// holds, the last by the expiry clock; the newest event always stays. Removes them at once where no webhook needs
    /// them. Answers how many were taken.
    fn retire<S: WriteStore>(
        &mut self,
        map: &Map,
        max: usize,
        now_ms: u64,
        store: &mut S,
        over: impl Fn(u64, u64, u64) -> bool,
    ) -> Result<usize, StateError> {
        let (topic, floor) = (map.topic, self.holds.floor(map.topic));
        let Some(record) = self.topics.get_mut(&topic) else { return Ok(0) };
        let (from, to) = (keys::event(topic, record.first_seq), keys::event(topic, record.next_seq - 1));
        if from >= to {
            return Ok(0);
        }
        let (first, stored) = (record.first_seq, record.stored_seq);
        store.scan(&from, &to, &mut |_, value| {
            let Some((id, times)) = Event::stored_id(value).zip(Event::stored_times(value)) else { return false };
            let taken = (record.first_seq - first) as usize;
            if !over(record.next_seq - record.first_seq, record.bytes, times.expiry_ms) || taken == max {
                return false;
            }
            let bytes = value.len() as u64;
            if record.stored_seq == record.first_seq && record.first_seq < floor {
                record.stored_seq += 1;
            } else {
                record.backlog_bytes += bytes;
            }
            record.first_seq += 1;
            (record.trimmed_id, record.trimmed_peak_ms) = (id, times.peak_ms);
            record.bytes = record.bytes.saturating_sub(bytes);
            true
        })?;
        let (taken, free) = ((record.first_seq - first) as usize, stored..record.stored_seq);
        if taken > 0 {
            self.dirty.insert(topic);
        }
        self.remove(map, &free, now_ms, store)?;
        Ok(taken)
    }

    /// Removes up to `max` of the events that readers get no more: those that every active webhook has passed, and the
    /// oldest beyond the bound up to which they are kept, which counts as lost. Events published before `keep_from_ms`
    /// lie beyond it. Answers how many went.
    fn release<S: WriteStore>(
        &mut self,
        map: &Map,
        max: usize,
        keep_from_ms: u64,
        now_ms: u64,
        store: &mut S,
    ) -> Result<usize, StateError> {
        let (topic, floor) = (map.topic, self.holds.floor(map.topic));
        let max_bytes = map.retention.webhook_backlog.bytes.unwrap_or(u64::MAX);
        let Some(record) = self.topics.get_mut(&topic) else { return Ok(0) };
        let (stored, first) = (record.stored_seq, record.first_seq);
        let nothing_passed = floor <= stored && record.backlog_bytes <= max_bytes && keep_from_ms == 0;
        if stored == first || nothing_passed || max == 0 {
            return Ok(0);
        }
        store.scan(&keys::event(topic, stored), &keys::event(topic, first), &mut |_, value| {
            let Some(times) = Event::stored_times(value) else { return false };
            let beyond = record.backlog_bytes > max_bytes || times.expiry_ms < keep_from_ms;
            let gone = (record.stored_seq - stored) as usize;
            if record.stored_seq >= floor && !beyond || gone == max {
                return false;
            }
            record.stored_seq += 1;
            record.backlog_bytes = record.backlog_bytes.saturating_sub(value.len() as u64);
            true
        })?;
        let gone = stored..record.stored_seq;
        if !gone.is_empty() {
            self.dirty.insert(topic);
            self.remove(map, &gone, now_ms, store)?;
            self.lose_range(map, &(gone.start.max(floor)..gone.end), now_ms);
        }
        Ok((gone.end - gone.start) as usize)
    }

    /// Removes events from their topic; what retries and dead letters need of them is set aside first.
    fn remove<S: WriteStore>(
        &mut self,
        map: &Map,
        seqs: &Range<u64>,
        now_ms: u64,
        store: &mut S,
    ) -> Result<(), StateError> {
        if seqs.is_empty() {
            return Ok(());
        }
        self.set_aside(map, seqs, now_ms, store)?;
        for seq in seqs.clone() {
            store.delete(&keys::event(map.topic, seq))?;
        }
        Ok(())
    }

    /// A piece of the clean-up that the passing of time asks for; says whether more is waiting.
    pub(super) fn tick<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        // By this clock events grow old, for readers and for webhooks.
        let now_ms = context.expiry_ms();
        let mut left = TRIM_PER_TICK;
        left -= publish::forget_expired(now_ms, left, store)?;
        left -= self.bury(left, store)?;
        left -= self.bury_endpoints(left, store)?;
        let before = |age_seconds: Option<u64>| now_ms.saturating_sub(age_seconds.map_or(now_ms, millis));
        let maps: Vec<Arc<Map>> = self.facts.maps().cloned().collect();
        for map in maps {
            if left == 0 {
                break;
            }
            let keep_from_ms = before(map.retention.age_seconds);
            if keep_from_ms > 0 {
                left -= self.retire(&map, left, now_ms, store, |_, _, stored_ms| stored_ms < keep_from_ms)?;
            }
            let keep_from_ms = before(map.retention.webhook_backlog.age_seconds);
            left -= self.release(&map, left, keep_from_ms, now_ms, store)?;
            left -= self.forget_aged(&map, left, keep_from_ms, now_ms, store)?;
        }
        self.tell_losing(context, store)?;
        Ok(Reply::Ticked(left == 0))
    }

    /// Removes events that are kept for retries and dead letters and were published too long ago.
    fn forget_aged<S: WriteStore>(
        &mut self,
        map: &Map,
        max: usize,
        keep_from_ms: u64,
        now_ms: u64,
        store: &mut S,
    ) -> Result<usize, StateError> {
        let mut gone = 0;
        let ids: Vec<EndpointId> = self.facts.webhooks().of_map(map.id).map(|endpoint| endpoint.id).collect();
        for id in ids {
            let aged = |published_ms| published_ms < keep_from_ms;
            gone += self.shrink_kept(id, max - gone, now_ms, store, |_, published_ms| aged(published_ms))?;
        }
        Ok(gone)
    }

    /// Removes up to `max` events of deleted maps.
    fn bury<S: WriteStore>(&mut self, max: usize, store: &mut S) -> Result<usize, StateError> {
        let mut gone = 0;
        while let Some(&topic) = self.doomed.first()
            && gone < max
        {
            let mut keys: Vec<Vec<u8>> = Vec::new();
            store.scan(&keys::event(topic, 0), &keys::event(topic, u64::MAX), &mut |key, _| {
                keys.push(key.to_vec());
                gone + keys.len() < max
            })?;
            gone += keys.len();
            for key in &keys {
                store.delete(key)?;
            }
            if gone < max {
                self.doomed.remove(&topic);
                store.delete(&keys::doomed(topic))?;
            }
        }
        Ok(gone)
    }
}

fn millis(seconds: u64) -> u64 {
    seconds.saturating_mul(1000)
}
