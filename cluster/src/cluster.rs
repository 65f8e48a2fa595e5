//! The handle of a running node.
//!
//! Owns start and stop, and the runtime that the node runs on; callers may live on any runtime.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};

use crate::backup::BackupError;
use crate::boot::{self, Running};
use crate::config::Config;
use crate::disk;
use crate::error::{ProposeError, RequestError, StartError};
use crate::late;
use crate::machine::{Handler, StateMachine};
use crate::net::{LinkError, RequestLane};
use crate::node::{Contact, Node};
use crate::operate::{Operation, Refused};
use crate::os::Home;
use crate::proposer::Outcome;
use crate::status::Status;
use crate::store::Reader;
use crate::wire::{Answer, Request};
use crate::{GroupId, NodeId};

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

/// A running node; a handle that is cheap to clone. The node stops when the last clone is dropped, but only
/// [`Cluster::shutdown`] waits for that.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    running: Running,
    home: Home,
}

impl Cluster {
    /// Starts the node: opens its data, joins where it is told to (waiting for an answer as long as it takes), loads the
    /// machine and begins to serve its peers.
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

    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.inner.running.node
    }

    /// Replicates and applies a command; answers when it is committed and applied, on a follower when it is applied there
    /// too. May be cancelled at any time: then the command may or may not be stored.
    pub async fn propose(&self, command: Vec<u8>) -> Result<Proposed, ProposeError> {
        let node = self.node();
        let (size, limit) = (command.len(), node.config.max_command_bytes);
        if size > limit {
            return Err(ProposeError::TooLarge { size, limit });
        }
        if node.is_stopping() {
            return Err(ProposeError::Stopping);
        }
        if node.removed.load(Ordering::Relaxed) {
            return Err(ProposeError::Unavailable);
        }
        if node.disk.room().is_closed && node.leader() == Some(node.id()) {
            return Err(ProposeError::DiskFull);
        }
        let deadline = Instant::now() + node.config.propose_timeout;
        let submitted = node.proposer.submit(vec![command.into()], false, deadline);
        let (ticket, outcome) = submitted.ok_or(ProposeError::Overloaded)?;
        match late::timeout_at(deadline, outcome).await {
            Ok(Ok(Outcome::Done { index, time_ms, mut replies })) => {
                let reply = replies.pop().ok_or(ProposeError::Unknown)?;
                Ok(Proposed { index, time_ms, reply })
            }
            Ok(Ok(Outcome::NoRoom)) => Err(ProposeError::DiskFull),
            Ok(Ok(Outcome::NotStored { overloaded: true, .. })) => Err(match node.disk.room().is_full {
                true if node.leader() == Some(node.id()) => ProposeError::DiskFull,
                _ => ProposeError::Overloaded,
            }),
            Ok(Ok(Outcome::NotStored { .. })) => Err(ProposeError::Unavailable),
            Ok(Ok(Outcome::Unknown)) => Err(ProposeError::Unknown),
            // Its time was up, or the node stopped; what still was queued is not proposed any more.
            Ok(Err(_)) | Err(_) if ticket.is_abandoned() || ticket.abandon() => Err(match node.is_stopping() {
                true => ProposeError::Stopping,
                false => ProposeError::Unavailable,
            }),
            Ok(Err(_)) | Err(_) => Err(ProposeError::Unknown),
        }
    }

    /// Waits until everything that was acknowledged anywhere before this call is applied here; returns the index.
    pub async fn barrier(&self) -> Result<u64, ProposeError> {
        let node = self.node();
        let deadline = Instant::now() + node.config.propose_timeout;
        let (waiting, index) = oneshot::channel();
        self.inner.running.barriers.try_send(waiting).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => ProposeError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => ProposeError::Stopping,
        })?;
        let index = timeout_at(deadline, index)
            .await
            .map_err(|_| ProposeError::Unavailable)?
            .map_err(|_| ProposeError::Stopping)?;
        let left = deadline.saturating_duration_since(Instant::now());
        if node.wait_applied(index, left).await { Ok(index) } else { Err(ProposeError::Unavailable) }
    }

    /// The contact that this node has with the cluster, `None` where it has none. Cheap, for every request.
    pub fn contact(&self) -> Option<Contact> {
        self.node().contact()
    }

    /// Waits until `index` is applied here; false after `timeout`.
    pub async fn wait_applied(&self, index: u64, timeout: Duration) -> bool {
        self.node().wait_applied(index, timeout).await
    }

    /// Index of the last entry of that group applied here; `None` where this node has no such group.
    pub fn applied_in(&self, group: GroupId) -> Option<u64> {
        (group == self.node().group).then(|| self.applied())
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
        self.node().id()
    }

    /// Where peers reach this node (`host:port`).
    pub fn peer_addr(&self) -> &str {
        &self.node().member.peer_addr
    }

    /// What this node knows now; asks nobody.
    pub fn status(&self) -> Status {
        self.node().describe(&self.node().metrics())
    }

    /// The cluster's time (milliseconds since 1970), as a majority's clocks have it; this node's own while no leader has
    /// told it. Cheap, for every request.
    pub fn time_ms(&self) -> u64 {
        self.node().time().time_ms
    }

    /// The clock that replicated things expire by (milliseconds): much the same on all nodes, and monotonic. Cheap.
    pub fn expiry_ms(&self) -> u64 {
        self.node().time().expiry_ms
    }

    /// [`Cluster::time_ms`] and [`Cluster::expiry_ms`] of one moment.
    pub fn clocks(&self) -> (u64, u64) {
        let now = self.node().time();
        (now.time_ms, now.expiry_ms)
    }

    /// The cluster told this node that it is no member any more. Cheap, for every request.
    pub fn is_removed(&self) -> bool {
        self.node().removed.load(Ordering::Relaxed)
    }

    /// The consensus engine takes orders and answers them; waits until it does, false when it has ended.
    pub async fn answers(&self) -> bool {
        let node = self.node().clone();
        self.spawn(async move { node.raft.with_raft_state(|_| ()).await.is_ok() }).await.unwrap_or(false)
    }

    /// Bytes that the data directory takes, and the number of folders in it with files that were set aside as damaged.
    /// Reads directories: not for every request.
    pub fn disk_use(&self) -> (u64, u64) {
        let root = &self.node().layout.root;
        (disk::used(root), disk::set_aside_folders(root))
    }

    /// Wakes on changes of role, leader, quorum and members.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.node().status.subscribe()
    }

    /// Asks the handler of node `to` (this node included), on a connection that only requests of that lane use. At most
    /// once: it is not repeated.
    pub async fn request(
        &self,
        to: NodeId,
        lane: RequestLane,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, RequestError> {
        let node = self.node();
        let (size, limit) = (body.len(), node.config.max_request_bytes);
        if size > limit {
            return Err(RequestError::TooLarge { size, limit });
        }
        if node.is_stopping() {
            return Err(RequestError::Stopping);
        }
        if to == node.id() {
            let answer = node.handler.handle(to, body);
            return tokio::time::timeout(timeout, answer).await.map_err(|_| RequestError::Timeout(to));
        }
        if node.peers.addr(to).is_none() {
            return Err(RequestError::UnknownNode(to));
        }
        let node = node.clone();
        let asked = self.spawn(async move {
            let request = Request::AppV1 { body: Vec::from(body).into() };
            node.peers.link(to, lane.into()).ask_node(&request, timeout).await
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

    /// Hands the lead to the most caught-up voter, if this node leads; true when it leads no more.
    pub async fn hand_over(&self, timeout: Duration) -> bool {
        let node = self.node().clone();
        self.spawn(async move { node.hand_over(timeout).await }).await.unwrap_or(true)
    }

    /// Carries out an operation. Works on the leader only, elsewhere [`Refused::NotLeader`]; a leader that is to be
    /// removed, demoted or drained hands the lead over first and then answers so too. Bounded in time.
    pub async fn operate(&self, operation: Operation) -> Result<(), Refused> {
        let node = self.node().clone();
        self.spawn(async move { node.operate(operation).await }).await.unwrap_or(Err(Refused::Failed))
    }

    /// Makes everything applied durable and lets go of the log as far as [`Config::keep_entries`] allows; the index up to
    /// which the store is durable and the one up to which the log is gone (which may follow a little later).
    pub async fn snapshot(&self) -> Result<(u64, u64), crate::StoreError> {
        let node = self.node().clone();
        let stopped = || Err(crate::StoreError::Io("this node is stopping".to_owned()));
        self.spawn(async move { node.snapshot_now().await }).await.unwrap_or_else(stopped)
    }

    /// Ends this node because what it stores is in doubt (the application read a damaged value): logged, told to
    /// [`Config::on_fatal`], then the process is aborted. At the next start the damage is found and the node rebuilt.
    pub fn fail(&self, reason: &str) {
        self.node().fatal.raise(reason);
    }

    /// Makes everything applied so far durable.
    pub async fn checkpoint(&self) -> Result<(), crate::StoreError> {
        self.node().worker.checkpoint().await.map(drop)
    }

    /// Begins a backup of what is applied here, with `files` (name and content) to be put into the data directory of
    /// whoever restores it. The bytes come over the channel; an error comes last, and then the backup is worth nothing.
    ///
    /// # Errors
    /// [`BackupError::Busy`] while another one is being made on this node, or the store can't be read.
    pub async fn backup(
        &self,
        files: Vec<(String, Vec<u8>)>,
    ) -> Result<mpsc::Receiver<Result<Bytes, crate::StoreError>>, BackupError> {
        let node = self.node().clone();
        self.spawn(async move { node.backup(files) }).await.unwrap_or(Err(BackupError::Busy))
    }

    /// Runs on the node's own runtime, whatever runtime the caller lives on.
    async fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        self.inner.home.spawn(work)?.await.ok()
    }

    /// Stops the node: no more proposals, no more peers, everything on disk, the data directory free again.
    pub async fn shutdown(&self) {
        let inner = self.inner.clone();
        if inner.running.node.stopping.swap(true, Ordering::AcqRel) {
            return;
        }
        self.spawn(async move {
            if timeout(STOP, inner.running.stop()).await.is_err() {
                tracing::warn!("stopping took too long");
            }
            inner.running.unlock();
        })
        .await;
    }
}
