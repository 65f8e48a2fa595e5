//! The handle of a running node.

mod admin;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};

use crate::boot::{self, Running};
use crate::config::Config;
use crate::contact::Contact;
use crate::error::{ProposeError, RequestError, StartError, Unreached};
use crate::flow::Flow;
use crate::late;
use crate::machine::{Handler, StateMachine};
use crate::net::{LinkError, RequestLane};
use crate::node::Node;
use crate::os::Home;
use crate::proposer::{Full, Line, Origin, Outcome};
use crate::status::Status;
use crate::store::Reader;
use crate::wire::{Answer, Request};
use crate::{GroupId, NodeId};

pub use admin::Admin;

/// Longest that stopping may take.
const STOP: Duration = Duration::from_secs(5);

/// The result of a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    /// Index of its log entry.
    pub index: u64,
    /// Time of its log entry (milliseconds since 1970); may go back.
    pub time_ms: u64,
    /// What the machine replied.
    pub reply: Vec<u8>,
}

/// A running node. The handle is cheap to clone and works from any runtime. The node stops when the last
/// handle is dropped, but only [`Cluster::shutdown`] waits until it has stopped.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

/// What all handles of a node share. Dropping it ends the node.
struct Inner {
    running: Running,
    home: Home,
}

impl Inner {
    /// Runs `work` on the node's own runtime, whatever runtime the caller uses.
    async fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        self.home.spawn(work)?.await.ok()
    }
}

impl Cluster {
    /// Starts the node: opens its data, joins a cluster if the configuration names one (and waits for an
    /// answer without a limit), loads the machine and begins to serve its peers.
    pub async fn start(
        config: Config,
        machine: impl StateMachine,
        handler: Arc<dyn Handler>,
    ) -> Result<Self, StartError> {
        config.validate()?;
        let home = Home::new()?;
        let machine = Box::new(machine);
        let started = home.spawn(boot::start(config, machine, handler));
        let gone = || StartError::Raft("starting panicked".to_owned());
        let running = started.ok_or_else(gone)?.await.map_err(|_| gone())??;
        Ok(Self { inner: Arc::new(Inner { running, home }) })
    }

    pub(crate) fn node(&self) -> &Node {
        &self.inner.running.node
    }

    /// Replicates and applies a command, once. Answers when the command is committed and this node has applied
    /// it; a follower that lags behind waits for a second after the leader's answer. If the leader is lost
    /// meanwhile, the command is sent to the next one. Commands of different flows take turns. The call may be
    /// cancelled at any time: then the command may or may not be stored.
    ///
    /// # Errors
    /// Why the command has no answer, and whether it may be stored.
    pub async fn propose(&self, flow: Flow, command: Vec<u8>) -> Result<Proposed, ProposeError> {
        let node = self.node();
        let size = command.len();
        let limit = node.engine.config().max_command_bytes;
        if size > limit {
            return Err(ProposeError::TooLarge { size, limit });
        }
        if node.engine.is_stopping() {
            return Err(ProposeError::Stopping);
        }
        if node.engine.is_removed() {
            return Err(ProposeError::Unavailable);
        }
        if node.disk.room().is_closed && node.engine.leads() {
            return Err(ProposeError::DiskFull);
        }
        let deadline = Instant::now() + node.engine.config().propose_timeout;
        let submitted = node.proposer.submit(Line::Flow(flow), vec![command.into()], Origin::Here, deadline);
        let (ticket, outcome) = submitted.map_err(|full| match full {
            Full::Line => ProposeError::FlowFull,
            Full::Queue => ProposeError::Overloaded,
        })?;
        match late::timeout_at(deadline, outcome).await {
            Ok(Ok(Outcome::Done { index, time_ms, mut replies })) => {
                let reply = replies.pop().ok_or(ProposeError::Unknown)?;
                Ok(Proposed { index, time_ms, reply })
            }
            Ok(Ok(Outcome::NoRoom)) => Err(ProposeError::DiskFull),
            Ok(Ok(Outcome::NotStored { overloaded: true, .. })) => Err(match node.disk.room().is_full {
                true if node.engine.leads() => ProposeError::DiskFull,
                _ => ProposeError::Overloaded,
            }),
            Ok(Ok(Outcome::NotStored { .. })) => Err(ProposeError::Unavailable),
            Ok(Ok(Outcome::Unknown | Outcome::Superseded { .. } | Outcome::Forgotten)) => {
                Err(ProposeError::Unknown)
            }
            // The timeout passed, or the node stopped. A proposal that was still queued will not be proposed.
            Ok(Err(_)) | Err(_) if ticket.is_abandoned() || ticket.abandon() => {
                Err(match node.engine.is_stopping() {
                    true => ProposeError::Stopping,
                    false => ProposeError::Unavailable,
                })
            }
            Ok(Err(_)) | Err(_) => Err(ProposeError::Unknown),
        }
    }

    /// Waits until everything that any node acknowledged before this call is applied here. Returns the index.
    pub async fn barrier(&self) -> Result<u64, ProposeError> {
        let node = self.node();
        let deadline = Instant::now() + node.engine.config().propose_timeout;
        let (waiting, index) = oneshot::channel();
        node.reads.try_send(waiting).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => ProposeError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => ProposeError::Stopping,
        })?;
        let index = timeout_at(deadline, index)
            .await
            .map_err(|_| ProposeError::Unavailable)?
            .map_err(|_| ProposeError::Stopping)?;
        let left = deadline.saturating_duration_since(Instant::now());
        if node.store.wait_applied(index, left).await { Ok(index) } else { Err(ProposeError::Unavailable) }
    }

    /// The contact that this node has with the cluster; `None` without contact. Cheap enough for every
    /// request.
    pub fn contact(&self) -> Option<Contact> {
        self.node().contact.present()
    }

    /// Whether this node has heard neither from a majority nor from a leader for longer than several
    /// elections take, so that it is of no use to wait a little longer. Cheap enough for every request.
    pub fn has_lost_contact(&self) -> bool {
        self.node().contact.has_lost_contact()
    }

    /// Waits until `index` is applied here; false after `timeout`.
    pub async fn wait_applied(&self, index: u64, timeout: Duration) -> bool {
        self.node().store.wait_applied(index, timeout).await
    }

    /// Index of the last entry of that group applied here; `None` if this node has no such group.
    pub fn applied_in(&self, group: GroupId) -> Option<u64> {
        (group == self.node().engine.group()).then(|| self.applied())
    }

    /// Index of the last entry applied here.
    pub fn applied(&self) -> u64 {
        *self.node().store.applied().borrow()
    }

    /// Reads of the applied state.
    pub fn reader(&self) -> Reader {
        Reader::new(self.node().store.clone())
    }

    /// This node's id.
    pub fn node_id(&self) -> NodeId {
        self.node().engine.id()
    }

    /// Where peers reach this node (`host:port`).
    pub fn peer_addr(&self) -> &str {
        &self.node().engine.peers().me().addr
    }

    /// What this node knows now, without asking another node.
    pub fn status(&self) -> Status {
        self.node().observer.describe()
    }

    /// The cluster's time (milliseconds since 1970), agreed by a majority's clocks. Until a leader has
    /// reported it, this node's own time. Cheap enough for every request.
    pub fn time_ms(&self) -> u64 {
        self.node().clock.now().time_ms
    }

    /// The clock by which replicated things expire (milliseconds). It is nearly the same on all nodes, and
    /// monotonic. Cheap.
    pub fn expiry_ms(&self) -> u64 {
        self.node().clock.now().expiry_ms
    }

    /// [`Cluster::time_ms`] and [`Cluster::expiry_ms`] of the same moment.
    pub fn clocks(&self) -> (u64, u64) {
        let now = self.node().clock.now();
        (now.time_ms, now.expiry_ms)
    }

    /// Whether the cluster reported that this node is no longer a member. Cheap enough for every request.
    pub fn is_removed(&self) -> bool {
        self.node().engine.is_removed()
    }

    /// Wakes on changes of role, leader, quorum and members.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.node().observer.subscribe()
    }

    /// Sends a request to the handler of node `to` (which may be this node), on a connection that only
    /// requests of that lane use. The request is sent at most once: it is never repeated.
    pub async fn request(
        &self,
        to: NodeId,
        lane: RequestLane,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, RequestError> {
        let node = self.node();
        let size = body.len();
        let limit = node.engine.config().max_request_bytes;
        if size > limit {
            return Err(RequestError::TooLarge { size, limit });
        }
        if node.engine.is_stopping() {
            return Err(RequestError::Stopping);
        }
        if to == node.engine.id() {
            let answer = node.handler.handle(to, body);
            return tokio::time::timeout(timeout, answer).await.map_err(|_| RequestError::Timeout(to));
        }
        if node.engine.peers().addr(to).is_none() {
            return Err(RequestError::UnknownNode(to));
        }
        let link = node.engine.peers().link(to, lane.into());
        let asked = self.inner.spawn(async move {
            let request = Request::AppV1 { body };
            link.ask_node(&request, timeout).await
        });
        match asked.await {
            Some(Ok(Answer::AppV1 { body })) => Ok(body),
            Some(Ok(_)) => Err(RequestError::Unreachable { node: to, why: Unreached::Broken }),
            Some(Err(error)) => Err(request_error(to, &error)),
            None => Err(RequestError::Stopping),
        }
    }

    /// The operators' handle to this node and to the cluster.
    pub fn admin(&self) -> Admin {
        Admin { inner: self.inner.clone() }
    }

    /// Stops the node: it takes no more proposals and serves no more peers, everything is on disk, and the
    /// data directory is free again.
    pub async fn shutdown(&self) {
        let inner = self.inner.clone();
        if !inner.running.node.engine.begin_stop() {
            return;
        }
        self.inner
            .spawn(async move {
                if timeout(STOP, inner.running.stop()).await.is_err() {
                    tracing::warn!("stopping took too long");
                }
                inner.running.unlock();
            })
            .await;
    }
}

fn request_error(node: NodeId, error: &LinkError) -> RequestError {
    let why = match error {
        LinkError::Timeout => return RequestError::Timeout(node),
        LinkError::Overloaded => return RequestError::Overloaded(node),
        LinkError::Refused => Unreached::Refused,
        LinkError::NoConnection(_) => Unreached::NoConnection,
        LinkError::NoHandshake(_) => Unreached::NoAnswer,
        LinkError::NotAdmitted(_) => Unreached::NotAdmitted,
        LinkError::NotSent(_) | LinkError::Lost | LinkError::NoGroup(_) => Unreached::Broken,
    };
    RequestError::Unreachable { node, why }
}
