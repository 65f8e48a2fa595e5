//! The subscriptions that nodes hold, by map and subject, with their sums over the cluster; and of which
//! channels it was told that they are occupied.

use super::super::{StateError, keys};
use crate::core::codec;
use crate::core::ids::{MapId, NodeId};
use crate::core::state::records;
use crate::core::store::{ReadStore, WriteStore};
use crate::core::subject::Subject;
use std::collections::{BTreeMap, BTreeSet};

/// A subject of a map.
pub(super) type Of = (MapId, Subject);

/// The subscriptions of the maps of which somebody wants to know them. The sums are kept in memory only.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    nodes: BTreeMap<NodeId, BTreeMap<Of, u32>>,
    sums: BTreeMap<Of, u64>,
    occupied: BTreeSet<Of>,
}

impl Subscriptions {
    pub(super) fn load<S: ReadStore>(store: &S) -> Result<Self, StateError> {
        let mut subscriptions = Self::default();
        for (key, count) in records::<u32, S>(store, keys::SUBSCRIPTIONS)? {
            if let Some((node, map, subject)) = keys::subscriptions_of(&key) {
                *subscriptions.sums.entry((map, subject.clone())).or_default() += u64::from(count);
                subscriptions.nodes.entry(node).or_default().insert((map, subject), count);
            }
        }
        let (from, to) = keys::all(keys::OCCUPIED);
        store.scan(&from, &to, &mut |key, _| {
            subscriptions.occupied.extend(keys::occupied_subject(key));
            true
        })?;
        Ok(subscriptions)
    }

    /// Returns the subscriptions of a subject, over all nodes.
    pub(super) fn of(&self, of: &Of) -> u64 {
        self.sums.get(of).copied().unwrap_or(0)
    }

    /// Sets the number of a node's subscriptions of a subject. Returns whether it changed.
    pub(super) fn set<S: WriteStore>(
        &mut self,
        node: NodeId,
        of: &Of,
        count: u32,
        store: &mut S,
    ) -> Result<bool, StateError> {
        let held = self.nodes.entry(node).or_default();
        let before = if count > 0 { held.insert(of.clone(), count) } else { held.remove(of) };
        if held.is_empty() {
            self.nodes.remove(&node);
        }
        let before = before.unwrap_or(0);
        if before == count {
            return Ok(false);
        }
        let key = keys::subscriptions(node, of.0, &of.1);
        if count > 0 {
            store.put(&key, &codec::encode(&count)?)?;
        } else {
            store.delete(&key)?;
        }
        let sum = self.of(of).saturating_sub(u64::from(before)) + u64::from(count);
        if sum > 0 {
            self.sums.insert(of.clone(), sum);
        } else {
            self.sums.remove(of);
        }
        Ok(true)
    }

    /// Removes a node's subscriptions. Returns their subjects.
    pub(super) fn take_back<S: WriteStore>(
        &mut self,
        node: NodeId,
        store: &mut S,
    ) -> Result<Vec<Of>, StateError> {
        let held: Vec<Of> = self.nodes.get(&node).into_iter().flat_map(BTreeMap::keys).cloned().collect();
        held.iter().try_for_each(|of| self.set(node, of, 0, store).map(drop))?;
        Ok(held)
    }

    /// Returns whether it was told that the channel is occupied.
    pub(super) fn is_told(&self, of: &Of) -> bool {
        self.occupied.contains(of)
    }

    /// Notes that it was told that the channel is occupied, or that it is not.
    pub(super) fn tell<S: WriteStore>(
        &mut self,
        of: &Of,
        is_occupied: bool,
        store: &mut S,
    ) -> Result<(), StateError> {
        let key = keys::occupied(of.0, &of.1);
        if is_occupied {
            self.occupied.insert(of.clone());
            Ok(store.put(&key, &[])?)
        } else {
            self.occupied.remove(of);
            Ok(store.delete(&key)?)
        }
    }

    /// Removes what is known of a map.
    pub(super) fn forget<S: WriteStore>(&mut self, map: MapId, store: &mut S) -> Result<(), StateError> {
        let from = (map, Subject::own());
        let held = self.nodes.iter().flat_map(|(node, held)| {
            let of_map = held.range(from.clone()..).take_while(|(of, _)| of.0 == map);
            of_map.map(|(of, _)| (*node, of.clone()))
        });
        for (node, of) in held.collect::<Vec<_>>() {
            self.set(node, &of, 0, store)?;
        }
        let told: Vec<Of> = self.occupied.range(from..).take_while(|of| of.0 == map).cloned().collect();
        told.iter().try_for_each(|of| self.tell(of, false, store))
    }
}
