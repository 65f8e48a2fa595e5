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
use crate::error::{ProposeError, RequestError, StartError};
use crate::late;
use crate::machine::{Handler, StateMachine};
use crate::net::{LinkError, RequestLane};
use crate::node::Node;
use crate::os::Home;
use crate::proposer::Outcome;
use crate::status::Status;
use crate::store::Reader;
use crate::wire::{Answer, Request};
use crate::{GroupId, NodeId};

pub use admin::Admin;

/// Longest that stopping may take.
const STOP: Duration = Duration::from_secs(5);

/// What became of a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    /// Index of its log entry.
    pub index: u64,
    /// Time of its log entry (milliseconds since 1970); may go back.
    pub time_ms: u64,
    /// What the machine replied.
    pub reply: Vec<u8>,
}

/// A running node; a handle that is cheap to clone, for callers on any runtime. The node stops when the last
/// handle is dropped, but only [`Cluster::shutdown`] waits for that.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    running: Running,
    home: Home,
}

impl Inner {
    /// Runs on the node's own runtime, whatever runtime the caller lives on.
    async fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        self.home.spawn(work)?.await.ok()
    }
}

impl Cluster {
    /// Starts the node: opens its data, joins where it is told to (waiting for an answer as long as it
    /// takes), loads the machine and begins to serve its peers.
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

    /// Replicates and applies a command; answers when it is committed and applied, on a follower when it is
    /// applied there too. May be cancelled at any time: then the command may or may not be stored.
    pub async fn propose(&self, command: Vec<u8>) -> Result<Proposed, ProposeError> {
        let node = self.node();
        let (size, limit) = (command.len(), node.engine.config().max_command_bytes);
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
        let submitted = node.proposer.submit(vec![command.into()], false, deadline);
        let (ticket, outcome) = submitted.ok_or(ProposeError::Overloaded)?;
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
            Ok(Ok(Outcome::Unknown)) => Err(ProposeError::Unknown),
            // Its time was up, or the node stopped; what still was queued is not proposed any more.
            Ok(Err(_)) | Err(_) if ticket.is_abandoned() || ticket.abandon() => {
                Err(match node.engine.is_stopping() {
                    true => ProposeError::Stopping,
                    false => ProposeError::Unavailable,
                })
            }
            Ok(Err(_)) | Err(_) => Err(ProposeError::Unknown),
        }
    }

    /// Waits until everything that was acknowledged anywhere before this call is applied here; returns the
    /// index.
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

    /// The contact that this node has with the cluster, `None` where it has none. Cheap, for every request.
    pub fn contact(&self) -> Option<Contact> {
        self.node().contact.present()
    }

    /// Waits until `index` is applied here; false after `timeout`.
    pub async fn wait_applied(&self, index: u64, timeout: Duration) -> bool {
        self.node().store.wait_applied(index, timeout).await
    }

    /// Index of the last entry of that group applied here; `None` where this node has no such group.
    pub fn applied_in(&self, group: GroupId) -> Option<u64> {
        (group == self.node().engine.group()).then(|| self.applied())
    }

    /// Index of the last entry applied here.
    pub fn applied(&self) -> u64 {
        *self.node().store.applied().borrow()
    }

    /// Follows [`Cluster::applied`].
    pub fn watch_applied(&self) -> watch::Receiver<u64> {
        self.node().store.applied().subscribe()
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

    /// What this node knows now; asks nobody.
    pub fn status(&self) -> Status {
        self.node().observer.describe()
    }

    /// The cluster's time (milliseconds since 1970), as a majority's clocks have it; this node's own while no
    /// leader has told it. Cheap, for every request.
    pub fn time_ms(&self) -> u64 {
        self.node().clock.now().time_ms
    }

    /// The clock that replicated things expire by (milliseconds): much the same on all nodes, and monotonic.
    /// Cheap.
    pub fn expiry_ms(&self) -> u64 {
        self.node().clock.now().expiry_ms
    }

    /// [`Cluster::time_ms`] and [`Cluster::expiry_ms`] of one moment.
    pub fn clocks(&self) -> (u64, u64) {
        let now = self.node().clock.now();
        (now.time_ms, now.expiry_ms)
    }

    /// The cluster told this node that it is no member any more. Cheap, for every request.
    pub fn is_removed(&self) -> bool {
        self.node().engine.is_removed()
    }

    /// Wakes on changes of role, leader, quorum and members.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.node().observer.subscribe()
    }

    /// Asks the handler of node `to` (this node included), on a connection that only requests of that lane
    /// use. At most once: it is not repeated.
    pub async fn request(
        &self,
        to: NodeId,
        lane: RequestLane,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, RequestError> {
        let node = self.node();
        let (size, limit) = (body.len(), node.engine.config().max_request_bytes);
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
            let request = Request::AppV1 { body: Vec::from(body).into() };
            link.ask_node(&request, timeout).await
        });
        match asked.await {
            Some(Ok(Answer::AppV1 { body })) => Ok(body.into_vec().into()),
            Some(Ok(_)) => Err(RequestError::Unreachable(to)),
            Some(Err(LinkError::Timeout)) => Err(RequestError::Timeout(to)),
            Some(Err(LinkError::Overloaded)) => Err(RequestError::Overloaded(to)),
            Some(Err(_)) => Err(RequestError::Unreachable(to)),
            None => Err(RequestError::Stopping),
        }
    }

    /// What operators do to this node and to the cluster.
    pub fn admin(&self) -> Admin {
        Admin { inner: self.inner.clone() }
    }

    /// Stops the node: no more proposals, no more peers, everything on disk, the data directory free again.
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
