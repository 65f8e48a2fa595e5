//! New events of topics, read once for all endpoints of a thread.
//!
//! Owns a short tail of each topic in use. Who is further behind reads its own pages from the archive. Events share
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
        let first = match tails.topics.get(&topic) {
            Some(tail) if from_seq <= tail.next_seq => tail.events.front().map_or(tail.next_seq, |event| event.seq),
            // Nobody reads so near to the end: what is kept is of no use any more.
            _ => {
                tails.forget(topic);
                tails.topics.insert(topic, Tail { events: VecDeque::new(), next_seq: from_seq });
                from_seq
            }
        };
        if from_seq < first {
            return Ok(Read::Cold);
        }
        if tails.topics.get(&topic).is_some_and(|tail| from_seq == tail.next_seq) {
            let page = self.archive.read_now(topic, from_seq, PAGE_EVENTS, PAGE_BYTES)?;
            tails.append(topic, page.events);
        }
        let Some(tail) = tails.topics.get(&topic) else { return Ok(Read::Events(Vec::new(), from_seq)) };
        let skipped = tail.events.partition_point(|event| event.seq < from_seq);
        let events: Vec<Event> = tail.events.iter().skip(skipped).take(PAGE_EVENTS).cloned().collect();
        let next_seq = events.last().map_or(from_seq, |event| event.seq + 1);
        Ok(Read::Events(events, next_seq))
    }

    /// Forgets a topic that no endpoint reads any more.
    pub(super) fn forget(&self, topic: TopicId) {
        self.tails.borrow_mut().forget(topic);
    }
}

impl Tails {
    fn append(&mut self, topic: TopicId, events: Vec<Event>) {
        let Some(last) = events.last().map(|event| event.seq) else { return };
        let added: usize = events.iter().map(weight).sum();
        if self.bytes + added > TAILS_BYTES {
            self.topics.retain(|kept, _| *kept == topic);
            self.bytes = self.topics.values().flat_map(|tail| &tail.events).map(weight).sum();
        }
        let Some(tail) = self.topics.get_mut(&topic) else { return };
        tail.events.extend(events);
        tail.next_seq = last + 1;
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

fn weight(event: &Event) -> usize {
    event.payload.len() + event.kind.len() + 64
}
