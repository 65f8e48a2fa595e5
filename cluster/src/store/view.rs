//! Reading the applied state. A value whose checksum does not match is never returned.

use std::ops::{Bound, Range};
use std::sync::Arc;

use redb::{Database, ReadOnlyTable, ReadTransaction, ReadableDatabase};

use super::group::Group;
use super::layers::{self, ALL, Order, Over, Records};
use super::{Bytes, DATA, Store, failed, guarded, read_state};
use crate::error::StoreError;
use crate::wire::SystemV1;

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
        let view = View::of(&self.store)?;
        if crate::failpoint!("answers-before-the-group-is-applied", 10) {
            return Ok(view.without_group());
        }
        Ok(view)
    }
}

/// A consistent view of the applied state at one log index: the file, and the newest chunks over it.
pub struct View {
    table: ReadOnlyTable<Bytes, Bytes>,
    group: Arc<Group>,
    // Dropped after the table, which reads from it.
    _txn: ReadTransaction,
    _db: Arc<Database>,
}

impl View {
    pub(crate) fn of(store: &Store) -> Result<Self, StoreError> {
        guarded(|| {
            let (db, group, txn) = {
                // While this is held, no chunk is added and no group ends. So the file has nothing that is
                // newer than this group: at most the group itself.
                let present = store.present();
                let txn = present.open.db.begin_read().map_err(failed)?;
                (present.open.db.clone(), present.group.clone(), txn)
            };
            let table = txn.open_table(DATA).map_err(failed)?;
            Ok(Self { table, group, _txn: txn, _db: db })
        })
    }

    /// A view of a file that no store has open.
    pub(super) fn at(db: Arc<Database>) -> Result<Self, StoreError> {
        guarded(|| {
            let group = Arc::new(Group::empty(read_state(&db)?));
            let txn = db.begin_read().map_err(failed)?;
            let table = txn.open_table(DATA).map_err(failed)?;
            Ok(Self { table, group, _txn: txn, _db: db })
        })
    }

    /// The view without what the file does not have, as if it had not been applied yet.
    pub(super) fn without_group(self) -> Self {
        Self { group: Arc::new(Group::empty(self.group.state.clone())), ..self }
    }

    pub(super) fn layers(&self) -> Over<'_> {
        Over { writes: &self.group.writes, below: &self.table }
    }

    /// Log index of the last entry that is applied in this view.
    pub fn applied(&self) -> u64 {
        self.state().applied.map_or(0, |id| id.index)
    }

    /// Time of the newest entry applied in this view (ms since 1970); may go back from one view to the next.
    pub fn time_ms(&self) -> u64 {
        self.state().stamp.time_ms
    }

    pub(crate) fn state(&self) -> &SystemV1 {
        &self.group.state
    }

    /// The value of `key`.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.layers().value(key)
    }

    /// Visits the pairs of `range` in order until `visit` returns false.
    pub fn scan(
        &self,
        range: Range<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        layers::values(&self.layers(), range, Order::Ascending, visit)
    }

    /// Visits the pairs of `range` from the last to the first, until `visit` returns false.
    pub fn scan_back(
        &self,
        range: Range<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        layers::values(&self.layers(), range, Order::Descending, visit)
    }

    /// The last pair of `range`.
    pub fn last(&self, range: Range<&[u8]>) -> Result<Option<Pair>, StoreError> {
        layers::last(&self.layers(), range)
    }

    /// Visits all pairs as stored (value with checksum) and checks each, until `visit` returns false.
    pub(crate) fn records(&self, visit: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<(), StoreError> {
        self.records_after(None, visit)
    }

    /// The same, from the first pair after that key on.
    pub(crate) fn records_after(
        &self,
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let keys = after.map_or(ALL, |after| (Bound::Excluded(after), Bound::Unbounded));
        layers::checked(&self.layers(), keys, Order::Ascending, &mut |key, record, _| visit(key, record))
    }
}
