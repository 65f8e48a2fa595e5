//! What must always hold, by the numbers in docs/ARCHITECTURE.md. The simulator checks it while it runs; the
//! chaos suite, tests and benchmarks check it afterwards.
//!
//! - [`verdict`] is the result of an invariant, and prints it;
//! - [`log`] has the checks of a replicated log (1, 3, 4 and 8), whatever the log holds;
//! - [`deliveries`] has the checks of what a receiver of webhooks got (6);
//! - [`channels`] has the checks of facts about channels and their members (12).
//!
//! The crate is pure and has no dependencies. It does not know what an item is, where it was seen, or what
//! was broken.

pub mod channels;
pub mod deliveries;
pub mod log;
pub mod verdict;

pub use log::{Facts, Item, Kept, Log};
pub use verdict::{Checker, Outcome, Table, Verdict, Verdicts, cells};

/// The names of the invariants; the first is number 1.
pub const NAMES: [&str; 12] = [
    "acknowledged is kept",
    "a resuming client: exactly once",
    "one gapless log, the same bytes",
    "delivered only when committed",
    "missing history is reported",
    "webhooks: at least once, in order",
    "access and settings: linearizable",
    "a repeated publish lands once",
    "only the owner moves a webhook",
    "catches up, bounded memory",
    "damage is found, never served",
    "presence is exact once healed",
];
