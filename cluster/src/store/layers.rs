//! Records in layers: writes that are in memory lie over the records of the file, or over other writes.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::{Bound, Range};

use bytes::Bytes;
use redb::{ReadOnlyTable, ReadableTable};

use super::{checked_value, failed, guarded};
use crate::error::StoreError;

/// A range of keys.
pub(super) type Keys<'k> = (Bound<&'k [u8]>, Bound<&'k [u8]>);

/// Every key.
pub(super) const ALL: Keys<'static> = (Bound::Unbounded, Bound::Unbounded);

/// Sees keys with their records or values; returns false to end the visit.
pub(super) type Visit<'v> = &'v mut dyn FnMut(&[u8], &[u8]) -> bool;
/// The same, with the value in the record as well.
type VisitChecked<'v> = &'v mut dyn FnMut(&[u8], &[u8], &[u8]) -> bool;
/// A key with its value.
type Pair = (Vec<u8>, Vec<u8>);

/// The order of a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Ascending,
    Descending,
}

impl Order {
    fn is_before(self, one: &[u8], other: &[u8]) -> bool {
        match self {
            Self::Ascending => one < other,
            Self::Descending => one > other,
        }
    }
}

/// Keys with records: values with their checksums.
pub(super) trait Records {
    /// The value of `key`, whose checksum was compared.
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Visits the records of `keys`, whose checksums are not compared.
    fn visit(&self, keys: Keys<'_>, order: Order, visit: Visit<'_>) -> Result<(), StoreError>;
}

impl Records for ReadOnlyTable<&'static [u8], &'static [u8]> {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        guarded(|| match self.get(key).map_err(failed)? {
            None => Ok(None),
            Some(record) => Ok(Some(checked_value(key, record.value())?.to_vec())),
        })
    }

    fn visit(&self, keys: Keys<'_>, order: Order, visit: Visit<'_>) -> Result<(), StoreError> {
        guarded(|| visit_table(self, keys, order, visit))
    }
}

fn visit_table(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    keys: Keys<'_>,
    order: Order,
    visit: Visit<'_>,
) -> Result<(), StoreError> {
    let pairs = table.range::<&[u8]>(keys).map_err(failed)?;
    match order {
        Order::Ascending => visit_each(pairs, visit),
        Order::Descending => visit_each(pairs.rev(), visit),
    }
}

type StoredPair<'t> = (redb::AccessGuard<'t, &'static [u8]>, redb::AccessGuard<'t, &'static [u8]>);

fn visit_each<'t>(
    pairs: impl Iterator<Item = Result<StoredPair<'t>, redb::StorageError>>,
    visit: Visit<'_>,
) -> Result<(), StoreError> {
    for pair in pairs {
        let (key, record) = pair.map_err(failed)?;
        if !visit(key.value(), record.value()) {
            break;
        }
    }
    Ok(())
}

/// Writes by key: a record, or `None` where the key was removed.
#[derive(Debug, Clone, Default)]
pub(super) struct Writes {
    records: BTreeMap<Bytes, Option<Bytes>>,
    /// Bytes of everything that was written, also of what was written over.
    bytes: usize,
}

impl Writes {
    pub(super) fn put(&mut self, key: &[u8], record: Option<Bytes>) {
        self.bytes += key.len() + record.as_ref().map_or(0, Bytes::len);
        self.records.insert(Bytes::copy_from_slice(key), record);
    }

    /// Adds writes that come after these.
    pub(super) fn extend(&mut self, later: Self) {
        self.bytes += later.bytes;
        match self.records.is_empty() {
            true => self.records = later.records,
            false => self.records.extend(later.records),
        }
    }

    /// The number of keys.
    pub(super) fn count(&self) -> usize {
        self.records.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// All writes by key, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = Write<'_>> {
        self.records.iter().map(write)
    }

    fn range(&self, keys: Keys<'_>, order: Order) -> Box<dyn Iterator<Item = Write<'_>> + '_> {
        let range = self.records.range::<[u8], _>(keys);
        match order {
            Order::Ascending => Box::new(range.map(write)),
            Order::Descending => Box::new(range.rev().map(write)),
        }
    }
}

/// A key with its record, or with `None` if it was removed.
pub(super) type Write<'w> = (&'w [u8], Option<&'w [u8]>);

fn write<'w>((key, record): (&'w Bytes, &'w Option<Bytes>)) -> Write<'w> {
    (&key[..], record.as_deref())
}

/// Writes over other records.
pub(super) struct Over<'l> {
    pub(super) writes: &'l Writes,
    pub(super) below: &'l dyn Records,
}

impl Records for Over<'_> {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.writes.records.get(key) {
            Some(Some(record)) => Ok(Some(checked_value(key, record)?.to_vec())),
            Some(None) => Ok(None),
            None => self.below.value(key),
        }
    }

    fn visit(&self, keys: Keys<'_>, order: Order, visit: Visit<'_>) -> Result<(), StoreError> {
        if self.writes.records.is_empty() {
            return self.below.visit(keys, order, visit);
        }
        let mut writes = self.writes.range(keys, order).peekable();
        let mut goes_on = true;
        self.below.visit(keys, order, &mut |key, record| {
            goes_on = visit_before(&mut writes, key, order, visit)
                && match writes.next_if(|(written, _)| *written == key) {
                    Some((_, written)) => written.is_none_or(|written| visit(key, written)),
                    None => visit(key, record),
                };
            goes_on
        })?;
        for (key, record) in writes {
            if !goes_on {
                break;
            }
            goes_on = record.is_none_or(|record| visit(key, record));
        }
        Ok(())
    }
}

/// Visits the writes that come before `key`. Returns whether the visit goes on.
fn visit_before<'w>(
    writes: &mut Peekable<impl Iterator<Item = Write<'w>>>,
    key: &[u8],
    order: Order,
    visit: Visit<'_>,
) -> bool {
    let mut goes_on = true;
    while goes_on {
        let Some((before, record)) = writes.next_if(|(written, _)| order.is_before(written, key)) else {
            break;
        };
        goes_on = record.is_none_or(|record| visit(before, record));
    }
    goes_on
}

/// Visits the values of `range`, each of whose checksums is compared.
pub(super) fn values(
    records: &dyn Records,
    range: Range<&[u8]>,
    order: Order,
    visit: Visit<'_>,
) -> Result<(), StoreError> {
    if range.start >= range.end {
        return Ok(());
    }
    checked(
        records,
        (Bound::Included(range.start), Bound::Excluded(range.end)),
        order,
        &mut |key, _, value| visit(key, value),
    )
}

/// Visits `keys` with their records and their values, each of whose checksums is compared.
pub(super) fn checked(
    records: &dyn Records,
    keys: Keys<'_>,
    order: Order,
    visit: VisitChecked<'_>,
) -> Result<(), StoreError> {
    let mut damage = None;
    records.visit(keys, order, &mut |key, record| match checked_value(key, record) {
        Ok(value) => visit(key, record, value),
        Err(error) => {
            damage = Some(error);
            false
        }
    })?;
    damage.map_or(Ok(()), Err)
}

/// The last key of `range`, with its value.
pub(super) fn last(records: &dyn Records, range: Range<&[u8]>) -> Result<Option<Pair>, StoreError> {
    let mut found = None;
    values(records, range, Order::Descending, &mut |key, value| {
        found = Some((key.to_vec(), value.to_vec()));
        false
    })?;
    Ok(found)
}
