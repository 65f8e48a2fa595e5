//! Asks whether a node is a member that has not heard so. A node with an id becomes a member by a change of the
//! membership, counts as a voter soon after, and may die before it hears of either.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::net::{Lane, Peers, Shown, ask_at};
use crate::types::Member;
use crate::wire::{Announce, Answer, JoinReply, Request};

/// Longest that one request may take.
const ASK: Duration = Duration::from_secs(2);

/// What the cluster says of a node that repairs its data.
pub(super) struct Admission {
    pub(super) peers: Arc<Peers>,
    /// What the node reports about itself.
    pub(super) member: Member,
}

impl Admission {
    /// Whether a leader that a majority has just confirmed has no such member: no acknowledgement of this node
    /// ever counted, so its data can be given up.
    pub(super) async fn was_never_given(&self) -> bool {
        let known = self.peers.known();
        let asked = known.iter().map(|known| self.ask(&known.addr));
        join_all(asked).await.into_iter().any(|reply| matches!(reply, Some(JoinReply::Refused { .. })))
    }

    /// The leader's reply, by way of the node at that address.
    async fn ask(&self, addr: &str) -> Option<JoinReply> {
        match self.ask_once(addr).await? {
            JoinReply::Elsewhere { addr } if !addr.is_empty() && addr != self.member.peer_addr => {
                self.ask_once(&addr).await
            }
            reply => Some(reply),
        }
    }

    async fn ask_once(&self, addr: &str) -> Option<JoinReply> {
        let me = self.peers.me();
        // Without the wish to join: the question must not change the membership.
        let announce = Announce { id: me.node_id, member: (&self.member).into(), join: false };
        let request = Request::AnnounceV1(announce);
        // Only nodes that were members when this one got its id are believed.
        let is_believed = |shown: &Shown| self.peers.id_of(shown.identity).is_some();
        let hello = me.hello(0, Lane::Work);
        match ask_at(self.peers.secure(), addr, &hello, is_believed, &request, ASK).await.ok()? {
            Answer::JoinV1(reply) => Some(reply),
            _ => None,
        }
    }
}
