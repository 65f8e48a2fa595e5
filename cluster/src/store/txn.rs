//! Writing the applied state.

use std::ops::Range;

use bytes::Bytes;

use super::layers::{self, Order, Over, Records, Writes};
use super::view::{Pair, View};
use super::{CHECKSUM, MAX_KEY, MAX_VALUE, record_of, with_checksum};
use crate::error::StoreError;

/// The reads and writes of one chunk of entries, over what was applied before. All writes become visible at
/// once, when the applying thread lays them over the present state.
pub struct Txn<'a> {
    view: &'a View,
    writes: Writes,
}

impl<'a> Txn<'a> {
    pub(super) fn new(view: &'a View) -> Self {
        Self { view, writes: Writes::default() }
    }

    pub(super) fn into_writes(self) -> Writes {
        self.writes
    }

    /// Reads what was applied before, under the writes of this transaction.
    pub(super) fn read<T>(&self, read: impl FnOnce(&dyn Records) -> T) -> T {
        let below = self.view.layers();
        read(&Over { writes: &self.writes, below: &below })
    }

    /// The value of `key`, including the writes of this transaction.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|records| records.value(key))
    }

    /// Sets the value of `key`. Limits: 4 KiB for keys, 2 MiB for values.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        check_sizes(key.len(), value.len())?;
        self.add(key, with_checksum(key, value).into());
        Ok(())
    }

    /// Sets the value of `key` to what `write` appends to a buffer, which has room for `len` bytes. Returns
    /// the value, which is not copied. The limits are those of [`Txn::put`].
    pub fn put_with(
        &mut self,
        key: &[u8],
        len: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Bytes, StoreError> {
        let record = Bytes::from(record_of(key, len, write));
        let value = record.slice(CHECKSUM..);
        check_sizes(key.len(), value.len())?;
        self.add(key, record);
        Ok(value)
    }

    fn add(&mut self, key: &[u8], record: Bytes) {
        #[cfg(feature = "failpoints")]
        let record = crate::failpoints::rot(key, record);
        self.writes.put(key, Some(record));
    }

    /// Removes `key`, whether or not it is there: to look for it first would cost a read of the file.
    pub fn delete(&mut self, key: &[u8]) {
        self.writes.put(key, None);
    }

    /// Visits the pairs of `range` in order until `visit` returns false.
    pub fn scan(
        &self,
        range: Range<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        self.read(|records| layers::values(records, range, Order::Ascending, visit))
    }

    /// Visits the pairs of `range` from the last to the first, until `visit` returns false.
    pub fn scan_back(
        &self,
        range: Range<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        self.read(|records| layers::values(records, range, Order::Descending, visit))
    }

    /// The last pair of `range`.
    pub fn last(&self, range: Range<&[u8]>) -> Result<Option<Pair>, StoreError> {
        self.read(|records| layers::last(records, range))
    }
}

fn check_sizes(key: usize, value: usize) -> Result<(), StoreError> {
    for (what, size, limit) in [("key", key, MAX_KEY), ("value", value, MAX_VALUE)] {
        if size > limit {
            return Err(StoreError::TooLarge { what, size, limit });
        }
    }
    Ok(())
}
