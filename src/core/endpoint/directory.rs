//! Which endpoints there are, and which node owns which.
//!
//! [`Directory`] is changed only by [`EndpointChange`]s, so that a node's read copy and the replicated state stay the
//! same by construction; both share the records.

use super::Endpoint;
use crate::core::ids::{EndpointId, MapId, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One change of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointChange {
    /// An endpoint came or was changed.
    Put(Arc<Endpoint>),
    /// An endpoint went.
    Gone(EndpointId),
    /// Something was asked of an endpoint's owner.
    Ordered(EndpointId),
    /// Nodes that deliver came or went.
    Owners(Owners),
}

/// The nodes that deliver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owners {
    /// Counts the changes: what was decided under another epoch no longer counts.
    pub epoch: u64,
    /// Each node and the random number of its present run.
    pub nodes: BTreeMap<NodeId, u64>,
}

impl Owners {
    /// The node that delivers for `endpoint`: the one whose hash with it is the largest, so that a node that comes or
    /// goes moves no endpoints but its own.
    pub fn owner_of(&self, endpoint: EndpointId) -> Option<NodeId> {
        self.nodes.keys().copied().max_by_key(|node| (weight(endpoint, *node), *node))
    }
}

/// A hash that is the same in every release: it decides who owns what.
fn weight(endpoint: EndpointId, node: NodeId) -> u64 {
    let bytes = endpoint.as_bytes();
    let half = |from: usize| bytes[from..from + 8].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    mix(mix(half(0) ^ node.wrapping_mul(0x9e37_79b9_7f4a_7c15)) ^ half(8))
}

/// The finaliser of SplitMix64.
fn mix(mut x: u64) -> u64 {
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// All endpoints.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    endpoints: BTreeMap<EndpointId, Arc<Endpoint>>,
    of_map: BTreeMap<MapId, BTreeSet<EndpointId>>,
    owners: Owners,
}

impl Directory {
    /// The endpoint with that id.
    pub fn get(&self, id: EndpointId) -> Option<&Arc<Endpoint>> {
        self.endpoints.get(&id)
    }

    /// All endpoints, by id.
    pub fn all(&self) -> impl ExactSizeIterator<Item = &Arc<Endpoint>> {
        self.endpoints.values()
    }

    /// The endpoints of a map, by id.
    pub fn of_map(&self, map: MapId) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.of_map.get(&map).into_iter().flatten().filter_map(|id| self.endpoints.get(id))
    }

    /// How many endpoints a map has.
    pub fn count(&self, map: MapId) -> usize {
        self.of_map.get(&map).map_or(0, BTreeSet::len)
    }

    /// The nodes that deliver.
    pub fn owners(&self) -> &Owners {
        &self.owners
    }

    /// Carries out a change.
    pub fn change(&mut self, change: &EndpointChange) {
        match change {
            EndpointChange::Put(endpoint) => {
                self.of_map.entry(endpoint.map).or_default().insert(endpoint.id);
                self.endpoints.insert(endpoint.id, endpoint.clone());
            }
            EndpointChange::Gone(id) => self.remove(*id),
            EndpointChange::Ordered(_) => {}
            EndpointChange::Owners(owners) => self.owners = owners.clone(),
        }
    }

    fn remove(&mut self, id: EndpointId) {
        let Some(endpoint) = self.endpoints.remove(&id) else { return };
        if let Some(of_map) = self.of_map.get_mut(&endpoint.map) {
            of_map.remove(&id);
            if of_map.is_empty() {
                self.of_map.remove(&endpoint.map);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners(nodes: &[NodeId]) -> Owners {
        Owners { epoch: 1, nodes: nodes.iter().map(|node| (*node, 0)).collect() }
    }

    fn endpoints() -> impl Iterator<Item = EndpointId> {
        (0u32..3000).map(|n| {
            let mut bytes = [0; 16];
            bytes[12..].copy_from_slice(&n.to_be_bytes());
            EndpointId::from_bytes(bytes)
        })
    }

    #[test]
    fn a_node_that_goes_moves_only_its_own() {
        let (three, two) = (owners(&[1, 2, 3]), owners(&[1, 3]));
        for endpoint in endpoints() {
            let before = three.owner_of(endpoint);
            assert!(before == Some(2) || two.owner_of(endpoint) == before);
        }
        assert_eq!(owners(&[]).owner_of(EndpointId::from_bytes([1; 16])), None);
    }

    #[test]
    fn nodes_get_about_as_many() {
        let three = owners(&[1, 2, 3]);
        for node in 1..=3 {
            let owned = endpoints().filter(|endpoint| three.owner_of(*endpoint) == Some(node)).count();
            assert!((800..1200).contains(&owned), "{owned}");
        }
    }

    #[test]
    fn the_hash_never_changes() {
        assert_eq!(weight(EndpointId::from_bytes([7; 16]), 3), 15_973_506_919_328_195_081);
    }
}
