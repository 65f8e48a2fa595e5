//! Sockets of maps with a connection limit, counted exactly over the cluster.
//!
//! A node's count belongs to one run of the node: when it restarts or dies, the count goes with it.

use super::{Directory, StateError, keys};
use crate::core::codec;
use crate::core::command::{Change, Refusal, Reply, Slots};
use crate::core::ids::{MapId, NodeId};
use crate::core::state::records;
use crate::core::store::{ReadStore, WriteStore};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Sockets of one run of a node, by map.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NodeSlots {
    run: u64,
    slots: BTreeMap<MapId, u32>,
}

impl Directory {
    pub(super) fn load_slots<S: ReadStore>(&mut self, store: &S) -> Result<(), StateError> {
        for (key, slots) in records::<NodeSlots, S>(store, keys::SLOTS)? {
            self.nodes.extend(keys::node_of(&key).map(|node| (node, slots)));
        }
        Ok(())
    }

    /// Sockets of a map, over all nodes.
    pub fn sockets(&self, map: MapId) -> u32 {
        self.nodes.values().filter_map(|node| node.slots.get(&map)).sum()
    }

    /// Takes one socket for each map named, or none of them.
    pub(super) fn take_slot<S: WriteStore>(&mut self, take: &Slots, store: &mut S) -> Result<Reply, StateError> {
        for (map, wanted) in &take.slots {
            let Some(limits) = self.access.map(*map).map(|map| &map.limits) else {
                return Ok(Reply::Refused(Refusal::UnknownMap));
            };
            if let Some(limit) = limits.connections
                && self.sockets(*map).saturating_add(*wanted) > limit
            {
                return Ok(Reply::Refused(Refusal::Limit(limit)));
            }
        }
        let node = self.nodes.entry(take.node).or_default();
        if node.run != take.run {
            *node = NodeSlots { run: take.run, ..NodeSlots::default() };
        }
        for (map, wanted) in &take.slots {
            *node.slots.entry(*map).or_default() += wanted;
        }
        self.put_slots(take.node, store)
    }

    pub(super) fn give_slots<S: WriteStore>(&mut self, give: &Slots, store: &mut S) -> Result<Reply, StateError> {
        let Some(node) = self.nodes.get_mut(&give.node).filter(|node| node.run == give.run) else {
            return Ok(Reply::Done);
        };
        for (map, given) in &give.slots {
            if let Some(count) = node.slots.get_mut(map) {
                *count = count.saturating_sub(*given);
            }
        }
        node.slots.retain(|_, count| *count > 0);
        self.put_slots(give.node, store)
    }

    pub(super) fn node_up<S: WriteStore>(&mut self, up: &Slots, store: &mut S) -> Result<Reply, StateError> {
        let slots = up.slots.iter().copied().filter(|(_, count)| *count > 0).collect();
        self.nodes.insert(up.node, NodeSlots { run: up.run, slots });
        self.put_slots(up.node, store)
    }

    pub(super) fn node_gone<S: WriteStore>(&mut self, node: NodeId, store: &mut S) -> Result<Reply, StateError> {
        self.nodes.remove(&node);
        store.delete(&keys::slots(node))?;
        self.changes.push(Change::NodeGone(node));
        self.node_rests(node, store)
    }

    /// Forgets a map's sockets: it went, or has no limit any more. Nodes report anew when it has one again.
    pub(super) fn clear_slots<S: WriteStore>(&mut self, map: MapId, store: &mut S) -> Result<(), StateError> {
        let nodes: Vec<NodeId> =
            self.nodes.iter_mut().filter_map(|(node, slots)| slots.slots.remove(&map).map(|_| *node)).collect();
        for node in nodes {
            self.put_slots(node, store)?;
        }
        Ok(())
    }

    fn put_slots<S: WriteStore>(&self, node: NodeId, store: &mut S) -> Result<Reply, StateError> {
        if let Some(slots) = self.nodes.get(&node) {
            store.put(&keys::slots(node), &codec::encode(slots)?)?;
        }
        Ok(Reply::Done)
    }
}
