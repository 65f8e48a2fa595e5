//! The statement that an incarnation owes the cluster: all that the node held when it began.

use crate::core::ids::MapId;
use std::collections::BTreeMap;

/// What is left of an incarnation's statement. Until the cluster has all of it, it shows what earlier incarnations
/// had.
#[derive(Debug)]
pub(super) enum Statement {
    /// How many items at the front of each map's queue belong to it.
    Owed(BTreeMap<MapId, usize>),
    /// A batch has completed it.
    Made,
}

impl Statement {
    /// A statement of that many items of each map.
    pub(super) fn of(items: impl Iterator<Item = (MapId, usize)>) -> Self {
        Self::Owed(items.filter(|(_, count)| *count > 0).collect())
    }

    pub(super) fn is_owed(&self) -> bool {
        matches!(self, Self::Owed(_))
    }

    /// Items were taken from the front of a map's queue.
    pub(super) fn took(&mut self, map: MapId, count: usize) {
        let Self::Owed(left) = self else { return };
        if let Some(of_map) = left.get_mut(&map) {
            *of_map = of_map.saturating_sub(count);
            if *of_map == 0 {
                left.remove(&map);
            }
        }
    }

    /// Returns whether the batch that takes what was taken so far completes the statement. It does so once.
    pub(super) fn completes(&mut self) -> bool {
        let completes = matches!(self, Self::Owed(left) if left.is_empty());
        if completes {
            *self = Self::Made;
        }
        completes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_complete_once_when_every_map_has_stated_its_items() {
        let [one, two] = [1, 2].map(|id| MapId::from_bytes([id; 16]));
        let mut statement = Statement::of([(one, 3), (two, 1)].into_iter());
        statement.took(one, 2);
        statement.took(two, 5);
        assert!(!statement.completes() && statement.is_owed());
        statement.took(one, 9);
        assert!(statement.completes() && !statement.is_owed());
        assert!(!statement.completes(), "it is told once");
        assert!(Statement::of(std::iter::empty()).completes(), "a node that holds nothing says so");
    }
}
