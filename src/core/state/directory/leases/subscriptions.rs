//! The subscriptions that nodes hold, by map and subject, with their sums over the cluster; and of which
//! channels it was told that they are occupied.

use super::super::{StateError, keys};
use super::members::By;
use crate::core::codec;
use crate::core::ids::{MapId, NodeId};
use crate::core::lease::Incarnation;
use crate::core::state::records;
use crate::core::store::{ReadStore, WriteStore};
use crate::core::subject::Subject;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// A subject of a map.
pub(super) type Of = (MapId, Subject);

/// A node's subscriptions of a subject, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    count: u32,
    /// The incarnation that stated the count.
    incarnation: Incarnation,
}

/// A piece of a node's counts that were looked at.
#[derive(Default)]
pub(super) struct Looked {
    /// The subjects whose counts changed.
    pub(super) changed: Vec<Of>,
    /// How many counts were looked at.
    pub(super) looked: usize,
    /// The last of them, if there are more.
    pub(super) last: Option<Of>,
}

/// The subscriptions of the maps of which somebody wants to know them. The sums are kept in memory only.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    nodes: BTreeMap<NodeId, BTreeMap<Of, Held>>,
    sums: BTreeMap<Of, u64>,
    occupied: BTreeSet<Of>,
}

impl Subscriptions {
    pub(super) fn load<S: ReadStore>(store: &S) -> Result<Self, StateError> {
        let mut subscriptions = Self::default();
        for (key, held) in records::<Held, S>(store, keys::SUBSCRIPTIONS)? {
            if let Some((node, map, subject)) = keys::subscriptions_of(&key) {
                *subscriptions.sums.entry((map, subject.clone())).or_default() += u64::from(held.count);
                subscriptions.nodes.entry(node).or_default().insert((map, subject), held);
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
        (node, incarnation): By,
        of: &Of,
        count: u32,
        store: &mut S,
    ) -> Result<bool, StateError> {
        let now = Some(Held { count, incarnation }).filter(|held| held.count > 0);
        let of_node = self.nodes.entry(node).or_default();
        let before = match now {
            Some(held) => of_node.insert(of.clone(), held),
            None => of_node.remove(of),
        };
        if of_node.is_empty() {
            self.nodes.remove(&node);
        }
        let key = keys::subscriptions(node, of.0, &of.1);
        match now {
            _ if now == before => return Ok(false),
            Some(held) => store.put(&key, &codec::encode(&held)?)?,
            None => store.delete(&key)?,
        }
        let before = before.map_or(0, |held| held.count);
        if before == count {
            return Ok(false);
        }
        let sum = self.of(of).saturating_sub(u64::from(before)) + u64::from(count);
        if sum > 0 {
            self.sums.insert(of.clone(), sum);
        } else {
            self.sums.remove(of);
        }
        Ok(true)
    }

    /// Removes counts that a node's incarnations other than the `present` one stated. It looks at up to `max` of
    /// the node's counts that come after `after`.
    pub(super) fn end_counts<S: WriteStore>(
        &mut self,
        (node, present): (NodeId, Option<Incarnation>),
        (after, max): (Option<&Of>, usize),
        store: &mut S,
    ) -> Result<Looked, StateError> {
        let Some(of_node) = self.nodes.get(&node) else { return Ok(Looked::default()) };
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.clone()));
        let mut looked = Looked::default();
        let mut over = Vec::new();
        for (of, held) in of_node.range((from, Bound::Unbounded)).take(max) {
            looked.looked += 1;
            looked.last = Some(of.clone());
            if Some(held.incarnation) != present {
                over.push((of.clone(), held.incarnation));
            }
        }
        if looked.looked < max {
            looked.last = None;
        }
        for (of, incarnation) in over {
            self.set((node, incarnation), &of, 0, store)?;
            looked.changed.push(of);
        }
        Ok(looked)
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
            of_map.map(|(of, held)| ((*node, held.incarnation), of.clone()))
        });
        for (by, of) in held.collect::<Vec<_>>() {
            self.set(by, &of, 0, store)?;
        }
        let told: Vec<Of> = self.occupied.range(from..).take_while(|of| of.0 == map).cloned().collect();
        told.iter().try_for_each(|of| self.tell(of, false, store))
    }
}
