//! The handle of a running node.
//!
//! Owns start and stop, and the runtime that the node runs on; callers may live on any runtime.

use std::fs::File;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::NodeId;
use crate::config::Config;
use crate::error::{ProposeError, RequestError, StartError};
use crate::fatal::Fatal;
use crate::machine::{Handler, StateMachine};
use crate::net::{Lane, LinkError, Listener, Me, Peers};
use crate::node::{Node, Parts};
use crate::open::{self, Opened};
use crate::proposer::{Outcome, Proposer};
use crate::raft::{Network, Raft, settings};
use crate::reads;
use crate::status::Status;
use crate::store::{CheckpointAfter, Machine, Reader, Worker};
use crate::types::Member;
use crate::wire::{Answer, Request};

/// Longest that stopping may take.
const STOP: Duration = Duration::from_secs(5);

/// What became of a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    /// Index of its log entry.
    pub index: u64,
    /// Time of its log entry (milliseconds since 1970, never going back).
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
    node: Arc<Node>,
    barriers: mpsc::Sender<reads::Waiting>,
    tasks: tokio::sync::Mutex<JoinSet<()>>,
    /// Taken when the node has stopped.
    lock: Mutex<Option<File>>,
    runtime: Option<Runtime>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // May run inside a runtime, where waiting is forbidden.
            runtime.shutdown_background();
        }
    }
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
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("cluster")
            .enable_all()
            .build()?;
        let (started, result) = oneshot::channel();
        let machine = Box::new(machine);
        runtime.spawn(async move {
            // Whoever starts may have given up.
            let _ = started.send(start(config, machine, handler).await);
        });
        let runtime = Background(Some(runtime));
        let result = result
            .await
            .unwrap_or_else(|_| Err(StartError::Raft("starting panicked".to_owned())));
        let (node, barriers, tasks, lock) = result?;
        let (tasks, lock) = (tokio::sync::Mutex::new(tasks), Mutex::new(Some(lock)));
        Ok(Self {
            inner: Arc::new(Inner {
                node,
                barriers,
                tasks,
                lock,
                runtime: runtime.keep(),
            }),
        })
    }

    /// Replicates and applies a command; answers when it is committed and applied, on a follower when it is applied there
    /// too. May be cancelled at any time: then the command may or may not be stored.
    pub async fn propose(&self, command: Vec<u8>) -> Result<Proposed, ProposeError> {
        let node = &self.inner.node;
        let (size, limit) = (command.len(), node.config.max_command_bytes);
        if size > limit {
            return Err(ProposeError::TooLarge { size, limit });
        }
        if node.is_stopping() {
            return Err(ProposeError::Stopping);
        }
        let deadline = Instant::now() + node.config.propose_timeout;
        let submitted = node.proposer.submit(vec![command.into()], false, deadline);
        let (ticket, outcome) = submitted.ok_or(ProposeError::Overloaded)?;
        match timeout_at(deadline, outcome).await {
            Ok(Ok(Outcome::Done {
                index,
                time_ms,
                mut replies,
            })) => {
                let reply = replies.pop().ok_or(ProposeError::Unknown)?;
                Ok(Proposed {
                    index,
                    time_ms,
                    reply,
                })
            }
            Ok(Ok(Outcome::NotStored {
                overloaded: true, ..
            })) => Err(ProposeError::Overloaded),
            Ok(Ok(Outcome::NotStored { .. })) => Err(ProposeError::Unavailable),
            Ok(Ok(Outcome::Unknown)) => Err(ProposeError::Unknown),
            // Its time was up, or the node stopped; what still was queued is not proposed any more.
            Ok(Err(_)) | Err(_) if ticket.is_abandoned() || ticket.abandon() => {
                Err(match node.is_stopping() {
                    true => ProposeError::Stopping,
                    false => ProposeError::Unavailable,
                })
            }
            Ok(Err(_)) | Err(_) => Err(ProposeError::Unknown),
        }
    }

    /// Waits until everything that was acknowledged anywhere before this call is applied here; returns the index.
    pub async fn barrier(&self) -> Result<u64, ProposeError> {
        let node = &self.inner.node;
        let deadline = Instant::now() + node.config.propose_timeout;
        let (waiting, index) = oneshot::channel();
        self.inner.barriers.try_send(waiting).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => ProposeError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => ProposeError::Stopping,
        })?;
        let index = timeout_at(deadline, index)
            .await
            .map_err(|_| ProposeError::Unavailable)?
            .map_err(|_| ProposeError::Stopping)?;
        let left = deadline.saturating_duration_since(Instant::now());
        if node.wait_applied(index, left).await {
            Ok(index)
        } else {
            Err(ProposeError::Unavailable)
        }
    }

    /// Waits until `index` is applied here; false after `timeout`.
    pub async fn wait_applied(&self, index: u64, timeout: Duration) -> bool {
        self.inner.node.wait_applied(index, timeout).await
    }

    /// Index of the last entry applied here.
    pub fn applied(&self) -> u64 {
        *self.inner.node.store.applied().borrow()
    }

    /// Follows [`Cluster::applied`].
    pub fn watch_applied(&self) -> watch::Receiver<u64> {
        self.inner.node.store.applied().subscribe()
    }

    /// Reads of the applied state.
    pub fn reader(&self) -> Reader {
        Reader::new(self.inner.node.store.clone())
    }

    /// This node's id.
    pub fn node_id(&self) -> NodeId {
        self.inner.node.id()
    }

    /// Where peers reach this node (`host:port`).
    pub fn peer_addr(&self) -> &str {
        &self.inner.node.member.peer_addr
    }

    /// What this node knows now; asks nobody.
    pub fn status(&self) -> Status {
        self.inner.node.describe(&self.inner.node.metrics())
    }

    /// Wakes on changes of role, leader, quorum and members.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.inner.node.status.subscribe()
    }

    /// Asks the handler of node `to` (this node included). At most once: it is not repeated.
    pub async fn request(
        &self,
        to: NodeId,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, RequestError> {
        let node = &self.inner.node;
        let (size, limit) = (body.len(), node.config.max_request_bytes);
        if size > limit {
            return Err(RequestError::TooLarge { size, limit });
        }
        if node.is_stopping() {
            return Err(RequestError::Stopping);
        }
        if to == node.id() {
            let answer = node.handler.handle(to, body);
            return tokio::time::timeout(timeout, answer)
                .await
                .map_err(|_| RequestError::Timeout(to));
        }
        if node.peers.addr(to).is_none() {
            return Err(RequestError::UnknownNode(to));
        }
        let node = node.clone();
        let asked = self.spawn(async move {
            let request = Request::AppV1 {
                body: Vec::from(body).into(),
            };
            node.peers.link(to, Lane::Work).ask(&request, timeout).await
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
        let node = self.inner.node.clone();
        self.spawn(async move { node.hand_over(timeout).await })
            .await
            .unwrap_or(true)
    }

    /// Takes a member out of the cluster for good. Works on the leader only; elsewhere `Unavailable`.
    pub async fn remove(&self, id: NodeId) -> Result<(), ProposeError> {
        let node = self.inner.node.clone();
        self.spawn(async move { node.remove(id).await })
            .await
            .unwrap_or(Err(ProposeError::Stopping))
    }

    /// Makes everything applied so far durable.
    pub async fn checkpoint(&self) -> Result<(), crate::StoreError> {
        self.inner.node.worker.checkpoint().await.map(drop)
    }

    /// Runs on the node's own runtime, whatever runtime the caller lives on.
    async fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        self.inner.runtime.as_ref()?.spawn(work).await.ok()
    }

    /// Stops the node: no more proposals, no more peers, everything on disk, the data directory free again.
    pub async fn shutdown(&self) {
        let inner = self.inner.clone();
        if inner.node.stopping.swap(true, Ordering::AcqRel) {
            return;
        }
        self.spawn(async move {
            if timeout(STOP, stop(&inner)).await.is_err() {
                tracing::warn!("stopping took too long");
            }
            inner
                .lock
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
        })
        .await;
    }
}

async fn stop(inner: &Inner) {
    let node = &inner.node;
    inner.tasks.lock().await.shutdown().await;
    node.peers.close();
    if let Err(error) = node.raft.shutdown().await {
        tracing::warn!(%error, "the consensus engine did not stop cleanly");
    }
    if let Err(error) = node.worker.stop().await {
        tracing::warn!(%error, "the store did not stop cleanly");
    }
    if let Err(error) = node.log.sync().await {
        tracing::warn!(%error, "the log did not stop cleanly");
    }
}

/// A runtime that may be dropped anywhere.
struct Background(Option<Runtime>);

impl Background {
    fn keep(mut self) -> Option<Runtime> {
        self.0.take()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

type Started = (Arc<Node>, mpsc::Sender<reads::Waiting>, JoinSet<()>, File);

async fn start(
    config: Config,
    machine: Box<dyn StateMachine>,
    handler: Arc<dyn Handler>,
) -> Result<Started, StartError> {
    let listener = Listener::bind(
        config.peer_addr,
        config.max_connections,
        config.max_requests_in_flight,
    )
    .await
    .map_err(|source| StartError::Listen {
        addr: config.peer_addr,
        source,
    })?;
    let peer_addr = match config.advertise_peer.as_str() {
        "" => listener.addr()?.to_string(),
        advertised => advertised.to_owned(),
    };
    let member = Member {
        peer_addr,
        learner_only: config.role_learner,
        meta: config.meta.clone(),
    };
    let Opened {
        lock,
        layout,
        identity,
        log,
        store,
        begins,
    } = open::open(&config, &member).await?;
    let fatal = Arc::new(Fatal::new(&config));
    let after = CheckpointAfter {
        bytes: config.checkpoint_bytes,
    };
    let worker = Worker::start(
        store.clone(),
        machine,
        layout.snapshot(),
        after,
        fatal.clone(),
    )
    .await?;
    let me = Me {
        cluster_id: identity.cluster_id,
        node_id: identity.node_id,
        addr: member.peer_addr.clone(),
    };
    let peers = Peers::new(me, config.max_requests_in_flight);
    for (id, addr) in &identity.peers {
        peers.learn(*id, addr);
    }
    let raft = raft(
        &config,
        &identity,
        &peers,
        &log,
        Machine::new(store.clone(), worker.clone()),
    )
    .await?;
    if begins {
        begin(&raft, identity.node_id, &member).await?;
    }
    let (proposer, queue) = Proposer::new(&config);
    let parts = Parts {
        config,
        layout,
        identity,
        member,
        peers,
        raft,
        log,
        store,
        worker,
        proposer,
        handler,
        fatal,
    };
    let node = Node::new(parts);
    let mut tasks = JoinSet::new();
    tasks.spawn(listener.run(node.clone()));
    tasks.spawn(Proposer::run(&node, queue));
    let (barriers, waiting) = mpsc::channel(4096);
    tasks.spawn(reads::serve(Arc::downgrade(&node), waiting));
    tasks.spawn(node.clone().keep_house());
    tasks.spawn(node.clone().follow());
    tasks.spawn(node.clone().announce());
    tasks.spawn(node.clone().care_for_members());
    tasks.spawn(node.clone().watch_leader());
    Ok((node, barriers, tasks, lock))
}

async fn raft(
    config: &Config,
    identity: &crate::wire::IdentityV1,
    peers: &Arc<Peers>,
    log: &crate::log::Log,
    machine: Machine,
) -> Result<Raft, StartError> {
    let cluster = crate::identity::shown(&identity.cluster_id);
    let settings = settings(config, &cluster).map_err(|e| StartError::Config(e.to_string()))?;
    let network = Network {
        peers: peers.clone(),
        append_timeout: Duration::from_millis(config.election_max_ms * 4)
            .max(Duration::from_secs(2)),
        snapshot_timeout: config.snapshot_timeout,
    };
    Raft::new(
        identity.node_id,
        Arc::new(settings),
        network,
        log.clone(),
        machine,
    )
    .await
    .map_err(|e| StartError::Raft(e.to_string()))
}

/// Begins a cluster of one.
async fn begin(raft: &Raft, id: NodeId, member: &Member) -> Result<(), StartError> {
    let members = std::collections::BTreeMap::from([(id, member.clone())]);
    raft.initialize(members)
        .await
        .map_err(|e| StartError::Raft(e.to_string()))
}
