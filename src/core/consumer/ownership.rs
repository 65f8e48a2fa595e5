//! Which node owns which consumer: the same on every node, and moved by epochs.

use crate::core::digest;
use crate::core::ids::{ConsumerId, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The nodes that deliver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owners {
    /// Counts the changes: what was decided under another epoch no longer counts.
    pub epoch: u64,
    /// Each node and the random number of its present run.
    pub nodes: BTreeMap<NodeId, u64>,
    /// Consumers on their way to a node that came.
    pub handover: Option<Handover>,
}

/// A node came, and consumers go to it: each once its owner has ended its requests. A node that dies has ended them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    /// The node that came last.
    pub to: NodeId,
    /// The epoch that began when it came.
    pub began: u64,
    /// When that was, Unix milliseconds.
    pub since_ms: u64,
    /// Nodes that have not said yet which consumers they still have: all that they owned.
    pub silent: BTreeSet<NodeId>,
    /// Consumers that a node still has, though they are another's already.
    pub held: BTreeMap<ConsumerId, NodeId>,
}

/// A handover that takes longer is over: no request takes so long. Milliseconds.
const LONGEST_HANDOVER_MS: u64 = 60_000;

/// A node came while another one's handover had only begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

impl Owners {
    /// The node that delivers for `consumer`: the one whose hash with it is the largest, so that a node that comes or
    /// goes moves no consumers but its own.
    ///
    /// While consumers are handed over, one that is not let go yet is still its earlier owner's.
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
        heaviest(consumer, others).filter(|before| handover.silent.contains(before)).or(next)
    }

    /// The node that delivers for `consumer` once everything is handed over.
    pub fn next_owner_of(&self, consumer: ConsumerId) -> Option<NodeId> {
        heaviest(consumer, self.nodes.keys().copied())
    }

    /// The node still has the consumer, and is to let it go.
    pub fn is_leaving(&self, consumer: ConsumerId, node: NodeId) -> bool {
        self.handover.is_some()
            && self.owner_of(consumer) == Some(node)
            && self.next_owner_of(consumer) != Some(node)
    }

    /// A node delivers from now on, in that run. Says whether that changes anything.
    pub fn came(&mut self, node: NodeId, run: u64, now_ms: u64) -> Result<bool, Busy> {
        match self.nodes.get(&node) {
            Some(known) if *known == run => return Ok(false),
            // Its process is another: what the one before had under way has ended.
            Some(_) => self.let_go(node),
            None if self.nodes.is_empty() => {}
            None => {
                if self.handover.as_ref().is_some_and(|handover| !handover.silent.is_empty()) {
                    return Err(Busy);
                }
                let held = self.handover.take().map(|handover| handover.held).unwrap_or_default();
                let (silent, began) = (self.nodes.keys().copied().collect(), self.epoch + 1);
                self.handover = Some(Handover { to: node, began, since_ms: now_ms, silent, held });
            }
        }
        self.nodes.insert(node, run);
        self.changed();
        Ok(true)
    }

    /// A node delivers no more. Says whether that changes anything.
    pub fn went(&mut self, node: NodeId) -> bool {
        if self.nodes.remove(&node).is_none() {
            return false;
        }
        self.let_go(node);
        if let Some(handover) = self.handover.as_mut().filter(|handover| handover.to == node) {
            handover.silent.clear();
        }
        self.changed();
        true
    }

    /// A node has ended its requests to all consumers that are to leave it, but for these. Says whether that changes
    /// anything.
    pub fn handed_over(&mut self, node: NodeId, run: u64, but: &BTreeSet<ConsumerId>) -> bool {
        if self.handover.is_none() || self.nodes.get(&node) != Some(&run) {
            return false;
        }
        let still: Vec<ConsumerId> =
            but.iter().copied().filter(|consumer| self.is_leaving(*consumer, node)).collect();
        let before = self.handover.clone();
        self.let_go(node);
        if let Some(handover) = &mut self.handover {
            handover.held.extend(still.into_iter().map(|consumer| (consumer, node)));
        }
        if before == self.handover {
            return false;
        }
        self.changed();
        true
    }

    /// Ends a handover that takes too long. Says whether that changes anything.
    pub fn time_passes(&mut self, now_ms: u64) -> bool {
        let over = |handover: &Handover| now_ms.saturating_sub(handover.since_ms) > LONGEST_HANDOVER_MS;
        if !self.handover.as_ref().is_some_and(over) {
            return false;
        }
        self.handover = None;
        self.changed();
        true
    }

    /// Whatever the node had of others, it has no more.
    fn let_go(&mut self, node: NodeId) {
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

fn heaviest(consumer: ConsumerId, nodes: impl Iterator<Item = NodeId>) -> Option<NodeId> {
    nodes.max_by_key(|node| (weight(consumer, *node), *node))
}

/// The same on every node and in every release: it decides who owns what.
fn weight(consumer: ConsumerId, node: NodeId) -> u64 {
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
    fn a_node_that_goes_moves_only_its_own() {
        let (three, two) = (owners(&[1, 2, 3]), owners(&[1, 3]));
        for consumer in consumers() {
            let before = three.owner_of(consumer);
            assert!(before == Some(2) || two.owner_of(consumer) == before);
        }
        assert_eq!(owners(&[]).owner_of(ConsumerId::from_bytes([1; 16])), None);
    }

    #[test]
    fn nodes_get_about_as_many() {
        let three = owners(&[1, 2, 3]);
        for node in 1..=3 {
            let owned = consumers().filter(|consumer| three.owner_of(*consumer) == Some(node)).count();
            assert!((800..1200).contains(&owned), "{owned}");
        }
    }

    #[test]
    fn a_consumer_goes_to_the_node_that_came_once_its_owner_lets_it_go() {
        let before = owners(&[1, 3]);
        let mut now = before.clone();
        assert_eq!(now.came(2, 5, 1000), Ok(true));
        assert_eq!(now.came(4, 5, 1000), Err(Busy), "one after the other");
        let moves: Vec<ConsumerId> = consumers().filter(|id| now.next_owner_of(*id) == Some(2)).collect();
        assert!(consumers().all(|id| now.owner_of(id) == before.owner_of(id)));
        let of = |node| -> Vec<ConsumerId> {
            moves.iter().copied().filter(|id| before.owner_of(*id) == Some(node)).collect()
        };
        let busy: BTreeSet<ConsumerId> = of(1).into_iter().take(2).collect();
        assert!(!now.handed_over(1, 7, &busy), "of another run");
        assert!(now.handed_over(1, 0, &busy) && !now.handed_over(1, 0, &busy));
        assert!(of(1).into_iter().all(|id| now.owner_of(id) == Some(if busy.contains(&id) { 1 } else { 2 })));
        assert!(of(3).into_iter().all(|id| now.is_leaving(id, 3)), "it has not said anything");
        let mut dead = now.clone();
        assert!(
            dead.went(3) && of(3).into_iter().all(|id| dead.owner_of(id) == Some(2)),
            "who is dead delays nothing"
        );
        let mut back = now.clone();
        assert!(back.went(2) && back.handover.as_ref().is_none_or(|it| it.silent.is_empty()));
        assert!(
            of(1).into_iter().all(|id| back.owner_of(id) == Some(1))
                && of(3).into_iter().all(|id| back.owner_of(id) == Some(3))
        );
        let mut late = now.clone();
        assert!(!late.time_passes(61_000) && late.time_passes(61_001));
        assert!(moves.iter().all(|id| late.owner_of(*id) == Some(2)));
        assert!(now.handed_over(3, 0, &BTreeSet::new()));
        assert_eq!(now.came(4, 5, 2000), Ok(true), "what is held stays held");
        assert!(busy.iter().all(|id| now.owner_of(*id) == Some(1)));
        assert!([(1, 0), (2, 5), (3, 0)].iter().all(|(node, run)| now.handed_over(
            *node,
            *run,
            &BTreeSet::new()
        )));
        assert_eq!(now.handover, None);
    }

    proptest! {
        /// Whoever comes, goes and says what: a consumer has an owner while there is a node, and only a node that is
        /// there; and once everybody has let go, it is the one that all compute.
        #[test]
        fn a_consumer_has_one_owner(acts in prop::collection::vec((0u8..6, 1u64..5, 1u64..3, 0usize..20), 0..60)) {
            let ids: Vec<ConsumerId> = consumers().take(20).collect();
            let (mut owners, mut now_ms) = (Owners::default(), 1);
            for (act, node, run, at) in acts {
                let before = owners.epoch;
                let changed = match act {
                    0 | 1 => owners.came(node, run, now_ms).unwrap_or(false),
                    2 => owners.went(node),
                    3 | 4 => owners.handed_over(node, run, &ids[at..].iter().copied().collect()),
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
            for (node, run) in owners.nodes.clone() {
                owners.handed_over(node, run, &BTreeSet::new());
            }
            prop_assert_eq!(owners.handover, None);
        }
    }

    #[test]
    fn the_hash_never_changes() {
        assert_eq!(weight(ConsumerId::from_bytes([7; 16]), 3), 16_802_193_955_151_162_323);
    }
}
