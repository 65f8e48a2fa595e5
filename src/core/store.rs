//! The store traits that the replicated state needs: ordered keys, bytes as values, one transaction for each
//! batch.
//!
//! The cluster's store implements them; tests use a `BTreeMap`.

use bytes::Bytes;

/// Receives each key and value of a scan; returns `false` to end the scan.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> bool;

/// A failed read or write.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum StoreError {
    /// Stored data is damaged and must not be used.
    Damaged(Box<dyn std::error::Error + Send + Sync>),
    /// The store refused or failed.
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

impl StoreError {
    /// Returns whether stored data is damaged.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged(_))
    }
}

/// Reads of an ordered store.
pub trait ReadStore {
    /// Returns the value of `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Visits `from..to` in ascending order.
    fn scan(&self, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), StoreError>;

    /// Visits `from..to` in descending order.
    fn scan_back(&self, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), StoreError>;
}

/// Writes of an ordered store.
pub trait WriteStore: ReadStore {
    /// Sets the value of `key`.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError>;

    /// Sets the value of `key` to what `write` appends to a buffer, which has room for `len` bytes, and
    /// returns it. A store that keeps the buffer copies nothing.
    fn put_with(
        &mut self,
        key: &[u8],
        len: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Bytes, StoreError> {
        let mut value = Vec::with_capacity(len);
        write(&mut value);
        self.put(key, &value)?;
        Ok(value.into())
    }

    /// Removes `key`, if it exists.
    fn delete(&mut self, key: &[u8]) -> Result<(), StoreError>;
}

#[cfg(test)]
pub(crate) mod memory {
    use super::*;
    use std::collections::BTreeMap;

    /// A store for tests.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub(crate) struct MemoryStore(pub(crate) BTreeMap<Vec<u8>, Vec<u8>>);

    impl ReadStore for MemoryStore {
        fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
            Ok(self.0.get(key).cloned())
        }
        fn scan(&self, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
            for (key, value) in self.0.range(from.to_vec()..to.to_vec()) {
                if !visit(key, value) {
                    break;
                }
            }
            Ok(())
        }
        fn scan_back(&self, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
            for (key, value) in self.0.range(from.to_vec()..to.to_vec()).rev() {
                if !visit(key, value) {
                    break;
                }
            }
            Ok(())
        }
    }

    impl WriteStore for MemoryStore {
        fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
            self.0.insert(key.to_vec(), value.to_vec());
            Ok(())
        }
        fn delete(&mut self, key: &[u8]) -> Result<(), StoreError> {
            self.0.remove(key);
            Ok(())
        }
    }
}
