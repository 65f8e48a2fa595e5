//! Writing the applied state.

use std::ops::Range;

use super::view::{self, Pair};
use super::{Bytes, MAX_KEY, MAX_VALUE, failed, guarded, with_checksum};
use crate::error::StoreError;

/// The reads and writes of one chunk of entries. All writes become visible at once, when the applying thread
/// commits the transaction.
pub struct Txn<'a> {
    table: redb::Table<'a, Bytes, Bytes>,
}

impl<'a> Txn<'a> {
    pub(super) fn new(table: redb::Table<'a, Bytes, Bytes>) -> Self {
        Self { table }
    }

    /// The value of `key`, including the writes of this transaction.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        view::get(&self.table, key)
    }

    /// Sets the value of `key`. Limits: 4 KiB for keys, 2 MiB for values.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        for (what, size, limit) in [("key", key.len(), MAX_KEY), ("value", value.len(), MAX_VALUE)] {
            if size > limit {
                return Err(StoreError::TooLarge { what, size, limit });
            }
        }
        let record = with_checksum(key, value);
        guarded(|| self.table.insert(key, record.as_slice()).map(drop).map_err(failed))
    }

    /// Removes `key`; true if it was there.
    pub fn delete(&mut self, key: &[u8]) -> Result<bool, StoreError> {
        guarded(|| self.table.remove(key).map(|old| old.is_some()).map_err(failed))
    }

    /// Visits the pairs of `range` in order until `visit` returns false.
    pub fn scan(
        &self,
        range: Range<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        view::scan(&self.table, range, visit)
    }

    /// Visits the pairs of `range` from the last to the first, until `visit` returns false.
    pub fn scan_back(
        &self,
        range: Range<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        view::scan_back(&self.table, range, visit)
    }

    /// The last pair of `range`.
    pub fn last(&self, range: Range<&[u8]>) -> Result<Option<Pair>, StoreError> {
        view::last(&self.table, range)
    }
}
