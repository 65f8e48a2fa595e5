use super::*;
use crate::core::event::{Event, NewEvent};
use crate::core::frame::{FormKey, View, WireForm};
use crate::core::ids::{EventId, TopicId};
use crate::core::ring::{Read, Ring, Span};
use crate::core::subject::Selector;
use crate::core::topic::TopicKey;
use crate::delivery::topic_view::TopicView;
use proptest::prelude::*;
use std::sync::Arc;

/// Writes only the seq of each event.
struct Plain(FormKey);

impl WireForm for Plain {
    fn key(&self) -> &FormKey {
        &self.0
    }
    fn encode(&self, event: &Event, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{};", event.seq).as_bytes());
    }
    fn encode_position(&self, _: EventId, _: u64, _: &mut Vec<u8>) {}
}

/// A chunk of events with these types. Those with a capital letter are shown to nobody.
fn chunk(from: u64, kinds: &str) -> Arc<Chunk> {
    let event = |(kind, seq): (char, u64)| {
        let new = NewEvent::new(Default::default(), kind.to_ascii_lowercase(), "{}");
        Event::from_stored(seq, Event::to_stored(EventId::new(1, seq, 0), &new).into()).unwrap()
    };
    let events: Vec<Event> = kinds.chars().zip(from..).map(event).collect();
    let shown: Vec<bool> = kinds.chars().map(char::is_lowercase).collect();
    let next_seq = from + events.len() as u64;
    let span = Span { first_seq: from, next_seq, last_id: EventId::new(1, next_seq - 1, 0) };
    Arc::new(Chunk::encode(span, &events, &Plain("plain".into()), Some(&shown)))
}

/// A reader that reads only when it was told to.
struct Told {
    cursor: Cell<Cursor>,
    is_told: Cell<bool>,
    seen: RefCell<String>,
}

impl Told {
    fn new() -> Rc<Self> {
        let cursor = Cell::new(Cursor::at(1));
        Rc::new(Self { cursor, is_told: Cell::new(false), seen: RefCell::default() })
    }

    fn serve(&self, topic_view: &TopicView, audience: &Audience) {
        if self.is_told.take() {
            let mut cursor = self.cursor.get();
            audience.quiet().pass(&mut cursor);
            self.seen.borrow_mut().push_str(&read(topic_view, &mut cursor, audience.filter()));
            self.cursor.set(cursor);
        }
    }
}

impl Reader for Told {
    fn wake(&self, _: usize) {
        self.is_told.set(true);
    }

    fn offer(self: Rc<Self>, _: usize) {
        self.is_told.set(true);
    }

    fn pass(&self, _: usize, quiet: Quiet) {
        let mut cursor = self.cursor.get();
        quiet.pass(&mut cursor);
        self.cursor.set(cursor);
    }

    fn forget_page(&self, _: usize) {}

    fn waits_for(&self, _: usize, seq: u64) -> bool {
        self.cursor.get().next_seq <= seq
    }
}

/// Reads all that there is. A mark stands where the reader fell out of the ring; it goes on with the ring.
fn read(topic_view: &TopicView, cursor: &mut Cursor, filter: &Filter) -> String {
    let mut seen = String::new();
    loop {
        match topic_view.with_ring(|ring| ring.read(cursor, filter, 1000)).unwrap() {
            Read::Frames(bytes) => seen.push_str(std::str::from_utf8(&bytes).unwrap()),
            Read::UpToDate => return seen,
            Read::FellOut => {
                seen.push('!');
                cursor.next_seq = topic_view.with_ring(Ring::first_seq).unwrap();
            }
        }
    }
}

fn topic_view() -> TopicView {
    let topic = TopicKey::new(TopicId(1), Selector::All);
    TopicView::new(topic, View::new(Arc::new(Plain("plain".into())), None), Arc::default())
}

fn of_b() -> Filter {
    Filter::from_query(Some("b")).unwrap()
}

#[test]
fn readers_of_the_same_types_are_one_audience() {
    let topic_view = topic_view();
    let (first, slot) = topic_view.listen(of_b(), Told::new(), 0);
    let (second, other_slot) = topic_view.listen(of_b(), Told::new(), 0);
    let (all, _) = topic_view.listen(Filter::All, Told::new(), 0);
    assert!(Rc::ptr_eq(&first, &second) && !Rc::ptr_eq(&first, &all));
    topic_view.unlisten(&first, slot);
    topic_view.unlisten(&second, other_slot);
    let (again, _) = topic_view.listen(of_b(), Told::new(), 0);
    assert!(!Rc::ptr_eq(&first, &again), "an audience ends with its last reader");
}

#[test]
fn nobody_is_told_of_what_nobody_wants() {
    let topic_view = topic_view();
    topic_view.start(1, 1000, 1000);
    let reader = Told::new();
    let (audience, _) = topic_view.listen(of_b(), reader.clone(), 0);
    for (from, kinds, is_told) in
        [(1, "aa", false), (3, "B", false), (4, "ab", true), (6, "a", false), (8, "a", true)]
    {
        topic_view.push(chunk(from, kinds), 1000, 1000);
        assert_eq!(reader.is_told.get(), is_told, "{from}");
        reader.serve(&topic_view, &audience);
    }
    assert_eq!(*reader.seen.borrow(), "5;!", "it learns of a hole, whatever comes behind it");
    topic_view.start(20, 1000, 1000);
    assert!(reader.is_told.get());
}

proptest! {
    /// A reader that reads when it is told sees what a reader sees that always reads, at the same time. It
    /// never seems to be behind, however small the ring is.
    #[test]
    fn a_reader_that_is_served_at_once_is_never_behind(
        steps in prop::collection::vec((0..9_u8, "a{1,3}|[abB]{1,3}"), 0..40), most in 1..9_usize,
    ) {
        let topic_view = topic_view();
        topic_view.start(1, usize::MAX, most);
        let reader = Told::new();
        let (audience, _) = topic_view.listen(of_b(), reader.clone(), 0);
        let mut always = Cursor::at(1);
        let mut seen = String::new();
        let mut next_seq = 1;
        for (step, kinds) in steps {
            // Now and then a chunk is missing.
            let first_seq = next_seq + 2 * u64::from(step == 0);
            next_seq = first_seq + kinds.len() as u64;
            topic_view.push(chunk(first_seq, &kinds), usize::MAX, most);
            reader.serve(&topic_view, &audience);
            seen.push_str(&read(&topic_view, &mut always, audience.filter()));
            prop_assert_eq!(&*reader.seen.borrow(), &seen);
            let mut cursor = reader.cursor.get();
            audience.quiet().pass(&mut cursor);
            prop_assert_eq!(cursor.next_seq, always.next_seq);
        }
    }

    /// A reader that is served late sees everything in the end, once and in order.
    #[test]
    fn a_reader_that_is_served_late_misses_nothing(
        steps in prop::collection::vec((any::<bool>(), "a{1,3}|[abB]{1,3}"), 0..40),
    ) {
        let topic_view = topic_view();
        topic_view.start(1, usize::MAX, usize::MAX);
        let reader = Told::new();
        let (audience, _) = topic_view.listen(of_b(), reader.clone(), 0);
        let mut next_seq = 1;
        for (is_served, kinds) in steps {
            topic_view.push(chunk(next_seq, &kinds), usize::MAX, usize::MAX);
            next_seq += kinds.len() as u64;
            if is_served {
                reader.serve(&topic_view, &audience);
            }
        }
        reader.serve(&topic_view, &audience);
        prop_assert_eq!(&*reader.seen.borrow(), &read(&topic_view, &mut Cursor::at(1), audience.filter()));
    }
}
