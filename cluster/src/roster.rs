//! Who is a member, as this node knows it now.
//!
//! The membership pins an identity to each id. The newest membership in this node's log counts, and the
//! committed one too: until the entry that removes a node is committed, it may still have to lead. A node
//! that is in neither has just joined, and goes by what the cluster told it. A node that was away may know
//! none of the present members; it believes their introductions (see [`crate::introduction`]).

use std::sync::Arc;

use openraft::async_runtime::watch::WatchReceiver;

use crate::NodeId;
use crate::engine::Engine;
use crate::identity_key::PublicKey;
use crate::introduction::introduced;
use crate::net::{Shown, Standing};
use crate::store::Store;
use crate::types::Membership;

/// Answers what a peer is. One for each node.
pub(crate) struct Roster {
    engine: Arc<Engine>,
    store: Arc<Store>,
}

impl Roster {
    pub(crate) fn new(engine: Arc<Engine>, store: Arc<Store>) -> Arc<Self> {
        Arc::new(Self { engine, store })
    }

    /// What a peer that has shown this is at this moment.
    pub(crate) fn standing(&self, shown: &Shown) -> Standing {
        if let Some(id) = self.member(shown.identity) {
            return Standing::Member(id);
        }
        match self.introduced(shown) {
            Some(id) => Standing::Introduced(id),
            None if shown.admission.is_ok() => Standing::Guest,
            None => Standing::Stranger,
        }
    }

    /// The member with that identity.
    fn member(&self, identity: PublicKey) -> Option<NodeId> {
        let metrics = self.engine.raft().server_metrics();
        let now = metrics.borrow_watched();
        let newest = now.membership_config.membership();
        let committed = now.committed_membership_config.membership();
        let own = self.engine.id();
        if newest.get_node(&own).is_none() && committed.get_node(&own).is_none() {
            return self.engine.peers().id_of(identity);
        }
        find(newest, identity).or_else(|| find(committed, identity))
    }

    /// The id under which members that this node knows introduce the peer.
    fn introduced(&self, shown: &Shown) -> Option<NodeId> {
        let cluster = &self.engine.peers().me().cluster_id;
        let applied = *self.store.applied().borrow();
        let knows = |identity| self.member(identity).is_some();
        let id = introduced(&shown.introductions, cluster, shown.identity, applied, knows)?;
        // An id has one identity for ever.
        let metrics = self.engine.raft().server_metrics();
        let known = metrics.borrow_watched().membership_config.membership().get_node(&id).is_some();
        (!known).then_some(id)
    }

    /// Waits until a peer that has shown this is no longer a member.
    pub(crate) async fn expelled(&self, shown: &Shown) {
        let mut changes = self.engine.raft().server_metrics();
        while self.standing(shown).id().is_some() {
            if changes.changed().await.is_err() {
                // The engine has ended, and the node with it.
                std::future::pending::<()>().await;
            }
        }
    }
}

fn find(membership: &Membership, identity: PublicKey) -> Option<NodeId> {
    membership.nodes().find(|(_, member)| member.identity == Some(identity)).map(|(id, _)| *id)
}
