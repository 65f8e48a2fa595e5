//! Events on their way from the thread that applies the log to the topics. A topic that is up to date takes
//! them from memory; only one that lags reads them from the store.
//!
//! The bytes are those that were stored, shared by all topics that wait for them. What waits is bounded, for
//! the node in bytes and for each topic in events. Beyond that, topics read the store.

use crate::core::event::Event;
use crate::core::history::Bounds;
use crate::core::ids::EventId;
use crate::core::subject::Selector;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of events that may be on their way on a node.
const MOST_BYTES: usize = 16 << 20;
/// Events in the batches that may wait for one topic: its turn on the thread ends soon.
const MOST_EVENTS: usize = 4096;

/// The events on their way on a node. Clones count the same ones.
#[derive(Clone, Debug, Default)]
pub(super) struct OnTheWay(Arc<AtomicUsize>);

/// Consecutive events of a stream that were applied together: seqs, and bytes as they are stored. While one
/// exists, its bytes count as on their way.
#[derive(Debug)]
pub(super) struct Batch {
    events: Vec<(u64, Bytes)>,
    bytes: usize,
    on_the_way: OnTheWay,
}

impl OnTheWay {
    /// Sends events on their way. `None` if too many are under way: they are in the store alone.
    pub(super) fn send(&self, events: Vec<(u64, Bytes)>) -> Option<Arc<Batch>> {
        let bytes = events.iter().map(|(_, stored)| stored.len()).sum();
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        let batch = Batch { events, bytes, on_the_way: self.clone() };
        (before.saturating_add(bytes) <= MOST_BYTES).then(|| Arc::new(batch))
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.on_the_way.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The new events of a topic since its actor last looked.
#[derive(Debug)]
pub(super) enum Handed {
    /// All of them are in these batches, beside events of other topics.
    All {
        /// In the order of their seqs.
        batches: Vec<Arc<Batch>>,
        /// Events in them.
        events: usize,
    },
    /// The topic must look for them in the store.
    InStore,
}

/// What a topic has in a range of seqs that ends before `next_seq`.
#[derive(Debug)]
pub(super) struct Fresh {
    pub(super) events: Vec<Event>,
    pub(super) next_seq: u64,
    /// The id of the stream's newest event of any subject before `next_seq`.
    pub(super) last_id: EventId,
}

impl Default for Handed {
    fn default() -> Self {
        Self::All { batches: Vec::new(), events: 0 }
    }
}

impl Handed {
    /// Adds events; `None` stands for events that are in the store alone.
    pub(super) fn add(&mut self, batch: Option<&Arc<Batch>>) {
        if let (Self::All { batches, events }, Some(batch)) = (&mut *self, batch)
            && *events + batch.events.len() <= MOST_EVENTS
        {
            batches.push(batch.clone());
            *events += batch.events.len();
            return;
        }
        *self = Self::InStore;
    }

    /// Events were removed, maybe some of these. What is left of them is in the store.
    pub(super) fn forget_removed(&mut self) {
        if !matches!(self, Self::All { events: 0, .. }) {
            *self = Self::InStore;
        }
    }

    /// The selected events from `from_seq` on, in portions of that size. The last portion ends behind the
    /// last batch and may have no events. `None` if they must be read from the store.
    pub(super) fn portions(&self, from_seq: u64, selector: &Selector, most: Bounds) -> Option<Vec<Fresh>> {
        let Self::All { batches, .. } = self else { return None };
        let (last_seq, last) = batches.last()?.events.last()?;
        let last_id = Event::stored_id(last)?;
        let mut portions = Vec::new();
        let mut events: Vec<Event> = Vec::new();
        let mut bytes = 0;
        for (seq, stored) in batches.iter().flat_map(|batch| &batch.events) {
            if *seq < from_seq || !is_wanted(selector, Event::stored_subject(stored)?) {
                continue;
            }
            if let Some(full) = events.last().filter(|_| events.len() >= most.events || bytes >= most.bytes) {
                let next_seq = full.seq + 1;
                let last_id = full.id;
                portions.push(Fresh { events: std::mem::take(&mut events), next_seq, last_id });
                bytes = 0;
            }
            bytes += stored.len();
            events.push(Event::from_stored(*seq, stored.clone())?);
        }
        portions.push(Fresh { events, next_seq: last_seq + 1, last_id });
        Some(portions)
    }
}

fn is_wanted(selector: &Selector, subject: &str) -> bool {
    selector.matches(subject) || crate::failpoint!("subject-leaks", 20)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::core::event::NewEvent;
    use crate::core::subject::Subject;
    use proptest::prelude::*;

    const ANY: Bounds = Bounds { events: 256, bytes: 1 << 20 };

    fn id(seq: u64) -> EventId {
        EventId::new(1, seq, 0)
    }

    /// An event of the subject, with about that many bytes.
    fn stored(seq: u64, subject: &str, bytes: usize) -> (u64, Bytes) {
        let new = NewEvent::new(Subject::parse(subject).unwrap(), "k", vec![b'1'; bytes]);
        (seq, Event::to_stored(id(seq), &new).into())
    }

    fn one(subject: &str) -> Selector {
        Selector::from_names([Ok(subject)]).unwrap()
    }

    fn seqs(fresh: &Fresh) -> Vec<u64> {
        fresh.events.iter().map(|event| event.seq).collect()
    }

    #[test]
    fn a_topic_takes_its_own_events_and_passes_the_others() {
        let on_the_way = OnTheWay::default();
        let mut handed = Handed::default();
        assert!(handed.portions(1, &one("a"), ANY).is_none(), "nothing was handed over");
        handed.add(on_the_way.send(vec![stored(5, "a", 1), stored(6, "b", 1)]).as_ref());
        handed.add(on_the_way.send(vec![stored(8, "a", 1), stored(9, "b", 1)]).as_ref());
        let portions = handed.portions(1, &one("a"), ANY).unwrap();
        let [fresh] = &portions[..] else { panic!("{portions:?}") };
        assert_eq!((seqs(fresh), fresh.next_seq, fresh.last_id), (vec![5, 8], 10, id(9)));
        let portions = handed.portions(6, &one("a"), ANY).unwrap();
        assert_eq!(seqs(&portions[0]), [8], "what was read before is not taken again");
        let portions = handed.portions(20, &one("a"), ANY).unwrap();
        assert_eq!((portions.len(), seqs(&portions[0]), portions[0].next_seq), (1, vec![], 10));
    }

    #[test]
    fn the_bytes_are_shared_with_the_store_and_between_topics() {
        let event = stored(5, "a", 1000);
        let at = event.1.as_ptr_range();
        let mut handed = Handed::default();
        handed.add(OnTheWay::default().send(vec![event]).as_ref());
        for _ in 0..2 {
            let portions = handed.portions(1, &Selector::All, ANY).unwrap();
            assert!(at.contains(&portions[0].events[0].payload.as_ptr()));
        }
    }

    #[test]
    fn what_is_on_its_way_is_bounded_and_gives_its_room_back() {
        let on_the_way = OnTheWay::default();
        let half = || vec![stored(1, "a", MOST_BYTES / 2 - 200)];
        let waiting = (on_the_way.send(half()).unwrap(), on_the_way.send(half()).unwrap());
        assert!(on_the_way.send(half()).is_none());
        assert!(on_the_way.send(half()).is_none(), "what was refused takes no room");
        drop(waiting);
        assert_eq!(on_the_way.0.load(Ordering::Relaxed), 0);
        assert!(on_the_way.send(half()).is_some());
    }

    #[test]
    fn a_topic_that_lags_looks_into_the_store_until_it_has_looked() {
        let on_the_way = OnTheWay::default();
        let many = |from: u64| (from..from + 1500).map(|seq| stored(seq, "a", 1)).collect::<Vec<_>>();
        let mut handed = Handed::default();
        handed.add(on_the_way.send(many(1)).as_ref());
        handed.add(on_the_way.send(many(1501)).as_ref());
        assert!(handed.portions(1, &one("a"), ANY).is_some());
        handed.add(on_the_way.send(many(3001)).as_ref());
        assert!(handed.portions(1, &one("a"), ANY).is_none());
        assert_eq!(on_the_way.0.load(Ordering::Relaxed), 0, "nothing waits any more");
        handed.add(on_the_way.send(many(4501)).as_ref());
        assert!(handed.portions(1, &one("a"), ANY).is_none(), "some events are missing");
        let mut handed = Handed::default();
        handed.add(None);
        assert!(handed.portions(1, &one("a"), ANY).is_none());
    }

    #[test]
    fn removed_events_are_not_taken_from_memory() {
        let on_the_way = OnTheWay::default();
        let mut handed = Handed::default();
        handed.forget_removed();
        handed.add(on_the_way.send(vec![stored(5, "a", 1)]).as_ref());
        assert!(handed.portions(1, &one("a"), ANY).is_some(), "it was stored after the removal");
        handed.forget_removed();
        assert!(handed.portions(1, &one("a"), ANY).is_none());
        handed.add(on_the_way.send(vec![stored(6, "a", 1)]).as_ref());
        assert!(handed.portions(1, &one("a"), ANY).is_none());
    }

    proptest! {
        #[test]
        fn portions_have_each_event_once_and_leave_no_seq_out(
            batches in prop::collection::vec(prop::collection::vec((0..3usize, 0..40usize), 1..8), 1..6),
            from_seq in 1..20u64, events in 1..5usize, bytes in 1..200usize,
        ) {
            let on_the_way = OnTheWay::default();
            let mut handed = Handed::default();
            let mut wanted = Vec::new();
            let mut seq = 0;
            for batch in &batches {
                let batch = batch.iter().map(|(subject, bytes)| {
                    seq += 1;
                    if *subject == 0 && seq >= from_seq {
                        wanted.push(seq);
                    }
                    stored(seq, ["a", "b", "a:b"][*subject], *bytes)
                });
                let batch: Vec<_> = batch.collect();
                handed.add(on_the_way.send(batch).as_ref());
            }
            let portions = handed.portions(from_seq, &one("a"), Bounds { events, bytes }).unwrap();
            prop_assert_eq!(portions.iter().flat_map(seqs).collect::<Vec<_>>(), wanted);
            let mut next_seq = 0;
            for fresh in &portions {
                prop_assert!(fresh.events.len() <= events);
                let range = next_seq..fresh.next_seq;
                prop_assert!(fresh.events.iter().all(|event| range.contains(&event.seq)));
                prop_assert_eq!(fresh.last_id, id(fresh.next_seq - 1));
                next_seq = fresh.next_seq;
            }
            prop_assert_eq!(next_seq, seq + 1);
        }
    }
}
