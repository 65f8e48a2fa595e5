//! The lull after sessions have ended, in which their memory goes back to the system.
//!
//! The allocator gives free memory back a second after it became free, but it looks for such memory only when
//! it frees a page of its own. When many clients leave at once and nothing follows, nobody makes it look.

use std::cell::Cell;
use std::hint::black_box;

/// Seconds after the last end until memory goes back. It is longer than the allocator's own delay.
const SECONDS: u64 = 3;
/// Bytes of a block that has a page of its own.
const LARGE: usize = 4 * 1024 * 1024;

/// When a session of a thread ended last, in the dispatcher's seconds, if memory has not gone back since.
#[derive(Default)]
pub(super) struct Lull(Cell<Option<u64>>);

impl Lull {
    /// A session has ended.
    pub(super) fn ended(&self, now: u64) {
        self.0.set(Some(now));
    }

    /// Whether no session has ended for a while. True once after the last one.
    pub(super) fn is_over(&self, now: u64) -> bool {
        let is_over = self.0.get().is_some_and(|ended| now.saturating_sub(ended) >= SECONDS);
        if is_over {
            self.0.set(None);
        }
        is_over
    }
}

/// Has the allocator look for memory to give back. The block is freed with its page; nobody writes to it, so
/// it takes no memory.
pub(super) fn purge() {
    drop(black_box(Vec::<u8>::with_capacity(LARGE)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_goes_back_once_after_the_last_end() {
        let lull = Lull::default();
        assert!(!lull.is_over(10));
        lull.ended(10);
        lull.ended(11);
        assert_eq!([11, 13, 14, 15].map(|now| lull.is_over(now)), [false, false, true, false]);
        lull.ended(20);
        assert!(lull.is_over(30));
    }
}
