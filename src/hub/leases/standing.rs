//! What others see of the keeper, and what it shall do about webhooks.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What others see of the keeper, and what it shall do about webhooks.
#[derive(Debug, Default)]
pub(super) struct Standing {
    pub(super) incarnation: AtomicU64,
    /// The node can open webhooks.
    pub(super) able: AtomicBool,
    /// It can't yet: others shall have what an earlier process owned.
    pub(super) unable: AtomicBool,
    /// It shall own none, able or not.
    pub(super) resting: AtomicBool,
}

/// Whether the node is to be a candidate for webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Candidacy {
    /// Not known yet: what an earlier process was stays.
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
