//! What is to be sent again.

use std::collections::BTreeMap;
use std::collections::btree_map::OccupiedEntry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Batches that wait to be sent again, by their numbers.
pub(super) struct Retries<T> {
    waiting: Mutex<BTreeMap<u64, T>>,
    again: Notify,
}

impl<T> Retries<T> {
    pub(super) fn new() -> Self {
        Self { waiting: Mutex::new(BTreeMap::new()), again: Notify::new() }
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<u64, T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting().is_empty()
    }

    pub(super) fn put(&self, number: u64, batch: T) {
        self.waiting().insert(number, batch);
        self.again.notify_one();
    }

    /// Waits for a batch that is put.
    pub(super) async fn came(&self) {
        self.again.notified().await;
    }

    /// Takes the first batch, if its number is after `sent`, the last one that was sent. A batch that has to
    /// wait again must go before the batches behind it.
    pub(super) fn next_after(&self, sent: u64) -> Option<T> {
        self.waiting().first_entry().filter(|first| *first.key() > sent).map(OccupiedEntry::remove)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_waits_again_is_not_overtaken() {
        let retries = Retries::new();
        [2, 3, 5].into_iter().for_each(|number| retries.put(number, number));
        assert_eq!(retries.next_after(0), Some(2));
        retries.put(2, 2);
        assert_eq!(retries.next_after(2), None, "batches 3 and 5 wait behind batch 2");
        // The next round begins with batch 2.
        assert_eq!(retries.next_after(0), Some(2));
        assert_eq!(retries.next_after(2), Some(3));
        retries.put(2, 2);
        assert_eq!(retries.next_after(3), None, "batch 2 was refused again while batch 3 was sent");
        assert_eq!(retries.next_after(0), Some(2));
        assert_eq!(retries.next_after(2), Some(5));
        assert!(retries.is_empty());
    }
}
