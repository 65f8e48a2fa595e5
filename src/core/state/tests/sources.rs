//! Ingest sources: who changes them, what comes in through them, and what is left of one that is deleted.

use super::*;
use crate::core::command::Ingest;
use crate::core::ids::SourceId;
use crate::core::ingest::{DeleteSource, MAX_SOURCES, PutSource, Settings, Source};
use crate::core::store::ReadStore;

fn id(n: u8) -> SourceId {
    SourceId::from_bytes([n; 16])
}

fn source(n: u8, map: u8, active: bool) -> Source {
    Source {
        id: id(n),
        map: map_id(map),
        settings: Settings { active, ..Settings::new() },
        encrypted: vec![n],
        revision: 0,
        inserted_ms: 0,
        updated_ms: 0,
    }
}

fn put(source: Source, base: Option<u64>) -> Command {
    Command::PutSource(Box::new(PutSource { by: None, source, base }))
}

fn delete(n: u8, map: u8) -> Command {
    Command::DeleteSource(DeleteSource { map: map_id(map), by: None, id: id(n) })
}

fn ingest(n: u8, map: u8, kinds: &[&str], keys: &[u8]) -> Command {
    let events = kinds.iter().map(|kind| NewEvent::new(Default::default(), *kind, "{}")).collect();
    let key = |key: &u8| IdempotencyKey { key: [*key; 16], fingerprint: [*key; 16], ttl_ms: 1000 };
    Command::Ingest(Ingest { source: id(n), map: map_id(map), events, keys: keys.iter().map(key).collect() })
}

fn counts(node: &Node, n: u8) -> Option<SourceCounts> {
    let bytes = node.store.get(&keys::source_counts(id(n))).unwrap()?;
    Some(codec::decode(&bytes).unwrap())
}

fn two_maps() -> Node {
    let mut node = Node::new();
    node.entry(10, &[create(1, None, NO_LIMITS, KEEP_ALL), create(2, None, NO_LIMITS, KEEP_ALL)]);
    node
}

#[test]
fn a_source_is_changed_at_the_revision_that_was_read() {
    let mut node = two_maps();
    let Reply::Source(made) = node.one(20, put(source(1, 1, true), None)) else { panic!("no source") };
    assert_eq!((made.revision, made.inserted_ms, made.updated_ms), (1, 20, 20));
    let Reply::Source(changed) = node.one(30, put(source(1, 1, false), Some(1))) else { panic!("no source") };
    assert_eq!((changed.revision, changed.inserted_ms, changed.updated_ms), (2, 20, 30));
    for (command, why) in [
        (put(source(1, 1, true), Some(1)), Refusal::Changed),
        (put(source(1, 1, true), None), Refusal::IdTaken),
        (put(source(1, 2, true), Some(2)), Refusal::UnknownSource),
        (put(source(2, 1, true), Some(1)), Refusal::UnknownSource),
        (put(source(2, 3, true), None), Refusal::UnknownMap),
        (delete(1, 2), Refusal::UnknownSource),
        (delete(2, 1), Refusal::UnknownSource),
    ] {
        assert_eq!(node.one(40, command), Reply::Refused(why));
    }
    // Another map's token changes nothing.
    let foreign = PutSource { by: Some(token_id(2)), source: source(1, 1, true), base: Some(2) };
    let foreign = Command::PutSource(Box::new(foreign));
    assert_eq!(node.one(40, foreign), Reply::Refused(Refusal::Forbidden));
    let loaded = State::load(&node.store).unwrap();
    assert_eq!(loaded.access().sources().get(id(1)), Some(&std::sync::Arc::new(*changed)));
    for n in 0..MAX_SOURCES as u8 - 1 {
        assert!(matches!(node.one(50, put(source(100 + n, 1, true), None)), Reply::Source(_)));
    }
    let most = Refusal::Limit(Counted::Sources, MAX_SOURCES as u32);
    assert_eq!(node.one(60, put(source(2, 1, true), None)), Reply::Refused(most));
}

#[test]
fn what_comes_in_is_stored_once_and_counted() {
    let mut node = two_maps();
    node.one(20, put(source(1, 1, true), None));
    let first = published(node.one(30, ingest(1, 1, &["a", "b"], &[1, 2])));
    assert_eq!(counts(&node, 1), Some(SourceCounts { events: 2, last_ms: 30 }));
    // Either key makes it the same delivery.
    for keys in [&[1u8, 9][..], &[8, 2]] {
        let again = published(node.one(40, ingest(1, 1, &["a", "b"], keys)));
        assert_eq!(again, Published { replayed: true, ..first });
    }
    published(node.one(50, ingest(1, 1, &["c"], &[3])));
    assert_eq!(counts(&node, 1), Some(SourceCounts { events: 3, last_ms: 50 }));
    assert_eq!(seqs(&node, 1), [1, 2, 3]);
    assert!(seqs(&node, 2).is_empty());
}

#[test]
fn a_source_counts_towards_the_rates_of_its_map() {
    let mut node = Node::new();
    node.one(10, create(1, None, Limits { publishes_per_second: Some(2), ..NO_LIMITS }, KEEP_ALL));
    node.one(20, put(source(1, 1, true), None));
    published(node.one(5000, ingest(1, 1, &["a", "b"], &[])));
    let refused = node.one(5000, ingest(1, 1, &["c"], &[]));
    assert!(matches!(refused, Reply::Refused(Refusal::Rate(Exceeded::Events(_)))), "{refused:?}");
}

#[test]
fn a_source_that_is_gone_or_not_active_takes_nothing() {
    let mut node = two_maps();
    node.entry(
        20,
        &[put(source(1, 1, true), None), put(source(2, 1, false), None), put(source(3, 2, true), None)],
    );
    let refused = Reply::Refused(Refusal::UnknownSource);
    let replies = node.entry(
        30,
        &[
            ingest(2, 1, &["a"], &[]),
            ingest(1, 2, &["a"], &[]),
            ingest(9, 1, &["a"], &[]),
            ingest(3, 2, &["a"], &[]),
        ],
    );
    assert_eq!(replies[..3], [refused.clone(), refused.clone(), refused.clone()]);
    assert!(counts(&node, 3).is_some());
    published(node.one(30, ingest(1, 1, &["a"], &[])));
    let replies = node.entry(40, &[delete(1, 1), ingest(1, 1, &["b"], &[])]);
    assert_eq!(replies, [Reply::Done, refused]);
    assert_eq!((counts(&node, 1), seqs(&node, 1)), (None, vec![1]));
    // With its map goes everything of a source.
    node.one(50, Command::DeleteMap(map_id(2)));
    assert_eq!((counts(&node, 3), node.state.access().sources().get(id(3))), (None, None));
    assert!(node.store.get(&keys::source(id(3))).unwrap().is_none());
}
