//! Dropping what is too old: by count, bytes and age, and the events of deleted maps. Bounded work each time.

use super::{State, StateError, keys, publish};
use crate::core::access::Retention;
use crate::core::command::Reply;
use crate::core::event::Event;
use crate::core::ids::TopicId;
use crate::core::store::WriteStore;

/// Events beyond the bound that may pile up before they are removed together: one scan for many.
const SLACK_EVENTS: u64 = 256;
/// Most events removed after one publish. More than one publish can add in the long run, so the excess shrinks.
const TRIM_PER_PUBLISH: usize = 2048;
/// Most events removed in one tick.
const TRIM_PER_TICK: usize = 8192;

impl State {
    /// Removes the oldest events where the topic exceeds its count or bytes by the slack.
    pub(super) fn trim_to_size<S: WriteStore>(
        &mut self,
        topic: TopicId,
        retention: &Retention,
        store: &mut S,
    ) -> Result<(), StateError> {
        let Some(record) = self.topics.get(&topic) else { return Ok(()) };
        let count = record.next_seq - record.first_seq;
        let (max_count, max_bytes) = (retention.events.unwrap_or(u64::MAX), retention.bytes.unwrap_or(u64::MAX));
        let average = record.bytes / count.max(1);
        let slack_bytes = average.saturating_mul(SLACK_EVENTS).min(max_bytes / 16);
        let over_count = count > max_count.saturating_add(SLACK_EVENTS.min(max_count / 16));
        if !over_count && record.bytes <= max_bytes.saturating_add(slack_bytes) {
            return Ok(());
        }
        self.trim(topic, TRIM_PER_PUBLISH, store, |count, bytes, _| count > max_count || bytes > max_bytes)?;
        Ok(())
    }

    /// Removes up to `max` events from the topic's old end while `over(count, bytes, when the oldest was stored)` holds, the last
    /// by the expiry clock; the newest event always stays. Answers how many went.
    fn trim<S: WriteStore>(
        &mut self,
        topic: TopicId,
        max: usize,
        store: &mut S,
        over: impl Fn(u64, u64, u64) -> bool,
    ) -> Result<usize, StateError> {
        let Some(record) = self.topics.get_mut(&topic) else { return Ok(0) };
        let mut old: Vec<[u8; 17]> = Vec::new();
        let (from, to) = (keys::event(topic, record.first_seq), keys::event(topic, record.next_seq - 1));
        if from < to {
            store.scan(&from, &to, &mut |_, value| {
                let Some((id, times)) = Event::stored_id(value).zip(Event::stored_times(value)) else { return false };
                let count = record.next_seq - record.first_seq;
                if !over(count, record.bytes, times.expiry_ms) || old.len() == max {
                    return false;
                }
                old.push(keys::event(topic, record.first_seq));
                record.first_seq += 1;
                (record.trimmed_id, record.trimmed_peak_ms) = (id, times.peak_ms);
                record.bytes = record.bytes.saturating_sub(value.len() as u64);
                true
            })?;
        }
        if !old.is_empty() {
            self.dirty.insert(topic);
        }
        for key in &old {
            store.delete(key)?;
        }
        Ok(old.len())
    }

    /// A piece of the clean-up that the passing of time asks for, `now_ms` by the expiry clock; says whether more is
    /// waiting.
    pub(super) fn tick<S: WriteStore>(&mut self, now_ms: u64, store: &mut S) -> Result<Reply, StateError> {
        self.time_passes_for_owners(now_ms, store)?;
        let mut left = TRIM_PER_TICK;
        left -= publish::forget_expired(now_ms, left, store)?;
        left -= self.bury(left, store)?;
        left -= self.bury_endpoints(left, store)?;
        let aged: Vec<(TopicId, u64)> = self
            .access
            .maps()
            .filter_map(|map| Some((map.topic, now_ms.saturating_sub(map.retention.age_seconds?.saturating_mul(1000)))))
            .collect();
        for (topic, keep_from) in aged {
            left -= self.trim(topic, left, store, |_, _, stored_ms| stored_ms < keep_from)?;
            if left == 0 {
                break;
            }
        }
        Ok(Reply::Ticked(left == 0))
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
