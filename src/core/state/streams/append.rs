//! Events that the directory decided: facts about channels and their members.

use super::{Context, StateError, Streams, keys};
use crate::core::event::{Event, NewEvent, Times};
use crate::core::ids::{EventId, MapId, TopicId};
use crate::core::state::rights::Rights;
use crate::core::store::WriteStore;
use crate::core::subject::Subject;
use bytes::Bytes;

impl Streams {
    /// Appends events of the directory to the map's stream. No limit of the map's publishers applies to them.
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
        record.age_lifecycle_from(map.rules.all().len());
        let stored = self.append_all(map.topic, id, context.time_ms(), now, events, store)?;
        self.thin_published(&map, events.iter().map(|event| &event.subject), now, store)?;
        self.trim_to_size(&map, events.len(), now, store)?;
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
            let stored = Bytes::from(Event::to_stored_at(id, times, event));
            store.put(&keys::event(stream, seq), &stored)?;
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
