//! The connections that this node has, counted.

use super::Of;
use super::keeper::Wish;
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

/// All connections of this node, those of maps without a limit too: a map may get one.
#[derive(Debug)]
pub(super) struct Book {
    counts: Mutex<FxHashMap<Of, u32>>,
    wishes: mpsc::UnboundedSender<Wish>,
}

/// A connection that counts until it is dropped.
#[derive(Debug)]
pub struct Connection {
    of: Of,
    book: Arc<Book>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut counts = self.book.lock();
        if let Some(count) = counts.get_mut(&self.of) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.of);
            }
        }
        // Under the lock: whoever reads the counts finds in the queue all that is missing from them already.
        let _ = self.book.wishes.send(Wish::Give(self.of));
    }
}

impl Book {
    pub(super) fn new(wishes: mpsc::UnboundedSender<Wish>) -> Self {
        Self { counts: Mutex::default(), wishes }
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<Of, u32>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more.
    pub(super) fn grant(self: &Arc<Self>, of: Of) -> Connection {
        *self.lock().entry(of).or_default() += 1;
        Connection { of, book: self.clone() }
    }

    /// This node's connections of one map.
    pub(super) fn of_map(&self, map: crate::core::ids::MapId) -> u32 {
        self.lock().iter().filter(|((of, _), _)| *of == map).map(|(_, count)| count).sum()
    }

    /// All counts. `meanwhile` runs while none of them can change.
    pub(super) fn all(&self, meanwhile: impl FnOnce()) -> Vec<(Of, u32)> {
        let counts = self.lock();
        meanwhile();
        counts.iter().map(|(of, count)| (*of, *count)).collect()
    }
}
