//! Chunks in memory, over the file and in it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;

use crate::store::layers::{self, Order, Records};
use crate::store::{Pair, Store, Txn, View};
use crate::wire::{StoredLogId, SystemV1};

/// Keys have one byte, less than this.
const KEYS: u8 = 14;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Debug, Clone, Copy)]
enum Step {
    Put(u8, u8),
    Delete(u8),
    /// Nothing; at the end of a chunk the group is written.
    Write,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..KEYS, any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        3 => (0..KEYS).prop_map(Step::Delete),
        1 => Just(Step::Write),
    ]
}

fn open(dir: &Path) -> Store {
    Store::open(&dir.join("state.redb"), 1 << 20, true).unwrap()
}

fn state(index: u64) -> SystemV1 {
    SystemV1 { applied: Some(StoredLogId { term: 1, node: 1, index }), ..SystemV1::default() }
}

/// Whether every kind of read gives what the model has.
fn check(records: &dyn Records, model: &Model) {
    for key in 0..KEYS {
        assert_eq!(records.value(&[key]).unwrap().as_ref(), model.get(&[key][..]));
    }
    for (from, to) in [(0, KEYS), (2, 9), (5, 5), (7, 3), (11, KEYS)] {
        let (from, to) = (vec![from], vec![to]);
        let mut expected: Vec<Pair> = Vec::new();
        if from < to {
            expected.extend(
                model.range(from.clone()..to.clone()).map(|(key, value)| (key.clone(), value.clone())),
            );
        }
        let seen = |order: Order, most: usize| {
            let mut pairs = Vec::new();
            layers::values(records, from.as_slice()..to.as_slice(), order, &mut |key, value| {
                pairs.push((key.to_vec(), value.to_vec()));
                pairs.len() < most
            })
            .unwrap();
            pairs
        };
        for most in [1, 3, usize::MAX] {
            let ascending: Vec<Pair> = expected.iter().take(most).cloned().collect();
            let descending: Vec<Pair> = expected.iter().rev().take(most).cloned().collect();
            assert_eq!(seen(Order::Ascending, most), ascending);
            assert_eq!(seen(Order::Descending, most), descending);
        }
        assert_eq!(layers::last(records, from.as_slice()..to.as_slice()).unwrap(), expected.last().cloned());
    }
}

/// The keys of a view in the order in which a snapshot has them.
fn keys(view: &View) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    view.records(&mut |key, _| {
        keys.push(key.to_vec());
        true
    })
    .unwrap();
    keys
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn reads_are_the_same_whether_chunks_are_in_memory_or_in_the_file(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let mut model = Model::new();
        let mut former = Vec::new();
        for (index, chunk) in (1..).zip(steps.chunks(7)) {
            let view = View::of(&store).unwrap();
            let before = model.clone();
            let mut txn = Txn::new(&view);
            for step in chunk {
                match *step {
                    Step::Put(key, value) => {
                        txn.put(&[key], &[value]).unwrap();
                        model.insert(vec![key], vec![value]);
                    }
                    Step::Delete(key) => {
                        txn.delete(&[key]);
                        model.remove(&[key][..]);
                    }
                    Step::Write => {}
                }
            }
            txn.read(|records| check(records, &model));
            let writes = txn.into_writes();
            check(&view.layers(), &before);
            let is_full = store.add(writes, state(index));
            if is_full || matches!(chunk.last(), Some(Step::Write)) {
                store.write_group().unwrap();
            }
            let now = View::of(&store).unwrap();
            check(&now.layers(), &model);
            prop_assert_eq!(now.applied(), index);
            prop_assert_eq!(keys(&now), model.keys().cloned().collect::<Vec<_>>());
            former.push((view, before));
        }
        for (view, before) in &former {
            check(&view.layers(), before);
        }
    }
}

fn put(store: &Store, index: u64, key: u8) -> bool {
    let view = View::of(store).unwrap();
    let mut txn = Txn::new(&view);
    txn.put(&[key], b"1").unwrap();
    store.add(txn.into_writes(), state(index))
}

#[test]
fn a_group_is_written_when_it_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in 1..16 {
        assert!(!put(&store, n.into(), n));
    }
    assert!(!put(&store, 16, 1), "a key that is written again is no further record");
    assert!(put(&store, 17, 16));
    let in_file = |key: u8| View::of(&store).unwrap().without_group().get(&[key]).unwrap().is_some();
    assert!(!in_file(1) && store.present().group.has_chunks());
    assert!(View::of(&store).unwrap().get(&[1]).unwrap().is_some());
    store.write_group().unwrap();
    assert!(in_file(1) && in_file(16) && !store.present().group.has_chunks());
}

fn checkpoint(store: &Store) -> SystemV1 {
    store.begin_checkpoint().unwrap().finish_here().unwrap()
}

#[test]
fn a_checkpoint_has_every_chunk_even_one_without_writes() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    put(&store, 1, 1);
    checkpoint(&store);
    put(&store, 2, 2);
    store.add(Default::default(), state(3));
    *store.state_mut() = state(3);
    assert_eq!(checkpoint(&store), state(3));
    put(&store, 4, 4);
    drop(store);
    // What no checkpoint had is in the log.
    let store = open(dir.path());
    let view = View::of(&store).unwrap();
    assert_eq!((store.state(), view.applied()), (state(3), 3));
    assert_eq!([1, 2, 4].map(|key: u8| view.get(&[key]).unwrap().is_some()), [true, true, false]);
}
