//! Totals: counters over a consumer's whole life, which only grow.

/// The counters, as the cluster stores them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Totals {
    /// The number of the next attempt.
    pub(super) next_attempt: u64,
    /// Events delivered.
    pub(super) delivered: u64,
    /// Attempts that failed.
    pub(super) failed_attempts: u64,
    /// Events given up.
    pub(super) given_up: u64,
    /// Events that retention removed before they were delivered.
    pub(super) missed: u64,
}

impl Totals {
    pub(super) fn number_attempt(&mut self) -> u64 {
        self.next_attempt += 1;
        self.next_attempt - 1
    }
}
