//! Runs of records, beside records that are no part of them.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use redb::backends::InMemoryBackend;
use redb::{Builder, Database, ReadableDatabase};

use super::*;
use crate::store::DATA;

type Model = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A change of several neighbours, some of which are left out.
#[derive(Debug, Clone)]
struct Stretch {
    prefix: u8,
    first: u64,
    /// Which keys of the stretch are changed.
    which: Vec<bool>,
    /// Whether the keys are longer than their neighbours, and lie between them.
    is_between: bool,
    /// The records' bytes, or `None` where they are removed.
    record: Option<u8>,
}

fn stretch() -> impl Strategy<Value = Stretch> {
    let which = prop::collection::vec(prop::bool::weighted(0.9), 1..60);
    let record = prop_oneof![3 => any::<u8>().prop_map(Some), 2 => Just(None)];
    (0..3u8, 0..90u64, which, prop::bool::weighted(0.2), record).prop_map(
        |(prefix, first, which, is_between, record)| Stretch { prefix, first, which, is_between, record },
    )
}

impl Stretch {
    /// Its keys, with records that fill pages.
    fn writes(&self) -> impl Iterator<Item = (Vec<u8>, Option<Vec<u8>>)> + '_ {
        let changed = self.which.iter().zip(self.first..).filter(|(changed, _)| **changed);
        changed.map(|(_, number)| {
            let mut key = vec![self.prefix];
            key.extend(number.to_be_bytes());
            key.extend(self.is_between.then_some(7));
            (key, self.record.map(|byte| vec![byte; 200 + usize::from(byte)]))
        })
    }
}

fn write_all(db: &Database, writes: &Model) {
    let txn = db.begin_write().unwrap();
    let mut table = txn.open_table(DATA).unwrap();
    write(&mut table, writes.iter().map(|(key, record)| (&key[..], record.as_deref()))).unwrap();
    drop(table);
    txn.commit().unwrap();
}

fn all(db: &Database) -> Vec<(Vec<u8>, Vec<u8>)> {
    let table = db.begin_read().unwrap().open_table(DATA).unwrap();
    let pairs = table.range::<&[u8]>(..).unwrap().map(Result::unwrap);
    pairs.map(|(key, record)| (key.value().to_vec(), record.value().to_vec())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn runs_leave_what_single_writes_leave(
        groups in prop::collection::vec(prop::collection::vec(stretch(), 1..4), 1..12),
    ) {
        let db = Builder::new().create_with_backend(InMemoryBackend::new()).unwrap();
        let mut model = BTreeMap::new();
        for group in groups {
            let writes: Model = group.iter().flat_map(Stretch::writes).collect();
            write_all(&db, &writes);
            for (key, record) in writes {
                match record {
                    Some(record) => drop(model.insert(key, record)),
                    None => drop(model.remove(&key)),
                }
            }
            prop_assert_eq!(all(&db), model.clone().into_iter().collect::<Vec<_>>());
        }
    }
}

#[test]
fn neighbours_differ_little_and_only_in_the_number_at_the_end() {
    let key = |prefix: &[u8], number: u64| [prefix, &number.to_be_bytes()].concat();
    assert!(are_neighbours(&key(b"e1", 255), &key(b"e1", 256)));
    assert!(are_neighbours(&key(b"", 1), &key(b"", 9)));
    assert!(!are_neighbours(&key(b"e1", 1), &key(b"e1", 10)));
    assert!(!are_neighbours(&key(b"e1", 1), &key(b"e2", 2)));
    assert!(!are_neighbours(&key(b"e", 1), &key(b"e1", 2)));
    assert!(!are_neighbours(b"short", b"shoru"));
}
