//! Idempotency keys: what was stored under a key, until the key expires.
//!
//! A map remembers a limited number of keys. At the limit a new key is refused: no key is forgotten before its
//! time, because its publisher may still repeat the request.

use super::{StateError, Streams, keys};
use crate::core::access::Map;
use crate::core::codec;
use crate::core::command::{IdempotencyKey, Published, Refusal, Reply};
use crate::core::ids::TopicId;
use crate::core::store::{ReadStore, WriteStore};
use serde::{Deserialize, Serialize};

/// Expired keys of the stream that each publish with a key removes. It is more than one, so that their number
/// shrinks.
const EXPIRED_PER_PUBLISH: usize = 4;

/// What is remembered under an idempotency key.
#[derive(Serialize, Deserialize)]
struct Remembered {
    fingerprint: [u8; 16],
    published: Published,
    /// When the key expires (milliseconds of the expiry clock).
    expires_ms: u64,
}

impl Streams {
    /// Returns the reply to a publish that need not be stored: its key was used before, or the map remembers
    /// as many keys as it may.
    pub(super) fn recall<S: WriteStore>(
        &mut self,
        map: &Map,
        key: &IdempotencyKey,
        now_ms: u64,
        store: &mut S,
    ) -> Result<Option<Reply>, StateError> {
        if let Some(reply) = recalled(map.topic, key, now_ms, store)? {
            return Ok(Some(reply));
        }
        self.forget_expired(map.topic, EXPIRED_PER_PUBLISH, now_ms, store)?;
        let Some(limit) = map.limits.idempotency_keys else { return Ok(None) };
        if self.topics.get(&map.topic).is_none_or(|record| record.keys < u64::from(limit)) {
            return Ok(None);
        }
        let wait_ms = oldest(map.topic, store)?.map_or(0, |at_ms| at_ms.saturating_sub(now_ms));
        Ok(Some(Reply::Refused(Refusal::TooManyKeys { limit, wait_ms })))
    }

    /// Remembers what was stored under a key.
    pub(super) fn remember<S: WriteStore>(
        &mut self,
        topic: TopicId,
        key: &IdempotencyKey,
        now_ms: u64,
        published: Published,
        store: &mut S,
    ) -> Result<(), StateError> {
        let expires_ms = now_ms.saturating_add(key.ttl_ms);
        let remembered = Remembered { fingerprint: key.fingerprint, published, expires_ms };
        store.put(&keys::idempotency(topic, &key.key), &codec::encode(&remembered)?)?;
        store.put(&keys::expiry(topic, expires_ms, &key.key), &[])?;
        self.count_keys(topic, |count| count + 1);
        Ok(())
    }

    /// Removes at most `max` expired keys of a stream. Returns how many.
    pub(super) fn forget_expired<S: WriteStore>(
        &mut self,
        topic: TopicId,
        max: usize,
        now_ms: u64,
        store: &mut S,
    ) -> Result<usize, StateError> {
        if max == 0 || self.topics.get(&topic).is_none_or(|record| record.keys == 0) {
            return Ok(0);
        }
        let mut expired: Vec<(Vec<u8>, [u8; 16])> = Vec::new();
        let from = keys::expiry(topic, 0, &[0; 16]);
        let to = keys::expiry(topic, now_ms.saturating_add(1), &[0; 16]);
        store.scan(&from, &to, &mut |at, _| {
            expired.extend(keys::expiry_of(at).map(|(_, key)| (at.to_vec(), key)));
            expired.len() < max
        })?;
        for (at, key) in &expired {
            store.delete(at)?;
            // The key may have been used again since. Then its record has a later time, and stays.
            let record = keys::idempotency(topic, key);
            let later = store.get(&record)?.map(|bytes| codec::decode::<Remembered>(&bytes)).transpose()?;
            if later.is_some_and(|remembered| remembered.expires_ms <= now_ms) {
                store.delete(&record)?;
            }
        }
        if !expired.is_empty() {
            self.count_keys(topic, |count| count.saturating_sub(expired.len() as u64));
        }
        Ok(expired.len())
    }

    fn count_keys(&mut self, topic: TopicId, change: impl FnOnce(u64) -> u64) {
        if let Some(record) = self.topics.get_mut(&topic) {
            record.keys = change(record.keys);
            self.dirty.insert(topic);
        }
    }
}

/// Returns the reply to an earlier publish with the same key.
fn recalled<S: ReadStore>(
    topic: TopicId,
    key: &IdempotencyKey,
    now_ms: u64,
    store: &S,
) -> Result<Option<Reply>, StateError> {
    let Some(bytes) = store.get(&keys::idempotency(topic, &key.key))? else { return Ok(None) };
    let remembered: Remembered = codec::decode(&bytes)?;
    if remembered.expires_ms <= now_ms || crate::failpoint!("key-forgotten") {
        return Ok(None);
    }
    Ok(Some(if remembered.fingerprint == key.fingerprint {
        Reply::Published(Published { replayed: true, ..remembered.published })
    } else {
        Reply::Refused(Refusal::KeyReused)
    }))
}

/// Returns when the first key of the stream expires (milliseconds of the expiry clock).
fn oldest<S: ReadStore>(topic: TopicId, store: &S) -> Result<Option<u64>, StateError> {
    let (from, to) = keys::of_stream(keys::EXPIRIES, topic);
    let mut first = None;
    store.scan(&from, &to, &mut |key, _| {
        first = keys::expiry_of(key).map(|(at_ms, _)| at_ms);
        false
    })?;
    Ok(first)
}
