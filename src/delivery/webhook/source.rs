//! New events of topics, read once for all webhooks of a thread.
//!
//! Owns a short tail of each topic in use, without holes. Who is further behind reads its own pages from the archive. Events share
//! their bytes: a payload is never copied for a webhook.

use crate::core::event::Event;
use crate::core::ids::TopicId;
use crate::hub::{Archive, ArchiveError, Page};
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

/// What of a stream was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    /// What is missing from here on was removed inside the stream.
    pub(super) kept_from: u64,
    /// The seq to go on from.
    pub(super) next_seq: u64,
}

impl Reach {
    pub(super) fn of(page: &Page) -> Self {
        Self { kept_from: page.first_seq, next_seq: page.next_seq }
    }
}

/// What a read gave.
pub(super) enum Read {
    /// All that is left so far; the same seq as before when there is nothing new.
    Events(Vec<Event>, Reach),
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
    /// All that is left from here on is in it.
    from_seq: u64,
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
            return Ok(Read::Events(Vec::new(), Reach { kept_from: from_seq, next_seq: from_seq }));
        }
        // A longer way than a tail is read in pages of one's own, between which others have their turn on the thread.
        if head_seq - from_seq >= TAIL_EVENTS as u64 {
            return Ok(Read::Cold);
        }
        let page = self.archive.read_now(topic, from_seq, PAGE_EVENTS, PAGE_BYTES)?;
        tails.append(topic, from_seq, &page);
        let reach = Reach::of(&page);
        Ok(Read::Events(page.events, reach))
    }

    /// Forgets a topic that no webhook reads any more.
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
        if from_seq < self.from_seq {
            return Some(Read::Cold);
        }
        let skipped = self.events.partition_point(|event| event.seq < from_seq);
        let events: Vec<Event> = self.events.iter().skip(skipped).take(PAGE_EVENTS).cloned().collect();
        let is_all = skipped + events.len() == self.events.len();
        let next_seq = events.last().filter(|_| !is_all).map_or(self.next_seq, |event| event.seq + 1);
        Some(Read::Events(events, Reach { kept_from: self.from_seq, next_seq }))
    }
}

impl Tails {
    /// Keeps a page that was read from `from_seq` on. What does not follow on what is kept replaces it: a tail lacks only
    /// what was removed inside the stream, since who reads it takes what is not there for that.
    fn append(&mut self, topic: TopicId, from_seq: u64, page: &Page) {
        let kept_from = from_seq.max(page.first_seq);
        if page.next_seq <= kept_from {
            return;
        }
        if kept_from != from_seq || self.topics.get(&topic).is_none_or(|tail| tail.next_seq != from_seq) {
            self.forget(topic);
        }
        let events = &page.events;
        let added: usize = events.iter().map(weight).sum();
        if self.bytes + added > TAILS_BYTES {
            self.topics.retain(|kept, _| *kept == topic);
            self.bytes = self.topics.values().flat_map(|tail| &tail.events).map(weight).sum();
        }
        let tail = self.topics.entry(topic).or_insert(Tail { from_seq: kept_from, ..Tail::default() });
        tail.events.extend(events.iter().cloned());
        tail.next_seq = page.next_seq;
        self.bytes += added;
        while tail.events.len() > TAIL_EVENTS || (self.bytes > TAILS_BYTES && tail.events.len() > PAGE_EVENTS)
        {
            let Some(oldest) = tail.events.pop_front() else { break };
            self.bytes -= weight(&oldest);
            tail.from_seq = oldest.seq + 1;
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
#[allow(clippy::unwrap_used, clippy::panic)]
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

    fn page(seqs: Range<u64>) -> Page {
        let (first_seq, next_seq) = (seqs.start, seqs.end);
        let (events, head_seq) = (events(seqs), next_seq - 1);
        Page { events, verdicts: None, next_seq, first_seq, head_seq, passed_id: None, gone_seq: None }
    }

    #[test]
    fn what_was_removed_inside_the_stream_is_no_hole_of_a_tail() {
        let mut tails = Tails::default();
        let mut page = page(95..105);
        page.events.retain(|event| ![95, 98, 104].contains(&event.seq));
        tails.append(TOPIC, 95, &page);
        assert_eq!(read(&tails, 95), Some(Ok(vec![96, 97, 99, 100, 101, 102, 103])));
        let Some(Read::Events(rest, reach)) = tails.topics[&TOPIC].read(104) else { panic!() };
        assert_eq!((rest.len(), reach), (0, Reach { kept_from: 95, next_seq: 105 }));
    }

    #[test]
    fn what_follows_is_kept_and_shared() {
        let mut tails = Tails::default();
        tails.append(TOPIC, 95, &page(95..98));
        tails.append(TOPIC, 98, &page(98..100));
        assert_eq!(read(&tails, 96), Some(Ok((96..100).collect())));
        assert_eq!((read(&tails, 94), read(&tails, 100)), (Some(Err(())), None));
    }

    #[test]
    fn a_tail_has_no_holes() {
        let mut tails = Tails::default();
        tails.append(TOPIC, 95, &page(95..100));
        // Retention took what lies between.
        tails.append(TOPIC, 100, &page(900..903));
        assert_eq!(read(&tails, 95), Some(Err(())), "who is behind reads the archive, and sees what is gone");
        assert_eq!(read(&tails, 901), Some(Ok(vec![901, 902])));
        tails.append(TOPIC, 950, &page(950..951));
        assert_eq!(read(&tails, 902), Some(Err(())));
        assert_eq!(tails.bytes, weight(&events(1..2)[0]));
    }
}
