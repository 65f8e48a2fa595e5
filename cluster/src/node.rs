//! One running node: everything that its tasks share, and how it answers its peers.
//!
//! Owns no loop of its own; the tasks are in `proposer`, `membership`, `failover` and `housekeeping`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::Config;
use crate::disk::Disk;
use crate::error::StoreError;
use crate::fatal::Fatal;
use crate::identity::Layout;
use crate::log::Log;
use crate::machine::Handler;
use crate::net::{Peers, Service};
use crate::proposer::{Outcome, Proposer};
use crate::raft::Raft;
use crate::room::HEAD;
use crate::snapshot::Receiving;
use crate::status::Status;
use crate::store::{Store, Worker};
use crate::time::Timekeeper;
use crate::types::{Entry, Member, Types, Vote};
use crate::wire::{Answer, Append, Appended, Forwarded, Hello, IdentityV1, PairV1, Request, StoredPayload};
use crate::{FIRST_GROUP, GroupId, NodeId};

/// openraft's metrics, cloned: a reference into them must never be held.
pub(crate) type Metrics = openraft::RaftMetrics<Types>;

/// What the tasks of a node share.
pub(crate) struct Node {
    pub(crate) config: Config,
    /// Whose log and state these are.
    pub(crate) group: GroupId,
    pub(crate) layout: Layout,
    pub(crate) identity: Mutex<IdentityV1>,
    /// This node as it wants to be known.
    pub(crate) member: Member,
    pub(crate) peers: Arc<Peers>,
    pub(crate) raft: Raft,
    pub(crate) log: Log,
    pub(crate) store: Arc<Store>,
    pub(crate) disk: Arc<Disk>,
    pub(crate) worker: Worker,
    pub(crate) proposer: Proposer,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) fatal: Arc<Fatal>,
    pub(crate) status: watch::Sender<Status>,
    /// One membership change at a time.
    pub(crate) changes: tokio::sync::Mutex<()>,
    pub(crate) stopping: AtomicBool,
    /// The cluster said that this node is no member any more.
    pub(crate) removed: AtomicBool,
    /// One backup at a time: each holds a view of the store.
    pub(crate) backups: Arc<tokio::sync::Semaphore>,
    /// When a snapshot last found too little room, and what was free when it began (bytes).
    pub(crate) cramped: Mutex<Option<(Instant, u64)>>,
    /// The last checkpoint: its index, and when it was seen.
    checkpoint: Mutex<(u64, Instant)>,
    /// When which leader was heard.
    heard: Mutex<Option<Heard>>,
    /// When a node of another cluster last asked for this one.
    foreign: Mutex<Option<Instant>>,
    /// The cluster's time as this node knows it, and what woke when it became known.
    pub(crate) timekeeper: Mutex<Timekeeper>,
    pub(crate) timed: tokio::sync::Notify,
    /// Where this process's monotonic clock begins.
    pub(crate) began: Instant,
    /// The leader (with its term) whose process was found gone, and when.
    gone: Mutex<Option<(NodeId, u64, Instant)>>,
}

/// A stretch of time in which a node heard from the cluster all along: as a follower from its leader, as the leader from a
/// majority, with never more than three heartbeats between. What is committed meanwhile reaches it at once. What was
/// committed before may still be unknown to it, until a read barrier has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contact {
    term: u64,
    leads: bool,
    silences: u64,
}

/// The leader's last word.
#[derive(Clone, Copy)]
struct Heard {
    term: u64,
    at: Instant,
    /// The longest time between two of its words.
    silence: Duration,
    /// How often this node has heard nothing for a while since it started.
    silences: u64,
}

/// What a node is made of, besides what it makes itself.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) layout: Layout,
    pub(crate) identity: IdentityV1,
    pub(crate) member: Member,
    pub(crate) peers: Arc<Peers>,
    pub(crate) raft: Raft,
    pub(crate) log: Log,
    pub(crate) store: Arc<Store>,
    pub(crate) worker: Worker,
    pub(crate) proposer: Proposer,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) fatal: Arc<Fatal>,
}

impl Node {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let disk = Arc::new(Disk::new(&parts.layout.root, parts.config.disk_reserve));
        Arc::new(Self {
            disk,
            config: parts.config,
            group: FIRST_GROUP,
            layout: parts.layout,
            identity: Mutex::new(parts.identity),
            member: parts.member,
            peers: parts.peers,
            raft: parts.raft,
            log: parts.log,
            store: parts.store,
            worker: parts.worker,
            proposer: parts.proposer,
            handler: parts.handler,
            fatal: parts.fatal,
            status: watch::Sender::default(),
            changes: tokio::sync::Mutex::default(),
            stopping: AtomicBool::new(false),
            removed: AtomicBool::new(false),
            backups: Arc::new(tokio::sync::Semaphore::new(1)),
            cramped: Mutex::default(),
            checkpoint: Mutex::new((0, Instant::now())),
            heard: Mutex::default(),
            foreign: Mutex::default(),
            timekeeper: Mutex::default(),
            timed: tokio::sync::Notify::new(),
            began: Instant::now(),
            gone: Mutex::default(),
        })
    }

    pub(crate) fn id(&self) -> NodeId {
        self.peers.me().node_id
    }

    pub(crate) fn metrics(&self) -> Metrics {
        self.raft.metrics().borrow_watched().clone()
    }

    /// Who leads, as far as this node knows.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        self.raft.server_metrics().borrow_watched().current_leader
    }

    /// Waits for another leader, but not longer than `limit`.
    pub(crate) async fn leader_change(&self, limit: Duration) {
        let mut metrics = self.raft.server_metrics();
        let before = metrics.borrow_watched().current_leader;
        let changed = async {
            while metrics.borrow_watched().current_leader == before {
                if metrics.changed().await.is_err() {
                    // The engine has ended: whoever comes back at once would come again and again.
                    std::future::pending::<()>().await;
                }
            }
        };
        // Either will do.
        let _ = timeout(limit, changed).await;
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Waits until `index` is applied here; false after `limit`.
    pub(crate) async fn wait_applied(&self, index: u64, limit: Duration) -> bool {
        let mut applied = self.store.applied().subscribe();
        timeout(limit, applied.wait_for(|at| *at >= index)).await.is_ok_and(|r| r.is_ok())
    }

    /// The leader of `term` said something that came in at `at`.
    fn heard_leader(&self, term: u64, at: Instant) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = heard.map_or(Duration::ZERO, |last| at.saturating_duration_since(last.at));
        let silences = heard.map_or(0, |last| last.silences) + u64::from(pause > self.longest_pause());
        *heard = Some(match *heard {
            Some(last) if last.term == term => {
                Heard { term, at: at.max(last.at), silence: last.silence.max(pause), silences }
            }
            _ => Heard { term, at, silence: Duration::ZERO, silences },
        });
    }

    /// Who hears nothing for longer has lost contact.
    fn longest_pause(&self) -> Duration {
        Duration::from_millis(self.config.heartbeat_ms * 3)
    }

    /// The contact that this node has with the cluster.
    pub(crate) fn contact(&self) -> Option<Contact> {
        let longest = self.longest_pause();
        let (leads, term, followed) = {
            let metrics = self.raft.metrics();
            let now = metrics.borrow_watched();
            let alone = now.membership_config.voter_ids().count() == 1;
            let followed = alone
                || now.last_quorum_acked.is_some_and(|at| openraft::Instant::elapsed(&at.into_inner()) <= longest);
            (now.state == ServerState::Leader, now.current_term, followed)
        };
        let heard = self.heard();
        let silences = heard.map_or(0, |heard| heard.silences);
        let in_contact =
            if leads { followed } else { heard.is_some_and(|h| h.term == term && h.at.elapsed() <= longest) };
        in_contact.then_some(Contact { term, leads, silences })
    }

    fn heard(&self) -> Option<Heard> {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the leader was heard.
    pub(crate) fn leader_heard_ms(&self) -> Option<u64> {
        self.heard().map(|heard| u64::try_from(heard.at.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// The longest time, in milliseconds, that nothing was heard from the leader of `term`.
    pub(crate) fn leader_silence_ms(&self, term: u64) -> u64 {
        let heard = self.heard().filter(|heard| heard.term == term);
        let silence = heard.map_or(Duration::ZERO, |heard| heard.silence.max(heard.at.elapsed()));
        u64::try_from(silence.as_millis()).unwrap_or(u64::MAX)
    }

    /// Milliseconds since a node of another cluster took this one for a member of its own.
    pub(crate) fn foreign_ms(&self) -> Option<u64> {
        let at = *self.foreign.lock().unwrap_or_else(PoisonError::into_inner);
        at.map(|at| u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Milliseconds since the checkpoint at `index` was first seen.
    pub(crate) fn checkpoint_age_ms(&self, index: u64) -> u64 {
        let mut last = self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 != index {
            *last = (index, Instant::now());
        }
        u64::try_from(last.1.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Notes that the process of the leader of `term` is gone.
    pub(crate) fn leader_gone(&self, leader: NodeId, term: u64) {
        *self.gone.lock().unwrap_or_else(PoisonError::into_inner) = Some((leader, term, Instant::now()));
    }

    /// This node has itself found the present leader's process gone a moment ago.
    fn saw_leader_gone(&self) -> bool {
        let Some((leader, term, at)) = *self.gone.lock().unwrap_or_else(PoisonError::into_inner) else {
            return false;
        };
        let metrics = self.raft.server_metrics();
        let now = metrics.borrow_watched();
        let same = now.current_leader == Some(leader) && now.vote.leader_id.term == term;
        same && at.elapsed() < Duration::from_millis(self.config.election_max_ms * 2)
    }

    /// Changes the identity on disk, if `change` changes it.
    pub(crate) fn update_identity(&self, change: impl FnOnce(&mut IdentityV1)) -> std::io::Result<()> {
        let mut identity = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = identity.clone();
        change(&mut next);
        if *identity != next {
            self.layout.write_identity(&next)?;
            *identity = next;
        }
        Ok(())
    }

    async fn vote(&self, request: VoteRequest<Types>, pre: bool) -> Answer {
        let voted = if pre { self.raft.pre_vote(request).await } else { self.raft.vote(request).await };
        match voted {
            Ok(v) => Answer::VoteV1 {
                vote: (&v.vote).into(),
                granted: v.vote_granted,
                last: v.last_log_id.as_ref().map(Into::into),
            },
            Err(error) => failed(error),
        }
    }

    // Nothing is awaited before the engine has it: appends keep their order by that.
    async fn append(self: Arc<Self>, append: Append) -> Answer {
        if !self.take_room_at_once(append.entries.iter().map(|entry| entry.content.len() as u64 + HEAD).sum()) {
            return failed(DISK_FULL);
        }
        let (leader, arrived) = (append.vote.term, Instant::now());
        let request = match append_request(append) {
            Ok(request) => request,
            Err(error) => return failed(error),
        };
        let answer = match self.raft.append_entries(request).await {
            Ok(AppendEntriesResponse::Success) => Appended::Success,
            Ok(AppendEntriesResponse::PartialSuccess(id)) => Appended::Partial(id.as_ref().map(Into::into)),
            Ok(AppendEntriesResponse::Conflict) => Appended::Conflict,
            Ok(AppendEntriesResponse::HigherVote(vote)) => {
                tracing::debug!(leader, higher = %vote, "an append of a former leader");
                return Answer::AppendV1(Appended::Higher((&vote).into()));
            }
            Err(error) => return failed(error),
        };
        self.heard_leader(leader, arrived);
        Answer::AppendV1(answer)
    }

    async fn forwarded(&self, commands: Vec<serde_bytes::ByteBuf>) -> Forwarded {
        if self.disk.room().is_closed && self.leader() == Some(self.id()) {
            return Forwarded::NotStored { leader: self.id(), overloaded: true };
        }
        let deadline = Instant::now() + self.config.propose_timeout;
        let commands = commands.into_iter().map(|c| c.into_vec().into()).collect();
        let Some((_, outcome)) = self.proposer.submit(commands, true, deadline) else {
            return Forwarded::NotStored { leader: 0, overloaded: true };
        };
        match timeout_at(deadline, outcome).await {
            Ok(Ok(Outcome::Done { index, time_ms, replies })) => {
                Forwarded::Done { index, time_ms, replies: replies.into_iter().map(Into::into).collect() }
            }
            Ok(Ok(Outcome::NoRoom)) => Forwarded::NotStored { leader: self.id(), overloaded: true },
            Ok(Ok(Outcome::NotStored { leader, overloaded })) => {
                Forwarded::NotStored { leader: leader.unwrap_or(0), overloaded }
            }
            _ => Forwarded::Unknown,
        }
    }
}

/// What a node answers that must not write: the leader takes it for away, and brings it up to date later.
const DISK_FULL: &str = "the disk is full";

fn failed(error: impl std::fmt::Display) -> Answer {
    Answer::FailedV1 { reason: error.to_string() }
}

/// Size of a chunk of a snapshot (bytes).
fn size(pairs: &[PairV1]) -> u64 {
    pairs.iter().map(|pair| (pair.key.len() + pair.record.len()) as u64).sum()
}

fn append_request(append: Append) -> Result<AppendEntriesRequest<Types>, crate::wire::WireError> {
    let mut entries = Vec::with_capacity(append.entries.len());
    for entry in append.entries {
        let payload = StoredPayload::from_parts(entry.kind, entry.content.into_vec().into())?.0;
        entries.push(Entry { log_id: entry.id.into(), payload });
    }
    Ok(AppendEntriesRequest {
        vote: append.vote.into(),
        prev_log_id: append.prev.map(Into::into),
        entries,
        leader_commit: append.commit.map(Into::into),
    })
}

/// What a connection remembers.
#[derive(Default)]
pub(crate) struct Session {
    receiving: Receiving,
    /// What was free when that began (bytes).
    free: u64,
}

impl Service for Node {
    type Session = Session;

    fn admit(&self, hello: &Hello) -> Result<Session, String> {
        let me = self.peers.me();
        let guest = hello.to == 0;
        if hello.cluster_id != me.cluster_id && !(guest && hello.cluster_id == [0; 16]) {
            if hello.to == me.node_id && hello.from != 0 {
                *self.foreign.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            }
            return Err("this node belongs to another cluster".to_owned());
        }
        if !guest && hello.to != me.node_id {
            return Err(format!("this is node {}, not node {}", me.node_id, hello.to));
        }
        if !guest && hello.from == 0 {
            return Err("a caller without an id may only ask to join".to_owned());
        }
        if !guest && hello.from != me.node_id {
            self.peers.learn(hello.from, &hello.from_addr);
        }
        Ok(Session::default())
    }

    fn has_group(&self, group: GroupId) -> bool {
        group == self.group
    }

    fn answer(self: &Arc<Self>, from: NodeId, request: Request) -> BoxFuture<'static, Answer> {
        let node = self.clone();
        match request {
            Request::AppendV1(append) => Box::pin(async move { node.append(append).await }),
            Request::VoteV1 { vote, last, transfer, pre } => {
                let mut request = VoteRequest::new(vote.into(), last.map(Into::into));
                // The lease protects a living leader. This node has found that leader's process gone.
                request.leadership_transfer = transfer || self.saw_leader_gone();
                Box::pin(async move { node.vote(request, pre).await })
            }
            Request::TransferV1 { from, to, last } => Box::pin(async move {
                let request = TransferLeaderRequest::new(Vote::from(from), to, last.map(Into::into));
                let accepted = node.raft.handle_transfer_leader(request).await;
                Answer::TransferV1 { accepted: matches!(accepted, Ok(Ok(()))) }
            }),
            Request::ForwardV1 { commands } => {
                Box::pin(async move { Answer::ForwardV1(node.forwarded(commands).await) })
            }
            Request::ReadIndexV1 => Box::pin(async move { Answer::ReadIndexV1 { index: node.read_index().await } }),
            Request::AppV1 { body } => Box::pin(async move {
                let answer = node.handler.handle(from, body.into_vec().into()).await;
                Answer::AppV1 { body: Vec::from(answer).into() }
            }),
            Request::NewIdV1 { member } => Box::pin(async move { Answer::JoinV1(node.new_id(member.into()).await) }),
            Request::AnnounceV1(announce) => Box::pin(async move { Answer::JoinV1(node.announced(announce).await) }),
            Request::CountedV1 => {
                let (term, index) = self.counted_for(from);
                Box::pin(std::future::ready(Answer::CountedV1 { term, index }))
            }
            Request::ClockV1 { told } => Box::pin(std::future::ready(self.told_time(from, told))),
            Request::SnapshotBeginV1 { .. } | Request::SnapshotChunkV1 { .. } | Request::SnapshotEndV1 { .. } => {
                Box::pin(std::future::ready(failed("a part of a snapshot out of its session")))
            }
        }
    }

    async fn in_session(self: &Arc<Self>, session: &mut Session, request: Request) -> Result<Answer, Request> {
        match request {
            Request::SnapshotBeginV1 { .. } if !self.may_begin_snapshot() => Ok(failed(DISK_FULL)),
            Request::SnapshotChunkV1 { ref pairs, .. } if !self.take_room(size(pairs)).await => {
                self.snapshot_found_no_room(session.free);
                Ok(session.receiving.fail(&StoreError::Io(DISK_FULL.to_owned())))
            }
            Request::SnapshotBeginV1 { .. } | Request::SnapshotChunkV1 { .. } | Request::SnapshotEndV1 { .. } => {
                let dir: PathBuf = self.layout.snapshot();
                if matches!(request, Request::SnapshotBeginV1 { .. }) {
                    session.free = self.disk.room().free;
                }
                Ok(session.receiving.take(&self.raft, &dir, request).await)
            }
            other => Err(other),
        }
    }
}
