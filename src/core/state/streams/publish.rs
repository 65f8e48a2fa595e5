//! Publishing: seq, id and the limits of a publish.

use super::{Context, StateError, Streams};
use crate::core::access::{Map, Scopes};
use crate::core::channel_rules::Durability;
use crate::core::command::{Appended, Change, IdempotencyKey, Publish, Published, Refusal, Reply, Touched};
use crate::core::event::NewEvent;
use crate::core::ids::EventId;
use crate::core::operators::SYSTEM_MAP;
use crate::core::rate::Amount;
use crate::core::state::rights::Rights;
use crate::core::store::{ReadStore, WriteStore};
use crate::core::subject::Subject;
use crate::core::trace::TraceContext;
use bytes::Bytes;

/// A request whose publisher may publish to the map.
#[derive(Clone, Copy)]
pub(super) struct Accepted<'r> {
    /// Whether one of the map's own publishers makes it, and not the admin.
    pub(super) is_own: bool,
    /// The events, in order.
    pub(super) events: &'r [NewEvent],
    /// The keys under which it is remembered, each of which makes a repeated request the same one.
    pub(super) keys: &'r [IdempotencyKey],
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
        if map.id == SYSTEM_MAP {
            return Ok(Reply::Refused(Refusal::SystemMap));
        }
        let limit = publish.by.and_then(|by| self.facts.token(by)).and_then(|token| token.subjects.as_ref());
        if limit.is_some_and(|limit| !publish.events.iter().all(|event| limit.allows(&event.subject))) {
            return Ok(Reply::Refused(Refusal::Forbidden));
        }
        let request =
            Accepted { is_own: publish.by.is_some(), events: &publish.events, keys: publish.key.as_slice() };
        self.store_request(context, &map, &request, store)
    }

    /// Stores the events of a request whose publisher may publish to the map.
    pub(super) fn store_request<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        map: &Map,
        request: &Accepted<'_>,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let Accepted { is_own, events, keys } = *request;
        let now = context.expiry_ms();
        let own = u64::from(crate::failpoint!("own-time", 50));
        let time_ms = context.time_ms() + own;
        for key in keys {
            if let Some(reply) = self.recall(map, key, now, store)? {
                return Ok(reply);
            }
        }
        if let Some(refusal) = self.refuses(map, request, store)? {
            return Ok(Reply::Refused(refusal));
        }
        let record = self.topics.entry(map.topic).or_default();
        let count = events.len() as u32;
        // The rates apply to a map's own publishers; the admin has none.
        if is_own {
            match map.limits.publish_rates().charge(record.charged, Amount::of(events), now) {
                Ok(charged) => record.charged = charged,
                Err(exceeded) => return Ok(Reply::Refused(Refusal::Rate(exceeded))),
            }
        }
        if events.iter().any(|event| event.subject.channel().is_some()) {
            record.age_lifecycle_from(map.rules.all().len());
        }
        let first_id = EventId::at(context.id_ms() + own, context.position(), context.take_slots(count));
        let published = Published { first_seq: record.next_seq, count, first_id, time_ms, replayed: false };
        let stored = self.append_all(map.topic, first_id, time_ms, now, events, store)?;
        if let Some(record) = self.topics.get_mut(&map.topic) {
            record.next_seq -=
                u64::from(crate::failpoint!("seq-reused") && context.index().is_multiple_of(50));
        }
        for key in keys {
            self.remember(map.topic, key, now, published, store)?;
        }
        self.thin_published(map, events.iter().map(|event| &event.subject), now, store)?;
        self.trim_to_size(map, events.len(), now, store)?;
        self.count_events(map.topic, context.id_ms(), &stored, store)?;
        self.note_events(map, events, stored);
        Ok(Reply::Published(published))
    }

    /// Returns why none of the events may be stored.
    fn refuses<S: ReadStore>(
        &self,
        map: &Map,
        request: &Accepted<'_>,
        store: &S,
    ) -> Result<Option<Refusal>, StateError> {
        let subjects =
            || request.events.iter().map(|event| &event.subject).filter(|subject| !subject.is_own());
        if subjects().next().is_none() {
            return Ok(None);
        }
        // Only the server publishes to its own subjects, but a token may have it fire an event of a channel.
        let is_closed = |subject: &Subject| subject.is_reserved() && subject.channel().is_none();
        if request.is_own && subjects().any(is_closed) {
            return Ok(Some(Refusal::Malformed));
        }
        if subjects().any(|subject| map.rules.durability_of(subject.as_str()) == Durability::Ephemeral) {
            return Ok(Some(Refusal::Ephemeral));
        }
        let (Some(limit), Some(record)) = (map.limits.subjects, self.topics.get(&map.topic)) else {
            return Ok(None);
        };
        // Most publishes are far from the limit and need not determine which subjects are new.
        let most = record.subjects + request.events.len() as u64;
        let is_over = most > u64::from(limit) && {
            let counted = subjects().filter(|subject| !subject.is_reserved());
            let new = self.count_new(map.topic, counted, store)?;
            new > 0 && record.subjects + new > u64::from(limit)
        };
        Ok(is_over.then_some(Refusal::TooManySubjects(limit)))
    }

    /// Adds the events to the changes, with their seqs and their bytes. Consecutive publishes to one stream
    /// become one change, or a few: each names the subjects that it concerns, so that it wakes no other
    /// topic. Each event of a recorded trace is a change of its own too.
    pub(super) fn note_events(&mut self, map: &Map, events: &[NewEvent], stored: Vec<(u64, Bytes)>) {
        let Map { id: map, topic: stream, .. } = *map;
        for (event, stored) in events.iter().zip(stored) {
            let last = match self.changes.last_mut() {
                Some(Change::Events(last)) if last.stream == stream => Some(last),
                _ => None,
            };
            if let Some(last) = last
                && last.subjects.add(&event.subject)
            {
                last.events.push(stored);
                continue;
            }
            let subjects = Touched::These(vec![event.subject.clone()]);
            self.changes.push(Change::Events(Appended { map, stream, subjects, events: vec![stored] }));
        }
        let traces = events.iter().filter_map(|event| event.trace).filter(TraceContext::is_sampled);
        self.changes.extend(traces.map(Change::Traced));
    }
}
