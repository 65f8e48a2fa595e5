//! Requests that nodes make of each other, beside Raft: each kind with a type, a handler and a lane of its own.
//!
//! Whoever owns a matter defines its request ([`PeerRequest`]) and registers the handler ([`Peers::serve`]); this module
//! knows what travels and never what it means. Kinds are numbers that are stable on the wire and never given to another:
//!
//! | kind | what | owner |
//! |---|---|---|
//! | 1 | count one API request | `hub/requests` |
//! | 2 | how far the log is applied | `hub/applied` |
//! | 3 | how the node is | `hub/vitals` |
//! | 4 | the key that webhooks are encrypted with | `hub/seal` |
//! | 5 | what stands in the configuration file | `hub/configured` |
//! | 6 | carry out an operation | `hub/operations` |
//! | 7 | make the state durable | `hub/operations` |
//! | 19 | count events published past the log | `hub/requests` |
//! | 20 | ephemeral events | `hub/ephemeral` |
//! | 21 | what a node wants of them | `hub/ephemeral` |
//! | from 100 | what the edges ask each other | `edge/*` |
//!
//! A [`Lane`] bounds a kind at both ends: so many requests are worked on, so many more wait, and one beyond that is refused
//! at once with [`PeerError::NotAsked`] here, [`PeerError::Busy`] there. So a flood of one kind holds up no other kind; and none holds up proposals or read
//! barriers, which travel on connections of their own.

mod error;
mod gate;
mod here;
mod wire;

#[cfg(test)]
mod tests;

pub use error::PeerError;
pub use gate::Lane;

use crate::core::codec;
use crate::core::ids::NodeId;
use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use gate::{Gate, Gates};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use waypost_cluster::{Cluster, Handler};
use wire::Outcome;

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

/// Takes the body of a request, answers with the body of an answer or why there is none.
type Answering = Box<dyn Fn(NodeId, &[u8]) -> BoxFuture<'static, Result<Vec<u8>, Outcome>> + Send + Sync>;

struct Served {
    gate: Gate,
    answering: Answering,
}

/// The kinds that this node answers, and what it has under way to others.
#[derive(Default)]
pub struct Peers {
    served: RwLock<BTreeMap<Kind, Arc<Served>>>,
    asked: Gates,
}

impl Peers {
    /// Answers requests of that kind from now on. Before that they are answered with [`PeerError::Unknown`]; a kind keeps
    /// its first handler. The handler runs on the cluster's runtime and must not block.
    pub fn serve<R, F>(&self, handler: impl Fn(NodeId, R) -> F + Send + Sync + 'static)
    where
        R: PeerRequest,
        F: Future<Output = R::Answer> + Send + 'static,
    {
        self.register(R::KIND, R::LANE, move |from, request| {
            let answer = handler(from, request);
            async move { Some(answer.await) }
        });
    }

    /// Registers a handler that may have no answer to give.
    fn register<Q, A, F>(&self, kind: Kind, lane: Lane, handler: impl Fn(NodeId, Q) -> F + Send + Sync + 'static)
    where
        Q: DeserializeOwned,
        A: Serialize + Send,
        F: Future<Output = Option<A>> + Send + 'static,
    {
        let answering: Answering = Box::new(move |from, body| match codec::decode::<Q>(body) {
            Err(error) => {
                tracing::debug!(kind, from, %error, "a peer's request can't be read");
                Box::pin(ready(Err(Outcome::Malformed)))
            }
            Ok(request) => {
                let answer = handler(from, request);
                Box::pin(async move {
                    let answer = answer.await.ok_or(Outcome::Failed)?;
                    codec::encode(&answer).map_err(|_| Outcome::Failed)
                })
            }
        });
        let mut served = self.served.write().unwrap_or_else(PoisonError::into_inner);
        if served.contains_key(&kind) {
            tracing::error!(kind, "two handlers for one kind of request: the first one stays");
            return;
        }
        served.insert(kind, Arc::new(Served { gate: Gate::new(lane), answering }));
    }

    fn find(&self, kind: Kind) -> Option<Arc<Served>> {
        self.served.read().unwrap_or_else(PoisonError::into_inner).get(&kind).cloned()
    }

    /// Asks node `to` (this one included), once.
    ///
    /// # Errors
    /// Why there is no answer; see [`PeerError`] for whether the other node may have acted.
    pub async fn ask<R: PeerRequest>(
        &self,
        cluster: &Cluster,
        to: NodeId,
        request: &R,
        timeout: Duration,
    ) -> Result<R::Answer, PeerError> {
        let _place = self.asked.enter(R::KIND, to, R::LANE).ok_or(PeerError::NotAsked)?;
        let body = wire::request(R::KIND, request)?;
        let answer = cluster.request(to, R::LANE.connection, body.into(), timeout).await?;
        wire::read_answer(&answer)
    }

    async fn answer(served: Option<Arc<Served>>, from: NodeId, body: Bytes) -> Result<Vec<u8>, Outcome> {
        let served = served.ok_or(Outcome::Unknown)?;
        let entered = served.gate.enter().ok_or(Outcome::Busy)?;
        let _working = entered.turn().await;
        // Read only now: what waits for its turn holds the bytes alone.
        (served.answering)(from, wire::body(&body)).await
    }
}

impl Handler for Peers {
    fn handle(&self, from: NodeId, body: Bytes) -> BoxFuture<'static, Bytes> {
        let Some(kind) = wire::kind(&body) else {
            return Box::pin(ready(wire::refusal(Outcome::Malformed)));
        };
        let served = self.find(kind);
        Box::pin(async move {
            match Self::answer(served, from, body).await {
                Ok(answer) => wire::answer(answer),
                Err(outcome) => wire::refusal(outcome),
            }
        })
    }
}
