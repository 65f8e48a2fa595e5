//! The memory of all rings of a worker thread.
//!
//! The worker threads share the node's bound evenly. If a thread holds more than its share, the rings that
//! were filled longest ago are emptied. A reader that has yet to read their events reads them from the
//! archive.

use super::topic_view::{Counted, TopicView};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Number of threads that share the bound.
static SHARERS: AtomicUsize = AtomicUsize::new(0);

/// Counts the memory of a thread's rings, and empties rings if it is too much. It lives as long as the
/// thread.
pub(super) struct Rings {
    /// Bytes of all rings of the node.
    most: usize,
    held: Cell<usize>,
    /// The number of the ring that was filled last: a higher number means filled later.
    last: Cell<u64>,
    /// The topic views whose rings hold events. The ring that was filled longest ago comes first.
    filled: RefCell<BTreeMap<u64, Rc<TopicView>>>,
}

impl Rings {
    /// Takes a share of `most` bytes until it is dropped.
    pub(super) fn new(most: usize) -> Self {
        SHARERS.fetch_add(1, Ordering::Relaxed);
        Self { most, held: Cell::new(0), last: Cell::new(0), filled: RefCell::default() }
    }

    /// Bytes held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held.get()
    }

    /// The contents of the topic view's ring changed.
    pub(super) fn changed(&self, topic_view: &Rc<TopicView>) {
        self.drop_topic_view(topic_view);
        let bytes = topic_view.memory();
        if bytes > 0 {
            let number = self.last.get() + 1;
            self.last.set(number);
            self.held.set(self.held.get() + bytes);
            topic_view.set_counted(Counted { number, bytes });
            self.filled.borrow_mut().insert(number, topic_view.clone());
        }
        self.keep_to_share();
    }

    /// The topic view is gone.
    pub(super) fn drop_topic_view(&self, topic_view: &TopicView) {
        let Counted { number, bytes } = topic_view.counted();
        if self.filled.borrow_mut().remove(&number).is_some() {
            self.held.set(self.held.get() - bytes);
        }
        topic_view.set_counted(Counted::default());
    }

    /// Empties rings until the others fit into the thread's share.
    pub(super) fn keep_to_share(&self) {
        self.keep_to(self.most / SHARERS.load(Ordering::Relaxed).max(1));
    }

    fn keep_to(&self, most: usize) {
        while self.held.get() > most {
            let Some((_, topic_view)) = self.filled.borrow_mut().pop_first() else { return };
            self.held.set(self.held.get() - topic_view.counted().bytes);
            topic_view.set_counted(Counted::default());
            topic_view.empty();
        }
    }
}

impl Drop for Rings {
    fn drop(&mut self) {
        SHARERS.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::event::{Event, NewEvent};
    use crate::core::frame::{FormKey, View, WireForm};
    use crate::core::ids::{EventId, TopicId};
    use crate::core::ring::{Chunk, Span};
    use crate::core::subject::{Selector, Subject};
    use crate::core::topic::TopicKey;
    use std::sync::Arc;

    struct Plain(FormKey);

    impl WireForm for Plain {
        fn key(&self) -> &FormKey {
            &self.0
        }
        fn encode(&self, event: &Event, out: &mut Vec<u8>) {
            out.extend_from_slice(&event.payload);
        }
        fn encode_position(&self, _: EventId, _: u64, _: &mut Vec<u8>) {}
    }

    fn topic_view(n: usize) -> Rc<TopicView> {
        let topic = TopicKey::new(TopicId(1), Selector::One(Subject::parse(&n.to_string()).unwrap()));
        Rc::new(TopicView::new(topic, View::new(Arc::new(Plain("plain".into())), None), Arc::default()))
    }

    fn push(topic_view: &Rc<TopicView>, seq: u64, payload: usize) {
        let new = NewEvent::new(Subject::own(), "k", vec![b'1'; payload]);
        let event = Event::from_stored(seq, Event::to_stored(EventId::new(1, seq, 0), &new).into()).unwrap();
        let span = Span { first_seq: seq, next_seq: seq + 1, last_id: event.id };
        let chunk = Chunk::encode(span, &[event], topic_view.view().form(), None);
        topic_view.push(Arc::new(chunk), 1 << 20, 4096);
    }

    /// Many topics with few events each: the bookkeeping of each frame counts too.
    #[test]
    fn the_rings_of_many_topics_stay_within_the_bound() {
        let most = 1 << 20;
        let rings = Rings::new(most);
        let topic_views: Vec<_> = (0..2000).map(topic_view).collect();
        for seq in 1..6 {
            for topic_view in &topic_views {
                push(topic_view, seq, 200);
                rings.changed(topic_view);
                assert!(rings.held() <= most);
            }
        }
        let held: usize = topic_views.iter().map(|topic_view| topic_view.memory()).sum();
        assert!(held == rings.held() && held > 0);
        topic_views.iter().for_each(|topic_view| rings.drop_topic_view(topic_view));
        assert!(rings.held() == 0 && rings.filled.borrow().is_empty());
    }

    #[test]
    fn the_ring_filled_longest_ago_is_emptied_first() {
        let rings = Rings::new(usize::MAX);
        let topic_views = [topic_view(1), topic_view(2), topic_view(3)];
        for index in [0, 1, 2, 0] {
            push(&topic_views[index], 7 + u64::from(rings.last.get() == 3), 100);
            rings.changed(&topic_views[index]);
        }
        let all = rings.held();
        rings.keep_to(all - 1);
        let holds = || topic_views.each_ref().map(|topic_view| topic_view.memory() > 0);
        assert_eq!(holds(), [true, false, true]);
        rings.keep_to(all - topic_views[2].memory() - 1);
        rings.keep_to(topic_views[0].memory());
        assert_eq!(holds(), [true, false, false]);
        // The next chunk still continues the ring.
        push(&topic_views[1], 8, 100);
        rings.changed(&topic_views[1]);
        assert_eq!(topic_views[1].with_ring(|ring| ring.first_seq()), Some(8));
        rings.keep_to(0);
        assert_eq!((holds(), rings.held()), ([false; 3], 0));
    }
}
