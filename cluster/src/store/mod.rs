//! store
use std::ops::Range;
use crate::StoreError;
/// One key with its value.
pub type Pair = (Vec<u8>, Vec<u8>);
/// The writes of one apply chunk.
pub struct Txn<'a>(std::marker::PhantomData<&'a ()>);
impl Txn<'_> {
    /// Value of `key`.
    pub fn get(&self, _key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> { Ok(None) }
    /// Sets `key`.
    pub fn put(&mut self, _key: &[u8], _value: &[u8]) -> Result<(), StoreError> { Ok(()) }
    /// Removes `key`; true if it was there.
    pub fn delete(&mut self, _key: &[u8]) -> Result<bool, StoreError> { Ok(false) }
    /// Visits the keys of `range` in order until `visit` returns false.
    pub fn scan(&self, _range: Range<&[u8]>, _visit: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<(), StoreError> { Ok(()) }
    /// Last pair of `range`.
    pub fn last(&self, _range: Range<&[u8]>) -> Result<Option<Pair>, StoreError> { Ok(None) }
}
/// A consistent read.
pub struct View(());
impl View {
    /// Value of `key`.
    pub fn get(&self, _key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> { Ok(None) }
    /// Visits the keys of `range` in order until `visit` returns false.
    pub fn scan(&self, _range: Range<&[u8]>, _visit: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<(), StoreError> { Ok(()) }
    /// Last pair of `range`.
    pub fn last(&self, _range: Range<&[u8]>) -> Result<Option<Pair>, StoreError> { Ok(None) }
    /// Log index this view stands at.
    pub fn applied(&self) -> u64 { 0 }
}
/// Makes views.
#[derive(Clone)]
pub struct Reader(());
impl Reader {
    /// A view of everything applied so far.
    pub fn view(&self) -> Result<View, StoreError> { Ok(View(())) }
}
