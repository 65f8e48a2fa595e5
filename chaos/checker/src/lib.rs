//! What must always hold, by the numbers of docs/ARCHITECTURE.md, for all who check: the simulator while it runs, the
//! chaos suite, tests and benchmarks afterwards.
//!
//! - [`verdict`]: how an invariant fared, and how that is printed.
//! - [`log`]: the checks of a replicated log (1, 3, 4 and 8), whatever it holds.
//! - [`deliveries`]: those of what a receiver of webhooks got (6).
//!
//! Pure, and depends on nothing. Never: knows what an item is, where it was seen, or what was broken.

pub mod deliveries;
pub mod log;
pub mod verdict;

pub use log::{Item, Kept, Log, Told};
pub use verdict::{Checker, Outcome, Table, Verdict, Verdicts, cells};

/// The invariants' names; the first is number 1.
pub const NAMES: [&str; 11] = [
    "acknowledged is kept",
    "a resuming client: exactly once",
    "one gapless log, the same bytes",
    "delivered only when committed",
    "missing history is told",
    "webhooks: at least once, in order",
    "access and settings: linearizable",
    "a repeated publish lands once",
    "only the owner moves a webhook",
    "catches up, bounded memory",
    "damage is found, never served",
];
