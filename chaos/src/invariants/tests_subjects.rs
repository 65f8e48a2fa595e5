//! Histories of a topic with subjects, written by hand: what its readers may lose, and which gaps they must
//! be sent.
//!
//! `noisy` keeps its newest two events; `quiet` keeps all. Events 2, 3 and 4 are gone at the end.

use super::tests::failed;
use crate::history::{CHANNELS, Event, Record};

const NODES: usize = 3;
const LAST: u64 = 8;

fn subject(seq: u64) -> &'static str {
    if matches!(seq, 1 | 5 | 8) { "quiet" } else { "noisy" }
}

fn event(seq: u64) -> Event {
    let id = id(seq);
    let key = format!("c{seq}");
    let subject = subject(seq).to_owned();
    Event { id, seq, kind: "a".into(), subject, key, hash: format!("h{seq}") }
}

fn id(seq: u64) -> String {
    format!("{seq:026}")
}

fn topic() -> String {
    CHANNELS.to_owned()
}

fn client(client: &str, subjects: &[&str]) -> Record {
    let subjects = subjects.iter().map(|name| (*name).to_owned()).collect();
    Record::Client { client: client.into(), topic: topic(), subjects, kinds: vec![] }
}

fn joined(client: &str, after: u64) -> Record {
    Record::Joined { client: client.into(), node: 0, after: Some(id(after)) }
}

fn seen(client: &str, seq: u64) -> Record {
    Record::Seen { client: client.into(), event: event(seq) }
}

fn gap(client: &str, oldest: u64) -> Record {
    Record::Gap { client: client.into(), oldest: Some(id(oldest)) }
}

fn got(seq: u64) -> Record {
    let Event { id, key, .. } = event(seq);
    let hook = "h".to_owned();
    let digest = format!("d{seq}");
    Record::Got { hook, request: id.clone(), digest, id, seq, key, accepted: true }
}

fn deleted(seq: u64, done: bool) -> Record {
    Record::Deleted { topic: topic(), id: id(seq), asked_ms: 0, done }
}

fn published(seq: u64) -> [Record; 2] {
    let Event { id, key, subject, .. } = event(seq);
    let asked = Record::Asked { topic: topic(), key: key.clone(), subject, node: 0 };
    [asked, Record::Acked { topic: topic(), key, id, seq, node: 0 }]
}

fn is_stored(record: &Record, seq: u64) -> bool {
    matches!(record, Record::Stored { event, .. } if event.seq == seq)
}

/// Reader `n` was away while events 3 to 7 came.
fn sound() -> Vec<Record> {
    let mut all = vec![
        Record::Keeps { topic: topic(), subjects: "noisy".into(), events: 2 },
        client("q", &["quiet"]),
        client("n", &["n*"]),
        client("a", &["*"]),
        Record::Hook {
            hook: "h".into(),
            strict: true,
            dead: false,
            topic: topic(),
            subjects: vec!["noisy".into()],
        },
    ];
    for seq in 1..=LAST {
        all.extend(published(seq));
        all.push(seen("a", seq));
        match (subject(seq), seq) {
            ("quiet", _) => all.push(seen("q", seq)),
            (_, 2) => all.extend([seen("n", seq), got(seq)]),
            _ => all.push(got(seq)),
        }
    }
    all.extend([joined("q", 5), joined("n", 2), gap("n", 6), seen("n", 6), seen("n", 7)]);
    for node in 0..NODES {
        let stored = (1..=LAST).filter(|seq| !matches!(seq, 2..=4));
        all.extend(stored.map(|seq| Record::Stored { node, topic: topic(), event: event(seq) }));
        all.push(Record::Listed { node, topic: topic(), events: 5 });
    }
    all
}

fn with(old: impl Fn(&Record) -> bool, new: impl Fn(Record) -> Vec<Record>) -> Vec<Record> {
    sound().into_iter().flat_map(|r| if old(&r) { new(r) } else { vec![r] }).collect()
}

fn without(old: impl Fn(&Record) -> bool) -> Vec<Record> {
    with(old, |_| vec![])
}

fn and(more: impl IntoIterator<Item = Record>) -> Vec<Record> {
    sound().into_iter().chain(more).collect()
}

#[test]
fn a_sound_history_passes() {
    assert_eq!(failed(sound()), [0; 0]);
}

#[test]
fn a_gap_is_sent_to_the_readers_that_it_concerns_and_to_no_others() {
    assert_eq!(failed(without(|r| *r == gap("n", 6))), [5], "3 and 4 were lost without a gap");
    assert_eq!(failed(and([gap("q", 8)])), [5], "of another subject");
    assert_eq!(failed(and([joined("n", 7), gap("n", 7)])), [5], "nothing after 7 is gone");
    assert_eq!(
        failed(and([joined("a", 3), gap("a", 5)])),
        [0; 0],
        "4 is gone, and this reader wants every event"
    );
    assert_eq!(failed(with(|r| *r == gap("n", 6), |_| vec![gap("n", 7)])), [5], "older than the oldest");
    // When 4 came, a rule that keeps two events could not have removed 3.
    let early = with(|r| *r == seen("a", 4), |r| vec![joined("n", 2), gap("n", 3), r]);
    assert_eq!(failed(early), [5], "before anything was gone");
}

#[test]
fn a_reader_gets_only_its_subjects() {
    assert_eq!(failed(with(|r| *r == seen("q", 8), |r| vec![seen("q", 7), r])), [2]);
    assert_eq!(failed(without(|r| *r == seen("q", 5))), [2], "missed");
    let renamed = |mut r: Record| {
        if let Record::Seen { event, .. } = &mut r {
            event.subject = "quiet".into();
        }
        vec![r]
    };
    assert!(failed(with(|r| *r == seen("a", 7), renamed)).contains(&3), "published to another");
}

#[test]
fn every_hole_needs_a_reason() {
    assert_eq!(failed(without(|r| is_stored(r, 5))), [1, 3, 4], "no rule removes events of a quiet subject");
    assert_eq!(
        failed(without(|r| is_stored(r, 7))),
        [1, 3, 4],
        "no rule removes the newest two events of a noisy subject"
    );
    let one = without(|r| is_stored(r, 6) && matches!(r, Record::Stored { node: 1, .. }));
    assert!(failed(one).contains(&3), "all nodes must hold the same");
    let four = |node| Record::Stored { node, topic: topic(), event: event(4) };
    let more = with(
        |r| is_stored(r, 5),
        |r| match r {
            Record::Stored { node, .. } => vec![four(node), r],
            _ => vec![],
        },
    );
    assert_eq!(failed(more), [2], "one of them was not seen; that a tick has not removed it yet is allowed");
}

#[test]
fn deleted_events_are_gone_and_the_gap_is_sent() {
    let begun = deleted(5, false);
    let gone: Vec<Record> = [begun.clone()].into_iter().chain(without(|r| is_stored(r, 5))).collect();
    assert_eq!(failed(gone.clone()), [0; 0], "it may have been carried out");
    assert_eq!(failed(gone.iter().cloned().chain([deleted(5, true)]).collect()), [0; 0]);
    assert_eq!(failed(and([begun, deleted(5, true)])), [1], "acknowledged, and still there");
    let unseen = |gap: Option<Record>| {
        let records = gone.iter().filter(|r| **r != seen("q", 5)).cloned();
        let gap = gap.into_iter().collect::<Vec<_>>();
        failed(
            records
                .flat_map(|r| if r == seen("q", 8) { [&gap[..], &[r]].concat() } else { vec![r] })
                .collect(),
        )
    };
    assert_eq!(unseen(None), [5], "without a gap");
    assert_eq!(unseen(Some(gap("q", 8))), [0; 0]);
    let emptied = |done| Record::Emptied { topic: topic(), subject: "quiet".into(), asked_ms: 90, done };
    let mut empty = without(|r| is_stored(r, 1) || is_stored(r, 5) || is_stored(r, 8));
    empty.extend([emptied(false), emptied(true)]);
    assert_eq!(failed(empty), [0; 0]);
    assert_eq!(failed(and([emptied(false), emptied(true)])), [1], "acknowledged, and still there");
}

#[test]
fn a_webhook_gets_the_events_it_selects_also_those_removed_for_readers() {
    assert_eq!(failed(without(|r| *r == got(3))), [6]);
    assert_eq!(failed(and([got(8)])), [6], "of another subject");
}
