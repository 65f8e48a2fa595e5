//! What nodes ask each other beside Raft: requests to count, how far the log is applied, what a node carries.

use super::Hub;
use super::bridge::Bridge;
use super::configured::Configured;
use super::requests::Requests;
use super::seal::KeyRing;
use super::vitals::InfoSource;
use crate::core::codec;
use crate::core::ids::{EndpointId, NodeId, TokenId};
use bytes::Bytes;
use futures_util::future::{BoxFuture, LocalBoxFuture};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};
use waypost_cluster::{Cluster, Handler, Operation, Refused};

/// A question to another node. Variants are only ever added at the end.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    /// Count one request of that token.
    Charge { token: TokenId, permits: u32 },
    /// Answer when the log is applied up to there, or the time is over.
    Applied { index: u64, within_ms: u64 },
    /// What do you carry?
    Info,
    /// For the edges of that node.
    Relay(#[serde(with = "serde_bytes")] Vec<u8>),
    /// The key that seals endpoints.
    SealKey,
    /// Which of these stand in your configuration file?
    Configured(Vec<EndpointId>),
    /// You lead: do this.
    Operate(Operation),
    /// Make what you have durable, and let go of the log.
    Snapshot,
}

/// The answer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// Counted, or the wait in milliseconds.
    Charged(Result<(), u64>),
    /// Whether it is applied.
    Applied(bool),
    /// How the node is: [`super::NodeInfo`] as JSON, which other releases can read too.
    Info(#[serde(with = "serde_bytes")] Vec<u8>),
    /// The question is not one that the node's release knows.
    Unknown,
    /// What the edges answered.
    Relayed(#[serde(with = "serde_bytes")] Vec<u8>),
    /// The key, where the node has one to hand out.
    SealKey(Option<Vec<u8>>),
    /// Those that do, once the node knows.
    Configured(Option<Vec<EndpointId>>),
    /// What became of it.
    Operated(Result<(), Refused>),
    /// Indexes up to which the store is durable and the log gone.
    Snapshot(Option<(u64, u64)>),
}

/// Answers what other nodes pass on. Runs on the node's actix system, not on the cluster's runtime.
type Relay = Box<dyn Fn(Vec<u8>) -> LocalBoxFuture<'static, Vec<u8>>>;
type RelayRequest = (Vec<u8>, oneshot::Sender<Vec<u8>>);

pub(super) struct PeerHandler {
    requests: Arc<Requests>,
    info: Arc<InfoSource>,
    bridge: Arc<Bridge>,
    keys: Arc<KeyRing>,
    configured: Arc<Configured>,
    cluster: OnceLock<Cluster>,
    relay: OnceLock<mpsc::Sender<RelayRequest>>,
}

/// Requests passed on by other nodes that wait to be taken up.
const RELAY_QUEUE: usize = 1024;
/// Who doesn't answer for so long is cut off or dead.
const OUT_OF_REACH: Duration = Duration::from_millis(400);
/// Pause before a node is asked again whether it has applied something.
const ASK_PAUSE: Duration = Duration::from_millis(20);

/// How far a node is with the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has applied what was asked for.
    Applied,
    /// It answers, and hasn't.
    Behind,
    /// It doesn't answer.
    OutOfReach,
}

impl PeerHandler {
    pub(super) fn new(
        requests: Arc<Requests>,
        info: Arc<InfoSource>,
        bridge: Arc<Bridge>,
        keys: Arc<KeyRing>,
        configured: Arc<Configured>,
    ) -> Self {
        Self { requests, info, bridge, keys, configured, cluster: OnceLock::new(), relay: OnceLock::new() }
    }

    /// Questions that come before this are answered with [`Answer::Unknown`].
    pub(super) fn attach(&self, cluster: &Cluster) {
        let _ = self.cluster.set(cluster.clone());
    }
}

impl Handler for PeerHandler {
    fn handle(&self, _from: NodeId, body: Bytes) -> BoxFuture<'static, Bytes> {
        let answer: BoxFuture<'static, Answer> = match (codec::decode(&body), self.cluster.get().cloned()) {
            (Ok(Ask::Charge { token, permits }), _) => {
                let charged = self.requests.charge(token, permits);
                Box::pin(std::future::ready(Answer::Charged(charged)))
            }
            (Ok(Ask::Applied { index, within_ms }), Some(cluster)) => Box::pin(async move {
                Answer::Applied(cluster.wait_applied(index, Duration::from_millis(within_ms.min(5000))).await)
            }),
            (Ok(Ask::Info), Some(cluster)) => {
                let info = self.info.tell(&cluster, self.bridge.topic_count() as u64);
                Box::pin(std::future::ready(Answer::Info(serde_json::to_vec(&info).unwrap_or_default())))
            }
            (Ok(Ask::Relay(body)), _) => {
                let relay = self.relay.get().cloned();
                Box::pin(async move { pass_on(relay, body).await.map_or(Answer::Unknown, Answer::Relayed) })
            }
            (Ok(Ask::SealKey), _) => Box::pin(std::future::ready(Answer::SealKey(self.keys.for_others()))),
            (Ok(Ask::Configured(endpoints)), _) => {
                Box::pin(std::future::ready(Answer::Configured(self.configured.among(&endpoints))))
            }
            (Ok(Ask::Operate(operation)), Some(cluster)) => {
                Box::pin(async move { Answer::Operated(cluster.operate(operation).await) })
            }
            (Ok(Ask::Snapshot), Some(cluster)) => {
                Box::pin(async move { Answer::Snapshot(cluster.snapshot().await.ok()) })
            }
            _ => Box::pin(std::future::ready(Answer::Unknown)),
        };
        Box::pin(async move { codec::encode(&answer.await).unwrap_or_default().into() })
    }
}

async fn pass_on(relay: Option<mpsc::Sender<RelayRequest>>, body: Vec<u8>) -> Option<Vec<u8>> {
    let (answer, answered) = oneshot::channel();
    relay?.try_send((body, answer)).ok()?;
    answered.await.ok()
}

impl Hub {
    /// Asks another node; `Err` when there is no usable answer.
    pub(super) async fn ask(&self, node: NodeId, ask: &Ask, timeout: Duration) -> Result<Answer, ()> {
        let body = codec::encode(ask).map_err(|_| ())?;
        let answer = self.0.cluster.request(node, body.into(), timeout).await.map_err(|_| ())?;
        codec::decode(&answer).map_err(|_| ())
    }

    /// Waits until that node has applied the log up to `index`, or doesn't answer for a while. A connection that breaks
    /// says nothing of its reach: after a network was mended old ones break, and new ones are made.
    pub(super) async fn applied_on(&self, node: NodeId, index: u64, deadline: Instant) -> Standing {
        let mut heard = Instant::now();
        loop {
            let until = deadline.min(heard + OUT_OF_REACH);
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return if until < deadline { Standing::OutOfReach } else { Standing::Behind };
            }
            let ask = Ask::Applied { index, within_ms: left.as_millis() as u64 / 2 };
            match self.ask(node, &ask, left).await {
                Ok(Answer::Applied(true)) => return Standing::Applied,
                Ok(_) => heard = Instant::now(),
                Err(()) => {}
            }
            sleep(ASK_PAUSE).await;
        }
    }

    /// Passes a request on to the edges of another node; `None` when there is no answer in time.
    pub async fn relay(&self, node: NodeId, body: Vec<u8>, timeout: Duration) -> Option<Vec<u8>> {
        match self.ask(node, &Ask::Relay(body), timeout).await {
            Ok(Answer::Relayed(answer)) => Some(answer),
            _ => None,
        }
    }

    /// Answers what other nodes pass on. Must be called on the node's actix system, once.
    pub fn on_relay(&self, relay: impl Fn(Vec<u8>) -> LocalBoxFuture<'static, Vec<u8>> + 'static) {
        let relay: Relay = Box::new(relay);
        let (sender, mut requests) = mpsc::channel::<RelayRequest>(RELAY_QUEUE);
        if self.0.handler.relay.set(sender).is_err() {
            return;
        }
        actix_rt::spawn(async move {
            while let Some((body, mut answer)) = requests.recv().await {
                // Nothing is done for a node that gave up, or whose connection broke.
                if answer.is_closed() {
                    continue;
                }
                let answered = relay(body);
                actix_rt::spawn(async move {
                    tokio::select! {
                        () = answer.closed() => {}
                        // What the answer has in it is kept until a later request shows that it arrived.
                        answered = answered => drop(answer.send(answered)),
                    }
                });
            }
        });
    }
}
