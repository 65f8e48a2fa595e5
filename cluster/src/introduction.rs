//! How a member is known to a node that was away when the member was admitted.
//!
//! A node decides by its own membership who is a member. If it was away while all the nodes that it knows
//! were replaced, it knows none of the present members, not even the leader that would tell it. So the leader
//! that admits a node also signs an introduction: "at this position of the log, this node has this identity".
//! The node keeps it, behind the introductions of the leader itself, and shows the whole chain when it
//! connects.
//!
//! A node believes a chain only if it begins at a member that the node knows, and only about positions of the
//! log that the node has not applied yet. So an introduction tells a node nothing that its own membership
//! could deny: once the node has caught up, its membership alone decides, and the introductions of removed
//! nodes are void.

use crate::NodeId;
use crate::identity_key::{IdentityKey, PublicKey};
use crate::wire::IntroductionV1;

/// Most introductions in a chain. In a longer one the oldest are left out: a node that missed more
/// replacements than this must join again.
pub(crate) const MOST: usize = 32;

/// What an introduction says.
pub(crate) struct Statement<'a> {
    pub(crate) cluster: &'a [u8; 16],
    /// The index of the log entry at which the node is a member.
    pub(crate) position: u64,
    pub(crate) id: NodeId,
    pub(crate) identity: PublicKey,
}

impl Statement<'_> {
    /// The bytes that are signed.
    fn bytes(&self) -> Vec<u8> {
        let position = self.position.to_le_bytes();
        let id = self.id.to_le_bytes();
        let parts: [&[u8]; 5] =
            [b"waypost introduction 1", self.cluster, &position, &id, self.identity.0.as_slice()];
        parts.concat()
    }

    /// Appends this statement, signed with `key`, to the introductions of the signer.
    pub(crate) fn sign(&self, key: &IdentityKey, signers: &[IntroductionV1]) -> Vec<IntroductionV1> {
        let kept = signers.len().min(MOST - 1);
        let mut chain = signers[signers.len() - kept..].to_vec();
        chain.push(IntroductionV1 {
            position: self.position,
            id: self.id,
            identity: self.identity.0,
            by: key.public().0,
            signature: key.sign(&self.bytes()).into(),
        });
        chain
    }
}

/// The id under which `chain` introduces `identity` to a node that has applied the log up to `applied`.
/// `knows`: whether that node knows an identity as a member's.
pub(crate) fn introduced(
    chain: &[IntroductionV1],
    cluster: &[u8; 16],
    identity: PublicKey,
    applied: u64,
    knows: impl Fn(PublicKey) -> bool,
) -> Option<NodeId> {
    let first = chain.iter().rposition(|link| knows(PublicKey(link.by)))?;
    let mut signer = PublicKey(chain[first].by);
    let mut id = None;
    for link in &chain[first..] {
        let said = PublicKey(link.identity);
        let statement = Statement { cluster, position: link.position, id: link.id, identity: said };
        let follows = PublicKey(link.by) == signer && link.position > applied;
        if !follows || !signer.signed(&statement.bytes(), &link.signature) {
            return None;
        }
        (signer, id) = (said, Some(link.id));
    }
    id.filter(|_| signer == identity)
}

#[cfg(all(test, not(feature = "sim")))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const CLUSTER: [u8; 16] = [7; 16];

    struct Cast {
        keys: Vec<IdentityKey>,
        /// The introductions of the last node by the one before it, and so on.
        chain: Vec<IntroductionV1>,
    }

    /// Node 1 admitted node 2 at position 20, node 2 admitted node 3 at position 30, and so on.
    fn generations(count: u64) -> Cast {
        let keys: Vec<IdentityKey> = (0..count).map(|_| IdentityKey::random().unwrap()).collect();
        let mut chain = Vec::new();
        for (pair, id) in keys.windows(2).zip(2..) {
            let identity = pair[1].public();
            let statement = Statement { cluster: &CLUSTER, position: id * 10, id, identity };
            chain = statement.sign(&pair[0], &chain);
        }
        Cast { keys, chain }
    }

    fn by(cast: &Cast, known: usize, applied: u64) -> Option<NodeId> {
        let known = cast.keys[known].public();
        let last = cast.keys.last().unwrap().public();
        introduced(&cast.chain, &CLUSTER, last, applied, |key| key == known)
    }

    #[test]
    fn a_chain_from_a_known_member_introduces_its_last_node() {
        let cast = generations(4);
        for known in 0..3 {
            assert_eq!(by(&cast, known, 19), Some(4), "node {} is known", known + 1);
        }
        let nobody = introduced(&cast.chain, &CLUSTER, cast.keys[3].public(), 0, |_| false);
        assert_eq!(nobody, None);
        let other = introduced(&cast.chain, &CLUSTER, cast.keys[2].public(), 0, |_| true);
        assert_eq!(other, None, "the chain introduces another node");
        assert_eq!(introduced(&[], &CLUSTER, cast.keys[0].public(), 0, |_| true), None);
    }

    #[test]
    fn a_node_believes_no_introduction_about_a_position_that_it_has_applied() {
        let cast = generations(4);
        assert_eq!(by(&cast, 0, 20), None, "this node has applied the admission of node 2");
        assert_eq!(by(&cast, 1, 29), Some(4));
        assert_eq!(by(&cast, 2, 39), Some(4));
        assert_eq!(by(&cast, 2, 40), None, "its own membership decides");
    }

    #[test]
    fn a_changed_or_foreign_link_breaks_the_chain() {
        let cast = generations(4);
        type Break = fn(&mut Vec<IntroductionV1>);
        let breaks: [(&str, Break); 6] = [
            ("position", |chain| chain[1].position += 1),
            ("id", |chain| chain[2].id = 1),
            ("identity", |chain| chain[1].identity = [3; 32]),
            ("signature", |chain| chain[1].signature[0] ^= 1),
            ("a link is missing", |chain| drop(chain.remove(1))),
            ("the order", |chain| chain.swap(1, 2)),
        ];
        let known = cast.keys[0].public();
        let last = cast.keys[3].public();
        for (what, change) in breaks {
            let mut chain = cast.chain.clone();
            change(&mut chain);
            let told = introduced(&chain, &CLUSTER, last, 0, |key| key == known);
            assert_eq!(told, None, "{what}");
        }
        let foreign = introduced(&cast.chain, &[8; 16], last, 0, |key| key == known);
        assert_eq!(foreign, None, "another cluster's");
    }

    #[test]
    fn a_long_chain_keeps_its_newest_links() {
        let cast = generations(MOST as u64 + 10);
        assert_eq!(cast.chain.len(), MOST);
        assert_eq!(by(&cast, 0, 0), None);
        assert_eq!(by(&cast, 12, 0), Some(MOST as u64 + 10));
    }
}
