//! Connections that nodes hold, by map and token, with their sums over the cluster.

use super::super::{StateError, keys};
use crate::core::codec;
use crate::core::ids::{MapId, NodeId, TokenId};
use crate::core::lease::Connections;
use crate::core::state::records;
use crate::core::store::{ReadStore, WriteStore};
use std::collections::BTreeMap;

type Held = BTreeMap<(MapId, Option<TokenId>), u32>;

/// The connections that each node holds, with sums by map and by token. The sums are kept in memory only.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    nodes: BTreeMap<NodeId, Held>,
    maps: BTreeMap<MapId, u32>,
    tokens: BTreeMap<TokenId, u32>,
}

impl Counts {
    pub(super) fn load<S: ReadStore>(store: &S) -> Result<Self, StateError> {
        let mut counts = Self::default();
        for (key, count) in records::<u32, S>(store, keys::CONNECTIONS)? {
            if let Some((node, map, token)) = keys::connections_of(&key) {
                counts.nodes.entry(node).or_default().insert((map, token), count);
                counts.count(map, token, |sum| sum.saturating_add(count));
            }
        }
        Ok(counts)
    }

    /// Returns the connections of a map, over all nodes.
    pub(super) fn of_map(&self, map: MapId) -> u32 {
        self.maps.get(&map).copied().unwrap_or(0)
    }

    /// Returns the connections that a token opened, over all nodes.
    pub(super) fn of_token(&self, token: TokenId) -> u32 {
        self.tokens.get(&token).copied().unwrap_or(0)
    }

    pub(super) fn add<S: WriteStore>(
        &mut self,
        node: NodeId,
        of: &Connections,
        more: u32,
        store: &mut S,
    ) -> Result<(), StateError> {
        let before = self.held(node, of);
        // The sum of the map is the largest of the three counts: if it has room, so has every other.
        let more = more.min(u32::MAX - self.of_map(of.map));
        self.set(node, (of.map, of.token), before, before.saturating_add(more), store)
    }

    /// Removes connections, at most as many as the node holds.
    pub(super) fn give<S: WriteStore>(
        &mut self,
        node: NodeId,
        less: &Connections,
        store: &mut S,
    ) -> Result<(), StateError> {
        let before = self.held(node, less);
        self.set(node, (less.map, less.token), before, before.saturating_sub(less.count), store)
    }

    pub(super) fn take_back<S: WriteStore>(&mut self, node: NodeId, store: &mut S) -> Result<(), StateError> {
        let held = self.nodes.get(&node).cloned().unwrap_or_default();
        held.into_iter().try_for_each(|(of, count)| self.set(node, of, count, 0, store))
    }

    /// Removes the connections of a map, on all nodes.
    pub(super) fn forget<S: WriteStore>(&mut self, map: MapId, store: &mut S) -> Result<(), StateError> {
        let of_map = |(node, held): (&NodeId, &Held)| {
            let node = *node;
            let of_map = held.range((map, None)..).take_while(move |(of, _)| of.0 == map);
            of_map.map(move |(of, count)| (node, *of, *count)).collect::<Vec<_>>()
        };
        let all: Vec<_> = self.nodes.iter().flat_map(of_map).collect();
        all.into_iter().try_for_each(|(node, of, count)| self.set(node, of, count, 0, store))
    }

    fn held(&self, node: NodeId, of: &Connections) -> u32 {
        self.nodes.get(&node).and_then(|held| held.get(&(of.map, of.token))).copied().unwrap_or(0)
    }

    /// Sets one count and updates the sums that include it.
    fn set<S: WriteStore>(
        &mut self,
        node: NodeId,
        (map, token): (MapId, Option<TokenId>),
        before: u32,
        after: u32,
        store: &mut S,
    ) -> Result<(), StateError> {
        if before == after {
            return Ok(());
        }
        let key = keys::connections(node, map, token);
        let held = self.nodes.entry(node).or_default();
        if after == 0 {
            held.remove(&(map, token));
            store.delete(&key)?;
        } else {
            held.insert((map, token), after);
            store.put(&key, &codec::encode(&after)?)?;
        }
        if held.is_empty() {
            self.nodes.remove(&node);
        }
        self.count(map, token, |sum| sum.saturating_sub(before).saturating_add(after));
        Ok(())
    }

    fn count(&mut self, map: MapId, token: Option<TokenId>, change: impl Fn(u32) -> u32) {
        change_sum(&mut self.maps, map, &change);
        if let Some(token) = token {
            change_sum(&mut self.tokens, token, &change);
        }
    }
}

fn change_sum<K: Ord>(sums: &mut BTreeMap<K, u32>, of: K, change: impl Fn(u32) -> u32) {
    let sum = change(sums.get(&of).copied().unwrap_or(0));
    if sum == 0 {
        sums.remove(&of);
    } else {
        sums.insert(of, sum);
    }
}
