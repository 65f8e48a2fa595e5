//! The memory of all rings of a worker thread.
//!
//! The node's bound is shared evenly by its worker threads. Where a thread holds more than its share, the rings that were
//! filled longest ago are emptied: who has yet to read what was in them reads it from the archive.

use super::feed::{Counted, Feed};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Threads that share the bound.
static SHARERS: AtomicUsize = AtomicUsize::new(0);

/// See the module.
pub(super) struct Rings {
    /// Bytes of all rings of the node.
    most: usize,
    held: Cell<usize>,
    /// The place of the ring that was filled last.
    last: Cell<u64>,
    /// Those that hold anything; the one filled longest ago comes first.
    filled: RefCell<BTreeMap<u64, Rc<Feed>>>,
}

impl Rings {
    /// Takes a share in `most` bytes, until it is dropped.
    pub(super) fn new(most: usize) -> Self {
        SHARERS.fetch_add(1, Ordering::Relaxed);
        Self { most, held: Cell::new(0), last: Cell::new(0), filled: RefCell::default() }
    }

    /// Bytes held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held.get()
    }

    /// The feed's ring holds something else than before.
    pub(super) fn changed(&self, feed: &Rc<Feed>) {
        self.drop_feed(feed);
        let bytes = feed.memory();
        if bytes > 0 {
            let place = self.last.get() + 1;
            self.last.set(place);
            self.held.set(self.held.get() + bytes);
            feed.set_counted(Counted { place, bytes });
            self.filled.borrow_mut().insert(place, feed.clone());
        }
        self.keep_to_share();
    }

    /// The feed is gone.
    pub(super) fn drop_feed(&self, feed: &Feed) {
        let Counted { place, bytes } = feed.counted();
        if self.filled.borrow_mut().remove(&place).is_some() {
            self.held.set(self.held.get() - bytes);
        }
        feed.set_counted(Counted::default());
    }

    /// Empties rings until the rest is within the thread's share.
    pub(super) fn keep_to_share(&self) {
        self.keep_to(self.most / SHARERS.load(Ordering::Relaxed).max(1));
    }

    fn keep_to(&self, most: usize) {
        while self.held.get() > most {
            let Some((_, feed)) = self.filled.borrow_mut().pop_first() else { return };
            self.held.set(self.held.get() - feed.counted().bytes);
            feed.set_counted(Counted::default());
            feed.empty();
        }
    }
}

impl Drop for Rings {
    fn drop(&mut self) {
        SHARERS.fetch_sub(1, Ordering::Relaxed);
    }
}
