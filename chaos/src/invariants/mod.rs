//! What must always hold, checked from a run's history alone: twelve invariants by number, each with its
//! count of checks.
//!
//! - [`log`] checks 1, 3, 4 and 8: what was stored;
//! - [`streams`] checks 2 and 5: what clients received; [`removal`] knows which events may be gone at what
//!   time;
//! - [`hooks`] checks 6 and 9: webhooks; [`consumers`] checks 6 for consumers that clients read;
//! - [`access`] checks 7; [`health`] checks 10 and 11;
//! - [`presence`] checks 12: who is there on which channels;
//! - [`index`] looks the history up.
//!
//! The module is pure: it knows no process, no socket and no clock. An invariant that it can't check is "not
//! exercised", never held.

mod access;
mod consumers;
mod health;
mod hooks;
mod index;
mod log;
mod presence;
mod removal;
mod streams;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_presence;
#[cfg(test)]
mod tests_subjects;

pub use index::Index;

use crate::history::History;
pub use checker::{Outcome, Table, Verdict, cells};

/// Checks all twelve invariants, in their order.
pub fn check(history: &History) -> Vec<Verdict> {
    let index = Index::of(history);
    let mut verdicts = log::checked(&index);
    let mut delivered = hooks::delivered(&index);
    consumers::worked(history, &mut delivered);
    let others = [
        streams::exactly_once(&index),
        streams::gaps_are_reported(&index),
        delivered,
        access::linearizable(&index),
        hooks::one_owner(&index),
        health::catches_up(&index),
        health::damage_is_found(&index),
        presence::exact(history),
    ];
    others.into_iter().for_each(|verdict| verdicts.put(verdict));
    verdicts.into_vec()
}
