//! Answers the requests of peers.

use std::{future::ready, sync::Arc};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use openraft::raft::{AppendEntriesRequest, StreamAppendError, TransferLeaderRequest, VoteRequest};
use serde_bytes::ByteBuf;
use tokio::time::{Instant, timeout_at};

use crate::GroupId;
use crate::appends::{AppendResult, hand_over};
use crate::contact::LeaderContact;
use crate::disk_budget::{DiskBudget, HEAD};
use crate::engine::Engine;
use crate::error::StoreError;
use crate::failover::Failover;
use crate::flow::Flow;
use crate::identity::Identity;
use crate::log::Log;
use crate::machine::Handler;
use crate::membership::{Members, Moves};
use crate::mend::serve::{self, Sending};
use crate::net::{Asker, Caller, Service, Shown, Standing};
use crate::observer::Observer;
use crate::older::counted_for;
use crate::proposer::{Line, Origin, Outcome, Proposer};
use crate::reads::Reads;
use crate::roster::Roster;
use crate::snapshot::Receiving;
use crate::store::Store;
use crate::time::ClusterClock;
use crate::types::{Entry, Types, Vote};
use crate::wire::{
    Answer, Append, Appended, EndV1, Forwarded, Greeted, JoinReply, PairV1, Request, StoredPayload, WireError,
};

/// The answer of a node that must not write. The leader treats it as unreachable and brings it up to date
/// later.
const DISK_FULL: &str = "the disk is full";

fn failed(error: impl std::fmt::Display) -> Answer {
    Answer::FailedV1 { reason: error.to_string() }
}

/// The answer to a part of a snapshot that is in no session.
fn outside() -> BoxFuture<'static, Answer> {
    Box::pin(ready(failed("a part of a snapshot outside of its session")))
}

/// The size of a chunk of a snapshot (bytes).
fn size(pairs: &[PairV1]) -> u64 {
    pairs.iter().map(|pair| (pair.key.len() + pair.record.len()) as u64).sum()
}

fn append_request(append: Append) -> Result<AppendEntriesRequest<Types>, WireError> {
    let mut entries = Vec::with_capacity(append.entries.len());
    for entry in append.entries {
        let payload = StoredPayload::from_parts(entry.kind, entry.content)?.0;
        entries.push(Entry { log_id: entry.id.into(), payload });
    }
    Ok(AppendEntriesRequest {
        vote: append.vote.into(),
        prev_log_id: append.prev.map(Into::into),
        entries,
        leader_commit: append.commit.map(Into::into),
    })
}

/// Hands each request of a peer to the part of the node that answers it.
pub(crate) struct PeerService {
    pub(crate) engine: Arc<Engine>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) log: Log,
    pub(crate) store: Arc<Store>,
    pub(crate) disk: Arc<DiskBudget>,
    pub(crate) contact: Arc<LeaderContact>,
    pub(crate) failover: Arc<Failover>,
    pub(crate) clock: Arc<ClusterClock>,
    pub(crate) observer: Arc<Observer>,
    pub(crate) members: Arc<Members>,
    pub(crate) moves: Arc<Moves>,
    pub(crate) roster: Arc<Roster>,
    pub(crate) reads: Arc<Reads>,
    pub(crate) proposer: Proposer,
    pub(crate) handler: Arc<dyn Handler>,
}

/// The state of one connection.
#[derive(Default)]
pub(crate) struct Session {
    receiving: Receiving,
    sending: Sending,
    /// The free bytes of the disk when the snapshot began.
    free: u64,
}

impl PeerService {
    /// The leader gives this node the lead.
    async fn transferred(&self, request: TransferLeaderRequest<Types>) -> Answer {
        let accepted = self.engine.raft().handle_transfer_leader(request).await;
        Answer::TransferV1 { accepted: matches!(accepted, Ok(Ok(()))) }
    }

    async fn vote(&self, request: VoteRequest<Types>, pre: bool) -> Answer {
        let voted = if pre {
            self.engine.raft().pre_vote(request).await
        } else {
            self.engine.raft().vote(request).await
        };
        // The engine does not wait for the disk, see `Log::vote_on_disk`.
        if !pre && let Err(error) = self.log.vote_on_disk().await {
            return failed(error);
        }
        match voted {
            Ok(v) => Answer::VoteV1 {
                vote: (&v.vote).into(),
                granted: v.vote_granted,
                last: v.last_log_id.as_ref().map(Into::into),
            },
            Err(error) => failed(error),
        }
    }

    /// Ends when the engine has the append, so that appends keep their order. The future that it returns waits
    /// for the result.
    async fn append(self: &Arc<Self>, append: Append) -> BoxFuture<'static, Answer> {
        let bytes = append.entries.iter().map(|entry| entry.content.len() as u64 + HEAD).sum();
        if !self.disk.take_at_once(bytes) {
            return Box::pin(ready(failed(DISK_FULL)));
        }
        let term = append.vote.term;
        let arrived = Instant::now();
        // What this node has, if the engine takes the append.
        let last = append.entries.last().map(|entry| entry.id).max(append.prev);
        let request = match append_request(append) {
            Ok(request) => request,
            Err(error) => return Box::pin(ready(failed(error))),
        };
        let result = hand_over(self.engine.raft(), request).await;
        let this = self.clone();
        Box::pin(async move {
            let result = result.await;
            let is_taken = matches!(result, Ok(Ok(_)));
            if let Some(last) = last.filter(|_| is_taken)
                && let Err(error) = this.log.on_disk(last.index).await
            {
                return failed(error);
            }
            this.appended((term, arrived), result)
        })
    }

    /// The answer to an append of the leader of a term, which arrived at that moment.
    fn appended(&self, (term, arrived): (u64, Instant), result: AppendResult) -> Answer {
        let answer = match result {
            Ok(Ok(_)) => Appended::Success,
            Ok(Err(StreamAppendError::Conflict(asked))) => {
                // Usual while a new leader looks for the place from which on this node lacks entries.
                let last = self.engine.last_log().map_or("none".to_owned(), |id| id.to_string());
                tracing::debug!(term, %asked, %last, "an append follows an entry that this node lacks");
                Appended::Conflict
            }
            Ok(Err(StreamAppendError::HigherVote(vote))) => {
                tracing::debug!(term, higher = %vote, "an append of a former leader");
                return Answer::AppendV1(Appended::Higher((&vote).into()));
            }
            Err(error) => return failed(error),
        };
        self.contact.heard_leader(term, arrived);
        Answer::AppendV1(answer)
    }

    /// Gives a peer what it lacks of its log.
    async fn repairs(self: Arc<Self>, request: Request) -> Answer {
        match request {
            Request::RecordsV1 { from, upto } => {
                serve::records(&self.log, from, upto).await.map_or_else(failed, Answer::RecordsV1)
            }
            _ => Answer::EndV1(self.end().await),
        }
    }

    /// Where this node's log ends.
    async fn end(&self) -> EndV1 {
        let leads = self.engine.leads() && self.reads.read_index().await.is_some();
        let last = self.log.last().max(self.log.purged());
        EndV1 { leads, last, is_sure: true, applied: *self.store.applied().borrow() }
    }

    async fn forwarded(&self, line: Line, origin: Origin, commands: Vec<Bytes>) -> Forwarded {
        if self.disk.room().is_closed && self.engine.leads() {
            return Forwarded::NotStored { leader: self.engine.id(), overloaded: true };
        }
        let deadline = Instant::now() + self.engine.config().propose_timeout;
        let Ok((_, outcome)) = self.proposer.submit(line, commands, origin, deadline) else {
            return Forwarded::NotStored { leader: 0, overloaded: true };
        };
        match timeout_at(deadline, outcome).await {
            Ok(Ok(Outcome::Done { index, time_ms, replies })) => {
                Forwarded::Done { index, time_ms, replies: replies.into_iter().map(Into::into).collect() }
            }
            Ok(Ok(Outcome::NoRoom)) => Forwarded::NotStored { leader: self.engine.id(), overloaded: true },
            Ok(Ok(Outcome::NotStored { leader, overloaded })) => {
                Forwarded::NotStored { leader: leader.unwrap_or(0), overloaded }
            }
            Ok(Ok(Outcome::Superseded { ordinal })) => Forwarded::Superseded { ordinal },
            Ok(Ok(Outcome::Forgotten)) => Forwarded::Forgotten,
            _ => Forwarded::Unknown,
        }
    }
}

impl Service for PeerService {
    type Session = Session;

    fn admit(&self, caller: &Caller) -> Result<Session, String> {
        let me = self.engine.peers().me();
        let hello = &caller.hello;
        let shown = &caller.shown;
        let standing = self.roster.standing(shown);
        if let (Standing::Stranger, Err(why)) = (standing, shown.admission) {
            return Err(format!("the caller has no member's identity ({}), and {why}", shown.identity));
        }
        let is_new = standing == Standing::Guest && hello.to == 0;
        if hello.cluster_id != me.cluster_id && !(is_new && hello.cluster_id == [0; 16]) {
            // A member of another cluster calls a member of its own, whatever that one's id is there.
            if hello.to != 0 && hello.from != 0 {
                self.observer.note_foreign();
            }
            return Err("this node belongs to another cluster".to_owned());
        }
        if hello.to != 0 && hello.to != me.node_id {
            return Err(format!("this is node {}, not node {}", me.node_id, hello.to));
        }
        match standing.id() {
            None if !is_new => Err(format!("node {} is not a member of this cluster", hello.from)),
            Some(id) if id != hello.from => {
                Err(format!("the caller has the identity of node {id}, not of node {}", hello.from))
            }
            // A process that runs on a copy of a member's data directory is not that member.
            Some(id) if hello.to != 0 && !self.moves.is_known_at(id, &hello.from_addr, shown.identity) => {
                Err(format!("node {id} is known at another address than {}", hello.from_addr))
            }
            _ => Ok(Session::default()),
        }
    }

    fn standing(&self, shown: &Shown) -> Standing {
        self.roster.standing(shown)
    }

    async fn expelled(&self, shown: &Shown) {
        self.roster.expelled(shown).await;
    }

    fn has_group(&self, group: GroupId) -> bool {
        group == self.engine.group()
    }

    async fn begin(self: &Arc<Self>, asker: Asker, request: Request) -> BoxFuture<'static, Answer> {
        let this = self.clone();
        // Guests ask for nothing that needs their id.
        let from = asker.standing.id().unwrap_or(0);
        match request {
            Request::AppendV1(append) => this.append(append).await,
            Request::VoteV1 { vote, last, transfer, pre } => {
                let mut request = VoteRequest::new(vote.into(), last.map(Into::into));
                // The lease protects a living leader. This node has found that that leader's process is gone.
                request.leadership_transfer = transfer || self.failover.saw_leader_gone();
                Box::pin(async move { this.vote(request, pre).await })
            }
            Request::TransferV1 { from, to, last } => {
                let request = TransferLeaderRequest::new(Vote::from(from), to, last.map(Into::into));
                Box::pin(async move { this.transferred(request).await })
            }
            // Without a name they could be stored twice.
            Request::ForwardV1 { .. } => {
                Box::pin(ready(Answer::ForwardV1(Forwarded::NotStored { leader: 0, overloaded: false })))
            }
            Request::ForwardV2 { flow, proposal, commands } => {
                let line = flow.map_or(Line::Mixed(from), |flow| Line::Flow(Flow(flow)));
                let origin = Origin::Node { id: from, proposal };
                Box::pin(async move { Answer::ForwardV1(this.forwarded(line, origin, commands).await) })
            }
            Request::ReadIndexV1 => {
                Box::pin(async move { Answer::ReadIndexV1 { index: this.reads.read_index().await } })
            }
            Request::AppV1 { body } => {
                Box::pin(async move { Answer::AppV1 { body: this.handler.handle(from, body).await } })
            }
            Request::NewIdV1 { member } => {
                let joins = this.members.clone();
                Box::pin(async move { Answer::JoinV1(joins.new_id(member.into(), asker.identity).await) })
            }
            // A member speaks for itself only.
            Request::AnnounceV1(announce) if asker.standing.id().is_some_and(|id| id != announce.id) => {
                let reason = format!("this is the identity of node {from}, not of node {}", announce.id);
                Box::pin(ready(Answer::JoinV1(JoinReply::NotNow { reason })))
            }
            Request::AnnounceV1(announce) => {
                let identity = asker.identity;
                Box::pin(async move { Answer::JoinV1(this.members.announced(announce, identity).await) })
            }
            Request::IntroduceV1 => {
                Box::pin(ready(Answer::JoinV1(self.members.introduction_of(from, asker.identity))))
            }
            Request::CountedV1 => {
                let (term, index) = counted_for(&self.engine, from);
                Box::pin(ready(Answer::CountedV1 { term, index }))
            }
            Request::ClockV1 { reported } => Box::pin(ready(self.clock.reported(from, reported))),
            Request::WhoV1 => Box::pin(ready(Answer::WhoV1(self.moves.own_process()))),
            Request::GreetV1(_) => Box::pin(ready(Answer::GreetedV1(Greeted::Member))),
            rest @ (Request::RecordsV1 { .. } | Request::EndV1) => Box::pin(this.repairs(rest)),
            Request::SnapshotBeginV1 { .. } | Request::SnapshotChunkV1 { .. } => outside(),
            Request::SnapshotEndV1 { .. } | Request::StateV1 { .. } => outside(),
        }
    }

    async fn in_session(
        self: &Arc<Self>,
        session: &mut Session,
        request: Request,
    ) -> Result<Answer, Request> {
        match request {
            Request::SnapshotBeginV1 { .. } if !self.disk.may_begin_snapshot() => Ok(failed(DISK_FULL)),
            Request::SnapshotChunkV1 { ref pairs, .. } if !self.disk.take_for_snapshot(size(pairs)).await => {
                self.disk.snapshot_found_no_room(session.free);
                Ok(session.receiving.fail(&StoreError::Io(DISK_FULL.to_owned())))
            }
            Request::SnapshotBeginV1 { .. }
            | Request::SnapshotChunkV1 { .. }
            | Request::SnapshotEndV1 { .. } => {
                let dir = self.identity.layout().snapshot();
                if matches!(request, Request::SnapshotBeginV1 { .. }) {
                    session.free = self.disk.room().free;
                }
                Ok(session.receiving.take(self.engine.raft(), &dir, request).await)
            }
            Request::StateV1 { after } => {
                Ok(session.sending.chunk(&self.store, after.map(ByteBuf::into_vec)).await)
            }
            other => Err(other),
        }
    }
}
