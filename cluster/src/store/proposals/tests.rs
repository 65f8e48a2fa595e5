#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const NODE: NodeId = 3;

fn incarnation(ordinal: u64, process: u64) -> IncarnationV1 {
    IncarnationV1 { ordinal, process }
}

fn proposal(ordinal: u64, number: u64, open: &[u64]) -> ProposalV1 {
    ProposalV1 { incarnation: incarnation(ordinal, ordinal), number, open: open.to_vec() }
}

/// The proposals, the pairs of the store, and the index of the last entry.
#[derive(Default)]
struct Replica {
    proposals: Proposals,
    store: BTreeMap<Vec<u8>, Vec<u8>>,
    index: u64,
}

impl Replica {
    /// Applies an entry with this proposal, whose only reply is its index.
    fn apply(&mut self, node: NodeId, proposal: &ProposalV1) -> Option<ProposalReply> {
        self.index += 1;
        match self.proposals.admit(node, proposal) {
            Due::Answer(reply) => Some(reply),
            Due::Apply => {
                let at = AppliedAt { index: self.index, time_ms: 2 * self.index };
                self.proposals.remember(node, proposal.number, at, &[self.index.to_be_bytes().to_vec()]);
                None
            }
        }
    }

    /// Writes what has changed. What the store then has is what is remembered.
    fn write(&mut self) {
        let store = &mut self.store;
        let mut put = |key: &[u8], value: Option<&[u8]>| {
            match value {
                Some(value) => drop(store.insert(key.to_vec(), value.to_vec())),
                None => drop(store.remove(key)),
            }
            Ok(())
        };
        self.proposals.write(&mut put).unwrap();
        let mut loaded = Proposals::default();
        for (key, value) in &self.store {
            loaded.read(key, value).unwrap();
        }
        assert_eq!(loaded, self.proposals);
    }
}

/// The answer to a proposal that was applied at this index.
fn applied(index: u64) -> Option<ProposalReply> {
    let replies = vec![index.to_be_bytes().to_vec()];
    Some(ProposalReply::Applied { index, time_ms: 2 * index, replies })
}

#[test]
fn a_repeated_proposal_is_applied_once_and_gets_the_first_answer() {
    let mut replica = Replica::default();
    assert_eq!(replica.apply(NODE, &proposal(1, 1, &[])), None);
    assert_eq!(replica.apply(NODE, &proposal(1, 2, &[1])), None);
    assert_eq!(replica.apply(NODE, &proposal(1, 1, &[])), applied(1));
    replica.write();
    assert_eq!(replica.apply(NODE, &proposal(1, 2, &[1])), applied(2));
    assert_eq!(replica.apply(NODE + 1, &proposal(1, 2, &[])), None, "each node has numbers of its own");
}

#[test]
fn an_answered_number_is_forgotten_and_never_applied_again() {
    let mut replica = Replica::default();
    replica.apply(NODE, &proposal(1, 1, &[]));
    replica.write();
    assert_eq!(replica.apply(NODE, &proposal(1, 3, &[2])), None);
    assert_eq!(replica.apply(NODE, &proposal(1, 1, &[])), Some(ProposalReply::Forgotten));
    assert_eq!(replica.apply(NODE, &proposal(1, 2, &[])), None, "it was overtaken, and had no answer");
    assert_eq!(replica.apply(NODE, &proposal(1, 4, &[])), None);
    assert_eq!(replica.apply(NODE, &proposal(1, 2, &[])), Some(ProposalReply::Forgotten));
    replica.write();
    assert_eq!(replica.store.len(), 2, "the node and number 4");
}

#[test]
fn a_later_incarnation_ends_the_one_before_it() {
    let mut replica = Replica::default();
    replica.apply(NODE, &proposal(4, 1, &[]));
    replica.write();
    let other = ProposalV1 { incarnation: incarnation(4, 77), number: 1, open: vec![] };
    let superseded = Some(ProposalReply::Superseded { ordinal: 4 });
    assert_eq!(replica.apply(NODE, &other), superseded, "the first with an ordinal keeps it");
    assert_eq!(replica.apply(NODE, &proposal(3, 1, &[])), superseded);
    assert_eq!(replica.apply(NODE, &proposal(5, 2, &[1])), None);
    assert_eq!(replica.apply(NODE, &proposal(5, 1, &[])), None);
    let superseded = Some(ProposalReply::Superseded { ordinal: 5 });
    assert_eq!(replica.apply(NODE, &proposal(4, 1, &[])), superseded);
    replica.write();
}

#[test]
fn a_node_that_is_no_member_is_forgotten() {
    let mut replica = Replica::default();
    replica.apply(NODE, &proposal(1, 1, &[]));
    replica.apply(NODE + 1, &proposal(1, 1, &[]));
    replica.write();
    replica.proposals.retain(|node| node == NODE);
    replica.write();
    assert_eq!(replica.store.len(), 2);
    assert_eq!(replica.apply(NODE, &proposal(1, 1, &[])), applied(1));
}

#[test]
fn replies_are_bounded_in_bytes_and_proposals_in_number() {
    let mut replica = Replica::default();
    let large = vec![vec![7; MOST_BYTES / 2]];
    let mut open = Vec::new();
    for number in 1..=3 {
        assert_eq!(replica.proposals.admit(NODE, &proposal(1, number, &open)), Due::Apply);
        replica.proposals.remember(NODE, number, AppliedAt { index: number, time_ms: 0 }, &large);
        replica.write();
        open.push(number);
    }
    let mut again =
        |number| replica.proposals.admit(NODE, &proposal(1, number, &open[..number as usize - 1]));
    assert_eq!(again(1), Due::Answer(ProposalReply::Forgotten), "it is not applied again");
    assert_eq!(again(2), Due::Answer(ProposalReply::Forgotten));
    let kept = ProposalReply::Applied { index: 3, time_ms: 0, replies: large.clone() };
    assert_eq!(again(3), Due::Answer(kept));
    // What is forgotten and then over, before it is written, does not stay in the store.
    assert_eq!(replica.proposals.admit(NODE, &proposal(1, 4, &open)), Due::Apply);
    replica.proposals.remember(NODE, 4, AppliedAt { index: 4, time_ms: 0 }, &large);
    assert_eq!(replica.proposals.admit(NODE, &proposal(1, 5, &[4])), Due::Apply);
    replica.write();
    assert_eq!(replica.store.len(), 2, "the node and number 4");
    let many: Vec<u64> = (1..=MOST_OPEN as u64).collect();
    assert_eq!(replica.proposals.admit(NODE, &proposal(1, 5000, &many)), Due::Answer(ProposalReply::Refused));
    replica.write();
}

#[test]
fn a_damaged_pair_is_an_error() {
    let mut proposals = Proposals::default();
    assert!(proposals.read(&[OWN, REMEMBERED, 1], &[]).is_err());
    assert!(proposals.read(&remembered_key(NODE, 1), &[]).is_err(), "its node is missing");
    assert!(proposals.read(&proposer_key(NODE), &[9; 40]).is_err());
}

/// A node that proposes, as far as the rules bind it.
#[derive(Debug, Default)]
struct Node {
    ordinal: u64,
    highest: u64,
    open: BTreeSet<u64>,
}

proptest! {
    /// However messages are repeated and delayed, and over restarts of the node, each proposal is applied
    /// once at most, and one without an answer gets the answer of its only application.
    #[test]
    fn each_proposal_is_applied_once(
        steps in prop::collection::vec((0..10_u8, any::<prop::sample::Index>()), 1..200),
    ) {
        let mut replica = Replica::default();
        let mut node = Node { ordinal: 1, ..Node::default() };
        let mut sent: Vec<ProposalV1> = Vec::new();
        let mut applied_at: BTreeMap<(u64, u64), u64> = BTreeMap::new();
        for (kind, which) in steps {
            match kind {
                0..3 if node.open.len() < 8 => {
                    node.highest += 1;
                    let open: Vec<u64> = node.open.iter().copied().collect();
                    sent.push(proposal(node.ordinal, node.highest, &open));
                    node.open.insert(node.highest);
                }
                3..8 if !sent.is_empty() => {
                    let message = &sent[which.index(sent.len())];
                    let name = (message.incarnation.ordinal, message.number);
                    let is_open = name.0 == node.ordinal && node.open.contains(&name.1);
                    match replica.apply(NODE, message) {
                        None => {
                            let before = applied_at.insert(name, replica.index);
                            prop_assert_eq!(before, None, "{:?} is applied again", name);
                        }
                        reply if is_open => {
                            let at = applied_at.get(&name).copied();
                            prop_assert_eq!(reply, at.and_then(applied), "{:?} has no answer yet", name);
                        }
                        Some(_) => {}
                    }
                }
                8 if !node.open.is_empty() => {
                    let number = *node.open.iter().nth(which.index(node.open.len())).unwrap();
                    node.open.remove(&number);
                }
                9 if which.index(10) == 0 => {
                    node = Node { ordinal: node.ordinal + 1, ..Node::default() };
                }
                _ => replica.write(),
            }
            let known = replica.proposals.nodes.get(&NODE);
            prop_assert!(known.is_none_or(|known| known.open.len() <= 9));
        }
        replica.write();
    }
}
