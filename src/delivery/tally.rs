//! Counts what is written to clients, without a shared counter that each frame would have to update.
//!
//! Each worker thread counts for itself. Once a second the dispatcher's watchdog adds the sums to the
//! metrics.

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

    /// Adds the counts to the metrics and sets them to zero.
    pub(super) fn flush(&self) {
        let writes = self.writes.take();
        let bytes = self.bytes.take();
        if writes > 0 {
            metrics::counter!(crate::metric::FRAMES_SENT, "protocol" => self.protocol).increment(writes);
            metrics::counter!(crate::metric::BYTES_SENT, "protocol" => self.protocol).increment(bytes);
        }
    }
}
