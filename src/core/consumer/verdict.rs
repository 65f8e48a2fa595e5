//! The boundary between the rules and a worker: the result of a delivery, as far as the rules need to know
//! it.
//!
//! A worker derives a verdict from what happened (a status, a refused connection, a function's error). What
//! happened goes beside the verdict as a *cause*, a type of the worker's own, which is stored with a given-up
//! event and displayed. The rules never look into it.

/// What follows from the end of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was delivered.
    Done,
    /// Retry after the delay of the schedule or after the requested pause, whichever is longer. This uses up
    /// one attempt; after the last one the delivery is given up.
    Again,
    /// Retry later: the receiver is busy and not broken. This uses up no attempt, and nothing else begins
    /// meanwhile.
    Later,
    /// The events cannot be delivered together: each half goes on its own, at once. This uses up no attempt.
    Halve,
    /// Give up: never retry.
    GiveUp,
    /// The receiver is gone for good: the consumer is disabled, and its events wait until somebody requests
    /// that it continue.
    Gone,
    /// Retry after exactly this many milliseconds, whatever the schedule says. This uses up one attempt; after
    /// the last one the delivery is given up.
    AgainAfter(u64),
}

/// Who is to blame for a failed delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Nobody: there was nothing to try. It does not count as a failed attempt.
    Nobody,
    /// This delivery alone, for example because the receiver refuses its body. It says nothing about other
    /// deliveries.
    Delivery,
    /// The receiver as a whole. It counts for the receiver's health: fewer requests, longer pauses, and at
    /// last the consumer is disabled.
    Receiver,
}

/// The end of one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// What follows from it.
    pub verdict: Verdict,
    /// Who is to blame; [`Blame::Nobody`] if it was delivered.
    pub blame: Blame,
    /// The receiver requests that nothing begins for this many milliseconds. It may do so although it took
    /// the events, because its quota is used up.
    pub pause_ms: Option<u64>,
}

impl Completion {
    /// A successful delivery.
    pub const DONE: Self = Self { verdict: Verdict::Done, blame: Blame::Nobody, pause_ms: None };

    /// Returns a failure for which no pause was requested.
    pub fn failed(verdict: Verdict, blame: Blame) -> Self {
        Self { verdict, blame, pause_ms: None }
    }
}
