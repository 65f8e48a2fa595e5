//! The members whose grace period runs: few at a time, so they are kept apart from the members themselves.

use crate::core::lease::Member;
use std::collections::{BTreeMap, BTreeSet};

/// The ends of the grace periods (milliseconds of the expiry clock).
#[derive(Debug, Default)]
pub(super) struct Graces {
    of_members: BTreeMap<Member, u64>,
    /// The same, with the first end first.
    ends: BTreeSet<(u64, Member)>,
}

impl Graces {
    /// The end of a member's grace period; `None` if none runs.
    pub(super) fn of(&self, member: &Member) -> Option<u64> {
        self.of_members.get(member).copied()
    }

    /// Starts a member's grace period, or gives it another end.
    pub(super) fn set(&mut self, member: &Member, until_ms: u64) {
        if let Some(before) = self.of_members.insert(member.clone(), until_ms) {
            self.ends.remove(&(before, member.clone()));
        }
        self.ends.insert((until_ms, member.clone()));
    }

    /// Stops a member's grace period. Returns whether one ran.
    pub(super) fn stop(&mut self, member: &Member) -> bool {
        let Some(until_ms) = self.of_members.remove(member) else { return false };
        self.ends.remove(&(until_ms, member.clone()))
    }

    /// Up to `max` members whose grace period is over, the first end first.
    pub(super) fn due(&self, now_ms: u64, max: usize) -> Vec<Member> {
        let due = self.ends.iter().take_while(|(until_ms, _)| *until_ms <= now_ms);
        due.take(max).map(|(_, member)| member.clone()).collect()
    }

    /// Whether some grace period is over.
    pub(super) fn are_due(&self, now_ms: u64) -> bool {
        self.ends.first().is_some_and(|(until_ms, _)| *until_ms <= now_ms)
    }
}
