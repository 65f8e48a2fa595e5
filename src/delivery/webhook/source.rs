//! New events of topics, read once for all webhooks of a thread.
//!
//! Owns a short tail of each topic in use. A tail has no holes. A webhook that is further behind reads its
//! own pages from the archive. Events share their bytes: a payload is never copied for a webhook.

use crate::core::event::Event;
use crate::core::ids::TopicId;
use crate::hub::{Archive, ArchiveError, Page};
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::collections::VecDeque;

/// The most events in one read.
pub(super) const PAGE_EVENTS: usize = 128;
/// About the most bytes of stored events in one read.
pub(super) const PAGE_BYTES: usize = 512 * 1024;
/// The most events that the tail of one topic keeps.
const TAIL_EVENTS: usize = 512;
/// The most bytes that the tails of all topics keep.
const TAILS_BYTES: usize = 32 << 20;

/// Which part of a stream a read covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    /// The stream removed whatever is missing from this seq on: the read skipped nothing.
    pub(super) kept_from: u64,
    /// The seq from which the next read goes on.
    pub(super) next_seq: u64,
}

impl Reach {
    pub(super) fn of(page: &Page) -> Self {
        Self { kept_from: page.first_seq, next_seq: page.next_seq }
    }
}

/// The result of a read.
pub(super) enum Read {
    /// The events that remain, in order. `next_seq` equals the requested seq when there is nothing new.
    Events(Vec<Event>, Reach),
    /// The events are older than the tail: read them from the archive.
    Cold,
}

/// The tails of the topics that the thread's webhooks read. Lives as long as the thread.
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
    /// The tail has all events from this seq on that the stream still has.
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
        // A reader that is further behind than a tail reads pages of its own off this thread. Other webhooks
        // have their turn between the pages.
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
    /// Events from `from_seq` on; `None` where the tail ends before `from_seq`.
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
    /// Keeps a page that was read from `from_seq` on. A page that does not follow the tail directly replaces
    /// the tail. A tail may lack only events that the stream removed, since its readers take any missing
    /// event for removed.
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

/// The bytes that an event occupies, about.
pub(super) fn weight(event: &Event) -> usize {
    event.len_bytes() + 64
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::core::event::NewEvent;
    use crate::core::ids::EventId;
    use std::ops::Range;

    const TOPIC: TopicId = TopicId(1);

    fn events(seqs: Range<u64>) -> Vec<Event> {
        let event =
            |seq| NewEvent::new(Default::default(), "x", "{}").placed(EventId::new(1, seq, 0), seq, 1);
        seqs.map(event).collect()
    }

    fn read(tails: &Tails, from_seq: u64) -> Option<Result<Vec<u64>, ()>> {
        Some(match tails.topics[&TOPIC].read(from_seq)? {
            Read::Events(events, _) => Ok(events.iter().map(|event| event.seq).collect()),
            Read::Cold => Err(()),
        })
    }

    fn page(seqs: Range<u64>) -> Page {
        let first_seq = seqs.start;
        let next_seq = seqs.end;
        let events = events(seqs);
        let head_seq = next_seq - 1;
        Page { events, verdicts: None, next_seq, first_seq, head_seq, passed_id: None, gone_seq: None }
    }

    #[test]
    fn an_event_removed_inside_the_stream_is_not_a_hole_in_a_tail() {
        let mut tails = Tails::default();
        let mut page = page(95..105);
        page.events.retain(|event| ![95, 98, 104].contains(&event.seq));
        tails.append(TOPIC, 95, &page);
        assert_eq!(read(&tails, 95), Some(Ok(vec![96, 97, 99, 100, 101, 102, 103])));
        let Some(Read::Events(rest, reach)) = tails.topics[&TOPIC].read(104) else { panic!() };
        assert_eq!((rest.len(), reach), (0, Reach { kept_from: 95, next_seq: 105 }));
    }

    #[test]
    fn a_page_that_follows_the_tail_is_kept_and_shared() {
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
        // Retention removed the events between the two pages.
        tails.append(TOPIC, 100, &page(900..903));
        assert_eq!(
            read(&tails, 95),
            Some(Err(())),
            "a reader that is behind reads the archive, which reports what is gone"
        );
        assert_eq!(read(&tails, 901), Some(Ok(vec![901, 902])));
        tails.append(TOPIC, 950, &page(950..951));
        assert_eq!(read(&tails, 902), Some(Err(())));
        assert_eq!(tails.bytes, weight(&events(1..2)[0]));
    }
}
