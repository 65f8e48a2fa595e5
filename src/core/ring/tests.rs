#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::core::event::{NewEvent, Sender};
use proptest::prelude::*;

struct Plain(crate::core::frame::FormKey);
impl WireForm for Plain {
    fn key(&self) -> &crate::core::frame::FormKey {
        &self.0
    }
    fn encode(&self, event: &Event, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{}{};", event.kind, event.seq).as_bytes());
    }
    fn encode_position(&self, _: EventId, seq: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("@{seq};").as_bytes());
    }
}

/// A chunk of events with these types, none of which has a sender.
fn chunk(from: u64, kinds: &str) -> Arc<Chunk> {
    chunk_from(from, kinds, |_| None)
}

/// A chunk of events with these types. `sender` names the socket that sent an event.
fn chunk_from(from: u64, kinds: &str, sender: impl Fn(u64) -> Option<SocketId>) -> Arc<Chunk> {
    let events: Vec<Event> = kinds
        .chars()
        .zip(from..)
        .map(|(kind, seq)| {
            let sender = sender(seq).map(|socket| Sender { socket, user: None });
            let new = NewEvent { sender, ..NewEvent::new(Default::default(), kind, "{}") };
            Event::from_stored(seq, Event::to_stored(EventId::new(1, seq, 0), &new).into()).unwrap()
        })
        .collect();
    // Events whose types are capital letters are shown to nobody.
    let verdicts: Vec<bool> = kinds.chars().map(char::is_lowercase).collect();
    let verdicts = kinds.contains(char::is_uppercase).then_some(&*verdicts);
    let next_seq = from + events.len() as u64;
    let span = Span { first_seq: from, next_seq, last_id: EventId::new(1, next_seq - 1, 0) };
    Arc::new(Chunk::encode(span, &events, &Plain("plain".into()), verdicts))
}

fn read_all<'w>(ring: &Ring, cursor: &mut Cursor, wanted: impl Into<Wanted<'w>>, max: usize) -> String {
    let wanted = wanted.into();
    let mut all = String::new();
    while let Read::Frames(bytes) = ring.read(cursor, wanted, max) {
        all.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    all
}

#[test]
fn a_reader_behind_the_ring_is_told_so() {
    let mut ring = Ring::new(1, 6, 100);
    for seq in 1..=4 {
        assert!(ring.push(chunk(seq, "a")));
    }
    assert_eq!(ring.first_seq(), 3);
    assert_eq!(ring.read(&mut Cursor::at(2), &Filter::All, 100), Read::FellOut);
    assert_eq!(ring.read(&mut Cursor::at(5), &Filter::All, 100), Read::UpToDate);
    assert!(!ring.push(chunk(7, "a")), "a hole");
}

#[test]
fn the_events_of_frames_are_counted_without_the_hidden_ones() {
    let mut ring = Ring::new(1, 1000, 100);
    assert!(ring.push(chunk(1, "abAb")) && ring.push(chunk(5, "ba")));
    assert!(matches!(ring.read_counted(&mut Cursor::at(1), &Filter::All, 1000), (Read::Frames(_), 5)));
    let (mut cursor, mut events) = (Cursor::at(1), 0);
    while let (Read::Frames(_), more) = ring.read_counted(&mut cursor, &Filter::All, 1) {
        events += more;
    }
    assert_eq!(events, 5);
    assert_eq!(ring.read_counted(&mut cursor, &Filter::All, 1000), (Read::UpToDate, 0));
}

#[test]
fn a_contiguous_run_is_shared_and_not_copied() {
    let mut ring = Ring::new(1, 1000, 100);
    let chunk = chunk(1, "aaaa");
    ring.push(chunk.clone());
    let Read::Frames(bytes) = ring.read(&mut Cursor::at(2), &Filter::All, 1000) else { panic!() };
    assert_eq!(&bytes[..], b"a2;a3;a4;");
    assert_eq!(bytes.as_ptr(), chunk.bytes[3..].as_ptr());
}

#[test]
fn readers_skip_events_that_nobody_is_shown() {
    let mut ring = Ring::new(1, 1000, 100);
    ring.push(chunk(1, "ABC"));
    let mut cursor = Cursor::at(1);
    assert_eq!(ring.read(&mut cursor, &Filter::All, 1), Read::UpToDate);
    assert_eq!(cursor.next_seq, 4);
    ring.push(chunk(4, "AaBbC"));
    assert_eq!(ring.read(&mut cursor, &Filter::All, 1), Read::Frames("a5;".into()));
    assert_eq!(ring.read(&mut cursor, &Filter::All, 1), Read::Frames("b7;".into()));
    assert_eq!(ring.read(&mut cursor, &Filter::All, 1), Read::UpToDate);
    assert_eq!((cursor.next_seq, cursor.shown_seq, ring.len_bytes()), (9, 8, 6));
}

#[test]
fn a_ring_knows_the_id_before_its_end_only() {
    let mut ring = Ring::new(4, 1000, 100);
    assert_eq!(ring.id_before(4), None, "nothing has come");
    ring.push(chunk(4, "ab"));
    let ids = [5, 6, 7].map(|seq| ring.id_before(seq));
    assert_eq!(ids, [None, Some(EventId::new(1, 5, 0)), None]);
}

#[test]
fn a_chunk_without_senders_keeps_no_room_for_them() {
    let (plain, sent) = (chunk(1, "ab"), chunk_from(1, "ab", |_| Some(SocketId { a: 1, b: 2 })));
    assert_eq!(sent.memory - plain.memory, 2 * size_of::<(usize, SocketId)>());
    assert_eq!(plain.senders.capacity(), 0);
}

proptest! {
    #[test]
    fn a_reader_gets_all_events_but_those_of_its_own_socket(
        chunks in prop::collection::vec("[abA]{1,5}", 1..12),
        senders in prop::collection::vec(0u64..3, 60),
        max in 1usize..40,
        only_a in any::<bool>(),
    ) {
        let socket = |n: u64| (n > 0).then_some(SocketId { a: 7, b: n });
        let sender = |seq: u64| socket(senders[seq as usize % senders.len()]);
        let filter = if only_a { Filter::from_query(Some("a")).unwrap() } else { Filter::All };
        let mut ring = Ring::new(1, 1 << 20, 1 << 20);
        let mut seq = 1;
        let mut expected = String::new();
        for kinds in &chunks {
            prop_assert!(ring.push(chunk_from(seq, kinds, sender).unshared()));
            for kind in kinds.chars() {
                if kind.is_lowercase() && (!only_a || kind == 'a') && sender(seq) != socket(1) {
                    expected += &format!("{kind}{seq};");
                }
                seq += 1;
            }
        }
        let mut cursor = Cursor::at(1);
        let own = socket(1);
        let wanted = Wanted { filter: &filter, not_from: own.as_slice() };
        prop_assert_eq!(read_all(&ring, &mut cursor, wanted, max), &*expected);
        let last = expected.split(';').rev().nth(1).map(|frame| frame[1..].parse::<u64>().unwrap() + 1);
        prop_assert_eq!((cursor.next_seq, cursor.shown_seq), (seq, last.unwrap_or(1)));
    }

    #[test]
    fn a_reader_gets_every_matching_frame_once_and_in_order(
        chunks in prop::collection::vec("[abcAB]{1,5}", 1..12),
        start in 1u64..20,
        max in 1usize..40,
        only_a in any::<bool>(),
    ) {
        let mut ring = Ring::new(1, 1 << 20, 1 << 20);
        let mut expected = String::new();
        let mut seq = 1;
        let filter = if only_a { Filter::from_query(Some("a")).unwrap() } else { Filter::All };
        for kinds in &chunks {
            ring.push(chunk(seq, kinds));
            for kind in kinds.chars() {
                if seq >= start && kind.is_lowercase() && (!only_a || kind == 'a') {
                    expected += &format!("{kind}{seq};");
                }
                seq += 1;
            }
        }
        let mut cursor = Cursor::at(start.min(seq));
        prop_assert_eq!(read_all(&ring, &mut cursor, &filter, max), &*expected);
        prop_assert_eq!(cursor.next_seq, seq);
        let last = expected.split(';').rev().nth(1).map(|frame| frame[1..].parse::<u64>().unwrap() + 1);
        prop_assert_eq!(cursor.shown_seq, last.unwrap_or(start.min(seq)));
    }

    #[test]
    fn the_newest_chunk_and_the_bounds_limit_memory(
        chunks in prop::collection::vec("[ab]{1,8}", 1..60), max_bytes in 1usize..64, max_events in 1usize..32,
    ) {
        let mut ring = Ring::new(1, max_bytes, max_events);
        let mut seq = 1;
        for kinds in chunks {
            prop_assert!(ring.push(chunk(seq, &kinds)));
            seq += kinds.len() as u64;
            prop_assert!(ring.chunks.len() == 1 || (ring.bytes <= max_bytes && ring.events <= max_events));
            prop_assert_eq!(ring.next_seq(), seq);
        }
    }
}

#[test]
fn a_chunk_knows_the_last_event_that_a_filter_accepts_and_that_is_shown() {
    let of_b = Filter::from_query(Some("b")).unwrap();
    for (kinds, all, b) in [
        ("abc", Some(8), Some(7)),
        ("baC", Some(7), Some(6)),
        ("aB", Some(6), None),
        ("B", None, None),
        ("a", Some(6), None),
    ] {
        let chunk = chunk(5, kinds);
        assert_eq!((chunk.after_last(&Filter::All), chunk.after_last(&of_b)), (all, b), "{kinds}");
    }
}

#[test]
fn a_lag_is_what_the_reader_wants_and_has_not_read() {
    let mut ring = Ring::new(1, 1000, 100);
    for (from, kinds) in [(1, "aab"), (4, "aBa"), (7, "bb")] {
        assert!(ring.push(chunk(from, kinds)));
    }
    let lag = |seq, filter: &Filter, mut frames: usize| {
        let lag = ring.lag(Cursor::at(seq), filter, &mut frames);
        (lag.events, lag.bytes, frames)
    };
    assert_eq!(lag(9, &Filter::All, 100), (0, 0, 100), "it has read everything");
    assert_eq!(lag(7, &Filter::All, 100), (2, 6, 98));
    assert_eq!(lag(5, &Filter::All, 100), (3, 9, 96), "one event is shown to nobody");
    let only = Filter::from_query(Some("a")).unwrap();
    assert_eq!(lag(1, &only, 100), (4, 12, 92));
    assert_eq!(lag(1, &only, 3), (2 + 3 + 2, 6 + 6 + 6, 0), "chunks count as a whole beyond the bound");
    let mut small = Ring::new(1, 6, 100);
    assert!(small.push(chunk(1, "aaaa")) && small.push(chunk(5, "a")));
    let mut frames = 100;
    let behind = small.lag(Cursor::at(2), &Filter::All, &mut frames);
    assert_eq!(behind, Lag { events: 3 + 1, bytes: 3 }, "what is gone from the ring counts by its seqs");
}
