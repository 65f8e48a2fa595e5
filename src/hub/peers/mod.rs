//! Requests that nodes make of each other, beside Raft: each kind with a type, a handler and a lane of its own.
//!
//! Whoever owns a matter defines its request ([`PeerRequest`]) and registers the handler ([`Peers::serve`]); this module
//! knows what travels and never what it means. Kinds are numbers that are stable on the wire and never given to another:
//!
//! | kind | what | owner |
//! |---|---|---|
//! | 1 | count one API request | `hub/quota/rates` |
//! | 2 | how far the log is applied | `hub/applied` |
//! | 3 | how the node is | `hub/health` |
//! | 4 | the key that webhooks are encrypted with | `hub/vault` |
//! | 5 | what stands in the configuration file | `hub/configured` |
//! | 6 | carry out an operation | `hub/operations` |
//! | 7 | make the state durable | `hub/operations` |
//! | 19 | count events published past the log | `hub/quota/rates` |
//! | 20 | ephemeral events | `hub/ephemeral` |
//! | 21 | what a node wants of them | `hub/ephemeral` |
//! | from 100 | what the edges ask each other | `edge/*` |
//!
//! A [`Lane`] bounds a kind at both ends: so many requests are worked on, so many more wait, and one beyond that is refused
//! at once with [`PeerError::NotAsked`] here, [`PeerError::Busy`] there. So a flood of one kind holds up no other kind; and none holds up proposals or read
//! barriers, which travel on connections of their own.

mod error;
mod gate;
mod server;
mod wire;

#[cfg(test)]
mod tests;

pub use error::PeerError;
pub use gate::Lane;

pub(super) use server::PeerServer;

use crate::core::ids::NodeId;
use gate::Gates;
use serde::{Serialize, de::DeserializeOwned};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use waypost_cluster::Cluster;

/// Names a kind of request on the wire.
pub(super) type Kind = u16;

/// A request of one node to another.
pub trait PeerRequest: Serialize + DeserializeOwned + Send + 'static {
    /// What the other node answers.
    type Answer: Serialize + DeserializeOwned + Send + 'static;
    /// Its number, which no other request has or had.
    const KIND: Kind;
    /// How many of its kind there may be at a time, and on which connection they travel.
    const LANE: Lane;
}

/// The way to the other nodes: asks them, and answers them; cheap to clone.
#[derive(Clone)]
pub struct Peers {
    server: Arc<PeerServer>,
    cluster: Cluster,
    /// What is under way to the others.
    asked: Arc<Gates>,
}

impl Peers {
    pub(super) fn new(server: Arc<PeerServer>, cluster: Cluster) -> Self {
        Self { server, cluster, asked: Arc::default() }
    }

    /// Answers requests of that kind from now on. Before that they are answered with [`PeerError::Unknown`]; a kind keeps
    /// its first handler. The handler runs on the cluster's runtime and must not block.
    pub fn serve<R, F>(&self, handler: impl Fn(NodeId, R) -> F + Send + Sync + 'static)
    where
        R: PeerRequest,
        F: Future<Output = R::Answer> + Send + 'static,
    {
        self.server.serve(handler);
    }

    /// As [`Peers::serve`], with a handler that runs on the actix system of the thread that calls this. Its work ends
    /// when nobody waits for the answer any more.
    pub fn serve_here<R, F>(&self, handler: impl Fn(NodeId, R) -> F + 'static)
    where
        R: PeerRequest,
        F: Future<Output = R::Answer> + 'static,
    {
        self.server.serve_here(handler);
    }

    /// Asks node `to` (this one included), once.
    ///
    /// # Errors
    /// Why there is no answer; see [`PeerError`] for whether the other node may have acted.
    pub async fn ask<R: PeerRequest>(
        &self,
        to: NodeId,
        request: &R,
        timeout: Duration,
    ) -> Result<R::Answer, PeerError> {
        let _place = self.asked.enter(R::KIND, to, R::LANE).ok_or(PeerError::NotAsked)?;
        let body = wire::request(R::KIND, request)?;
        let answer = self.cluster.request(to, R::LANE.connection, body.into(), timeout).await?;
        wire::read_answer(&answer)
    }
}
