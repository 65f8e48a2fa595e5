//! Decides whether a node may be taken to be at another address than the known one.
//!
//! A data directory that was copied makes a second process with the same id. It may not take over the address
//! of the first one while that one still answers.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;

use crate::NodeId;
use crate::engine::Engine;
use crate::identity_key::PublicKey;
use crate::net::{Lane, Shown, ask_at, dial};
use crate::observer::Observer;
use crate::os::here;
use crate::roster::Roster;
use crate::wire::{Answer, ProcessV1, Request};

/// Longest wait for the processes at an address to say who they are.
const ASK: Duration = Duration::from_secs(2);

/// Whether a node has moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Move {
    /// Nobody answers at the known address under the node's id, or the same process answers at both.
    Real,
    /// The node answers at the known address, and nobody answers under its id at the other one.
    Unfounded,
    /// Two processes have the id: one answers at the known address, another one at the other address.
    Claimed,
}

/// Asks the processes at two addresses who they are. One for each node.
pub(crate) struct Moves {
    engine: Arc<Engine>,
    observer: Arc<Observer>,
    roster: Arc<Roster>,
    /// The nodes that are being asked about because they called from another address.
    asking: Mutex<BTreeSet<NodeId>>,
}

impl Moves {
    pub(crate) fn new(engine: Arc<Engine>, observer: Arc<Observer>, roster: Arc<Roster>) -> Arc<Self> {
        Arc::new(Self { engine, observer, roster, asking: Mutex::default() })
    }

    /// The process that this node is.
    pub(crate) fn own_process(&self) -> ProcessV1 {
        ProcessV1 {
            cluster_id: self.engine.peers().me().cluster_id,
            id: self.engine.id(),
            incarnation: self.engine.incarnation(),
        }
    }

    /// The processes of this cluster that answer at any address of `name`.
    pub(super) async fn who_is_at(&self, name: &str) -> Vec<ProcessV1> {
        if name == self.engine.peers().me().addr {
            return vec![self.own_process()];
        }
        let addrs = dial::addresses(name).await.unwrap_or_default();
        let found = join_all(addrs.iter().map(|addr| self.who(addr.to_string()))).await;
        let cluster = self.engine.peers().me().cluster_id;
        found.into_iter().flatten().filter(|process| process.cluster_id == cluster).collect()
    }

    /// The process at one address, if it proves the identity of the member that it says it is.
    async fn who(&self, addr: String) -> Option<ProcessV1> {
        let peers = self.engine.peers();
        let proved = AtomicU64::new(0);
        let is_member = |shown: &Shown| {
            let id = self.roster.standing(shown).id();
            proved.store(id.unwrap_or(0), Ordering::Relaxed);
            id.is_some()
        };
        let hello = peers.me().hello(0, Lane::Work);
        match ask_at(peers.secure(), &addr, &hello, is_member, &Request::WhoV1, ASK).await {
            Ok(Answer::WhoV1(process)) if process.id == proved.load(Ordering::Relaxed) => Some(process),
            _ => None,
        }
    }

    /// Whether node `id`, known to be at `known`, has moved to `other`. Two processes with the same id become
    /// a problem that the status shows.
    pub(crate) async fn check(&self, id: NodeId, known: &str, other: &str) -> Move {
        if known == other {
            return Move::Real;
        }
        let named = |found: Vec<ProcessV1>| found.into_iter().find(|process| process.id == id);
        let (at_known, at_other) = tokio::join!(self.who_is_at(known), self.who_is_at(other));
        match (named(at_known), named(at_other)) {
            (None, _) => Move::Real,
            (Some(first), Some(second)) if first == second => Move::Real,
            (Some(_), None) => Move::Unfounded,
            (Some(_), Some(_)) => {
                if self.observer.note_claim(id, known, other) {
                    tracing::error!(
                        node = self.engine.called(id),
                        known,
                        other,
                        "two processes have this id: a data directory was copied"
                    );
                }
                Move::Claimed
            }
        }
    }

    /// Whether a caller is where this node knows it to be. If it is elsewhere, asks in the background
    /// whether it has moved there; its next call is then taken.
    pub(crate) fn is_known_at(self: &Arc<Self>, id: NodeId, addr: &str, identity: PublicKey) -> bool {
        let me = self.engine.peers().me();
        let known = if id == me.node_id { Some(me.addr.clone()) } else { self.engine.peers().addr(id) };
        let Some(known) = known else {
            self.engine.peers().learn(id, addr, identity);
            return true;
        };
        if known == addr {
            return true;
        }
        if self.asking.lock().unwrap_or_else(PoisonError::into_inner).insert(id) {
            let this = self.clone();
            let addr = addr.to_owned();
            tokio::spawn(here(async move {
                if this.check(id, &known, &addr).await == Move::Real {
                    this.engine.peers().learn_addr(id, &addr);
                }
                this.asking.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            }));
        }
        false
    }
}
