//! The boundary between the rules and a worker: what became of a delivery, as far as the rules need to know.
//!
//! A worker makes a verdict of what it met (a status, a refused connection, a function's error). What it met goes beside
//! the verdict as a *cause*, a type of the worker's own, which is kept with what was given up and shown. The rules never
//! look into it.

/// What follows from how a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was delivered.
    Done,
    /// Try again after the delay of the schedule, or after the pause that was asked for, whichever is longer. One attempt
    /// is used up; after the last one it is given up.
    Again,
    /// Try again later: the receiver is busy, not broken. No attempt is used up, and nothing else begins meanwhile.
    Later,
    /// These events can't be delivered together: each half goes on its own, at once, and no attempt is used up.
    Halve,
    /// Never try again: it is given up.
    GiveUp,
    /// The receiver is gone for good: the consumer is disabled, and what was to be delivered waits until somebody asks
    /// that it goes on.
    Gone,
}

/// What failed when a delivery failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Nothing did: there was nothing to try. It counts as no failed attempt.
    Nobody,
    /// This delivery alone, such as a body that the receiver refuses. It says nothing about other deliveries.
    Delivery,
    /// The receiver as a whole. It counts for the receiver's health: fewer requests, longer pauses, at last disabled.
    Receiver,
}

/// The end of one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// What follows.
    pub verdict: Verdict,
    /// What failed; [`Blame::Nobody`] where it was delivered.
    pub blame: Blame,
    /// The receiver asks that nothing begins for so many milliseconds; also where it took the events, and its allowance
    /// is used up.
    pub pause_ms: Option<u64>,
}

impl Completion {
    /// Delivered.
    pub const DONE: Self = Self { verdict: Verdict::Done, blame: Blame::Nobody, pause_ms: None };

    /// A failure, without a pause that was asked for.
    pub fn failed(verdict: Verdict, blame: Blame) -> Self {
        Self { verdict, blame, pause_ms: None }
    }
}
