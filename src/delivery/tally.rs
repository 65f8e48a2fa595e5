//! What was written to clients, counted without a shared counter on the way of each frame.
//!
//! Each worker thread counts for itself; the dispatcher's watchdog hands the sums to the metrics once a second.

use std::cell::Cell;

/// The counts of one protocol on one worker thread.
pub(super) struct Tally {
    pub(super) protocol: &'static str,
    writes: Cell<u64>,
    bytes: Cell<u64>,
}

impl Tally {
    pub(super) fn new(protocol: &'static str) -> Self {
        Self { protocol, writes: Cell::new(0), bytes: Cell::new(0) }
    }

    /// Counts one write.
    pub(super) fn count(&self, bytes: usize) {
        self.writes.set(self.writes.get() + 1);
        self.bytes.set(self.bytes.get() + bytes as u64);
    }

    /// Hands the counts over.
    pub(super) fn flush(&self) {
        let (writes, bytes) = (self.writes.take(), self.bytes.take());
        if writes > 0 {
            metrics::counter!(crate::metric::FRAMES_SENT, "protocol" => self.protocol).increment(writes);
            metrics::counter!(crate::metric::BYTES_SENT, "protocol" => self.protocol).increment(bytes);
        }
    }
}
