//! Ownership: which node owns which consumer. Every node computes the same, and every change begins a new
//! epoch.

use crate::core::digest;
use crate::core::ids::{ConsumerId, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The nodes that deliver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owners {
    /// The number of changes so far. A decision of another epoch no longer counts.
    pub epoch: u64,
    /// Each node with its present incarnation.
    pub nodes: BTreeMap<NodeId, u64>,
    /// The handover to the node that joined last, while it lasts.
    pub handover: Option<Handover>,
}

/// A handover: a node joined, and consumers move to it. Each moves once its owner has ended its requests. A
/// node that dies has ended them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    /// The node that joined last.
    pub to: NodeId,
    /// The epoch that began when it joined.
    pub began: u64,
    /// When it joined (Unix milliseconds).
    pub since_ms: u64,
    /// Nodes that have not reported yet which consumers they still deliver: they keep all that they owned.
    pub silent: BTreeSet<NodeId>,
    /// Consumers that a node still delivers although they belong to another node already.
    pub held: BTreeMap<ConsumerId, NodeId>,
}

/// A handover ends after this time, in milliseconds: no request takes longer.
const LONGEST_HANDOVER_MS: u64 = 60_000;

/// Why a node cannot join yet: the handover to another node has only begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

impl Owners {
    /// Returns the node that delivers for `consumer`: the one whose hash with it is the largest. So a node
    /// that joins or leaves moves no consumers but its own.
    ///
    /// During a handover, a consumer that its earlier owner has not released still belongs to that owner.
    pub fn owner_of(&self, consumer: ConsumerId) -> Option<NodeId> {
        let next = self.next_owner_of(consumer);
        let Some(handover) = &self.handover else { return next };
        if let Some(holder) = handover.held.get(&consumer) {
            return Some(*holder);
        }
        if next != Some(handover.to) {
            return next;
        }
        let others = self.nodes.keys().copied().filter(|node| *node != handover.to);
        largest_hash(consumer, others).filter(|before| handover.silent.contains(before)).or(next)
    }

    /// Returns the node that delivers for `consumer` after the handover.
    pub fn next_owner_of(&self, consumer: ConsumerId) -> Option<NodeId> {
        largest_hash(consumer, self.nodes.keys().copied())
    }

    /// Returns whether the node still delivers for the consumer and must release it.
    pub fn is_leaving(&self, consumer: ConsumerId, node: NodeId) -> bool {
        self.handover.is_some()
            && self.owner_of(consumer) == Some(node)
            && self.next_owner_of(consumer) != Some(node)
    }

    /// Adds a node that delivers from now on, in that incarnation. Returns whether that changes anything.
    pub fn node_joined(&mut self, node: NodeId, incarnation: u64, now_ms: u64) -> Result<bool, Busy> {
        match self.nodes.get(&node) {
            Some(known) if *known == incarnation => return Ok(false),
            // It is a new process: the requests of the one before have ended.
            Some(_) => self.release_all(node),
            None if self.nodes.is_empty() => {}
            None => {
                if self.handover.as_ref().is_some_and(|handover| !handover.silent.is_empty()) {
                    return Err(Busy);
                }
                let held = self.handover.take().map(|handover| handover.held).unwrap_or_default();
                let silent = self.nodes.keys().copied().collect();
                let began = self.epoch + 1;
                self.handover = Some(Handover { to: node, began, since_ms: now_ms, silent, held });
            }
        }
        self.nodes.insert(node, incarnation);
        self.changed();
        Ok(true)
    }

    /// Removes a node. Returns whether that changes anything.
    pub fn node_left(&mut self, node: NodeId) -> bool {
        if self.nodes.remove(&node).is_none() {
            return false;
        }
        self.release_all(node);
        if let Some(handover) = self.handover.as_mut().filter(|handover| handover.to == node) {
            handover.silent.clear();
        }
        self.changed();
        true
    }

    /// Records that a node has ended its requests to all consumers that move away from it, except for those in
    /// `but`. Returns whether that changes anything.
    pub fn handed_over(&mut self, node: NodeId, incarnation: u64, but: &BTreeSet<ConsumerId>) -> bool {
        if self.handover.is_none() || self.nodes.get(&node) != Some(&incarnation) {
            return false;
        }
        let still: Vec<ConsumerId> =
            but.iter().copied().filter(|consumer| self.is_leaving(*consumer, node)).collect();
        let before = self.handover.clone();
        self.release_all(node);
        if let Some(handover) = &mut self.handover {
            handover.held.extend(still.into_iter().map(|consumer| (consumer, node)));
        }
        if before == self.handover {
            return false;
        }
        self.changed();
        true
    }

    /// Ends a handover that takes too long. Returns whether that changes anything.
    pub fn time_passes(&mut self, now_ms: u64) -> bool {
        let over = |handover: &Handover| now_ms.saturating_sub(handover.since_ms) > LONGEST_HANDOVER_MS;
        if !self.handover.as_ref().is_some_and(over) {
            return false;
        }
        self.handover = None;
        self.changed();
        true
    }

    /// Releases everything that the node still delivered for other owners.
    fn release_all(&mut self, node: NodeId) {
        if let Some(handover) = &mut self.handover {
            handover.silent.remove(&node);
            handover.held.retain(|_, holder| *holder != node);
        }
    }

    fn changed(&mut self) {
        self.epoch += 1;
        if self
            .handover
            .as_ref()
            .is_some_and(|handover| handover.silent.is_empty() && handover.held.is_empty())
        {
            self.handover = None;
        }
    }
}

fn largest_hash(consumer: ConsumerId, nodes: impl Iterator<Item = NodeId>) -> Option<NodeId> {
    nodes.max_by_key(|node| (hash_of(consumer, *node), *node))
}

/// Hashes a node with a consumer. The hash decides who owns what, so it must be the same on every node and in
/// every release.
fn hash_of(consumer: ConsumerId, node: NodeId) -> u64 {
    digest::short(&[consumer.as_bytes(), &node.to_be_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn owners(nodes: &[NodeId]) -> Owners {
        Owners { epoch: 1, nodes: nodes.iter().map(|node| (*node, 0)).collect(), handover: None }
    }

    fn consumers() -> impl Iterator<Item = ConsumerId> {
        (0u32..3000).map(|n| {
            let mut bytes = [0; 16];
            bytes[12..].copy_from_slice(&n.to_be_bytes());
            ConsumerId::from_bytes(bytes)
        })
    }

    #[test]
    fn a_node_that_leaves_moves_only_its_own_consumers() {
        let three = owners(&[1, 2, 3]);
        let two = owners(&[1, 3]);
        for consumer in consumers() {
            let before = three.owner_of(consumer);
            assert!(before == Some(2) || two.owner_of(consumer) == before);
        }
        assert_eq!(owners(&[]).owner_of(ConsumerId::from_bytes([1; 16])), None);
    }

    #[test]
    fn nodes_get_similar_numbers_of_consumers() {
        let three = owners(&[1, 2, 3]);
        for node in 1..=3 {
            let owned = consumers().filter(|consumer| three.owner_of(*consumer) == Some(node)).count();
            assert!((800..1200).contains(&owned), "{owned}");
        }
    }

    #[test]
    fn a_consumer_moves_to_the_joined_node_once_its_owner_releases_it() {
        let before = owners(&[1, 3]);
        let mut now = before.clone();
        assert_eq!(now.node_joined(2, 5, 1000), Ok(true));
        assert_eq!(now.node_joined(4, 5, 1000), Err(Busy), "one after the other");
        let moves: Vec<ConsumerId> = consumers().filter(|id| now.next_owner_of(*id) == Some(2)).collect();
        assert!(consumers().all(|id| now.owner_of(id) == before.owner_of(id)));
        let of = |node| -> Vec<ConsumerId> {
            moves.iter().copied().filter(|id| before.owner_of(*id) == Some(node)).collect()
        };
        let busy: BTreeSet<ConsumerId> = of(1).into_iter().take(2).collect();
        assert!(!now.handed_over(1, 7, &busy), "of another incarnation");
        assert!(now.handed_over(1, 0, &busy) && !now.handed_over(1, 0, &busy));
        assert!(of(1).into_iter().all(|id| now.owner_of(id) == Some(if busy.contains(&id) { 1 } else { 2 })));
        assert!(of(3).into_iter().all(|id| now.is_leaving(id, 3)), "it has not reported yet");
        let mut dead = now.clone();
        assert!(
            dead.node_left(3) && of(3).into_iter().all(|id| dead.owner_of(id) == Some(2)),
            "a dead node delays nothing"
        );
        let mut back = now.clone();
        assert!(back.node_left(2) && back.handover.as_ref().is_none_or(|it| it.silent.is_empty()));
        assert!(
            of(1).into_iter().all(|id| back.owner_of(id) == Some(1))
                && of(3).into_iter().all(|id| back.owner_of(id) == Some(3))
        );
        let mut late = now.clone();
        assert!(!late.time_passes(61_000) && late.time_passes(61_001));
        assert!(moves.iter().all(|id| late.owner_of(*id) == Some(2)));
        assert!(now.handed_over(3, 0, &BTreeSet::new()));
        assert_eq!(now.node_joined(4, 5, 2000), Ok(true), "what is held stays held");
        assert!(busy.iter().all(|id| now.owner_of(*id) == Some(1)));
        assert!([(1, 0), (2, 5), (3, 0)].iter().all(|(node, incarnation)| now.handed_over(
            *node,
            *incarnation,
            &BTreeSet::new()
        )));
        assert_eq!(now.handover, None);
    }

    proptest! {
        /// Whatever nodes join, leave and report: a consumer has an owner while there is a node, the owner is
        /// a present node, and when every node has released its consumers, the owner is the one that all
        /// compute.
        #[test]
        fn a_consumer_has_exactly_one_owner(
            acts in prop::collection::vec((0u8..6, 1u64..5, 1u64..3, 0usize..20), 0..60),
        ) {
            let ids: Vec<ConsumerId> = consumers().take(20).collect();
            let mut owners = Owners::default();
            let mut now_ms = 1;
            for (act, node, incarnation, at) in acts {
                let before = owners.epoch;
                let changed = match act {
                    0 | 1 => owners.node_joined(node, incarnation, now_ms).unwrap_or(false),
                    2 => owners.node_left(node),
                    3 | 4 => owners.handed_over(node, incarnation, &ids[at..].iter().copied().collect()),
                    _ => {
                        now_ms += 20_000;
                        owners.time_passes(now_ms)
                    }
                };
                prop_assert_eq!(owners.epoch > before, changed, "each change is an epoch");
                for id in &ids {
                    let owner = owners.owner_of(*id);
                    prop_assert_eq!(owner.is_some(), !owners.nodes.is_empty());
                    prop_assert!(owner.is_none_or(|owner| owners.nodes.contains_key(&owner)));
                    prop_assert!(owners.handover.is_some() || owner == owners.next_owner_of(*id));
                }
            }
            for (node, incarnation) in owners.nodes.clone() {
                owners.handed_over(node, incarnation, &BTreeSet::new());
            }
            prop_assert_eq!(owners.handover, None);
        }
    }

    #[test]
    fn the_hash_never_changes() {
        assert_eq!(hash_of(ConsumerId::from_bytes([7; 16]), 3), 16_802_193_955_151_162_323);
    }
}
