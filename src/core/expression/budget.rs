//! How much work an evaluation may make, and why one ends early.

use std::cell::Cell;

/// Work of one evaluation of a filter, or one rendering of a template: a step of the expression counts as
/// one, and so does each value and each 16 bytes of text that a step looks at. Some two milliseconds: nothing
/// interrupts an evaluation.
pub(crate) const MAX_WORK: u64 = 50_000;
/// Bytes of text that count as much as one value.
const TEXT_PER_VALUE: usize = 16;

/// Why an expression has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// Something is missing in the event, or null where a value is needed.
    #[error("something is missing in the event")]
    Missing,
    /// The event holds something else than the expression expects.
    #[error("{0}")]
    Wrong(&'static str),
    /// A text grows too long.
    #[error("a text grows too long")]
    TooLong,
    /// [`MAX_WORK`] is used up.
    #[error("it is too much work")]
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
    /// Takes that much work; once too much was asked for, nothing is left.
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

    /// Takes the work of looking at `bytes` of text.
    pub(crate) fn spend_text(&self, bytes: usize) -> Result<(), Failure> {
        self.spend(bytes / TEXT_PER_VALUE)
    }
}
