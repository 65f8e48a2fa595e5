//! Subjects in the replicated state: records and runs match the stored events, rules trim one subject and
//! leave the others alone, gaps can be told, and webhooks receive what readers lost.

use super::delivery::{on, put, report, update, webhook, webhook_id};
use super::*;
use crate::core::access::Map;
use crate::core::channel_rules::{ChannelRule, ChannelRules, Durability, SubjectHistory};
use crate::core::command::{Activate, DeleteEvent, DeleteSubject, RetentionPatch, SetChannelRules, Touched};
use crate::core::event::Event;
use crate::core::history::Bounds;
use crate::core::state::streams::TopicRecord;
use crate::core::state::subjects::{Runs, SubjectRecord, is_hole};
use crate::core::store::Visit;
use crate::core::subject::{Selector, Subject, SubjectPattern};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

const NAMES: [&str; 5] = ["", "a-1", "a-2", "b", "$s"];

fn subject(name: &str) -> Subject {
    Subject::parse_any(name).unwrap()
}

pub(super) fn publish_to(by: By, names: &[&str]) -> Command {
    let event = |name: &&str| NewEvent::new(subject(name), "a", "{}");
    Command::Publish(Publish { map: map_id(1), by, events: names.iter().map(event).collect(), key: None })
}

fn rule(pattern: &str, durability: Durability, history: SubjectHistory) -> ChannelRule {
    let matches = SubjectPattern::new(pattern).unwrap();
    ChannelRule { durability: Some(durability), history, ..ChannelRule::of(matches) }
}

fn keeps(pattern: &str, events: Option<u64>, seconds: Option<u64>, bytes: Option<u64>) -> ChannelRule {
    rule(pattern, Durability::Durable, SubjectHistory { events, seconds, bytes })
}

fn set_rules(rules: Vec<ChannelRule>) -> Command {
    let rules = ChannelRules::new(rules).unwrap();
    Command::SetChannelRules(SetChannelRules { map: map_id(1), by: None, rules })
}

fn delete_subject(name: &str) -> Command {
    Command::DeleteSubject(DeleteSubject { map: map_id(1), by: None, subject: subject(name) })
}

fn node() -> Node {
    let mut node = Node::new();
    node.one(10, create(1, None, NO_LIMITS, KEEP_ALL));
    node
}

/// What a node's store has of map 1.
struct Seen {
    record: TopicRecord,
    /// Stored events by seq: subject and bytes.
    events: BTreeMap<u64, (String, u64)>,
    /// Withheld events by seq: subject and bytes.
    withheld: BTreeMap<u64, (String, u64)>,
}

impl Seen {
    fn of(node: &Node) -> Option<Self> {
        let stream = node.state.access().map(map_id(1))?.topic;
        let record = codec::decode(node.store.0.get(&keys::topic(stream)[..])?).unwrap();
        let read = |key: fn(TopicId, u64) -> [u8; 17]| {
            let range = node.store.0.range(key(stream, 0).to_vec()..key(stream, u64::MAX).to_vec());
            let event = |(key, value): (&Vec<u8>, &Vec<u8>)| {
                let subject = Event::stored_subject(value).unwrap().to_owned();
                (keys::event_seq(key).unwrap(), (subject, value.len() as u64))
            };
            range.map(event).collect()
        };
        Some(Self { record, events: read(keys::event), withheld: read(keys::withheld) })
    }

    /// Returns the seqs that a reader of the subject reads.
    fn seqs(&self, name: &str) -> BTreeSet<u64> {
        let readers = |(seq, (subject, _)): (&u64, &(String, u64))| {
            let has =
                subject == name && *seq >= self.record.first_seq && !self.record.is_deleted(subject, *seq);
            has.then_some(*seq)
        };
        self.events.iter().filter_map(readers).collect()
    }

    fn all(&self) -> BTreeSet<u64> {
        NAMES.iter().flat_map(|name| self.seqs(name)).collect()
    }
}

fn record_of(node: &Node, seen: &Seen, name: &str) -> Option<SubjectRecord> {
    let stream = node.state.access().map(map_id(1)).unwrap().topic;
    if name.is_empty() {
        return Some(seen.record.own.clone());
    }
    node.store.0.get(&keys::subject(stream, name)).map(|bytes| codec::decode(bytes).unwrap())
}

/// Checks all records of map 1's stream against its stored events.
fn check(node: &Node, published: &BTreeMap<u64, String>) {
    let Some(seen) = Seen::of(node) else { return };
    let stream = node.state.access().map(map_id(1)).unwrap().topic;
    let record = &seen.record;
    assert_eq!(record.next_seq - 1, published.len() as u64, "seqs are assigned gapless");
    let mut with_events = 0;
    let mut without = 0;
    for name in NAMES {
        let had: BTreeSet<u64> =
            published.iter().filter(|(_, of)| *of == name).map(|(seq, _)| *seq).collect();
        let has = seen.seqs(name);
        let Some(one) = record_of(node, &seen, name) else {
            assert!(had.is_empty(), "{name:?} has no record");
            continue;
        };
        assert_eq!(one.count, has.len() as u64, "count of {name:?}");
        assert_eq!(one.bytes, has.iter().map(|seq| seen.events[seq].1).sum::<u64>(), "bytes of {name:?}");
        let mut runs = Vec::new();
        let visit = &mut |run: std::ops::RangeInclusive<u64>| {
            runs.extend(run);
            true
        };
        Runs::new(&node.store, stream, name, &one).visit(0, visit).unwrap();
        assert_eq!(runs, has.iter().copied().collect::<Vec<_>>(), "runs of {name:?}");
        // A reader is told a gap if an event after its position was removed. The newest removed event
        // decides.
        let gone = had.difference(&has).max().copied().unwrap_or(0);
        assert_eq!(one.trimmed_seq, gone, "what is gone of {name:?}");
        assert_eq!(one.last_seq, had.last().copied().unwrap_or(0));
        assert!(has.first().is_none_or(|first| one.first_seq <= *first));
        if !name.is_empty() {
            with_events += u64::from(!has.is_empty() && !name.starts_with('$'));
            without += u64::from(has.is_empty());
        }
    }
    assert_eq!((record.subjects, record.empty), (with_events, without));
    let all = seen.all();
    let gone = published.keys().copied().filter(|seq| !all.contains(seq)).max().unwrap_or(0);
    assert_eq!(record.removed_seq.max(record.first_seq - 1), gone, "what is gone of the stream");
    assert_eq!(record.count, all.len() as u64);
    assert_eq!(record.bytes, all.iter().map(|seq| seen.events[seq].1).sum::<u64>());
    // Whatever is missing inside was removed, and whatever was removed is missing. Anything else is damage.
    for seq in record.stored_seq..record.next_seq {
        let hole = is_hole(stream, seq..=seq, &node.store).unwrap();
        assert_eq!(hole, !seen.events.contains_key(&seq), "{seq}");
    }
    let before = seen.events.range(..record.first_seq).chain(&seen.withheld);
    let deleted = |(seq, (subject, _)): &(&u64, &(String, u64))| !record.is_deleted(subject, **seq);
    let backlog: u64 = before.clone().map(|(_, (_, bytes))| bytes).sum();
    assert_eq!((record.backlog_bytes, record.withheld), (backlog, seen.withheld.len() as u64));
    assert!(before.filter(deleted).all(|(seq, _)| !all.contains(seq)), "kept for webhooks alone");
    assert!(seen.events.keys().all(|seq| *seq >= record.stored_seq));
    assert!(seen.withheld.keys().all(|seq| *seq >= record.stored_seq), "webhooks read what is kept for them");
}

/// Checks that readers read what is left, and are told a gap exactly if an event that they want, after their
/// position, is gone.
fn check_readers(node: &Node, ids: &[EventId], published: &BTreeMap<u64, String>) {
    let seen = Seen::of(node).unwrap();
    let stream = node.state.access().map(map_id(1)).unwrap().topic;
    let all_of = |history: &History<'_, MemoryStore>| -> BTreeSet<u64> {
        let mut seqs = BTreeSet::new();
        let mut next_seq = 0;
        loop {
            let page = history.read(next_seq, Bounds { events: 7, bytes: 1 << 20 }).unwrap();
            seqs.extend(page.events.iter().map(|event| event.seq));
            if page.next_seq > history.head_seq() || page.next_seq == next_seq {
                return seqs;
            }
            next_seq = page.next_seq;
        }
    };
    for name in NAMES {
        let history = History::of(&node.store, stream, &Selector::One(subject(name))).unwrap();
        let has = seen.seqs(name);
        assert_eq!(all_of(&history), has, "{name:?}");
        let gone =
            published.iter().filter(|(seq, of)| *of == name && !has.contains(seq)).map(|(seq, _)| *seq).max();
        for (seq, id) in (1..).zip(ids) {
            let at = history.locate(Start::After(*id)).unwrap();
            assert_eq!(at.gap.is_some(), gone.is_some_and(|gone| gone > seq), "after {seq}, of {name:?}");
        }
    }
    let history = History::of(&node.store, stream, &Selector::All).unwrap();
    let open: BTreeSet<u64> = NAMES[..4].iter().flat_map(|name| seen.seqs(name)).collect();
    assert_eq!(all_of(&history), open);
    let gone =
        published.iter().filter(|(seq, of)| *of != "$s" && !open.contains(seq)).map(|(seq, _)| *seq).max();
    for (seq, id) in (1..).zip(ids).filter(|(seq, _)| gone.is_some_and(|gone| gone > *seq)) {
        assert!(history.locate(Start::After(*id)).unwrap().gap.is_some(), "after {seq}");
    }
    // A webhook also reads what was taken from readers.
    let deleted = |(seq, (subject, _)): &(&u64, &(String, u64))| seen.record.is_deleted(subject, **seq);
    let wanted = seen.events.iter().chain(&seen.withheld).filter(|one| !deleted(one)).map(|(seq, _)| *seq);
    let wanted: BTreeSet<u64> = wanted.filter(|seq| *seq >= seen.record.stored_seq).collect();
    let backlog: BTreeSet<u64> = all_of(&History::open(&node.store, stream).unwrap().with_backlog());
    assert_eq!(backlog, wanted, "for webhooks");
}

#[test]
fn a_rule_trims_a_noisy_subject_and_no_other() {
    let mut node = node();
    node.one(20, set_rules(vec![keeps("noisy*", Some(10), None, None)]));
    let mut published = BTreeMap::new();
    for n in 0..300 {
        let name = if n % 10 == 0 { "b" } else { "noisy-1" };
        node.one(30 + n, publish_to(None, &[name]));
        published.insert(n + 1, name);
    }
    // Live readers still read new events: a tick takes them some seconds later, also if no more events come.
    assert_eq!(node.one(4_000, Command::Tick), Reply::Ticked(false));
    let seqs = Seen::of(&node).unwrap().seqs("noisy-1");
    assert!(
        seqs.len() > 100
            && seqs.len() <= 10 + 256
            && (200..300).all(|n| n % 10 == 0 || seqs.contains(&(n + 1)))
    );
    node.one(6_000, Command::Tick);
    let seen = Seen::of(&node).unwrap();
    assert_eq!(
        seen.seqs("noisy-1").into_iter().collect::<Vec<_>>(),
        [290, 292, 293, 294, 295, 296, 297, 298, 299, 300]
    );
    assert_eq!(seen.seqs("b").len(), 30);
    let noisy = record_of(&node, &seen, "noisy-1").unwrap();
    let quiet = record_of(&node, &seen, "b").unwrap();
    assert_eq!(
        (noisy.trimmed_seq, quiet.trimmed_seq),
        (289, 0),
        "a gap is told of the one and not of the other"
    );
    assert_eq!((seen.record.removed_seq, seen.record.first_seq), (289, 1));
}

#[test]
fn rules_apply_to_the_own_subject_and_to_existing_events() {
    let mut node = node();
    for n in 0..50 {
        node.one(20 + n, publish_to(None, &["", "a-1"]));
    }
    node.one(100, set_rules(vec![keeps("a-*", None, None, Some(99)), keeps("*", Some(7), None, None)]));
    node.one(110, Command::Tick);
    assert_eq!(Seen::of(&node).unwrap().seqs("").len(), 50, "new events stay for a while");
    assert_eq!(node.one(6_000, Command::Tick), Reply::Ticked(false));
    let seen = Seen::of(&node).unwrap();
    assert_eq!((seen.seqs("").len(), seen.seqs("a-1").len()), (7, 1));
    assert_eq!(seen.record.sweep, None);
}

#[test]
fn rules_by_age_trim_each_subject_in_its_time() {
    let mut node = node();
    node.one(20, set_rules(vec![keeps("a-1", None, Some(10), None), keeps("a-*", None, Some(30), None)]));
    for second in 0..20 {
        node.one(1000 * second + 30, publish_to(None, &["a-1", "a-2", "b"]));
    }
    node.one(20_000, Command::Tick);
    let seen = Seen::of(&node).unwrap();
    assert_eq!((seen.seqs("a-1").len(), seen.seqs("a-2").len(), seen.seqs("b").len()), (10, 20, 20));
    node.one(45_000, Command::Tick);
    let seen = Seen::of(&node).unwrap();
    assert_eq!((seen.seqs("a-1").len(), seen.seqs("a-2").len(), seen.seqs("b").len()), (0, 5, 20));
}

#[test]
fn a_publish_that_is_refused_in_part_stores_nothing() {
    let mut node = Node::new();
    node.one(10, create(1, None, Limits { subjects: Some(2), ..NO_LIMITS }, KEEP_ALL));
    node.one(20, set_rules(vec![rule("live-*", Durability::Ephemeral, SubjectHistory::default())]));
    let refused = |node: &mut Node, by, names: &[&str]| node.one(30, publish_to(by, names));
    assert_eq!(refused(&mut node, None, &["", "live-1"]), Reply::Refused(Refusal::Ephemeral));
    assert_eq!(refused(&mut node, Some(token_id(1)), &["", "$s"]), Reply::Refused(Refusal::Malformed));
    assert_eq!(refused(&mut node, None, &["a", "b", "c"]), Reply::Refused(Refusal::TooManySubjects(2)));
    assert_eq!(Seen::of(&node).unwrap().record.next_seq, 1, "nothing was stored");
    published(node.one(40, publish_to(None, &["a", "b", "a", ""])));
    published(node.one(40, publish_to(None, &["a", "b", ""])));
    assert_eq!(refused(&mut node, None, &["c"]), Reply::Refused(Refusal::TooManySubjects(2)));
    // A subject whose events are gone makes room for another.
    assert_eq!(node.one(50, delete_subject("a")), Reply::Removed(3));
    published(node.one(60, publish_to(None, &["c"])));
    assert_eq!(refused(&mut node, None, &["a"]), Reply::Refused(Refusal::TooManySubjects(2)));
}

#[test]
fn only_a_manager_of_the_map_deletes_and_sets_rules() {
    let mut node = node();
    let token = NewToken { scopes: Scopes::from_names(&["publish", "subscribe"]).unwrap(), ..new_token(2) };
    node.one(20, Command::CreateToken(CreateToken { map: map_id(1), by: None, token, max_tokens: 9 }));
    let id = published(node.one(30, publish_to(None, &["a-1"]))).first_id;
    let by = Some(token_id(2));
    for command in [
        Command::SetChannelRules(SetChannelRules { map: map_id(1), by, rules: ChannelRules::default() }),
        Command::DeleteEvent(DeleteEvent { map: map_id(1), by, id }),
        Command::DeleteSubject(DeleteSubject { map: map_id(1), by, subject: subject("a-1") }),
    ] {
        assert_eq!(node.one(40, command), Reply::Refused(Refusal::Forbidden));
    }
    let delete = |id| Command::DeleteEvent(DeleteEvent { map: map_id(1), by: Some(token_id(1)), id });
    node.state.take_changes();
    assert_eq!(node.one(50, delete(id)), Reply::Removed(1));
    let stream = node.state.access().map(map_id(1)).unwrap().topic;
    let told = Change::Removed(stream, Touched::These(vec![subject("a-1")]));
    assert_eq!(node.state.take_changes(), [told]);
    assert_eq!(node.one(60, delete(id)), Reply::Refused(Refusal::UnknownEvent));
}

#[test]
fn a_deleted_history_is_gone_at_once_and_removed_in_pieces() {
    let mut node = node();
    for _ in 0..20 {
        node.one(20, publish_to(None, &["a-1", "b"].repeat(500)));
    }
    assert_eq!(node.one(30, delete_subject("a-1")), Reply::Removed(10_000));
    let seen = Seen::of(&node).unwrap();
    assert_eq!((seen.seqs("a-1").len(), seen.seqs("b").len(), seen.events.len()), (0, 10_000, 20_000));
    assert_eq!(published(node.one(40, publish_to(None, &["a-1"; 2]))).first_seq, 20_001);
    let mut ticks = 0;
    while node.one(50, Command::Tick) != Reply::Ticked(false) {
        ticks += 1;
        assert!(ticks < 10);
    }
    assert!(ticks >= 1, "not all in one entry");
    let seen = Seen::of(&node).unwrap();
    assert_eq!((seen.seqs("a-1").len(), seen.events.len()), (2, 10_002));
    assert_eq!(seen.record.deletions, []);
}

#[test]
fn webhooks_receive_what_a_rule_took_and_not_what_was_deleted() {
    let mut node = node();
    node.one(11, super::leases::delivers(1, 7));
    node.one(12, put(webhook(1, 1), None, None));
    node.one(20, set_rules(vec![keeps("a-1", Some(2), None, None)]));
    for _ in 0..6 {
        node.one(30, publish_to(None, &["a-1", "b"]));
    }
    node.one(6_000, Command::Tick);
    let seen = Seen::of(&node).unwrap();
    assert_eq!(seen.seqs("a-1").into_iter().collect::<Vec<_>>(), [9, 11]);
    assert_eq!(seen.withheld.keys().copied().collect::<Vec<_>>(), [1, 3, 5, 7]);
    assert_eq!(node.one(6_040, report(1, 7, 1, vec![update(1, 4)])), Reply::Progressed(vec![]));
    node.one(6_050, Command::Tick);
    assert_eq!(
        Seen::of(&node).unwrap().withheld.keys().copied().collect::<Vec<_>>(),
        [5, 7],
        "not passed yet"
    );
    node.one(6_060, delete_subject("a-1"));
    node.one(6_070, Command::Tick);
    let seen = Seen::of(&node).unwrap();
    assert!(seen.withheld.is_empty() && seen.events.values().all(|(subject, _)| subject == "b"));
}

#[test]
fn retention_that_finds_a_deleted_event_leaves_what_webhooks_need() {
    let mut node = node();
    node.one(11, super::leases::delivers(1, 7));
    node.one(12, put(webhook(1, 1), None, None));
    node.one(20, command_of(&Act::Keep(None, Some(3600)), &[], 0));
    node.one(20, set_rules(vec![keeps("a-1", Some(1), None, None)]));
    let at = 10_000_000;
    for name in ["a-1", "b", "a-1"] {
        node.one(at, publish_to(None, &[name]));
    }
    node.one(at + 6_000, Command::Tick);
    assert_eq!(Seen::of(&node).unwrap().withheld.keys().copied().collect::<Vec<_>>(), [1]);
    node.one(at + 6_000, delete_subject("b"));
    node.one(at + 6_000, Command::Tick);
    let seen = Seen::of(&node).unwrap();
    assert_eq!((seen.record.first_seq, seen.record.stored_seq), (3, 1));
    let stream = node.state.access().map(map_id(1)).unwrap().topic;
    let history = History::open(&node.store, stream).unwrap().with_backlog();
    let page = history.read(1, Bounds { events: 9, bytes: 1 << 20 }).unwrap();
    assert_eq!(page.events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 3]);
    node.one(at + 6_000, report(1, 7, 1, vec![update(1, 4)]));
    node.one(at + 6_000, Command::Tick);
    let seen = Seen::of(&node).unwrap();
    assert_eq!((seen.withheld.len(), seen.record.stored_seq), (0, 3));
}

#[test]
fn changes_name_their_subjects_however_many_there_are() {
    let mut node = node();
    let names: Vec<String> = (0..200).map(|n| format!("s{n}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    node.state.take_changes();
    node.one(20, publish_to(None, &all));
    all.chunks(9).for_each(|part| drop(node.one(30, publish_to(None, part))));
    let (mut told, mut seqs) = (Vec::new(), Vec::new());
    for change in node.state.take_changes() {
        let Change::Events(appended) = change else { panic!("{change:?}") };
        let Touched::These(subjects) = &appended.subjects else { panic!("{appended:?}") };
        told.extend(subjects.iter().map(|subject| subject.as_str().to_owned()));
        assert_eq!(appended.events.first().map(|(seq, _)| *seq), Some(appended.first_seq()));
        for (seq, stored) in &appended.events {
            let in_store = node.store.get(&keys::event(appended.stream, *seq)).unwrap().unwrap();
            assert_eq!(stored[..], in_store[..]);
            let subject = Event::from_stored(*seq, stored.clone()).unwrap().subject;
            assert!(subjects.contains(&subject), "{subject}");
            seqs.push(*seq);
        }
    }
    assert_eq!(told, [names.clone(), names].concat());
    assert_eq!(seqs.len(), 400);
    assert!(seqs.windows(2).all(|two| two[0] + 1 == two[1]), "each event is in one change");
}

#[test]
fn deleting_an_unknown_subject_changes_nothing() {
    let mut node = node();
    node.one(11, super::leases::delivers(1, 7));
    node.one(12, put(webhook(1, 1), None, None));
    node.one(20, set_rules(vec![keeps("a-1", None, Some(1), None)]));
    node.one(20, publish_to(None, &["a-1", "b"]));
    node.one(6_000, Command::Tick);
    let seen = Seen::of(&node).unwrap();
    assert_eq!((seen.seqs("a-1").len(), seen.withheld.len()), (0, 1));
    let before = node.store.clone();
    node.state.take_changes();
    assert_eq!(node.one(6_010, delete_subject("none")), Reply::Removed(0));
    assert_eq!((Seen::of(&node).unwrap().record.deletions, node.state.take_changes()), (vec![], vec![]));
    let events = |store: &MemoryStore| {
        store.0.iter().filter(|(key, _)| key[0] == keys::TOPICS).map(|(_, v)| v.clone()).collect::<Vec<_>>()
    };
    assert_eq!(events(&before), events(&node.store));
    // Events that only webhooks would still receive count as a history, too.
    assert_eq!(node.one(6_020, delete_subject("a-1")), Reply::Removed(1));
    let stream = node.state.access().map(map_id(1)).unwrap().topic;
    assert_eq!(node.state.take_changes(), [Change::Removed(stream, Touched::These(vec![subject("a-1")]))]);
    node.one(6_030, Command::Tick);
    assert!(Seen::of(&node).unwrap().withheld.is_empty());
    assert_eq!(node.one(6_040, delete_subject("a-1")), Reply::Removed(0));
}

#[test]
fn the_oldest_empty_subjects_are_forgotten_and_the_stream_remembers_it() {
    let mut node = node();
    node.one(20, set_rules(vec![keeps("s*", None, Some(1), None)]));
    let names: Vec<String> = (0..5000).map(|n| format!("s{n}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    for (n, part) in (0u64..).zip(all.chunks(500)) {
        node.one(100 + n, publish_to(None, part));
    }
    while node.one(60_000, Command::Tick) != Reply::Ticked(false) {}
    let seen = Seen::of(&node).unwrap();
    assert_eq!((seen.record.subjects, seen.record.empty, seen.events.len()), (0, 4096, 0));
    assert_eq!(seen.record.forgotten_seq, 904);
    assert_eq!(record_of(&node, &seen, "s903"), None);
    assert_eq!(record_of(&node, &seen, "s904").unwrap().trimmed_seq, 905);
    // A subject that appears again may have had events up to there.
    node.one(61_000, publish_to(None, &["s3"]));
    let seen = Seen::of(&node).unwrap();
    assert_eq!(record_of(&node, &seen, "s3").unwrap().trimmed_seq, 904);
}

#[test]
fn deleting_a_map_deletes_its_subjects() {
    let mut node = node();
    node.one(11, super::leases::delivers(1, 7));
    node.one(12, put(webhook(1, 1), None, None));
    node.one(20, set_rules(vec![keeps("a-1", Some(1), None, None), keeps("b", None, Some(1), None)]));
    for n in 0..4 {
        node.one(30 + n, publish_to(None, &["a-1", "", "b", "a-2"]));
    }
    node.one(5000, Command::Tick);
    node.one(5001, delete_subject("a-2"));
    let kinds: BTreeSet<u8> = node.store.0.keys().map(|key| key[0]).collect();
    for kind in [keys::SUBJECTS, keys::RUNS, keys::HOLES, keys::WITHHELD, keys::EMPTIES] {
        assert!(kinds.contains(&kind), "{}", kind as char);
    }
    node.one(5002, Command::DeleteMap(map_id(1)));
    node.one(5003, Command::Tick);
    let left: BTreeSet<u8> = node.store.0.keys().map(|key| key[0]).collect();
    assert!(left.iter().all(|kind| keys::DIRECTORY.contains(kind)), "{left:?}");
}

/// Commands on subjects, for the properties of the whole state.
pub(super) fn command() -> impl Strategy<Value = Command> {
    let by = prop_oneof![Just(None), (1u8..5).prop_map(|n| Some(token_id(n)))];
    let ephemeral = rule("b*", Durability::Ephemeral, SubjectHistory::default());
    let rules = prop_oneof![
        Just(vec![]),
        Just(vec![keeps("a-1", Some(2), None, None)]),
        Just(vec![keeps("a*", None, Some(1), None), ephemeral]),
        Just(vec![keeps("*", Some(3), Some(2), Some(200))]),
    ];
    prop_oneof![
        6 => (1u8..5, by.clone(), prop::collection::vec(0..NAMES.len(), 1..5)).prop_map(|(map, by, to)| {
            let Command::Publish(publish) = publish_to(by, &to.iter().map(|n| NAMES[*n]).collect::<Vec<_>>()) else {
                unreachable!()
            };
            Command::Publish(Publish { map: map_id(map), ..publish })
        }),
        1 => (1u8..5, by.clone(), rules).prop_map(|(map, by, rules)| {
            let rules = ChannelRules::new(rules).unwrap();
            Command::SetChannelRules(SetChannelRules { map: map_id(map), by, rules })
        }),
        1 => (1u8..5, by, 0..NAMES.len()).prop_map(|(map, by, n)| {
            Command::DeleteSubject(DeleteSubject { map: map_id(map), by, subject: subject(NAMES[n]) })
        }),
    ]
}

/// A store that counts its reads and writes.
#[derive(Default)]
struct Counting {
    store: MemoryStore,
    puts: u64,
    reads: Cell<u64>,
}

impl ReadStore for Counting {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.reads.set(self.reads.get() + 1);
        self.store.get(key)
    }
    fn scan(&self, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        self.reads.set(self.reads.get() + 1);
        self.store.scan(from, to, visit)
    }
    fn scan_back(&self, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        self.reads.set(self.reads.get() + 1);
        self.store.scan_back(from, to, visit)
    }
}

impl WriteStore for Counting {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.puts += 1;
        self.store.put(key, value)
    }
    fn delete(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.store.delete(key)
    }
}

#[test]
fn a_map_with_only_its_own_subject_pays_nothing_for_subjects() {
    let mut store = Counting::default();
    let mut state = State::load(&store).unwrap();
    let mut index = 0;
    let mut entry = |state: &mut State, store: &mut Counting, command: &Command| {
        index += 1;
        let mut entry = Entry { index, time_ms: 10, id_ms: 10, expiry_ms: 10, slots: 0 };
        state.apply(&mut entry, &Bytes::from(codec::encode(command).unwrap()), store).unwrap();
        state.flush(store).unwrap();
        (std::mem::take(&mut store.puts), store.reads.take())
    };
    entry(&mut state, &mut store, &create(1, None, NO_LIMITS, KEEP_ALL));
    for _ in 0..3 {
        // The events, and the stream's record and that of its usage once in a transaction.
        assert_eq!(entry(&mut state, &mut store, &publish_to(None, &["", ""])), (4, 0));
    }
    // Another subject: also its record, which is read once, and a run where one ends.
    assert_eq!(entry(&mut state, &mut store, &publish_to(None, &["b"])), (4, 1));
    assert_eq!(entry(&mut state, &mut store, &publish_to(None, &["b"])), (4, 1));
    assert_eq!(entry(&mut state, &mut store, &publish_to(None, &[""])), (4, 0));
}

#[derive(Clone, Debug)]
enum Act {
    Publish(Vec<usize>),
    Rules(Vec<(usize, Option<u64>, Option<u64>)>),
    DeleteEvent(usize),
    DeleteSubject(usize),
    Tick,
    Passed(u64),
    Active(bool),
    Keep(Option<u64>, Option<u64>),
}

fn act() -> impl Strategy<Value = Act> {
    let few = || prop::option::of(1u64..6);
    prop_oneof![
        8 => prop::collection::vec(0..NAMES.len(), 1..6).prop_map(Act::Publish),
        1 => prop::collection::vec((0usize..4, few(), few()), 0..3).prop_map(Act::Rules),
        2 => any::<usize>().prop_map(Act::DeleteEvent),
        1 => (0..NAMES.len()).prop_map(Act::DeleteSubject),
        3 => Just(Act::Tick),
        2 => (1u64..9).prop_map(Act::Passed),
        1 => any::<bool>().prop_map(Act::Active),
        1 => (prop::option::of(1u64..20), prop::option::of(1u64..20)).prop_map(|(events, age)| Act::Keep(events, age)),
    ]
}

/// Makes the command of an act. `ids` and `passed` say what has been published and passed so far.
fn command_of(act: &Act, ids: &[EventId], passed: u64) -> Command {
    match act {
        Act::Publish(to) => publish_to(None, &to.iter().map(|n| NAMES[*n]).collect::<Vec<_>>()),
        Act::Rules(rules) => {
            let patterns = ["a-1", "a-*", "*", "$*"];
            set_rules(
                rules
                    .iter()
                    .map(|(n, events, seconds)| keeps(patterns[*n], *events, *seconds, None))
                    .collect(),
            )
        }
        Act::DeleteEvent(nth) => {
            let id = ids.get(nth % ids.len().max(1)).copied().unwrap_or(EventId::ZERO);
            Command::DeleteEvent(DeleteEvent { map: map_id(1), by: None, id })
        }
        Act::DeleteSubject(n) => delete_subject(NAMES[*n]),
        Act::Tick => Command::Tick,
        Act::Passed(_) => report(1, 7, 1, vec![update(1, passed)]),
        Act::Active(active) => Command::ActivateWebhook(on(1, 1, Activate { active: *active, seek: None })),
        Act::Keep(events, age_seconds) => Command::UpdateMap(UpdateMap {
            map: map_id(1),
            by: None,
            slug: None,
            name: None,
            limits: LimitsPatch::default(),
            retention: RetentionPatch {
                events: Some(*events),
                age_seconds: Some(*age_seconds),
                ..RetentionPatch::default()
            },
        }),
    }
}

/// Checks that an act took from readers of a subject only what it may take.
fn check_taken(act: &Act, name: &str, map: &Map, before: &Seen, seen: &Seen) -> Result<(), TestCaseError> {
    let had = before.seqs(name);
    let has = seen.seqs(name);
    let gone: Vec<u64> = had.difference(&has).copied().collect();
    match act {
        Act::DeleteEvent(_) => prop_assert!(gone.len() <= 1),
        Act::DeleteSubject(n) => {
            prop_assert_eq!(NAMES[*n] == name || gone.is_empty(), NAMES[*n] != name || has.is_empty())
        }
        Act::Publish(_) | Act::Tick => {
            // Only the oldest events of a subject go, and only those beyond a bound.
            prop_assert!(gone.iter().max() < has.iter().min() || has.is_empty() || gone.is_empty());
            let history = map.rules.history_of(name);
            let by_count = history.events.is_some_and(|events| has.len() as u64 >= events);
            let by_map = map.retention.events.is_some_and(|events| seen.all().len() as u64 >= events);
            let by_age = matches!(act, Act::Tick) && history.seconds.or(map.retention.age_seconds).is_some();
            prop_assert!(gone.is_empty() || by_count || by_map || by_age, "{:?} of {:?}", gone, name);
        }
        _ => prop_assert!(gone.is_empty()),
    }
    if let (Act::Publish(to), Some(events)) = (act, map.rules.history_of(name).events)
        && to.iter().any(|n| NAMES[*n] == name)
    {
        prop_assert!(has.len() as u64 <= events + 256, "{} of {:?}", has.len(), name);
    }
    Ok(())
}

proptest! {
    // A case is a long history: each step is checked and reloaded.
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn records_of_subjects_match_the_stored_events(
        acts in prop::collection::vec((1u64..2000, act()), 1..60),
    ) {
        let mut node = node();
        node.one(11, super::leases::delivers(1, 7));
        node.one(12, put(webhook(1, 1), None, None));
        let mut restarting =
            Node { state: State::load(&node.store).unwrap(), store: node.store.clone(), index: node.index, id_ms: node.id_ms };
        let mut now = 1_000;
        let mut ids = Vec::new();
        let mut names = BTreeMap::new();
        let mut passed = 1;
        let mut was_off = false;
        let mut deleted = BTreeSet::new();
        for (wait, act) in acts {
            now += wait;
            if let Act::Passed(more) = act {
                passed = (passed + more).min(names.len() as u64 + 1);
            }
            // What the webhook had not passed while it was inactive may be gone.
            was_off |= matches!(act, Act::Active(false));
            let before = Seen::of(&node).unwrap();
            let command = command_of(&act, &ids, passed);
            restarting.state = State::load(&restarting.store).unwrap();
            let reply = node.one(now, command.clone());
            prop_assert_eq!(&reply, &restarting.one(now, command));
            prop_assert_eq!(&node.store, &restarting.store);
            if let (Act::Publish(to), Reply::Published(published)) = (&act, &reply) {
                for (index, n) in (0..).zip(to) {
                    ids.push(published.id(index));
                    names.insert(published.first_seq + u64::from(index), NAMES[*n].to_owned());
                }
            }
            check(&node, &names);
            let seen = Seen::of(&node).unwrap();
            let map = node.state.access().map(map_id(1)).unwrap().clone();
            let floor = if node.state.webhooks().get(webhook_id(1)).unwrap().active { passed } else { u64::MAX };
            for name in NAMES {
                check_taken(&act, name, &map, &before, &seen)?;
            }
            if let Act::DeleteEvent(_) | Act::DeleteSubject(_) = act {
                deleted.extend(before.all().difference(&seen.all()).copied());
                if let Act::DeleteSubject(n) = act {
                    deleted.extend(names.iter().filter(|(_, name)| *name == NAMES[n]).map(|(seq, _)| *seq));
                } else if let (Act::DeleteEvent(nth), Reply::Removed(_)) = (&act, &reply) {
                    deleted.insert((nth % ids.len()) as u64 + 1);
                }
            }
            // Whatever the webhook has not passed is stored, unless somebody deleted it.
            for seq in names.keys().filter(|seq| **seq >= floor && !deleted.contains(*seq)) {
                let stored = seen.events.contains_key(seq) || seen.withheld.contains_key(seq);
                prop_assert!(stored || was_off, "{} is missing for the webhook", seq);
            }
        }
        check_readers(&node, &ids, &names);
        // At the end nothing of a deleted history is left.
        for _ in 0..20 {
            now += 1_000;
            node.one(now, Command::Tick);
        }
        check(&node, &names);
        let seen = Seen::of(&node).unwrap();
        let map = node.state.access().map(map_id(1)).unwrap().clone();
        for name in NAMES {
            let most = map.rules.history_of(name).events.unwrap_or(u64::MAX);
            prop_assert!(seen.seqs(name).len() as u64 <= most, "the ticks take what a rule no longer keeps");
        }
        check_readers(&node, &ids, &names);
        prop_assert_eq!(&seen.record.deletions, &[]);
        let left = seen.events.keys().chain(seen.withheld.keys());
        prop_assert!(left.clone().all(|seq| !deleted.contains(seq)), "{:?} of {:?}", deleted, left);
    }
}
