//! Reading the applied state. A value whose checksum does not match is never returned.

use std::ops::Range;
use std::sync::Arc;

use redb::{Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable};

use super::{Bytes, DATA, SYSTEM, SYSTEM_KEY, Store, checked_value, failed, guarded};
use crate::error::StoreError;
use crate::wire::{self, SystemV1};

/// A key with its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Makes views. Cheap to clone, and valid as long as the node runs, even if a snapshot replaces the store.
#[derive(Clone)]
pub struct Reader {
    store: Arc<Store>,
}

impl Reader {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// A view of everything applied so far. Drop it soon: until then, the space of what it sees cannot be
    /// reused.
    pub fn view(&self) -> Result<View, StoreError> {
        View::of(&self.store)
    }
}

/// A consistent view of the applied state at one log index.
pub struct View {
    table: ReadOnlyTable<Bytes, Bytes>,
    state: SystemV1,
    // Dropped after the table, which reads from it.
    _txn: ReadTransaction,
    _db: Arc<Database>,
}

impl View {
    pub(crate) fn of(store: &Store) -> Result<Self, StoreError> {
        Self::at(store.database())
    }

    pub(super) fn at(db: Arc<Database>) -> Result<Self, StoreError> {
        guarded(|| {
            let txn = db.begin_read().map_err(failed)?;
            let system = txn.open_table(SYSTEM).map_err(failed)?;
            let state = match system.get(SYSTEM_KEY).map_err(failed)? {
                None => SystemV1::default(),
                Some(record) => {
                    wire::decode(checked_value(SYSTEM_KEY, record.value())?).map_err(StoreError::corrupt)?
                }
            };
            let table = txn.open_table(DATA).map_err(failed)?;
            Ok(Self { table, state, _txn: txn, _db: db.clone() })
        })
    }

    /// Log index of the last entry that is applied in this view.
    pub fn applied(&self) -> u64 {
        self.state.applied.map_or(0, |id| id.index)
    }

    /// Time of the newest entry applied in this view (ms since 1970); may go back from one view to the next.
    pub fn time_ms(&self) -> u64 {
        self.state.stamp.time_ms
    }

    pub(crate) fn state(&self) -> &SystemV1 {
        &self.state
    }

    /// The value of `key`.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        get(&self.table, key)
    }

    /// Visits the pairs of `range` in order until `visit` returns false.
    pub fn scan(
        &self,
        range: Range<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        scan(&self.table, range, visit)
    }

    /// Visits the pairs of `range` from the last to the first, until `visit` returns false.
    pub fn scan_back(
        &self,
        range: Range<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        scan_back(&self.table, range, visit)
    }

    /// The last pair of `range`.
    pub fn last(&self, range: Range<&[u8]>) -> Result<Option<Pair>, StoreError> {
        last(&self.table, range)
    }

    /// Visits all pairs as stored (value with checksum) and checks each, until `visit` returns false.
    pub(crate) fn records(&self, visit: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<(), StoreError> {
        guarded(|| {
            for pair in self.table.iter().map_err(failed)? {
                let (key, record) = pair.map_err(failed)?;
                checked_value(key.value(), record.value())?;
                if !visit(key.value(), record.value()) {
                    break;
                }
            }
            Ok(())
        })
    }
}

pub(super) fn get(
    table: &impl ReadableTable<Bytes, Bytes>,
    key: &[u8],
) -> Result<Option<Vec<u8>>, StoreError> {
    guarded(|| match table.get(key).map_err(failed)? {
        None => Ok(None),
        Some(record) => Ok(Some(checked_value(key, record.value())?.to_vec())),
    })
}

pub(super) fn scan(
    table: &impl ReadableTable<Bytes, Bytes>,
    range: Range<&[u8]>,
    visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
) -> Result<(), StoreError> {
    if range.start >= range.end {
        return Ok(());
    }
    guarded(|| visit_each(table.range::<&[u8]>(range).map_err(failed)?, visit))
}

pub(super) fn scan_back(
    table: &impl ReadableTable<Bytes, Bytes>,
    range: Range<&[u8]>,
    visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
) -> Result<(), StoreError> {
    if range.start >= range.end {
        return Ok(());
    }
    guarded(|| visit_each(table.range::<&[u8]>(range).map_err(failed)?.rev(), visit))
}

type StoredPair<'t> = (redb::AccessGuard<'t, Bytes>, redb::AccessGuard<'t, Bytes>);

fn visit_each<'t>(
    pairs: impl Iterator<Item = Result<StoredPair<'t>, redb::StorageError>>,
    visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
) -> Result<(), StoreError> {
    for pair in pairs {
        let (key, record) = pair.map_err(failed)?;
        if !visit(key.value(), checked_value(key.value(), record.value())?) {
            break;
        }
    }
    Ok(())
}

pub(super) fn last(
    table: &impl ReadableTable<Bytes, Bytes>,
    range: Range<&[u8]>,
) -> Result<Option<Pair>, StoreError> {
    if range.start >= range.end {
        return Ok(None);
    }
    guarded(|| match table.range::<&[u8]>(range).map_err(failed)?.next_back() {
        None => Ok(None),
        Some(pair) => {
            let (key, record) = pair.map_err(failed)?;
            let value = checked_value(key.value(), record.value())?.to_vec();
            Ok(Some((key.value().to_vec(), value)))
        }
    })
}
