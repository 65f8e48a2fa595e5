//! New events of topics, read once for all endpoints of a thread.
//!
//! Owns a short tail of each topic in use, without holes. Who is further behind reads its own pages from the archive. Events share
//! their bytes: a payload is never copied for an endpoint.

use crate::core::event::Event;
use crate::core::ids::TopicId;
use crate::hub::{Archive, ArchiveError};
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::collections::VecDeque;

/// Events read at once.
pub(super) const PAGE_EVENTS: usize = 128;
/// Bytes of stored events read at once, about.
pub(super) const PAGE_BYTES: usize = 512 * 1024;
/// Events of a topic kept.
const TAIL_EVENTS: usize = 512;
/// Bytes of payloads kept, over all topics.
const TAILS_BYTES: usize = 32 << 20;

/// What a read gave.
pub(super) enum Read {
    /// These, and the seq after the last; none when there is nothing new.
    Events(Vec<Event>, u64),
    /// They lie further back: read them from the archive.
    Cold,
}

/// The tails.
pub(super) struct Source {
    archive: Archive,
    tails: RefCell<Tails>,
}

#[derive(Default)]
struct Tails {
    topics: FxHashMap<TopicId, Tail>,
    bytes: usize,
}

#[derive(Default)]
struct Tail {
    events: VecDeque<Event>,
    next_seq: u64,
}

impl Source {
    pub(super) fn new(archive: Archive) -> Self {
        Self { archive, tails: RefCell::default() }
    }

    pub(super) fn archive(&self) -> &Archive {
        &self.archive
    }

    /// Reads from `from_seq` on.
    pub(super) fn read(&self, topic: TopicId, from_seq: u64) -> Result<Read, ArchiveError> {
        let mut tails = self.tails.borrow_mut();
        if let Some(read) = tails.topics.get(&topic).and_then(|tail| tail.read(from_seq)) {
            return Ok(read);
        }
        let head_seq = self.archive.read_now(topic, u64::MAX, 0, 0)?.head_seq;
        if from_seq > head_seq {
            return Ok(Read::Events(Vec::new(), from_seq));
        }
        // A longer way than a tail is read in pages of one's own, between which others have their turn on the thread.
        if head_seq - from_seq >= TAIL_EVENTS as u64 {
            return Ok(Read::Cold);
        }
        let page = self.archive.read_now(topic, from_seq, PAGE_EVENTS, PAGE_BYTES)?;
        tails.append(topic, from_seq, &page.events);
        Ok(Read::Events(page.events, page.next_seq))
    }

    /// Forgets a topic that no endpoint reads any more.
    pub(super) fn forget(&self, topic: TopicId) {
        self.tails.borrow_mut().forget(topic);
    }
}

impl Tail {
    /// Events from `from_seq` on; `None` where the tail ends before it.
    fn read(&self, from_seq: u64) -> Option<Read> {
        if from_seq >= self.next_seq {
            return None;
        }
        if self.events.front().is_none_or(|event| from_seq < event.seq) {
            return Some(Read::Cold);
        }
        let skipped = self.events.partition_point(|event| event.seq < from_seq);
        let events: Vec<Event> = self.events.iter().skip(skipped).take(PAGE_EVENTS).cloned().collect();
        let next_seq = events.last().map_or(from_seq, |event| event.seq + 1);
        Some(Read::Events(events, next_seq))
    }
}

impl Tails {
    /// Keeps events that were read from `from_seq` on. What does not follow on what is kept replaces it: a tail has no
    /// holes, since who reads it would take what is in them for nothing.
    fn append(&mut self, topic: TopicId, from_seq: u64, events: &[Event]) {
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return };
        if first.seq != from_seq || self.topics.get(&topic).is_none_or(|tail| tail.next_seq != from_seq) {
            self.forget(topic);
        }
        let added: usize = events.iter().map(weight).sum();
        if self.bytes + added > TAILS_BYTES {
            self.topics.retain(|kept, _| *kept == topic);
            self.bytes = self.topics.values().flat_map(|tail| &tail.events).map(weight).sum();
        }
        let tail = self.topics.entry(topic).or_default();
        tail.events.extend(events.iter().cloned());
        tail.next_seq = last.seq + 1;
        self.bytes += added;
        while tail.events.len() > TAIL_EVENTS || (self.bytes > TAILS_BYTES && tail.events.len() > PAGE_EVENTS) {
            self.bytes -= tail.events.pop_front().map_or(0, |event| weight(&event));
        }
    }

    fn forget(&mut self, topic: TopicId) {
        if let Some(tail) = self.topics.remove(&topic) {
            self.bytes -= tail.events.iter().map(weight).sum::<usize>();
        }
    }
}

/// Bytes that an event takes.
pub(super) fn weight(event: &Event) -> usize {
    event.payload.len() + event.kind.len() + 64
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::ids::EventId;
    use std::ops::Range;

    const TOPIC: TopicId = TopicId(1);

    fn events(seqs: Range<u64>) -> Vec<Event> {
        let event = |seq| Event {
            id: EventId::new(1, seq, 0),
            seq,
            subject: Default::default(),
            time_ms: 1,
            kind: "x".into(),
            payload: "{}".into(),
        };
        seqs.map(event).collect()
    }

    fn read(tails: &Tails, from_seq: u64) -> Option<Result<Vec<u64>, ()>> {
        Some(match tails.topics[&TOPIC].read(from_seq)? {
            Read::Events(events, _) => Ok(events.iter().map(|event| event.seq).collect()),
            Read::Cold => Err(()),
        })
    }

    #[test]
    fn what_follows_is_kept_and_shared() {
        let mut tails = Tails::default();
        tails.append(TOPIC, 95, &events(95..98));
        tails.append(TOPIC, 98, &events(98..100));
        assert_eq!(read(&tails, 96), Some(Ok((96..100).collect())));
        assert_eq!((read(&tails, 94), read(&tails, 100)), (Some(Err(())), None));
    }

    #[test]
    fn a_tail_has_no_holes() {
        let mut tails = Tails::default();
        tails.append(TOPIC, 95, &events(95..100));
        // Retention took what lies between.
        tails.append(TOPIC, 100, &events(900..903));
        assert_eq!(read(&tails, 95), Some(Err(())), "who is behind reads the archive, and sees what is gone");
        assert_eq!(read(&tails, 901), Some(Ok(vec![901, 902])));
        tails.append(TOPIC, 950, &events(950..951));
        assert_eq!(read(&tails, 902), Some(Err(())));
        assert_eq!(tails.bytes, weight(&events(1..2)[0]));
    }
}
