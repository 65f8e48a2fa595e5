//! The last event of each ephemeral cache channel: who joins such a channel gets it first.
//!
//! A node keeps what it has published, and what has arrived because it has subscribers. An event is kept for
//! half an hour, as at Pusher. What is kept is bounded in bytes, for each stream and for the node: beyond a
//! bound, the channels that were silent for longest lose their event. Pure: no clock of its own.

use crate::core::channel::Prefix;
use crate::core::event::Event;
use crate::core::ids::TopicId;
use crate::core::subject::Subject;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long an event is kept.
const KEEP: Duration = Duration::from_secs(30 * 60);
/// Bytes of the kept events of one stream, about.
const STREAM_BYTES: usize = 4 << 20;
/// Bytes of the kept events of all streams, about.
const NODE_BYTES: usize = 32 << 20;
/// Bytes that an event takes beside its texts.
const OVERHEAD: usize = 256;

/// A kept event.
struct Kept {
    event: Event,
    /// Its number in the order in which this node kept events.
    number: u64,
    since: Instant,
}

/// The kept events of one stream.
#[derive(Default)]
struct OfStream {
    by_subject: FxHashMap<Subject, Kept>,
    /// The subjects in the order of the numbers of their events.
    order: BTreeMap<u64, Subject>,
    bytes: usize,
}

/// The kept events of all streams.
#[derive(Default)]
struct Totals {
    /// The streams of the kept events, in the order of the numbers of the events.
    order: BTreeMap<u64, TopicId>,
    bytes: usize,
}

/// The last events of a node's ephemeral cache channels.
#[derive(Default)]
pub(super) struct LastEvents {
    streams: FxHashMap<TopicId, OfStream>,
    totals: Totals,
    next_number: u64,
}

/// An event that was removed: its number, and the bytes that are free again.
type Removed = Option<(u64, usize)>;

fn size(event: &Event) -> usize {
    let text = event.text.as_ref().map_or(0, |text| text.len());
    // The subject stands in two places.
    OVERHEAD + 2 * event.subject.as_str().len() + event.kind.len() + event.payload.len() + text
}

impl OfStream {
    /// Removes the event of a subject.
    fn remove(&mut self, subject: &Subject) -> Removed {
        let kept = self.by_subject.remove(subject)?;
        self.order.remove(&kept.number);
        let size = size(&kept.event);
        self.bytes -= size;
        Some((kept.number, size))
    }

    /// Removes the event that was kept first.
    fn remove_oldest(&mut self) -> Removed {
        let subject = self.order.first_key_value()?.1.clone();
        self.remove(&subject)
    }

    /// When the event was kept that was kept first.
    fn oldest_since(&self) -> Option<Instant> {
        let (_, subject) = self.order.first_key_value()?;
        self.by_subject.get(subject).map(|kept| kept.since)
    }
}

impl Totals {
    fn add(&mut self, number: u64, stream: TopicId, size: usize) {
        self.order.insert(number, stream);
        self.bytes += size;
    }

    fn subtract(&mut self, removed: Removed) {
        let Some((number, size)) = removed else { return };
        self.order.remove(&number);
        self.bytes -= size;
    }
}

impl LastEvents {
    /// Keeps the event if its subject is a cache channel. The event has the position that this node gave it.
    pub(super) fn keep(&mut self, stream: TopicId, event: &Event, now: Instant) {
        if !Prefix::of(event.subject.as_str()).is_some_and(|prefix| prefix.is_cache) {
            return;
        }
        let number = self.next_number;
        self.next_number += 1;
        let of = self.streams.entry(stream).or_default();
        let newer = of.by_subject.get(&event.subject).is_some_and(|kept| kept.event.id > event.id);
        if newer {
            return;
        }
        self.totals.subtract(of.remove(&event.subject));
        let size = size(event);
        of.bytes += size;
        of.order.insert(number, event.subject.clone());
        of.by_subject.insert(event.subject.clone(), Kept { event: event.clone(), number, since: now });
        self.totals.add(number, stream, size);
        while of.bytes > STREAM_BYTES && of.order.len() > 1 {
            self.totals.subtract(of.remove_oldest());
        }
        while self.has_too_much(now) && self.drop_oldest() {}
    }

    /// Whether the node keeps too many bytes, or an event for too long.
    fn has_too_much(&self, now: Instant) -> bool {
        let stream = self.totals.order.first_key_value().and_then(|(_, stream)| self.streams.get(stream));
        let oldest = stream.and_then(OfStream::oldest_since);
        self.totals.bytes > NODE_BYTES
            || oldest.is_some_and(|since| now.saturating_duration_since(since) > KEEP)
    }

    /// Drops the event that the node kept first. Whether there was one.
    fn drop_oldest(&mut self) -> bool {
        let Some((_, stream)) = self.totals.order.pop_first() else { return false };
        if let Some(of) = self.streams.get_mut(&stream) {
            self.totals.subtract(of.remove_oldest());
            if of.order.is_empty() {
                self.streams.remove(&stream);
            }
        }
        true
    }

    /// The last event of a subject.
    pub(super) fn of(&self, stream: TopicId, subject: &Subject, now: Instant) -> Option<Event> {
        let kept = self.streams.get(&stream)?.by_subject.get(subject)?;
        (now.saturating_duration_since(kept.since) <= KEEP).then(|| kept.event.clone())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::event::NewEvent;
    use crate::core::ids::EventId;

    const STREAM: TopicId = TopicId(1);

    fn event(subject: &str, counter: u64, bytes: usize) -> Event {
        let new = NewEvent::new(Subject::parse(subject).unwrap(), "moved", vec![b'1'; bytes]);
        new.placed(EventId::ephemeral(1, 1, counter), counter, 1)
    }

    fn of(last: &LastEvents, stream: TopicId, subject: &str, now: Instant) -> Option<u64> {
        last.of(stream, &Subject::parse(subject).unwrap(), now).map(|event| event.seq)
    }

    #[test]
    fn a_cache_channel_has_its_last_event_for_half_an_hour() {
        let mut last = LastEvents::default();
        let now = Instant::now();
        for (subject, counter) in [("cache-a", 1), ("cache-a", 3), ("cache-a", 2), ("orders", 4)] {
            last.keep(STREAM, &event(subject, counter, 10), now);
        }
        assert_eq!((of(&last, STREAM, "cache-a", now), of(&last, STREAM, "orders", now)), (Some(3), None));
        assert_eq!(of(&last, TopicId(2), "cache-a", now), None, "another map's");
        assert_eq!(of(&last, STREAM, "cache-a", now + KEEP), Some(3));
        assert_eq!(of(&last, STREAM, "cache-a", now + KEEP + Duration::from_secs(1)), None);
        last.keep(STREAM, &event("cache-b", 5, 10), now + 2 * KEEP);
        assert_eq!(last.streams[&STREAM].order.len(), 1, "what is too old is forgotten");
        last.keep(TopicId(2), &event("cache-c", 6, 10), now + 4 * KEEP);
        assert_eq!(last.streams.len(), 1, "also that of a stream without new events");
        assert_eq!(last.totals.order.len(), 1);
    }

    #[test]
    fn a_stream_and_a_node_keep_a_bounded_number_of_bytes() {
        let mut last = LastEvents::default();
        let now = Instant::now();
        let streams = 2 * NODE_BYTES / STREAM_BYTES;
        for counter in 0..(NODE_BYTES / 50_000) as u64 * 3 {
            let stream = TopicId(counter % streams as u64);
            last.keep(stream, &event(&format!("cache-{counter}"), counter, 100_000), now);
            assert!(last.totals.bytes <= NODE_BYTES, "{}", last.totals.bytes);
        }
        for counter in 0..100 {
            last.keep(STREAM, &event(&format!("cache-more-{counter}"), 1_000_000 + counter, 100_000), now);
        }
        assert!(last.streams[&STREAM].bytes <= STREAM_BYTES);
        assert_eq!(of(&last, STREAM, "cache-more-99", now), Some(1_000_099));
        assert_eq!(last.totals.bytes, last.streams.values().map(|of| of.bytes).sum::<usize>());
        assert_eq!(last.totals.order.len(), last.streams.values().map(|of| of.order.len()).sum::<usize>());
    }
}
