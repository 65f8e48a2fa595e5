//! Handlers that live on the node's actix system instead of the cluster's runtime.

use super::{PeerRequest, Peers};
use crate::core::ids::NodeId;
use std::future::Future;
use tokio::sync::{mpsc, oneshot};

impl Peers {
    /// As [`Peers::serve`], with a handler that runs on the actix system of the thread that calls this. Its work ends
    /// when nobody waits for the answer any more.
    pub fn serve_here<R, F>(&self, handler: impl Fn(NodeId, R) -> F + 'static)
    where
        R: PeerRequest,
        F: Future<Output = R::Answer> + 'static,
    {
        let (sender, mut requests) = mpsc::channel::<(NodeId, R, oneshot::Sender<R::Answer>)>(R::LANE.working.max(1));
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
                // Nothing is done for a node that gave up, or whose connection broke.
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
}
