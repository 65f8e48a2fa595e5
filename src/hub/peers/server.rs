//! Answers the requests of other nodes.

use super::gate::Gate;
use super::wire::{self, Outcome};
use super::{Kind, Lane, PeerRequest};
use crate::core::codec;
use crate::core::ids::NodeId;
use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::{mpsc, oneshot};
use waypost_cluster::Handler;

/// Takes the body of a request. Returns the body of the answer, or why there is no answer.
type Answering = Box<dyn Fn(NodeId, &[u8]) -> BoxFuture<'static, Result<Vec<u8>, Outcome>> + Send + Sync>;

pub(super) struct Served {
    pub(super) gate: Gate,
    answering: Answering,
}

/// The kinds of request that this node answers. It exists before the cluster does, so that no request comes
/// too early.
#[derive(Default)]
pub(in crate::hub) struct PeerServer {
    served: RwLock<BTreeMap<Kind, Arc<Served>>>,
}

impl PeerServer {
    /// Answers requests of that kind from now on. Before, they are answered with
    /// [`PeerError::Unknown`](super::PeerError::Unknown). A kind keeps its first handler. The handler runs on
    /// the cluster's runtime and must not block.
    pub(in crate::hub) fn serve<R, F>(&self, handler: impl Fn(NodeId, R) -> F + Send + Sync + 'static)
    where
        R: PeerRequest,
        F: Future<Output = R::Answer> + Send + 'static,
    {
        self.register(R::KIND, R::LANE, move |from, request| {
            let answer = handler(from, request);
            async move { Some(answer.await) }
        });
    }

    /// Registers a handler that may return no answer.
    fn register<Q, A, F>(
        &self,
        kind: Kind,
        lane: Lane,
        handler: impl Fn(NodeId, Q) -> F + Send + Sync + 'static,
    ) where
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
            tracing::error!(kind, "a second handler for one kind of request: the first one stays");
            return;
        }
        served.insert(kind, Arc::new(Served { gate: Gate::new(lane), answering }));
    }

    pub(super) fn find(&self, kind: Kind) -> Option<Arc<Served>> {
        self.served.read().unwrap_or_else(PoisonError::into_inner).get(&kind).cloned()
    }

    /// As [`PeerServer::serve`], with a handler that runs on the actix system of the calling thread. The
    /// handler is cancelled when the other node stops waiting for the answer.
    pub(in crate::hub) fn serve_here<R, F>(&self, handler: impl Fn(NodeId, R) -> F + 'static)
    where
        R: PeerRequest,
        F: Future<Output = R::Answer> + 'static,
    {
        let (sender, mut requests) =
            mpsc::channel::<(NodeId, R, oneshot::Sender<R::Answer>)>(R::LANE.working.max(1));
        self.register(R::KIND, R::LANE, move |from, request| {
            let sender = sender.clone();
            async move {
                let (answer, answered) = oneshot::channel();
                sender.send((from, request, answer)).await.ok()?;
                answered.await.ok()
            }
        });
        actix_rt::spawn(async move {
            while let Some((from, request, mut answer)) = requests.recv().await {
                // The request is skipped if its sender gave up or its connection broke.
                if answer.is_closed() {
                    continue;
                }
                let answered = handler(from, request);
                actix_rt::spawn(async move {
                    tokio::select! {
                        () = answer.closed() => {}
                        answered = answered => drop(answer.send(answered)),
                    }
                });
            }
        });
    }

    async fn answer(served: Option<Arc<Served>>, from: NodeId, body: Bytes) -> Result<Vec<u8>, Outcome> {
        let served = served.ok_or(Outcome::Unknown)?;
        let entered = served.gate.enter().ok_or(Outcome::Busy)?;
        let _working = entered.turn().await;
        // The body is decoded only now, so that a waiting request holds only its bytes.
        (served.answering)(from, wire::body(&body)).await
    }
}

impl Handler for PeerServer {
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
