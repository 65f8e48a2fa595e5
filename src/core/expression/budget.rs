//! The work that an evaluation may make, and the reasons why it has no value.

use std::cell::Cell;

/// Limit of the work of one evaluation of a filter, or of one rendering of a template. Each step of the
/// expression counts as one, and so does each value and each 16 bytes of text that a step reads. The limit is
/// about two milliseconds of time, because nothing interrupts an evaluation.
pub(crate) const MAX_WORK: u64 = 50_000;
/// Bytes of text that count as much as one value.
const TEXT_PER_VALUE: usize = 16;

/// Why an expression has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// The event has no value where one is needed, or null.
    #[error("something is missing in the event")]
    Missing,
    /// The event has a value of another type than the expression needs.
    #[error("{0}")]
    Wrong(&'static str),
    /// A text would be longer than its limit.
    #[error("a text would be too long")]
    TooLong,
    /// [`MAX_WORK`] is used up.
    #[error("the evaluation makes too much work")]
    TooMuch,
}

/// The work that is left.
#[derive(Debug)]
pub(crate) struct Budget(Cell<u64>);

impl Default for Budget {
    fn default() -> Self {
        Self(Cell::new(MAX_WORK))
    }
}

impl Budget {
    /// Spends `work`. If less is left, it fails, and so does every later call that spends anything.
    pub(crate) fn spend(&self, work: usize) -> Result<(), Failure> {
        match self.0.get().checked_sub(work as u64) {
            Some(left) => {
                self.0.set(left);
                Ok(())
            }
            None => {
                self.0.set(0);
                Err(Failure::TooMuch)
            }
        }
    }

    /// Returns how much was spent.
    pub(crate) fn spent(&self) -> u64 {
        MAX_WORK - self.0.get()
    }

    /// Spends the work of reading `bytes` of text.
    pub(crate) fn spend_text(&self, bytes: usize) -> Result<(), Failure> {
        self.spend(bytes / TEXT_PER_VALUE)
    }
}
