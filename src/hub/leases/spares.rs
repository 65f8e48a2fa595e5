//! Connections that ended a moment ago. The cluster still counts them, and the next clients of the map on this
//! node use their slots. So a client that leaves and joins again writes nothing to the log, and a page that is
//! loaded again finds its slot free although the map is at its limit.

use super::book::Of;
use crate::core::ids::MapId;
use crate::core::lease::{Connections, LeaseChange};
use std::collections::BTreeMap;

/// The slots of ended connections, and what the cluster counts wrongly because of them.
#[derive(Debug, Default)]
pub(super) struct Spares {
    /// Since the last turn.
    fresh: BTreeMap<Of, u32>,
    /// From the turn before.
    older: BTreeMap<Of, u32>,
    /// By how many the cluster counts too few connections; negative if it counts too many.
    owed: BTreeMap<Of, i64>,
    /// The cluster is to be told now.
    due: bool,
}

impl Spares {
    /// Keeps the slot of a connection that ended.
    pub(super) fn put(&mut self, of: Of) {
        *self.fresh.entry(of).or_default() += 1;
    }

    /// Gives a slot back to the cluster at once.
    pub(super) fn give_back(&mut self, of: Of) {
        self.owe(of, -1);
        self.due = true;
    }

    /// Uses a slot of the same map, if there is one. If another token had it, the cluster is told later.
    pub(super) fn take(&mut self, of: Of) -> bool {
        let had = take_one(&mut self.fresh, of).or_else(|| take_one(&mut self.older, of));
        if let Some(other) = had.filter(|other| *other != of) {
            self.owe(other, -1);
            self.owe(of, 1);
        }
        had.is_some()
    }

    /// Ends a turn: slots that nobody used for a whole turn go back to the cluster.
    pub(super) fn turn(&mut self) {
        let unused = std::mem::replace(&mut self.older, std::mem::take(&mut self.fresh));
        unused.into_iter().for_each(|(of, count)| self.owe(of, -i64::from(count)));
        self.due = !self.owed.is_empty();
    }

    /// Takes at most `most` changes that make the cluster's counts true: slots that go back come first, so
    /// that the counts never exceed the limits because of the others. Only maps that are `counted` matter.
    pub(super) fn changes(&mut self, most: usize, counted: impl Fn(MapId) -> bool) -> Vec<LeaseChange> {
        self.owed.retain(|(map, _), owed| *owed != 0 && counted(*map));
        let mut order: Vec<(Of, i64)> = self.owed.iter().map(|(of, owed)| (*of, *owed)).collect();
        order.sort_by_key(|(_, owed)| *owed > 0);
        order.truncate(most);
        let change = |((map, token), owed): (Of, i64)| {
            self.owed.remove(&(map, token));
            let count = u32::try_from(owed.unsigned_abs()).unwrap_or(u32::MAX);
            let connections = Connections { map, token, count };
            if owed < 0 { LeaseChange::Give(connections) } else { LeaseChange::Hold(connections) }
        };
        let changes = order.into_iter().map(change).collect();
        self.due = !self.owed.is_empty();
        changes
    }

    /// Whether the cluster is to be told something now.
    pub(super) fn are_due(&self) -> bool {
        self.due
    }

    /// Whether there is nothing to do at the end of a turn.
    pub(super) fn are_none(&self) -> bool {
        self.fresh.is_empty() && self.older.is_empty() && self.owed.is_empty()
    }

    /// Forgets everything: the cluster was told what this node holds.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Forgets a map. Returns whether there was something of it.
    pub(super) fn forget(&mut self, map: MapId) -> bool {
        let sizes = |spares: &Self| spares.fresh.len() + spares.older.len() + spares.owed.len();
        let before = sizes(self);
        self.fresh.retain(|of, _| of.0 != map);
        self.older.retain(|of, _| of.0 != map);
        self.owed.retain(|of, _| of.0 != map);
        sizes(self) < before
    }

    fn owe(&mut self, of: Of, change: i64) {
        let owed = self.owed.entry(of).or_default();
        *owed += change;
        if *owed == 0 {
            self.owed.remove(&of);
        }
    }
}

/// Takes one slot of the same map, the same token's first. Returns whose it was.
fn take_one(slots: &mut BTreeMap<Of, u32>, of: Of) -> Option<Of> {
    let of_map = |slots: &BTreeMap<Of, u32>| {
        slots.range((of.0, None)..).next().map(|(other, _)| *other).filter(|other| other.0 == of.0)
    };
    let had = slots.contains_key(&of).then_some(of).or_else(|| of_map(slots))?;
    let count = slots.get_mut(&had)?;
    *count -= 1;
    if *count == 0 {
        slots.remove(&had);
    }
    Some(had)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ids::TokenId;
    use proptest::prelude::*;

    fn of(map: u8, token: u8) -> Of {
        (MapId::from_bytes([map; 16]), (token > 0).then(|| TokenId::from_bytes([token; 16])))
    }

    fn give((map, token): Of, count: u32) -> LeaseChange {
        LeaseChange::Give(Connections { map, token, count })
    }

    #[test]
    fn a_place_is_used_again_or_goes_back_after_a_whole_turn() {
        let mut spares = Spares::default();
        spares.put(of(1, 1));
        spares.put(of(1, 1));
        spares.turn();
        assert!(spares.take(of(1, 1)) && !spares.take(of(2, 1)));
        assert!(!spares.are_due());
        spares.turn();
        assert!(spares.are_due());
        assert_eq!(spares.changes(9, |_| true), [give(of(1, 1), 1)]);
        assert!(spares.are_none() && !spares.are_due());
    }

    #[test]
    fn another_token_may_use_a_place_and_the_cluster_is_told_in_time() {
        let mut spares = Spares::default();
        spares.put(of(1, 1));
        assert!(spares.take(of(1, 2)));
        assert!(!spares.are_due(), "it is not urgent");
        spares.turn();
        let (map, token) = of(1, 2);
        let hold = LeaseChange::Hold(Connections { map, token, count: 1 });
        assert_eq!(spares.changes(9, |_| true), [give(of(1, 1), 1), hold]);
        // A change that is undone is not told.
        spares.put(of(1, 1));
        assert!(spares.take(of(1, 2)));
        spares.put(of(1, 2));
        assert!(spares.take(of(1, 1)));
        spares.turn();
        assert!(spares.are_none());
    }

    #[test]
    fn maps_without_a_limit_are_not_told() {
        let mut spares = Spares::default();
        spares.give_back(of(1, 0));
        spares.give_back(of(2, 0));
        assert!(spares.are_due());
        assert_eq!(spares.changes(9, |map| map == of(2, 0).0), [give(of(2, 0), 1)]);
        assert!(spares.are_none());
    }

    proptest! {
        /// Whoever joins and leaves, what the cluster counts is what is held and what is spare.
        #[test]
        fn the_counts_become_true(steps in prop::collection::vec((0u8..4, 1u8..3, 0u8..3), 0..200)) {
            let mut spares = Spares::default();
            let (mut held, mut counted) = (BTreeMap::<Of, i64>::new(), BTreeMap::<Of, i64>::new());
            let tell = |spares: &mut Spares, counted: &mut BTreeMap<Of, i64>| {
                for change in spares.changes(1000, |_| true) {
                    let (LeaseChange::Give(c) | LeaseChange::Hold(c)) = change else { continue };
                    let sign = if matches!(change, LeaseChange::Hold(_)) { 1 } else { -1 };
                    *counted.entry((c.map, c.token)).or_default() += sign * i64::from(c.count);
                }
            };
            for (what, map, token) in steps {
                let of = of(map, token);
                match what {
                    0 => {
                        if !spares.take(of) {
                            *counted.entry(of).or_default() += 1;
                        }
                        *held.entry(of).or_default() += 1;
                    }
                    1 if held.get(&of).is_some_and(|held| *held > 0) => {
                        *held.entry(of).or_default() -= 1;
                        spares.put(of);
                    }
                    2 => spares.turn(),
                    _ => tell(&mut spares, &mut counted),
                }
                let sum = |counts: &BTreeMap<Of, i64>| counts.values().sum::<i64>();
                prop_assert!(sum(&counted) >= sum(&held), "a slot was used twice");
            }
            (0..2).for_each(|_| spares.turn());
            tell(&mut spares, &mut counted);
            held.retain(|_, count| *count != 0);
            counted.retain(|_, count| *count != 0);
            prop_assert_eq!(held, counted);
            prop_assert!(spares.are_none());
        }
    }
}
