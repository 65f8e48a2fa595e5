//! What must always hold, checked from a run's history alone: eleven invariants by their number, each with a figure.
//!
//! - [`log`] has 1, 3, 4 and 8: what was stored; [`streams`] 2 and 5: what clients were given; [`removal`] knows what may
//!   be gone when;
//! - [`hooks`] 6 and 9: webhooks; [`access`] 7; [`health`] 10 and 11.
//!
//! Pure: knows no process, no socket and no clock. Never: excuses what it can't check; it says "not exercised".

mod access;
mod health;
mod hooks;
mod index;
mod log;
mod removal;
mod streams;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_subjects;

pub use index::Index;

use crate::history::History;
pub use checker::{Outcome, Table, Verdict, cells};

/// All eleven, in their order.
pub fn check(history: &History) -> Vec<Verdict> {
    let index = Index::of(history);
    let mut verdicts = log::checked(&index);
    let others = [
        streams::exactly_once(&index),
        streams::gaps_are_told(&index),
        hooks::delivered(&index),
        access::linearizable(&index),
        hooks::one_owner(&index),
        health::catches_up(&index),
        health::damage_is_found(&index),
    ];
    others.into_iter().for_each(|verdict| verdicts.put(verdict));
    verdicts.into_vec()
}
