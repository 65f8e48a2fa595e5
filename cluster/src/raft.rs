//! openraft's network: turns its calls into requests to peers, and turns the answers into what it expects.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use openraft::OptionalSend;
use openraft::entry::RaftEntry;
use openraft::error::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendError, StreamAppendResult,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use tokio::time::Instant;

use crate::catchup::CatchUps;
use crate::config::Config;
use crate::log::Log;
use crate::net::{Lane, Link, LinkError, Peers};
use crate::snapshot;
use crate::store::SnapshotData;
use crate::types::{LeaderId, LogId, Member, Types, Vote};
use crate::wire::{Answer, Append, Appended, Request, StoredPayload, WireEntry};
use crate::{GroupId, NodeId};

type Snapshot = openraft::Snapshot<LeaderId, u64, Member, SnapshotData>;
type Appends<'s> = BoxStream<'s, Result<StreamAppendResult<Types>, RPCError<Types>>>;

/// Most appends in flight to one follower.
const WINDOW: usize = 16;

/// openraft's settings.
pub(crate) fn settings(config: &Config, cluster: &str) -> Result<openraft::Config, openraft::ConfigError> {
    openraft::Config {
        cluster_name: cluster.to_owned(),
        heartbeat_interval: config.heartbeat_ms,
        election_timeout_min: config.election_min_ms,
        election_timeout_max: config.election_max_ms,
        install_snapshot_timeout: u64::try_from(config.snapshot_timeout.as_millis()).unwrap_or(u64::MAX),
        max_payload_entries: 1024,
        max_append_entries: Some(256),
        // Followers get entries as long as the log has them, so never a snapshot because of lag alone.
        replication_lag_threshold: u64::MAX / 4,
        // Housekeeping makes checkpoints and purges the log.
        snapshot_policy: openraft::SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX / 4,
        api_channel_size: Some(4096),
        backoff: "50ms 100ms 200ms ..500ms".to_owned(),
        enable_pre_vote: Some(true),
        // A leader that restarts must be elected again: with its term restored it could use a log id twice.
        enable_leader_restore: Some(crate::failpoint!("restored-leader")),
        ..openraft::Config::default()
    }
    .validate()
}

/// Makes the connections that openraft asks for.
pub(crate) struct Network {
    /// The group of the log.
    pub(crate) group: GroupId,
    pub(crate) peers: Arc<Peers>,
    /// Takes note of the snapshots that are sent.
    pub(crate) catch_ups: Arc<CatchUps>,
    /// The log with this node's own vote.
    pub(crate) log: Log,
    /// Longest that an append to a follower may take.
    pub(crate) append_timeout: Duration,
    pub(crate) snapshot_timeout: Duration,
}

impl Network {
    fn client(&self, target: u64, lane: Lane) -> Client {
        Client {
            group: self.group,
            target,
            catch_ups: self.catch_ups.clone(),
            link: self.peers.link(target, lane),
            pulse: self.peers.link(target, Lane::Pulse),
            log: self.log.clone(),
            append_timeout: self.append_timeout,
            snapshot_timeout: self.snapshot_timeout,
        }
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Client;

    async fn new_client(&mut self, target: u64, _node: &Member) -> Client {
        self.client(target, Lane::Append)
    }

    async fn new_heartbeat_client(&mut self, target: u64, _node: &Member) -> Client {
        self.client(target, Lane::Pulse)
    }

    async fn new_snapshot_client(&mut self, target: u64, _node: &Member) -> Client {
        self.client(target, Lane::Bulk)
    }
}

/// The connections to one peer.
pub(crate) struct Client {
    group: GroupId,
    target: NodeId,
    catch_ups: Arc<CatchUps>,
    link: Arc<Link>,
    pulse: Arc<Link>,
    log: Log,
    append_timeout: Duration,
    snapshot_timeout: Duration,
}

fn unreachable(error: &LinkError) -> RPCError<Types> {
    if error.is_unconnected() || matches!(error, LinkError::NoGroup(_)) {
        RPCError::Unreachable(Unreachable::new(error))
    } else {
        RPCError::Network(NetworkError::new(error))
    }
}

fn odd() -> RPCError<Types> {
    RPCError::Network(NetworkError::from_string("an answer that does not match the request"))
}

/// openraft's append as a request.
fn append(rpc: AppendEntriesRequest<Types>) -> Result<Request, RPCError<Types>> {
    let mut entries = Vec::with_capacity(rpc.entries.len());
    for entry in rpc.entries {
        let id = (&entry.log_id).into();
        let (kind, content) =
            StoredPayload(entry.payload).parts().map_err(|e| RPCError::Network(NetworkError::new(&e)))?;
        entries.push(WireEntry { id, kind, content });
    }
    Ok(Request::AppendV1(Append {
        vote: (&rpc.vote).into(),
        prev: rpc.prev_log_id.as_ref().map(Into::into),
        commit: rpc.leader_commit.as_ref().map(Into::into),
        entries,
    }))
}

fn appended(answer: Answer) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
    match answer {
        Answer::AppendV1(Appended::Success) => Ok(AppendEntriesResponse::Success),
        Answer::AppendV1(Appended::Partial(id)) => {
            Ok(AppendEntriesResponse::PartialSuccess(id.map(Into::into)))
        }
        Answer::AppendV1(Appended::Conflict) => Ok(AppendEntriesResponse::Conflict),
        Answer::AppendV1(Appended::Higher(vote)) => Ok(AppendEntriesResponse::HigherVote(vote.into())),
        Answer::FailedV1 { reason } => Err(RPCError::Unreachable(Unreachable::from_string(reason))),
        _ => Err(odd()),
    }
}

/// The result of one append of a stream.
fn outcome(
    answer: Answer,
    prev: Option<LogId>,
    last: Option<LogId>,
) -> Result<StreamAppendResult<Types>, RPCError<Types>> {
    Ok(match (appended(answer)?, prev) {
        (AppendEntriesResponse::Success, _) => Ok(last),
        (AppendEntriesResponse::PartialSuccess(id), _) => Ok(id),
        (AppendEntriesResponse::HigherVote(vote), _) => Err(StreamAppendError::HigherVote(vote)),
        (AppendEntriesResponse::Conflict, Some(prev)) => Err(StreamAppendError::Conflict(prev)),
        (AppendEntriesResponse::Conflict, None) => return Err(odd()),
    })
}

/// The result of one append, and the last log id that it sent.
type Matched = Result<(StreamAppendResult<Types>, Option<LogId>), RPCError<Types>>;

/// Sends an append; the inner future resolves to its answer.
// Boxed: the compiler can't see that the unboxed futures are Send for every lifetime. The inner future is not
// awaited here because the next append goes out before this one is answered.
#[allow(clippy::async_yields_async)]
fn begin_append(
    (link, group): (Arc<Link>, GroupId),
    rpc: AppendEntriesRequest<Types>,
    limit: Duration,
) -> BoxFuture<'static, BoxFuture<'static, Matched>> {
    Box::pin(async move {
        let prev = rpc.prev_log_id;
        let last = rpc.entries.last().map(|e| e.log_id()).or(prev);
        let deadline = Instant::now() + limit;
        let started = match append(rpc) {
            Ok(request) => link.start(group, &request, deadline).await.map_err(|e| unreachable(&e)),
            Err(error) => Err(error),
        };
        let answered: BoxFuture<'static, Matched> = Box::pin(async move {
            if crate::failpoint!("apply-before-commit") {
                return Ok((Ok(last), last));
            }
            let answer = started?.answer(deadline).await.map_err(|e| unreachable(&e))?;
            Ok((outcome(answer, prev, last)?, last))
        });
        answered
    })
}

impl Client {
    async fn vote_request(
        &self,
        rpc: VoteRequest<Types>,
        pre: bool,
        ttl: Duration,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let request = Request::VoteV1 {
            vote: (&rpc.vote).into(),
            last: rpc.last_log_id.as_ref().map(Into::into),
            transfer: rpc.leadership_transfer,
            pre,
        };
        if !pre {
            // The peer keeps the vote for which it is asked. If this node lost its own with its power, it could
            // later lead an older term: then the peer's answer to an append would show it a later vote for
            // itself, with which openraft neither leads on nor asks for votes again.
            self.log.vote_on_disk().await.map_err(|e| RPCError::Network(NetworkError::new(&e)))?;
        }
        let answer = self.pulse.ask(self.group, &request, ttl).await;
        match answer.map_err(|e| unreachable(&e))? {
            Answer::VoteV1 { vote, granted, last } => {
                Ok(VoteResponse::new(Vote::from(vote), last.map(Into::into), granted))
            }
            Answer::FailedV1 { reason } => Err(RPCError::Unreachable(Unreachable::from_string(reason))),
            _ => Err(odd()),
        }
    }
}

impl RaftNetworkV2<Types> for Client {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let request = append(rpc)?;
        appended(self.link.ask(self.group, &request, self.append_timeout).await.map_err(|e| unreachable(&e))?)
    }

    // Pipelined: appends are sent in order without waiting, and their answers are taken in the same order.
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _option: RPCOption,
    ) -> BoxFuture<'s, Result<Appends<'s>, RPCError<Types>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        let link = self.link.clone();
        let group = self.group;
        let limit = self.append_timeout;
        let answers: BoxStream<'static, Matched> =
            Box::pin(input.then(move |rpc| begin_append((link.clone(), group), rpc, limit)).buffered(WINDOW));
        // Whatever follows an error or a partial success is void.
        let until_void = futures_util::stream::unfold(Some(answers), |answers| async move {
            let mut answers = answers?;
            match answers.next().await? {
                Err(error) => Some((Err(error), None)),
                Ok((Err(refused), _)) => Some((Ok(Err(refused)), None)),
                Ok((Ok(matched), last)) => {
                    let whole = matched == last;
                    Some((Ok(Ok(matched)), whole.then_some(answers)))
                }
            }
        });
        let log = self.log.clone();
        Box::pin(async move {
            // A leader that is the only voter has asked nobody. Without its vote on disk it could lead the
            // same term again after a crash, and use a log id twice.
            match log.vote_on_disk().await {
                Ok(()) => Ok(Box::pin(until_void) as Appends<'s>),
                Err(error) => Err(RPCError::Network(NetworkError::new(&error))),
            }
        })
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.vote_request(rpc, false, option.hard_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.vote_request(rpc, true, option.hard_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let at = snapshot.meta.last_log_id.as_ref().map_or(0, |id| id.index);
        let sending = self.catch_ups.begin(self.target, at);
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = snapshot::send((&self.link, self.group), vote, snapshot, self.snapshot_timeout) => {
                let theirs = sent?;
                // A member that knows a later vote has not taken the snapshot.
                if theirs <= vote {
                    sending.arrived();
                }
                Ok(SnapshotResponse::new(theirs))
            }
        }
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<Types>,
        _option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let request = Request::TransferV1 {
            from: req.from_leader().into(),
            to: *req.to_node_id(),
            last: req.last_log_id().map(Into::into),
        };
        // Whether the other node accepts shows in the election that it starts.
        self.pulse.ask(self.group, &request, self.append_timeout).await.map_err(|e| unreachable(&e))?;
        Ok(Ok(()))
    }

    fn backoff(&self) -> Option<Backoff> {
        None
    }
}
