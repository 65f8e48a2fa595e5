//! The state that the keeper shares with others: the present incarnation, and what it must do about webhooks.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Notify;

/// The shared state of the keeper. It lives as long as the node.
#[derive(Debug, Default)]
pub(super) struct Standing {
    pub(super) incarnation: AtomicU64,
    /// Another incarnation has begun.
    pub(super) renewed: Notify,
    /// The node can deliver to webhooks.
    pub(super) able: AtomicBool,
    /// The node can't deliver yet: other nodes take over what an earlier process owned.
    pub(super) unable: AtomicBool,
    /// The node must own no webhooks, able or not.
    pub(super) resting: AtomicBool,
}

/// Whether the node is to be a candidate for owning webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Candidacy {
    /// Unknown yet: the candidacy of an earlier process stays.
    Undecided,
    Wanted,
    Unwanted,
}

impl Standing {
    pub(super) fn candidacy(&self) -> Candidacy {
        let is = |flag: &AtomicBool| flag.load(Ordering::Acquire);
        match (is(&self.able), is(&self.resting)) {
            (_, true) => Candidacy::Unwanted,
            (true, false) => Candidacy::Wanted,
            (false, false) if is(&self.unable) => Candidacy::Unwanted,
            (false, false) => Candidacy::Undecided,
        }
    }
}
