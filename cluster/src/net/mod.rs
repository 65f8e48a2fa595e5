//! The one peer port and the connections to other nodes. Nothing here knows what a request means to Raft, or
//! who is a member.

mod caller;
mod connection;
pub(crate) mod dial;
mod lane;
mod link;
mod listener;
mod secure;
mod stream;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

pub(crate) use caller::{Asker, Caller, Shown, Standing};
pub(crate) use connection::{LinkError, Pending};
pub use lane::RequestLane;
pub(crate) use lane::{Lane, Limits};
pub(crate) use link::{Link, ask_at, shake_at};
pub(crate) use listener::{Listener, Service};
pub(crate) use secure::Secure;

use crate::NodeId;
use crate::identity_key::PublicKey;
use crate::wire::{Hello, KnownV1};

/// Largest frame of a handshake (bytes). It is small because the caller is not known yet.
const HANDSHAKE_BYTES: usize = 16 * 1024;
/// Longest that a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(3);

/// What a node reports about itself when it connects.
#[derive(Debug, Clone)]
pub(crate) struct Me {
    pub(crate) cluster_id: [u8; 16],
    pub(crate) node_id: NodeId,
    /// Where peers reach this node.
    pub(crate) addr: String,
}

impl Me {
    /// What this node says on a connection to node `to` (0 if it does not know which node is there).
    pub(crate) fn hello(&self, to: NodeId, lane: Lane) -> Hello {
        Hello {
            cluster_id: self.cluster_id,
            from: self.node_id,
            to,
            from_addr: self.addr.clone(),
            lane: lane.number(),
        }
    }
}

/// Where another node is, and by what this node recognizes it.
#[derive(Clone)]
struct Known {
    addr: String,
    identity: PublicKey,
}

/// The other nodes that this node knows, and the connections to them.
pub(crate) struct Peers {
    me: Me,
    secure: Arc<Secure>,
    limits: Limits,
    known: RwLock<BTreeMap<NodeId, Known>>,
    links: Mutex<HashMap<(NodeId, Lane), Arc<Link>>>,
}

impl Peers {
    pub(crate) fn new(me: Me, secure: Arc<Secure>, limits: Limits) -> Arc<Self> {
        Arc::new(Self { me, secure, limits, known: RwLock::default(), links: Mutex::default() })
    }

    pub(crate) fn me(&self) -> &Me {
        &self.me
    }

    /// How this node and its peers recognize each other.
    pub(crate) fn secure(&self) -> &Secure {
        &self.secure
    }

    fn of(&self, id: NodeId) -> Option<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// The last known address of node `id`.
    pub(crate) fn addr(&self, id: NodeId) -> Option<String> {
        self.of(id).map(|known| known.addr)
    }

    /// The id of the node with that identity.
    pub(crate) fn id_of(&self, identity: PublicKey) -> Option<NodeId> {
        let all = self.known.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().find(|(_, known)| known.identity == identity).map(|(id, _)| *id)
    }

    /// All known nodes except this one.
    pub(crate) fn known(&self) -> Vec<KnownV1> {
        let all = self.known.read().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .filter(|(id, _)| **id != self.me.node_id)
            .map(|(id, known)| KnownV1 { id: *id, addr: known.addr.clone(), identity: known.identity.0 })
            .collect()
    }

    /// Stores address and identity of node `id`. If they are others than before, the node is connected to anew.
    pub(crate) fn learn(&self, id: NodeId, addr: &str, identity: PublicKey) {
        let mut all = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if all.get(&id).is_none_or(|known| known.addr != addr || known.identity != identity) {
            tracing::debug!(id, addr, %identity, "learned where a node is");
            all.insert(id, Known { addr: addr.to_owned(), identity });
            drop(all);
            self.links.lock().unwrap_or_else(PoisonError::into_inner).retain(|(other, _), _| *other != id);
        }
    }

    /// Stores another address of a known node.
    pub(crate) fn learn_addr(&self, id: NodeId, addr: &str) {
        if let Some(known) = self.of(id) {
            self.learn(id, addr, known.identity);
        }
    }

    /// Forgets the nodes for which `keep` is false, and their connections.
    pub(crate) fn retain(&self, keep: impl Fn(NodeId) -> bool) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).retain(|id, _| keep(*id));
        self.links.lock().unwrap_or_else(PoisonError::into_inner).retain(|(id, _), _| keep(*id));
    }

    /// The connection to `id` for `lane`. It connects when it is first used, and again after it broke.
    pub(crate) fn link(self: &Arc<Self>, id: NodeId, lane: Lane) -> Arc<Link> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links
            .entry((id, lane))
            .or_insert_with(|| Arc::new(Link::new(self, id, lane, self.limits.of(lane))))
            .clone()
    }

    /// Closes all connections.
    pub(crate) fn close(&self) {
        self.links.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(all(test, not(feature = "sim")))]
mod authority;
#[cfg(all(test, not(feature = "sim")))]
mod tests;
