//! The one peer port and the connections to other nodes. Nothing here knows what a request means to Raft.

mod lane;
mod link;
mod listener;
mod secure;
mod stream;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

pub use lane::RequestLane;
pub(crate) use lane::{Lane, Limits};
pub(crate) use link::{Link, LinkError, Pending, ask_guest};
pub(crate) use listener::{Listener, Service};
pub(crate) use secure::Secure;

use crate::NodeId;

/// Largest frame of a handshake (bytes). It is small because the caller is not known yet.
const HANDSHAKE_BYTES: usize = 4 * 1024;
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

/// The addresses of all nodes, and the connections to them.
pub(crate) struct Peers {
    me: Me,
    secure: Arc<Secure>,
    limits: Limits,
    addrs: RwLock<BTreeMap<NodeId, String>>,
    links: Mutex<HashMap<(NodeId, Lane), Arc<Link>>>,
}

impl Peers {
    pub(crate) fn new(me: Me, secure: Arc<Secure>, limits: Limits) -> Arc<Self> {
        Arc::new(Self { me, secure, limits, addrs: RwLock::default(), links: Mutex::default() })
    }

    pub(crate) fn me(&self) -> &Me {
        &self.me
    }

    /// How this node and its peers authenticate each other.
    pub(crate) fn secure(&self) -> &Secure {
        &self.secure
    }

    /// The last known address of node `id`.
    pub(crate) fn addr(&self, id: NodeId) -> Option<String> {
        self.addrs.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// All known addresses except this node's own.
    pub(crate) fn addrs(&self) -> Vec<(NodeId, String)> {
        let addrs = self.addrs.read().unwrap_or_else(PoisonError::into_inner);
        addrs.iter().filter(|(id, _)| **id != self.me.node_id).map(|(id, a)| (*id, a.clone())).collect()
    }

    /// Stores the address of node `id`.
    pub(crate) fn learn(&self, id: NodeId, addr: &str) {
        let mut addrs = self.addrs.write().unwrap_or_else(PoisonError::into_inner);
        if addrs.get(&id).is_none_or(|known| known != addr) {
            tracing::debug!(id, addr, "learned an address");
            addrs.insert(id, addr.to_owned());
        }
    }

    /// Forgets the nodes for which `keep` is false, and their connections.
    pub(crate) fn retain(&self, keep: impl Fn(NodeId) -> bool) {
        self.addrs.write().unwrap_or_else(PoisonError::into_inner).retain(|id, _| keep(*id));
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
