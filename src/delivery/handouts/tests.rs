use super::*;
use crate::core::event::{Event, NewEvent};
use crate::core::frame::{FormKey, WireForm};
use crate::core::ids::EventId;
use crate::core::ring::Span;
use crate::core::subject::Subject;
use proptest::prelude::*;

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

fn chunk(seqs: Range<u64>) -> Chunk {
    let event = |seq: u64| {
        let new = NewEvent::new(Default::default(), "k", "{}");
        Event::from_stored(seq, Event::to_stored(EventId::new(1, seq, 0), &new).into()).unwrap()
    };
    let events: Vec<Event> = seqs.clone().map(event).collect();
    let span = Span { first_seq: seqs.start, next_seq: seqs.end, last_id: EventId::new(1, seqs.end, 0) };
    Chunk::encode(span, &events, &Plain("plain".into()), None)
}

fn topic(stream: u64, subjects: &[&str]) -> TopicKey {
    let selector = Selector::from_names(subjects.iter().map(|name| Ok(*name))).unwrap();
    TopicKey::new(TopicId(stream), selector)
}

fn asked(stream: u64, subject: &str, seq: u64) -> Asked {
    Asked { stream: TopicId(stream), seq, subject: Subject::parse(subject).unwrap(), kind: "k".into() }
}

#[test]
fn sockets_are_counted_for_the_events_of_their_subjects() {
    let handouts = Handouts::default();
    let (a, all) = (topic(1, &["a"]), topic(1, &["*"]));
    let (of_a, of_all) = (Subscribed::to(&a), Subscribed::to(&all));
    handouts.begin(&of_a, &a, &chunk(5..8));
    handouts.begin(&of_all, &all, &chunk(6..8));
    for _ in 0..3 {
        assert_eq!(handouts.handed(&of_a, 0, &(5..8)), 1);
    }
    assert_eq!(handouts.handed(&of_all, 0, &(7..8)), 2, "it was there for a part");
    let sockets = |stream, subject, seq| handouts.reached(&asked(stream, subject, seq)).sockets;
    assert_eq!((sockets(1, "a", 7), sockets(1, "a", 5)), (4, 3));
    assert_eq!((sockets(1, "b", 7), sockets(1, "b", 5)), (1, 0));
    assert_eq!((sockets(2, "a", 7), sockets(1, "a", 8)), (0, 0));
    let reached = handouts.reached(&asked(1, "a", 7));
    assert!(reached.at_ns.is_some() && !reached.is_partial && reached.forgotten_ns.is_none());
}

#[test]
fn a_socket_that_takes_a_chunk_in_parts_counts_once() {
    let handouts = Handouts::default();
    let topic = topic(1, &["a"]);
    let subscribed = Subscribed::to(&topic);
    handouts.begin(&subscribed, &topic, &chunk(1..9));
    let last = handouts.handed(&subscribed, 0, &(1..4));
    assert_eq!(handouts.reached(&asked(1, "a", 2)).sockets, 0);
    let last = handouts.handed(&subscribed, last, &(4..9));
    handouts.begin(&subscribed, &topic, &chunk(9..10));
    handouts.handed(&subscribed, last, &(9..10));
    let sockets = |seq| handouts.reached(&asked(1, "a", seq)).sockets;
    assert_eq!((sockets(2), sockets(8), sockets(9)), (1, 1, 1));
}

#[test]
fn each_record_gets_its_time_however_many_a_socket_takes_at_once() {
    let handouts = Handouts::default();
    let topic = topic(1, &["a"]);
    let subscribed = Subscribed::to(&topic);
    let chunks = 3 * MOST_TOUCHED as u64;
    (1..=chunks).for_each(|seq| handouts.begin(&subscribed, &topic, &chunk(seq..seq + 1)));
    let began = Instant::now();
    while began.elapsed() < Duration::from_micros(5) {
        std::hint::spin_loop();
    }
    handouts.handed(&subscribed, 0, &(1..chunks + 1));
    for seq in 1..=chunks {
        let reached = handouts.reached(&asked(1, "a", seq));
        assert!(reached.sockets == 1 && reached.slowest_us >= 5, "{seq}: {reached:?}");
    }
}

#[test]
fn what_ended_subscriptions_of_several_subjects_had_is_not_known() {
    let handouts = Handouts::default();
    let several = topic(1, &["a", "b*"]);
    let subscribed = Subscribed::to(&several);
    handouts.begin(&subscribed, &several, &chunk(1..2));
    handouts.handed(&subscribed, 0, &(1..2));
    let reached = |subject| handouts.reached(&asked(1, subject, 1));
    assert_eq!((reached("a").sockets, reached("b7").sockets, reached("c").sockets), (1, 1, 0));
    assert!(!reached("c").is_partial);
    drop(subscribed);
    assert!(reached("a").is_partial && reached("a").sockets == 0);
}

#[test]
fn the_oldest_records_are_forgotten() {
    let handouts = Handouts::default();
    let topic = topic(1, &["a"]);
    let subscribed = Subscribed::to(&topic);
    let room = room() as u64;
    let mut last = 0;
    let chunks: Vec<Chunk> = (1..room + 3).map(|seq| chunk(seq..seq + 1)).collect();
    for (chunk, seq) in chunks.iter().zip(1..) {
        handouts.begin(&subscribed, &topic, chunk);
        last = handouts.handed(&subscribed, last, &(seq..seq + 1));
    }
    let reached = |seq| handouts.reached(&asked(1, "a", seq));
    assert_eq!((reached(2).sockets, reached(3).sockets, reached(room + 2).sockets), (0, 1, 1));
    assert!(reached(1).forgotten_ns.is_some());
}

proptest! {
    /// Sockets that take what there is, now and then, each come to every chunk once.
    #[test]
    fn each_socket_counts_once_for_each_chunk(
        chunks in prop::collection::vec(1..4u64, 1..30),
        takes in prop::collection::vec(any::<bool>(), 90),
    ) {
        let handouts = Handouts::default();
        let topics = [topic(1, &["a"]), topic(2, &["a"])];
        let views = topics.each_ref().map(Subscribed::to);
        // Three sockets of the first topic: where they stand, and their last records.
        let mut sockets = [(1, 0); 3];
        let mut next = 1;
        let mut takes = takes.into_iter();
        for length in &chunks {
            for (view, topic) in views.iter().zip(&topics) {
                handouts.begin(view, topic, &chunk(next..next + length));
            }
            next += length;
            for (at, last) in &mut sockets {
                if takes.next().unwrap() {
                    *last = handouts.handed(&views[0], *last, &(*at..next));
                    *at = next;
                }
            }
            handouts.settle();
        }
        for (at, last) in &mut sockets {
            *last = handouts.handed(&views[0], *last, &(*at..next));
        }
        for seq in 1..next {
            prop_assert_eq!(handouts.reached(&asked(1, "a", seq)).sockets, 3, "{}", seq);
            prop_assert_eq!(handouts.reached(&asked(2, "a", seq)).sockets, 0);
        }
    }
}
