//! Publishing: seq, id, idempotency and the publish limit.

use super::{Context, StateError, Streams, keys};
use crate::core::access::{Map, Scopes};
use crate::core::channel_rules::Durability;
use crate::core::codec;
use crate::core::command::{Change, IdempotencyKey, Publish, Published, Refusal, Reply, Touched};
use crate::core::event::{Event, NewEvent, Times};
use crate::core::ids::{EventId, TopicId};
use crate::core::rate::Rate;
use crate::core::state::rights::Rights;
use crate::core::store::{ReadStore, WriteStore};
use crate::core::subject::Subject;
use serde::{Deserialize, Serialize};

/// Expired keys that each publish with a key removes. It is more than one, so that their number shrinks.
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
    pub(super) fn publish<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        publish: Publish,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let map = match self.facts.check(publish.map, publish.by, Scopes::PUBLISH) {
            Ok(map) => map.clone(),
            Err(refusal) => return Ok(Reply::Refused(refusal)),
        };
        let now = context.expiry_ms();
        let own = u64::from(crate::failpoint!("own-time", 50));
        let time_ms = context.time_ms() + own;
        if let Some(key) = &publish.key
            && let Some(reply) = recall(map.topic, key, now, store)?
        {
            return Ok(reply);
        }
        if let Some(refusal) = self.refuses(&map, &publish, store)? {
            return Ok(Reply::Refused(refusal));
        }
        let record = self.topics.entry(map.topic).or_default();
        let count = publish.events.len() as u32;
        // The limit applies to a map's own publishers; the admin has none.
        if let (Some(permits), Some(_)) = (map.limits.publishes_per_second, publish.by) {
            match (Rate { permits, period_ms: 1000 }).charge(record.full_at_us, count, now) {
                Ok(full_at_us) => record.full_at_us = full_at_us,
                Err(wait_ms) => return Ok(Reply::Refused(Refusal::Rate(wait_ms))),
            }
        }
        let first_id = EventId::at(context.id_ms() + own, context.position(), context.take_slots(count));
        let published = Published { first_seq: record.next_seq, count, first_id, time_ms, replayed: false };
        record.peak_ms = record.peak_ms.max(time_ms);
        let times = Times { time_ms, peak_ms: record.peak_ms, expiry_ms: now };
        for (index, event) in (0..).zip(&publish.events) {
            let id = published.id(index);
            let stored = Event::to_stored_at(id, times, event);
            store.put(&keys::event(map.topic, published.first_seq + u64::from(index)), &stored)?;
            self.append(map.topic, &event.subject, id, stored.len() as u64, store)?;
        }
        if let Some(record) = self.topics.get_mut(&map.topic) {
            record.next_seq -=
                u64::from(crate::failpoint!("seq-reused") && context.index().is_multiple_of(50));
        }
        self.dirty.insert(map.topic);
        if let Some(key) = &publish.key {
            remember(map.topic, key, now, published, store)?;
        }
        self.thin_published(&map, publish.events.iter().map(|event| &event.subject), now, store)?;
        self.trim_to_size(&map, now, store)?;
        self.note_events(map.topic, published.first_seq, &publish.events);
        Ok(Reply::Published(published))
    }

    /// Returns why none of the events may be stored.
    fn refuses<S: ReadStore>(
        &self,
        map: &Map,
        publish: &Publish,
        store: &S,
    ) -> Result<Option<Refusal>, StateError> {
        let subjects =
            || publish.events.iter().map(|event| &event.subject).filter(|subject| !subject.is_own());
        if subjects().next().is_none() {
            return Ok(None);
        }
        // Only the server publishes to its own subjects.
        if publish.by.is_some() && subjects().any(Subject::is_reserved) {
            return Ok(Some(Refusal::Malformed));
        }
        if subjects().any(|subject| map.rules.durability_of(subject.as_str()) == Durability::Ephemeral) {
            return Ok(Some(Refusal::Ephemeral));
        }
        let (Some(limit), Some(record)) = (map.limits.subjects, self.topics.get(&map.topic)) else {
            return Ok(None);
        };
        // Most publishes are far from the limit and need not determine which subjects are new.
        let most = record.subjects + publish.events.len() as u64;
        let is_over = most > u64::from(limit) && {
            let new = self.count_new(map.topic, subjects(), store)?;
            new > 0 && record.subjects + new > u64::from(limit)
        };
        Ok(is_over.then_some(Refusal::TooManySubjects(limit)))
    }

    /// Records a stored event as the stream's newest.
    fn append<S: WriteStore>(
        &mut self,
        stream: TopicId,
        subject: &Subject,
        id: EventId,
        bytes: u64,
        store: &mut S,
    ) -> Result<(), StateError> {
        let Some(record) = self.topics.get_mut(&stream) else { return Ok(()) };
        let seq = record.next_seq;
        record.next_seq = seq + 1;
        record.head_id = id;
        record.count += 1;
        record.bytes += bytes;
        if subject.is_own() {
            return Ok(record.own.append((stream, subject), (seq, id, bytes), store)?);
        }
        self.change_subject(stream, subject, store, |one, store| {
            one.append((stream, subject), (seq, id, bytes), store)
        })
    }

    /// Adds the events to the changes. Consecutive publishes to one stream become one change, or a few: each
    /// names the subjects that it concerns, so that it wakes no other topic, and the first seq of its events.
    fn note_events(&mut self, stream: TopicId, first_seq: u64, events: &[NewEvent]) {
        for (seq, event) in (first_seq..).zip(events) {
            let is_noted = match self.changes.last_mut() {
                Some(Change::Events(last, _, touched)) if *last == stream => touched.add(&event.subject),
                _ => false,
            };
            if !is_noted {
                self.changes.push(Change::Events(stream, seq, Touched::These(vec![event.subject.clone()])));
            }
        }
    }
}

/// Returns the reply to an earlier publish with the same key.
fn recall<S: ReadStore>(
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

fn remember<S: WriteStore>(
    topic: TopicId,
    key: &IdempotencyKey,
    now_ms: u64,
    published: Published,
    store: &mut S,
) -> Result<(), StateError> {
    forget_expired(now_ms, EXPIRED_PER_PUBLISH, store)?;
    let expires_ms = now_ms.saturating_add(key.ttl_ms);
    let at = keys::idempotency(topic, &key.key);
    let remembered = Remembered { fingerprint: key.fingerprint, published, expires_ms };
    store.put(&at, &codec::encode(&remembered)?)?;
    store.put(&keys::expiry(expires_ms, &at), &[])?;
    Ok(())
}

/// Removes at most `max` expired idempotency keys and returns how many.
pub(super) fn forget_expired<S: WriteStore>(
    now_ms: u64,
    max: usize,
    store: &mut S,
) -> Result<usize, StateError> {
    let mut expired: Vec<Vec<u8>> = Vec::new();
    let end = keys::expiry(now_ms.saturating_add(1), &[0; 25]);
    store.scan(b"x", &end, &mut |key, _| {
        expired.push(key.to_vec());
        expired.len() < max
    })?;
    for key in &expired {
        store.delete(key)?;
        // The key may have been used again since. Then its record has a later time, and stays.
        let record = &key[9..];
        let later = store.get(record)?.map(|bytes| codec::decode::<Remembered>(&bytes)).transpose()?;
        if later.is_some_and(|remembered| remembered.expires_ms <= now_ms) {
            store.delete(record)?;
        }
    }
    Ok(expired.len())
}
