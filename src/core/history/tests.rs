#![allow(clippy::unwrap_used)]

use super::*;
use crate::core::codec;
use crate::core::event::{Event, NewEvent, Times};
use crate::core::ids::WebhookId;
use crate::core::state::streams::Deletion;
use crate::core::state::subjects;
use crate::core::store::memory::MemoryStore;
use crate::core::store::{Visit, WriteStore};
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::BTreeMap;

const STREAM: TopicId = TopicId(3);
const NAMES: [&str; 5] = ["", "a", "ab", "b", "$s"];
const EVERYTHING: Bounds = Bounds { events: usize::MAX, bytes: usize::MAX };

/// A published event, and whether it was removed.
struct Known {
    id: EventId,
    subject: &'static str,
    peak_ms: u64,
    gone: bool,
}

/// A stream and its known events. Seqs begin with 1.
struct Stream {
    store: MemoryStore,
    record: TopicRecord,
    subjects: BTreeMap<&'static str, SubjectRecord>,
    known: Vec<Known>,
}

impl Stream {
    fn new() -> Self {
        let store = MemoryStore::default();
        let record = TopicRecord::default();
        Self { store, record, subjects: BTreeMap::new(), known: Vec::new() }
    }

    /// Ids are even; odd ids belong to other streams.
    fn publish(&mut self, subject: &'static str, time_ms: u64) {
        let seq = self.record.next_seq;
        let id = EventId::new(1000 + 10 * seq, 2 * seq, 0);
        self.record.peak_ms = self.record.peak_ms.max(time_ms);
        let times = Times { time_ms, peak_ms: self.record.peak_ms, expiry_ms: 0 };
        let new = NewEvent::new(name(subject), "k", "1");
        let stored = Event::to_stored_at(id, times, &new);
        self.record.count += 1;
        self.record.bytes += stored.len() as u64;
        let record = self.subjects.entry(subject).or_default();
        record.append((STREAM, &new.subject), (seq, id, stored.len() as u64), &mut self.store).unwrap();
        self.store.put(&keys::event(STREAM, seq), &stored).unwrap();
        self.record.head_id = id;
        self.record.next_seq = seq + 1;
        self.known.push(Known { id, subject, peak_ms: times.peak_ms, gone: false });
    }

    fn take(&mut self, seq: u64) -> u64 {
        self.known[seq as usize - 1].gone = true;
        let key = keys::event(STREAM, seq);
        let bytes = self.store.get(&key).unwrap().unwrap().len() as u64;
        self.store.delete(&key).unwrap();
        bytes
    }

    /// Retention removes the oldest events of the stream.
    fn trim(&mut self, count: usize) {
        let range = keys::event(STREAM, 0).to_vec()..keys::event(STREAM, u64::MAX).to_vec();
        let stored: Vec<u64> =
            self.store.0.range(range).map(|(key, _)| keys::event_seq(key).unwrap()).collect();
        let mut count = count;
        for seq in stored {
            let known = &self.known[seq as usize - 1];
            let id = known.id;
            let subject = known.subject;
            let peak = known.peak_ms;
            let is_deleted = known.gone;
            if is_deleted {
                // It was deleted and is still to be removed.
                self.store.delete(&keys::event(STREAM, seq)).unwrap();
            } else if count > 0 {
                count -= 1;
                let bytes = self.take(seq);
                let record = self.subjects.get_mut(subject).unwrap();
                record.trim((STREAM, &name(subject)), (seq, id), (1, bytes), 0, &mut self.store).unwrap();
            } else {
                break;
            }
            self.record.first_seq = seq + 1;
            self.record.stored_seq = seq + 1;
            self.record.trimmed_id = id;
            self.record.trimmed_peak_ms = peak;
        }
        subjects::forget_holes(STREAM, self.record.first_seq, usize::MAX, &mut self.store).unwrap();
    }

    /// A rule takes the oldest events of a subject.
    fn trim_subject(&mut self, subject: &'static str, count: usize) {
        for seq in self.left(|known| known.subject == subject).into_iter().take(count) {
            let id = self.known[seq as usize - 1].id;
            let bytes = self.take(seq);
            let record = self.subjects.get_mut(subject).unwrap();
            record.trim((STREAM, &name(subject)), (seq, id), (1, bytes), 0, &mut self.store).unwrap();
            self.lost_inside(seq, id);
        }
    }

    fn lost_inside(&mut self, seq: u64, id: EventId) {
        subjects::add_hole(STREAM, seq, &mut self.store).unwrap();
        let record = &mut self.record;
        (record.removed_seq, record.removed_id) = (record.removed_seq, record.removed_id).max((seq, id));
    }

    /// Somebody deletes one event.
    fn remove(&mut self, nth: usize) {
        let left = self.left(|_| true);
        let Some(&seq) = left.get(nth % left.len().max(1)) else { return };
        let id = self.known[seq as usize - 1].id;
        let subject = self.known[seq as usize - 1].subject;
        let bytes = self.take(seq);
        let record = self.subjects.get_mut(subject).unwrap();
        record.remove((STREAM, &name(subject)), (seq, id, bytes), &mut self.store).unwrap();
        self.lost_inside(seq, id);
    }

    /// Somebody deletes a subject's history; its events are still stored.
    fn delete_subject(&mut self, subject: &'static str) {
        let Some(seq) = self.left(|known| known.subject == subject).pop() else { return };
        let id = self.known[seq as usize - 1].id;
        self.known.iter_mut().filter(|known| known.subject == subject).for_each(|known| known.gone = true);
        let record = self.subjects.get_mut(subject).unwrap();
        let name = name(subject);
        record.end_run((STREAM, &name), &mut self.store).unwrap();
        record.first_seq = record.last_seq + 1;
        (record.trimmed_seq, record.trimmed_id) = (record.trimmed_seq, record.trimmed_id).max((seq, id));
        record.count = 0;
        record.bytes = 0;
        let record = &mut self.record;
        (record.removed_seq, record.removed_id) = (record.removed_seq, record.removed_id).max((seq, id));
        record.deletions.retain(|deletion| deletion.subject != name);
        let copies_from = (WebhookId::from_bytes([0; 16]), 0);
        record.deletions.push(Deletion {
            subject: name,
            below_seq: record.next_seq,
            backlog_seq: 0,
            copies_from,
        });
    }

    fn flush(&mut self) {
        self.record.own = self.subjects.get("").cloned().unwrap_or_default();
        self.store.put(&keys::topic(STREAM), &codec::encode(&self.record).unwrap()).unwrap();
        for (subject, record) in self.subjects.iter().filter(|(subject, _)| !subject.is_empty()) {
            self.store.put(&keys::subject(STREAM, subject), &codec::encode(record).unwrap()).unwrap();
        }
    }

    fn with_seqs(&self) -> impl Iterator<Item = (u64, &Known)> {
        (1..).zip(&self.known)
    }

    fn left(&self, wanted: impl Fn(&Known) -> bool) -> Vec<u64> {
        self.with_seqs().filter(|(_, known)| !known.gone && wanted(known)).map(|(seq, _)| seq).collect()
    }
}

fn name(text: &str) -> Subject {
    Subject::parse_any(text).unwrap()
}

fn selector(names: &[&str]) -> Selector {
    Selector::from_names(names.iter().map(|name| Ok(*name))).unwrap()
}

fn selectors() -> Vec<Selector> {
    [&[""][..], &["a"], &["$s"], &["a*"], &["a", "b"], &["a*", "*b", ""], &["*"], &["*", "$*"], &["none"]]
        .map(selector)
        .to_vec()
}

fn all_from<S: ReadStore>(history: &History<'_, S>, from_seq: u64, bounds: Bounds) -> Vec<u64> {
    let mut seqs = Vec::new();
    let mut from = from_seq;
    loop {
        let page = history.read(from, bounds).unwrap();
        assert!(page.events.len() <= bounds.events);
        assert!(page.events.iter().all(|event| event.seq >= from && event.seq < page.next_seq));
        seqs.extend(page.events.iter().map(|event| event.seq));
        if page.next_seq > history.head_seq() {
            return seqs;
        }
        assert!(page.next_seq > from, "a page makes progress");
        from = page.next_seq;
    }
}

#[derive(Clone, Debug)]
enum Step {
    Publish(usize, u64),
    Trim(usize),
    TrimSubject(usize, usize),
    Remove(usize),
    DeleteSubject(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..NAMES.len(), 0u64..50).prop_map(|(of, time)| Step::Publish(of, time)),
        1 => (0usize..4).prop_map(Step::Trim),
        1 => (0..NAMES.len(), 0usize..3).prop_map(|(of, count)| Step::TrimSubject(of, count)),
        2 => (0usize..50).prop_map(Step::Remove),
        1 => (0..NAMES.len()).prop_map(Step::DeleteSubject),
    ];
    prop::collection::vec(step, 0..50)
}

fn after(steps: &[Step]) -> Stream {
    let mut stream = Stream::new();
    for step in steps {
        match *step {
            Step::Publish(of, time) => stream.publish(NAMES[of], time),
            Step::Trim(count) => stream.trim(count),
            Step::TrimSubject(of, count) => stream.trim_subject(NAMES[of], count),
            Step::Remove(nth) => stream.remove(nth),
            Step::DeleteSubject(of) => stream.delete_subject(NAMES[of]),
        }
    }
    stream.flush();
    stream
}

#[test]
fn a_reader_of_an_empty_stream_starts_at_its_beginning() {
    let stream = Stream::new();
    for selector in selectors() {
        let history = History::of(&stream.store, STREAM, &selector).unwrap();
        for start in [Start::Live, Start::Last(3)] {
            assert_eq!(history.locate(start).unwrap(), Position::OF_EMPTY, "{selector} {start:?}");
            assert!(!start.tells_gaps());
        }
    }
    assert!(Start::Since(0).tells_gaps() && Start::After(EventId::ZERO).tells_gaps());
}

proptest! {
    #[test]
    fn readers_get_the_events_that_they_want_and_no_others(
        steps in steps(), events in 1usize..5, bytes in 1usize..400,
    ) {
        let stream = after(&steps);
        for selector in selectors() {
            let history = History::of(&stream.store, STREAM, &selector).unwrap();
            for from in 0..=stream.record.next_seq {
                let wanted: Vec<u64> = stream
                    .left(|known| selector.matches(known.subject))
                    .into_iter()
                    .filter(|seq| *seq >= from)
                    .collect();
                prop_assert_eq!(&all_from(&history, from, Bounds { events, bytes }), &wanted, "{} {}", selector, from);
                for last in [from / 2 + 5, u64::MAX] {
                    if let Some(count) = history.count(from, last).unwrap() {
                        prop_assert_eq!(count, wanted.iter().filter(|seq| **seq <= last).count() as u64);
                    }
                }
            }
        }
        let whole = History::open(&stream.store, STREAM).unwrap();
        prop_assert_eq!(all_from(&whole, 0, Bounds { events, bytes }), stream.left(|_| true));
    }

    #[test]
    fn any_event_is_a_position_and_gaps_are_told_exactly(steps in steps()) {
        let stream = after(&steps);
        for selector in selectors() {
            let history = History::of(&stream.store, STREAM, &selector).unwrap();
            let is_wanted = |known: &Known| selector.matches(known.subject);
            for (at, position) in std::iter::once((0, EventId::ZERO)).chain(stream.with_seqs().map(|(seq, known)| (seq, known.id))) {
                let located = history.locate(Start::After(position)).unwrap();
                let wanted: Vec<u64> = stream.left(is_wanted).into_iter().filter(|seq| *seq > at).collect();
                prop_assert_eq!(&all_from(&history, located.next_seq, EVERYTHING), &wanted, "{} {}", selector, at);
                let missed = stream.with_seqs().any(|(seq, known)| seq > at && known.gone && is_wanted(known));
                prop_assert_eq!(located.gap.is_some(), missed, "{} after {}", selector, at);
                if let Some(oldest) = located.gap {
                    prop_assert_eq!(oldest, wanted.first().map(|seq| stream.known[*seq as usize - 1].id));
                    prop_assert!(wanted.first().is_none_or(|seq| *seq == located.next_seq), "{} after {}", selector, at);
                }
                prop_assert!(located.before >= position, "{} after {}: sent back", selector, at);
                // The returned position leads to the same start, and tells no gap that was not there.
                let again = history.locate(Start::After(located.before)).unwrap();
                prop_assert_eq!(all_from(&history, again.next_seq, EVERYTHING), wanted);
                prop_assert!(located.gap.is_some() || again.gap.is_none(), "{} before {}", selector, at);
            }
        }
    }

    #[test]
    fn an_id_of_another_stream_is_not_known(steps in steps()) {
        let stream = after(&steps);
        let history = History::of(&stream.store, STREAM, &Selector::All).unwrap();
        for (seq, known) in stream.with_seqs().filter(|(_, known)| !known.gone) {
            let foreign = EventId::new(1000 + 10 * seq, 2 * seq + 1, 0);
            let beside_gone = stream.known.get(seq as usize).is_some_and(|next| next.gone);
            let newest = seq == stream.record.next_seq - 1;
            let is_reported = history.locate(Start::After(foreign)).unwrap().gap.is_some();
            prop_assert!(is_reported || beside_gone && !newest, "{:?}", known.id);
        }
    }

    #[test]
    fn starts_by_count_and_by_time_are_exact(steps in steps(), count in 0u64..6, ms in 0u64..60) {
        let stream = after(&steps);
        for selector in selectors() {
            let history = History::of(&stream.store, STREAM, &selector).unwrap();
            let wanted = stream.left(|known| selector.matches(known.subject));
            let last = history.locate(Start::Last(count)).unwrap();
            let expected = &wanted[wanted.len().saturating_sub(count as usize)..];
            let got = all_from(&history, last.next_seq, EVERYTHING);
            // The stream's own arithmetic may give fewer events if the newest were removed.
            prop_assert_eq!(&got[..], expected, "{} {}", selector, count);
            prop_assert_eq!(last.gap, None);
            let since = history.locate(Start::Since(ms)).unwrap();
            let expected = stream.left(|known| selector.matches(known.subject) && known.peak_ms >= ms);
            prop_assert_eq!(all_from(&history, since.next_seq, EVERYTHING), expected);
            let missed = stream.known.iter().any(|known| known.gone && known.peak_ms >= ms && selector.matches(known.subject));
            prop_assert!(since.gap.is_some() || !missed, "{} since {}", selector, ms);
            let live = history.locate(Start::Live).unwrap();
            prop_assert_eq!((live.next_seq, live.gap), (stream.record.next_seq, None));
        }
    }

    #[test]
    fn a_page_tells_the_removed_events_of_its_range(steps in steps(), events in 1usize..5) {
        let stream = after(&steps);
        for selector in selectors() {
            let history = History::of(&stream.store, STREAM, &selector).unwrap();
            for from in 1..=stream.record.next_seq {
                let page = history.read(from, Bounds { events, bytes: usize::MAX }).unwrap();
                let gone = |known: &Known| known.gone && selector.matches(known.subject);
                let newest = stream.with_seqs().filter(|(_, known)| gone(known)).map(|(seq, _)| seq).max();
                match page.gone_seq {
                    Some(seq) => {
                        prop_assert!(gone(&stream.known[seq as usize - 1]) && (from..page.next_seq).contains(&seq));
                    }
                    None => prop_assert!(newest.is_none_or(|seq| !(from..page.next_seq).contains(&seq)), "{} {}", selector, from),
                }
            }
        }
    }
}

#[test]
fn a_missing_event_without_a_hole_is_damage() {
    let steps: Vec<Step> = (0..12).map(|n| Step::Publish(n % 3, 0)).collect();
    for missing in 1..=12u64 {
        let mut stream = after(&steps);
        stream.store.delete(&keys::event(STREAM, missing)).unwrap();
        let subject = stream.known[missing as usize - 1].subject;
        for (selector, damaged) in
            [(selector(&[subject]), true), (selector(&["b"]), false), (Selector::All, true)]
        {
            let history = History::of(&stream.store, STREAM, &selector).unwrap();
            let read = history.read(1, EVERYTHING);
            assert_eq!(
                matches!(read, Err(HistoryError::Damaged { seq, .. }) if seq == missing),
                damaged,
                "{selector}"
            );
        }
    }
}

#[test]
fn a_reader_of_a_rare_subject_yields() {
    let mut stream = Stream::new();
    (0..10_000).for_each(|_| stream.publish("a", 0));
    stream.publish("b", 0);
    stream.flush();
    let rare = History::of(&stream.store, STREAM, &selector(&["b*", "c"])).unwrap();
    let page = rare.read(1, EVERYTHING).unwrap();
    assert_eq!((page.events.len(), page.next_seq), (0, 4097));
    assert_eq!(page.passed_id, Some(stream.known[4095].id));
    assert_eq!(all_from(&rare, 1, EVERYTHING), [10_001]);
}

#[test]
fn a_bounded_number_of_subjects_is_examined_and_beyond_it_a_gap_is_told() {
    let mut stream = Stream::new();
    ["a", "b", "a"].iter().for_each(|name| stream.publish(name, 0));
    stream.trim_subject("b", 1);
    stream.flush();
    for n in 0..MAX_VISITED + 10 {
        let record = codec::encode(&SubjectRecord::default()).unwrap();
        stream.store.put(&keys::subject(STREAM, &format!("a{n}")), &record).unwrap();
    }
    for (names, is_whole) in [(["a*", "*none"], false), (["a", "c*"], true), (["a12*", "a1*"], true)] {
        let store = Counting { store: &stream.store, reads: Cell::new(0), visited: Cell::new(0) };
        let history = History::of(&store, STREAM, &selector(&names)).unwrap();
        assert_eq!(
            history.locate(Start::After(stream.known[0].id)).unwrap().gap.is_none(),
            is_whole,
            "{names:?}"
        );
        assert_eq!(history.read(1, EVERYTHING).unwrap().gone_seq.is_none(), is_whole);
        assert!(store.visited.get() <= 2 * MAX_VISITED as u64 + 100, "{}", store.visited.get());
    }
}

/// Counts reads: one for each record or event, one for each range of keys, and one for each key that the
/// range visits.
struct Counting<'s> {
    store: &'s MemoryStore,
    reads: Cell<u64>,
    visited: Cell<u64>,
}

impl Counting<'_> {
    fn counted(
        &self,
        scan: impl FnOnce(Visit<'_>) -> Result<(), StoreError>,
        visit: Visit<'_>,
    ) -> Result<(), StoreError> {
        self.reads.set(self.reads.get() + 1);
        scan(&mut |key, value| {
            self.visited.set(self.visited.get() + 1);
            visit(key, value)
        })
    }
}

impl ReadStore for Counting<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.reads.set(self.reads.get() + 1);
        self.store.get(key)
    }
    fn scan(&self, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        self.counted(|visit| self.store.scan(from, to, visit), visit)
    }
    fn scan_back(&self, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        self.counted(|visit| self.store.scan_back(from, to, visit), visit)
    }
}

/// Joins with `backfill` and reads all of it, in pages, as a subscriber does. Returns the number of events,
/// reads and visited keys.
fn cost_of_joining(noise: u64, backfill: u64) -> (u64, u64, u64) {
    let mut stream = Stream::new();
    for n in 0..1000 * noise {
        stream.publish(if n % noise == noise / 2 { "quiet" } else { "noisy" }, 0);
    }
    stream.flush();
    let store = Counting { store: &stream.store, reads: Cell::new(0), visited: Cell::new(0) };
    let quiet = selector(&["quiet"]);
    let bounds = Bounds { events: 64, bytes: 16 * 1024 };
    let position = History::of(&store, STREAM, &quiet).unwrap().locate(Start::Last(backfill)).unwrap();
    let mut from_seq = position.next_seq;
    let mut events = 0;
    while from_seq <= position.head_seq {
        let page = History::of(&store, STREAM, &quiet).unwrap().read(from_seq, bounds).unwrap();
        events += page.events.len() as u64;
        from_seq = page.next_seq;
    }
    (events, store.reads.get(), store.visited.get())
}

#[test]
fn reading_one_subject_costs_what_it_holds() {
    for noise in [2, 10, 100] {
        let (events, reads, visited) = cost_of_joining(noise, 1000);
        assert_eq!(events, 1000);
        assert!(reads <= 2 * events, "{reads} reads for {events} events, one in {noise}");
        assert!(visited <= 2 * events + 10, "{visited} keys for {events} events, one in {noise}");
    }
    let (events, reads, visited) = cost_of_joining(100, 200);
    assert!(events == 200 && reads <= 2 * events && visited <= 3 * events + 10, "{events} {reads} {visited}");
}

#[test]
fn several_named_subjects_cost_what_they_hold() {
    let mut stream = Stream::new();
    for n in 0..50_000 {
        stream.publish(["a", "b", "ab"][if n % 500 == 0 { 0 } else { 1 + usize::from(n % 500 == 7) }], 0);
    }
    stream.flush();
    let store = Counting { store: &stream.store, reads: Cell::new(0), visited: Cell::new(0) };
    let several = History::of(&store, STREAM, &selector(&["a", "ab", "none"])).unwrap();
    assert_eq!(all_from(&several, 1, Bounds { events: 64, bytes: 16 * 1024 }).len(), 200);
    let reads = store.reads.get();
    let visited = store.visited.get();
    assert!(reads <= 300 && visited <= 700, "{reads} reads of {visited} keys");
}

#[test]
fn a_thousand_events_of_a_million_cost_a_thousand() {
    let (events, reads, _) = cost_of_joining(1000, 1000);
    assert!(events == 1000 && reads <= 2 * events, "{reads} reads");
}
