//! One view of a topic on one worker thread: the ring of encoded frames, and its readers.
//! Readers that want the same types of events are one audience.
//!
//! The thread's dispatcher and the subscriptions on the thread own it. It never crosses threads.

use super::audience::{Audience, Reader};
use super::handouts::Subscribed;
use crate::core::filter::Filter;
use crate::core::frame::{FormKey, View};
use crate::core::ring::{Chunk, Ring};
use crate::core::topic::TopicKey;
use crate::hub::Meter;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// One view of a topic on this thread. It lives as long as it has readers or holders.
pub struct TopicView {
    topic: TopicKey,
    view: View,
    /// Counts what its readers are handed.
    meter: Arc<Meter>,
    /// `None` until the topic has reported its first position.
    ring: RefCell<Option<Ring>>,
    /// None of them is empty.
    audiences: RefCell<Vec<Rc<Audience>>>,
    /// How many keep it in use without listening yet.
    holders: Cell<usize>,
    /// The tasks that wait for the topic's first position.
    waiting: RefCell<Vec<Waker>>,
    /// Its number in the order in which the thread's rings were filled, and the bytes that are counted for
    /// it.
    counted: Cell<Counted>,
    /// By which it is counted how far its frames have come.
    subscribed: Subscribed,
}

/// What [`Rings`](super::rings::Rings) keeps about a topic view.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    pub(super) number: u64,
    pub(super) bytes: usize,
}

impl TopicView {
    pub(super) fn new(topic: TopicKey, view: View, meter: Arc<Meter>) -> Self {
        Self {
            subscribed: Subscribed::to(&topic),
            topic,
            view,
            meter,
            ring: RefCell::new(None),
            audiences: RefCell::default(),
            holders: Cell::new(0),
            waiting: RefCell::default(),
            counted: Cell::default(),
        }
    }

    /// The topic.
    pub fn topic(&self) -> &TopicKey {
        &self.topic
    }

    /// Which events of the topic it has, and how they are written.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Counts what its readers are handed.
    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    pub(super) fn key(&self) -> (TopicKey, FormKey) {
        (self.topic.clone(), self.view.key().clone())
    }

    /// Applies `read` to the ring if the topic has reported its first position.
    pub(super) fn with_ring<T>(&self, read: impl FnOnce(&Ring) -> T) -> Option<T> {
        self.ring.borrow().as_ref().map(read)
    }

    /// The topic starts at `next_seq`. An existing ring goes on if it stands at that position. Otherwise
    /// there is a hole, and readers fetch its events from the archive.
    pub(super) fn start(&self, next_seq: u64, max_bytes: usize, max_events: usize) {
        let mut ring = self.ring.borrow_mut();
        if ring.as_ref().is_none_or(|ring| ring.next_seq() != next_seq) {
            *ring = Some(Ring::new(next_seq, max_bytes, max_events));
        }
        drop(ring);
        self.wake_waiting();
        self.audiences.borrow().iter().for_each(|audience| audience.start(next_seq));
    }

    /// Events that the ring may hold were removed. A reader that has yet to read the contents of the ring
    /// reads from the archive. So does a reader that is being sent a page that was read before.
    pub(super) fn forget_removed(&self) {
        self.empty();
        self.audiences.borrow().iter().for_each(|audience| audience.forget_removed());
    }

    /// Drops the contents of the ring. A reader that has yet to read them reads from the archive.
    pub(super) fn empty(&self) {
        if let Some(ring) = &mut *self.ring.borrow_mut() {
            ring.clear();
        }
    }

    /// Bytes of memory that the ring uses.
    pub(super) fn memory(&self) -> usize {
        self.with_ring(Ring::memory).unwrap_or_default()
    }

    pub(super) fn subscribed(&self) -> &Subscribed {
        &self.subscribed
    }

    /// How many of its readers want events of that type and have not come to the event at `seq` yet.
    pub(super) fn waiting_for(&self, kind: &str, seq: u64) -> u64 {
        let audiences = self.audiences.borrow();
        let wanting = audiences.iter().filter(|audience| audience.filter().matches(kind));
        wanting.map(|audience| audience.waiting_for(seq)).sum()
    }

    pub(super) fn counted(&self) -> Counted {
        self.counted.get()
    }

    pub(super) fn set_counted(&self, counted: Counted) {
        self.counted.set(counted);
    }

    /// Appends new frames and offers them to the readers that want some of them.
    pub(super) fn push(&self, chunk: Arc<Chunk>, max_bytes: usize, max_events: usize) {
        let chunk = chunk.unshared();
        let mut ring = self.ring.borrow_mut();
        let ring_now = ring.get_or_insert_with(|| Ring::new(chunk.first_seq(), max_bytes, max_events));
        if !ring_now.push(chunk.clone()) {
            let mut fresh = Ring::new(chunk.first_seq(), max_bytes, max_events);
            fresh.push(chunk.clone());
            *ring_now = fresh;
        }
        drop(ring);
        self.wake_waiting();
        self.audiences.borrow().iter().for_each(|audience| audience.hear(&chunk));
    }

    /// Sends an event to readers as the next one, before it is stored.
    #[cfg(feature = "failpoints")]
    pub(super) fn push_early(&self, event: crate::core::event::Event, max_bytes: usize, max_events: usize) {
        let Some(seq) = self.with_ring(Ring::next_seq) else { return };
        let early = crate::core::event::Event { seq, ..event };
        let span = crate::core::ring::Span { first_seq: seq, next_seq: seq + 1, last_id: early.id };
        self.push(Arc::new(Chunk::encode(span, &[early], self.view.form(), None)), max_bytes, max_events);
    }

    /// Adds a reader of events of certain types, which reads them at that place. Returns its audience, and its slot
    /// there.
    pub(super) fn listen(
        &self,
        filter: Filter,
        reader: Rc<dyn Reader>,
        place: usize,
    ) -> (Rc<Audience>, usize) {
        let mut audiences = self.audiences.borrow_mut();
        let known = audiences.iter().find(|known| *known.filter() == filter).cloned();
        let audience = known.unwrap_or_else(|| {
            let next_seq = self.with_ring(Ring::next_seq).unwrap_or_default();
            let audience = Rc::new(Audience::new(filter, next_seq));
            audiences.push(audience.clone());
            audience
        });
        let slot = audience.add(reader, place);
        (audience, slot)
    }

    /// Removes a reader.
    pub(super) fn unlisten(&self, audience: &Rc<Audience>, slot: usize) {
        if audience.remove(slot) {
            self.audiences.borrow_mut().retain(|known| !Rc::ptr_eq(known, audience));
        }
    }

    pub(super) fn is_unused(&self) -> bool {
        self.audiences.borrow().is_empty() && self.holders.get() == 0
    }

    pub(super) fn hold(&self) {
        self.holders.set(self.holders.get() + 1);
    }

    pub(super) fn release(&self) {
        self.holders.set(self.holders.get() - 1);
    }

    /// Waits until the topic has reported its first position.
    pub(super) async fn started(&self) {
        poll_fn(|cx| {
            if self.ring.borrow().is_some() {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn wake_waiting(&self) {
        self.waiting.take().into_iter().for_each(Waker::wake);
    }
}
