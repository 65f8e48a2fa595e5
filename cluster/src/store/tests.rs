//! The store by itself.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use super::*;
use crate::wire::StoredLogId;

fn put(store: &Store, index: u64, pairs: &[(&[u8], &[u8])]) {
    let view = View::of(store).unwrap();
    let mut data = Txn::new(&view);
    for (key, value) in pairs {
        data.put(key, value).unwrap();
    }
    let applied = Some(StoredLogId { term: 1, node: 1, index });
    let state = SystemV1 { applied, ..SystemV1::default() };
    if store.add(data.into_writes(), state.clone()) {
        store.write_group().unwrap();
    }
    *store.state_mut() = state;
}

fn open(dir: &Path) -> Store {
    Store::open(&dir.join("state.redb"), 1 << 20, true).unwrap()
}

#[test]
fn views_do_not_change_and_ranges_are_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    put(&store, 1, &[(b"b", b"1"), (b"a", b"2"), (b"d", b"3")]);
    let view = View::of(&store).unwrap();
    put(&store, 2, &[(b"c", b"4"), (b"a", b"5")]);
    assert_eq!((view.applied(), View::of(&store).unwrap().applied()), (1, 2));
    assert_eq!(view.get(b"a").unwrap().unwrap(), b"2");
    assert_eq!(View::of(&store).unwrap().get(b"a").unwrap().unwrap(), b"5");
    let mut keys = Vec::new();
    view.scan(b"a"..b"d", &mut |key, _| {
        keys.push(key.to_vec());
        true
    })
    .unwrap();
    assert_eq!(keys, [b"a".to_vec(), b"b".to_vec()]);
    let last = View::of(&store).unwrap().last(b"a".as_slice()..b"d").unwrap();
    assert_eq!(last, Some((b"c".to_vec(), b"4".to_vec())));
    assert_eq!(view.last(b"x".as_slice()..b"a").unwrap(), None);
}

#[test]
fn a_value_that_was_changed_on_disk_is_not_served() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    put(&store, 1, &[(b"a", b"1"), (b"b", b"2")]);
    store.write_group().unwrap();
    let txn = begin(&store.database(), Durability::None).unwrap();
    // The record of another key: its checksum is right, but it is stored under the wrong key.
    txn.open_table(DATA).unwrap().insert(b"a".as_slice(), with_checksum(b"b", b"2").as_slice()).unwrap();
    txn.commit().unwrap();
    let view = View::of(&store).unwrap();
    assert!(matches!(view.get(b"a"), Err(StoreError::Corrupt(_))));
    assert!(matches!(view.scan(b"a"..b"c", &mut |_, _| true), Err(StoreError::Corrupt(_))));
    assert_eq!(view.get(b"b").unwrap().unwrap(), b"2");
}

#[test]
fn a_checkpoint_outlives_the_process_and_later_writes_do_not_tear() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.redb");
    let copy = dir.path().join("copy.redb");
    let store = open(dir.path());
    put(&store, 1, &[(b"a", b"1")]);
    store.begin_checkpoint().unwrap().finish_here().unwrap();
    put(&store, 2, &[(b"a", b"2")]);
    store.write_group().unwrap();
    // The file as a killed process leaves it.
    std::fs::copy(&path, &copy).unwrap();
    let after = Store::open(&copy, 1 << 20, true).unwrap();
    let view = View::of(&after).unwrap();
    assert_eq!((view.applied(), view.get(b"a").unwrap().unwrap()), (1, b"1".to_vec()));
}

/// What a power cut leaves at any moment is the last checkpoint that was released, however much was applied
/// since and whatever pages that used again.
#[test]
fn a_checkpoint_that_is_held_is_not_durable_and_what_follows_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let copy = dir.path().join("copy.redb");
    // More than the cache holds, so that pages are written before a checkpoint.
    let change = |index: u64| {
        let value = vec![index as u8; 10_000];
        let keys: Vec<[u8; 8]> = (0..200_u64).map(u64::to_be_bytes).collect();
        let pairs: Vec<(&[u8], &[u8])> = keys.iter().map(|key| (key.as_slice(), value.as_slice())).collect();
        put(&store, index, &pairs);
    };
    let left = || {
        std::fs::copy(dir.path().join("state.redb"), &copy).unwrap();
        let store = Store::open(&copy, 1 << 20, true).unwrap();
        let view = View::of(&store).unwrap();
        let value = view.get(&7_u64.to_be_bytes()).unwrap().unwrap();
        assert!(value.iter().all(|byte| u64::from(*byte) == view.applied()));
        view.applied()
    };
    change(1);
    store.begin_checkpoint().unwrap().finish_here().unwrap();
    for round in 0..5 {
        let before = 4 * round + 1;
        assert_eq!(left(), before);
        change(before + 1);
        assert_eq!(left(), before);
        change(before + 2);
        let held = store.begin_checkpoint().unwrap();
        assert_eq!(left(), before);
        change(before + 3);
        assert_eq!(left(), before);
        assert_eq!(held.finish_here().unwrap().applied.unwrap().index, before + 2);
        assert_eq!(left(), before + 2);
        change(before + 4);
        assert_eq!(left(), before + 2);
        store.begin_checkpoint().unwrap().finish_here().unwrap();
    }
}

#[test]
fn closing_the_store_makes_nothing_durable_that_no_checkpoint_did() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    put(&store, 1, &[(b"a", b"1")]);
    store.begin_checkpoint().unwrap().finish_here().unwrap();
    put(&store, 2, &[(b"a", b"2")]);
    store.write_group().unwrap();
    store.unwritten.store(1, Ordering::Relaxed);
    drop(store);
    let after = open(dir.path());
    let view = View::of(&after).unwrap();
    assert_eq!((view.applied(), view.get(b"a").unwrap().unwrap()), (1, b"1".to_vec()));
}

#[test]
fn a_snapshot_becomes_the_store_and_damage_in_transit_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let source = open(dir.path());
    let value = vec![7; 10_000];
    for i in 0..200_u64 {
        put(&source, i, &[(&i.to_be_bytes(), &value)]);
    }
    let view = Arc::new(View::of(&source).unwrap());
    let mut chunks = Vec::new();
    export(&view, &mut |chunk| {
        chunks.push(chunk);
        true
    })
    .unwrap();
    assert!(chunks.len() > 2);
    let take = |chunks: &[Vec<crate::wire::PairV1>]| {
        let mut incoming = Incoming::begin(&dir.path().join("in"), view.state().clone())?;
        for (index, chunk) in chunks.iter().enumerate() {
            incoming.chunk(index as u64, chunk_crc(chunk), chunk)?;
        }
        incoming.finish(chunks.len() as u64, 200)
    };
    assert!(take(&chunks[1..]).is_err(), "incomplete");
    let mut swapped = chunks.clone();
    swapped.swap(0, 1);
    assert!(take(&swapped).is_err(), "out of order");
    let mut damaged = chunks.clone();
    damaged[1][0].record[100] ^= 1;
    assert!(take(&damaged).is_err(), "damaged before it was sent");
    let received = take(&chunks).unwrap();
    let other = tempfile::tempdir().unwrap();
    let target = open(other.path());
    put(&target, 1, &[(b"old", b"gone")]);
    let former = View::of(&target).unwrap();
    target.replace(&received.path).unwrap();
    assert_eq!(former.get(b"old").unwrap().unwrap(), b"gone", "open views stay valid");
    let now = View::of(&target).unwrap();
    assert_eq!((now.get(b"old").unwrap(), now.applied()), (None, 199));
    assert_eq!(now.get(&7_u64.to_be_bytes()).unwrap().unwrap(), value);
}

#[test]
fn keys_and_values_have_limits() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let view = View::of(&store).unwrap();
    let mut data = Txn::new(&view);
    assert!(matches!(data.put(&[0; MAX_KEY + 1], b""), Err(StoreError::TooLarge { .. })));
    assert!(matches!(data.put(b"a", &vec![0; MAX_VALUE + 1]), Err(StoreError::TooLarge { .. })));
    let too_large = |out: &mut Vec<u8>| out.extend_from_slice(&vec![0; MAX_VALUE + 1]);
    assert!(matches!(data.put_with(b"a", 0, too_large), Err(StoreError::TooLarge { .. })));
    data.delete(b"a");
    assert_eq!(data.read(|records| records.value(b"a")).unwrap(), None);
}

#[test]
fn a_value_that_is_written_where_it_stays_has_the_same_record() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let view = View::of(&store).unwrap();
    let mut copied = Txn::new(&view);
    copied.put(b"a", b"value").unwrap();
    let mut written = Txn::new(&view);
    let value = written.put_with(b"a", 5, |out| out.extend_from_slice(b"value")).unwrap();
    assert_eq!(&value[..], b"value");
    assert_eq!(written.get(b"a").unwrap().unwrap(), b"value");
    let (copied, written) = (copied.into_writes(), written.into_writes());
    assert!(copied.iter().eq(written.iter()));
    let record = written.iter().next().and_then(|(_, record)| record).unwrap();
    assert!(record.as_ptr_range().contains(&value.as_ptr()), "it is a part of the record");
}
