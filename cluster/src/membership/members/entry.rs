//! What an announcement of a node is to change in the membership: whether the node is entered, and at which
//! address.

use std::collections::{BTreeMap, BTreeSet};

use openraft::ChangeMembers;

use super::{CHANGE, Change, Members, removing};
use crate::NodeId;
use crate::error::Refused;
use crate::identity_key::PublicKey;
use crate::membership::moves::Move;
use crate::membership::voters::without;
use crate::net::LinkError;
use crate::types::{Member, Membership};
use crate::wire::{Announce, JoinReply};

impl Members {
    /// Whether the node with this identity got that id and has not joined since.
    async fn is_awaited(&self, id: NodeId, identity: PublicKey) -> bool {
        // A new leader may not have applied yet what its predecessor allocated.
        if let Some(index) = self.reads.read_index().await {
            self.store.wait_applied(index, CHANGE).await;
        }
        let awaited = self.store.state().awaited;
        awaited.iter().any(|awaited| awaited.id == id && awaited.identity == identity.0)
    }

    /// Asks whether a member that announces another address than the known one has moved. If it has, this node
    /// learns the address. Otherwise returns the reply to the member.
    pub(super) async fn not_moved(&self, id: NodeId, addr: &str) -> Option<JoinReply> {
        let members = self.engine.metrics().membership_config;
        let present = members.membership().get_node(&id)?.peer_addr.clone();
        let me = self.engine.peers().me();
        let peers = self.engine.peers();
        let learned = if id == me.node_id { Some(me.addr.clone()) } else { peers.addr(id) };
        for known in [Some(present), learned].into_iter().flatten() {
            match self.moves.check(id, &known, addr).await {
                Move::Real => {}
                Move::Claimed => return Some(JoinReply::Claimed { addr: known }),
                Move::Unfounded => {
                    return Some(JoinReply::NotNow {
                        reason: format!(
                            "node {id} answers at {known}, and nobody answers under its id at {addr}: does \
                             advertise_peer_addr (WAYPOST_ADVERTISE_PEER_ADDR) say where the others reach it?"
                        ),
                    });
                }
            }
        }
        // If many nodes moved at once, no node leads yet. By learning the addresses they find each other
        // again.
        if id != me.node_id {
            peers.learn_addr(id, addr);
        }
        None
    }

    /// The change of the membership that an announcement asks for, or the reply if none is due or possible.
    pub(super) async fn due_to(&self, announce: Announce, identity: PublicKey) -> Result<Change, JoinReply> {
        let id = announce.id;
        let mut member = Member::from(announce.member);
        let metrics = self.engine.metrics();
        let known = metrics.membership_config.membership();
        // A node cannot change what operators decided about it.
        member.wishes = known.get_node(&id).map(|present| present.wishes.clone()).unwrap_or_default();
        member.identity = Some(identity);
        if let Some(reply) = self.not_itself(known, id, identity) {
            return Err(reply);
        }
        let taken = others_at(known, id, &member.peer_addr);
        match known.get_node(&id) {
            Some(present) if *present == member => {
                let position = metrics.membership_config.log_id().as_ref().map_or(0, |at| at.index);
                Err(self.member(position, id, identity))
            }
            Some(present) => {
                if present.peer_addr != member.peer_addr
                    && let Some(reason) = self.may_not_move(id, &taken, &member.peer_addr, identity).await
                {
                    return Err(JoinReply::NotNow { reason });
                }
                Ok(ChangeMembers::SetNodes(BTreeMap::from([(id, member)])))
            }
            None if !announce.join => {
                // A former leader that is cut off must not report a node as removed.
                if self.reads.read_index().await.is_none() {
                    return Err(JoinReply::Elsewhere { addr: String::new() });
                }
                let reason = format!("node {id} is no longer a member of this cluster");
                Err(JoinReply::Refused { reason })
            }
            None if !self.is_awaited(id, identity).await => {
                let reason =
                    format!("no node of this identity was given the id {id}, or it was removed since");
                Err(JoinReply::Refused { reason })
            }
            None => {
                if let Some(reason) = self.lives_there(&taken, &member.peer_addr).await {
                    return Err(JoinReply::Refused { reason });
                }
                if let Err(refused) = self.may_replace(&taken).await {
                    return Err(JoinReply::NotNow { reason: refused.to_string() });
                }
                if let Some(reason) = self.not_there(id, &member.peer_addr, identity).await {
                    return Err(JoinReply::NotNow { reason });
                }
                let voters: BTreeSet<NodeId> = known.voter_ids().collect();
                let node = member.called(id);
                tracing::info!(node, addr = member.peer_addr, replaced = ?taken, "a node joins");
                Ok(adding(id, member, &taken, &voters))
            }
        }
    }

    /// Why an address of these members is not free: one of them answers there, under its own id.
    pub(super) async fn lives_there(&self, members: &[NodeId], addr: &str) -> Option<String> {
        if members.is_empty() {
            return None;
        }
        let found = self.moves.who_is_at(addr).await;
        let id = found.iter().map(|process| process.id).find(|id| members.contains(id))?;
        Some(format!(
            "node {id} lives at that address; set advertise_peer_addr (WAYPOST_ADVERTISE_PEER_ADDR)"
        ))
    }

    /// Why node `id` cannot be entered with that address: it cannot be reached there. A wrong address would make
    /// it a member that nobody reaches.
    async fn not_there(&self, id: NodeId, addr: &str, identity: PublicKey) -> Option<String> {
        self.engine.peers().learn(id, addr, identity);
        let why = self.asked(id).await.err().filter(LinkError::is_unconnected)?;
        Some(format!(
            "node {id} does not answer at {addr}, the address that it advertises ({why}): set advertise_peer_addr \
             (WAYPOST_ADVERTISE_PEER_ADDR) to an address at which the other nodes reach its peer port"
        ))
    }

    /// Why a member cannot move to that address, at which the members `taken` were.
    async fn may_not_move(
        &self,
        id: NodeId,
        taken: &[NodeId],
        addr: &str,
        identity: PublicKey,
    ) -> Option<String> {
        match self.lives_there(taken, addr).await {
            Some(reason) => Some(reason),
            None if id == self.engine.id() => None,
            None => self.not_there(id, addr, identity).await,
        }
    }

    /// Whether another node may replace these members, which do not answer.
    async fn may_replace(&self, ids: &[NodeId]) -> Result<(), Refused> {
        if ids.is_empty() {
            return Ok(());
        }
        let status = self.fresh().await?;
        let voters: Vec<NodeId> =
            status.members.iter().filter(|m| m.voter && ids.contains(&m.id)).map(|m| m.id).collect();
        if voters.is_empty() { Ok(()) } else { without(&status, &voters) }
    }
}

/// The members other than `id` whose address is `addr`.
pub(super) fn others_at(known: &Membership, id: NodeId, addr: &str) -> Vec<NodeId> {
    known
        .nodes()
        .filter(|(other, member)| **other != id && member.peer_addr == addr)
        .map(|(other, _)| *other)
        .collect()
}

/// Adds a learner, and in the same change removes the members that it replaces.
fn adding(id: NodeId, member: Member, replaced: &[NodeId], voters: &BTreeSet<NodeId>) -> Change {
    let add = ChangeMembers::AddNodes(BTreeMap::from([(id, member)]));
    if replaced.is_empty() { add } else { ChangeMembers::Batch(vec![add, removing(replaced, voters)]) }
}
