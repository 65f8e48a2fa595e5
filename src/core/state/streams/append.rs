//! Events of the server's own: facts about channels and their members, which the directory decided, and what
//! is told about webhooks.

use super::{Context, StateError, Streams, keys};
use crate::core::codec;
use crate::core::event::{Event, NewEvent, Times};
use crate::core::ids::{EventId, MapId, TopicId};
use crate::core::operators::{Often, Pace, SYSTEM_MAP};
use crate::core::state::rights::Rights;
use crate::core::store::WriteStore;
use crate::core::subject::Subject;
use bytes::Bytes;

impl Streams {
    /// Tells a map about one of its webhooks, and the operators as well. The system map is told about its own
    /// webhooks only under their subjects, which no webhook takes unless it names them: so a webhook of the
    /// system map that fails gets no events about that.
    pub(super) fn tell_of_webhook<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        map: MapId,
        events: &[NewEvent],
        store: &mut S,
    ) -> Result<(), StateError> {
        if events.is_empty() {
            return Ok(());
        }
        self.append_facts(context, map, events, store)?;
        if map == SYSTEM_MAP || self.facts.map(SYSTEM_MAP).is_none() {
            return Ok(());
        }
        // No map's webhooks push out what operators are told of others. The last event says most.
        let told = told_now(map, events.len(), context.expiry_ms(), store)?;
        let newest = events.iter().skip(events.len() - told);
        let for_operators: Vec<NewEvent> =
            newest.map(|event| NewEvent { subject: Subject::own(), ..event.clone() }).collect();
        if for_operators.is_empty() {
            return Ok(());
        }
        self.append_facts(context, SYSTEM_MAP, &for_operators, store)
    }

    /// Appends events of the server to the map's stream, if there is such a map. No limit of the map's
    /// publishers applies to them.
    pub(super) fn append_facts<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        map: MapId,
        events: &[NewEvent],
        store: &mut S,
    ) -> Result<(), StateError> {
        let Some(map) = self.facts.map(map).cloned() else { return Ok(()) };
        let now = context.expiry_ms();
        let id = EventId::at(context.id_ms(), context.position(), context.take_slots(events.len() as u32));
        let record = self.topics.entry(map.topic).or_default();
        if events.iter().any(|event| event.subject.channel().is_some()) {
            record.age_lifecycle_from(map.rules.all().len());
        }
        let stored = self.append_all(map.topic, id, context.time_ms(), now, events, store)?;
        self.thin_published(&map, events.iter().map(|event| &event.subject), now, store)?;
        self.trim_to_size(&map, events.len(), now, store)?;
        self.count_events(map.topic, context.id_ms(), &stored, store)?;
        self.note_events(&map, events, stored);
        Ok(())
    }

    /// Stores events as the stream's newest. The first one gets this id, the others those that follow it.
    /// Returns their seqs and their bytes.
    pub(super) fn append_all<S: WriteStore>(
        &mut self,
        stream: TopicId,
        first_id: EventId,
        time_ms: u64,
        expiry_ms: u64,
        events: &[NewEvent],
        store: &mut S,
    ) -> Result<Vec<(u64, Bytes)>, StateError> {
        let record = self.topics.entry(stream).or_default();
        record.peak_ms = record.peak_ms.max(time_ms);
        let times = Times { time_ms, peak_ms: record.peak_ms, expiry_ms };
        let first_seq = record.next_seq;
        let mut appended = Vec::with_capacity(events.len());
        for (index, event) in (0..).zip(events) {
            let id = first_id.plus_slots(index);
            let seq = first_seq + u64::from(index);
            let form = Event::stored_form(id, times, event);
            let stored =
                store.put_with(&keys::event(stream, seq), form.len_bytes(), |out| form.write(out))?;
            self.append(stream, &event.subject, id, stored.len() as u64, store)?;
            appended.push((seq, stored));
        }
        self.dirty.insert(stream);
        Ok(appended)
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
        record.add(subject.as_str(), bytes);
        if subject.is_own() {
            return Ok(record.own.append((stream, subject), (seq, id, bytes), store)?);
        }
        self.change_subject(stream, subject, store, |one, store| {
            one.append((stream, subject), (seq, id, bytes), store)
        })
    }
}

/// Returns how many of so many events about the webhooks of a map operators are told now.
fn told_now<S: WriteStore>(
    map: MapId,
    events: usize,
    now_ms: u64,
    store: &mut S,
) -> Result<usize, StateError> {
    let key = keys::told_of_map(map);
    let stored = store.get(&key)?;
    let mut pace: Pace = stored.map(|bytes| codec::decode(&bytes)).transpose()?.unwrap_or_default();
    let told = (0..events).take_while(|_| pace.take(Often::OF_MAP, now_ms)).count();
    store.put(&key, &codec::encode(&pace)?)?;
    Ok(told)
}
