//! Requests between nodes beside Raft. Each kind has a type, a handler and a lane of its own.
//!
//! The module that owns a subject defines its request ([`PeerRequest`]) and registers the handler
//! ([`Peers::serve`]). This module carries requests without knowing what they mean. Kinds are numbers that
//! are stable on the wire and are never reused:
//!
//! | kind | request | owner |
//! |---|---|---|
//! | 1 | count one API request | `hub/quota/rates` |
//! | 2 | how far the log is applied | `hub/applied` |
//! | 3 | the node's health | `hub/health` |
//! | 4 | the key that encrypts the secrets of webhooks | `hub/vault` |
//! | 5 | the webhooks in the configuration file | `hub/configured` |
//! | 6 | carry out an operation | `hub/operations` |
//! | 7 | make the state durable and compact the log | `hub/operations` |
//! | 19 | count ephemeral events | `hub/quota/rates` |
//! | 20 | ephemeral events | `hub/ephemeral` |
//! | 21 | a node's interest in ephemeral events | `hub/ephemeral` |
//! | 22 | what a node knows of another one | `hub/health` |
//! | 29 | the last event of a cache channel | `hub/ephemeral` |
//! | 30 | count subscriptions | `hub/presence` |
//! | 40 | a map's connections of clients | `hub/connections` |
//! | 41 | end a connection of a client | `hub/connections` |
//! | 42 | what a node knows of an event | `hub/timeline` |
//! | 43 | a map's connections that were closed as too slow | `hub/connections` |
//! | 44 | how many connections maps have | `hub/leases` |
//! | from 100 | requests between the edges | `edge/*` |
//!
//! A [`Lane`] limits a kind at both ends: a number of requests is worked on, and a number more waits. A
//! request beyond that is refused at once, with [`PeerError::NotAsked`] at the sender or [`PeerError::Busy`]
//! at the receiver. So a flood of one kind delays no other kind. Nor does it delay proposals or read
//! barriers, which use connections of their own.

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

/// The number of a kind of request on the wire.
pub(super) type Kind = u16;

/// A request from one node to another.
pub trait PeerRequest: Serialize + DeserializeOwned + Send + 'static {
    /// The answer of the other node.
    type Answer: Serialize + DeserializeOwned + Send + 'static;
    /// The request's number, which no other request has or had.
    const KIND: Kind;
    /// How many requests of this kind there may be at a time, and which connection they use.
    const LANE: Lane;
}

/// Sends requests to the other nodes and answers theirs; cheap to clone.
#[derive(Clone)]
pub struct Peers {
    server: Arc<PeerServer>,
    cluster: Cluster,
    /// The requests under way to the others.
    asked: Arc<Gates>,
}

impl Peers {
    pub(super) fn new(server: Arc<PeerServer>, cluster: Cluster) -> Self {
        Self { server, cluster, asked: Arc::default() }
    }

    /// Answers requests of that kind from now on. Before, they are answered with [`PeerError::Unknown`]. A
    /// kind keeps its first handler. The handler runs on the cluster's runtime and must not block.
    pub fn serve<R, F>(&self, handler: impl Fn(NodeId, R) -> F + Send + Sync + 'static)
    where
        R: PeerRequest,
        F: Future<Output = R::Answer> + Send + 'static,
    {
        self.server.serve(handler);
    }

    /// As [`Peers::serve`], with a handler that runs on the actix system of the calling thread. The handler
    /// is cancelled when the connection ends on which the request came. That the other node has stopped
    /// waiting is not told.
    pub fn serve_here<R, F>(&self, handler: impl Fn(NodeId, R) -> F + 'static)
    where
        R: PeerRequest,
        F: Future<Output = R::Answer> + 'static,
    {
        self.server.serve_here(handler);
    }

    /// A node for people: its id and, if it is a member with a name, its name, as in `3 (berlin-2)`.
    pub fn called(&self, node: NodeId) -> String {
        self.cluster.status().called(node)
    }

    /// Sends a request to node `to` (which may be this one), once.
    ///
    /// # Errors
    /// Why there is no answer. [`PeerError`] says whether the other node may have acted.
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
