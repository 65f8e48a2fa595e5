//! Sends the applied state to a peer that is too far behind, and receives it. The transfer consists of begin,
//! chunks and end on a bulk connection. Only one or two chunks are in memory at a time, never the whole
//! state.

use std::path::{Path, PathBuf};
use std::time::Duration;

use openraft::Snapshot;
use openraft::error::{NetworkError, StreamingError, Unreachable};
use openraft::storage::RaftStateMachine;
use tokio::sync::mpsc;

use crate::GroupId;
use crate::engine::Raft;
use crate::error::StoreError;
use crate::net::{Link, LinkError};
use crate::os::{self, spawn_blocking};
use crate::store::{self, Incoming, Machine, SnapshotData};
use crate::types::{LeaderId, Member, Types, Vote};
use crate::wire::{Answer, PairV1, Request, StoredVote};

type Data = <Machine as RaftStateMachine<Types>>::SnapshotData;

/// Sends a snapshot; returns the highest vote that the receiver knows.
pub(crate) async fn send(
    (link, group): (&Link, GroupId),
    vote: Vote,
    snapshot: Snapshot<LeaderId, u64, Member, Data>,
    limit: Duration,
) -> Result<Vote, StreamingError<Types>> {
    let SnapshotData::Live(view) = snapshot.snapshot else {
        return Err(StreamingError::Network(NetworkError::from_string(
            "a received snapshot cannot be sent to another node",
        )));
    };
    let state = view.state().clone();
    let (sender, mut chunks) = mpsc::channel::<Vec<PairV1>>(os::CHUNKS_AHEAD);
    let export = spawn_blocking(move || store::export(&view, &mut |chunk| os::send_blocking(&sender, chunk)));
    let begin = Request::SnapshotBeginV1 { vote: (&vote).into(), state };
    if let Some(higher) = step((link, group), &begin, vote, limit).await? {
        return Ok(higher);
    }
    let mut index = 0;
    let mut pairs = 0;
    while let Some(chunk) = chunks.recv().await {
        pairs += chunk.len() as u64;
        let request = Request::SnapshotChunkV1 { index, crc: store::chunk_crc(&chunk), pairs: chunk };
        if let Some(higher) = step((link, group), &request, vote, limit).await? {
            return Ok(higher);
        }
        index += 1;
    }
    // If the view turned out to be damaged, the transfer must not look complete.
    export
        .await
        .map_err(|e| StreamingError::Network(NetworkError::from_string(e)))?
        .map_err(|e| StreamingError::Network(NetworkError::new(&e)))?;
    let end = Request::SnapshotEndV1 { chunks: index, pairs };
    Ok(step((link, group), &end, vote, limit).await?.unwrap_or(vote))
}

/// Sends one request of a snapshot; `Some` when the receiver has finished with it.
async fn step(
    (link, group): (&Link, GroupId),
    request: &Request,
    vote: Vote,
    limit: Duration,
) -> Result<Option<Vote>, StreamingError<Types>> {
    match link.ask(group, request, limit).await {
        Ok(Answer::SnapshotV1 { vote: theirs, done }) => {
            let theirs = Vote::from(theirs);
            Ok((done || theirs > vote).then_some(theirs))
        }
        Ok(Answer::FailedV1 { reason }) => Err(StreamingError::Network(NetworkError::from_string(reason))),
        Ok(_) => Err(StreamingError::Network(NetworkError::from_string(
            "an answer that does not match the request",
        ))),
        Err(e) if e.is_unconnected() || matches!(e, LinkError::NoGroup(_)) => {
            Err(StreamingError::Unreachable(Unreachable::new(&e)))
        }
        Err(e) => Err(StreamingError::Network(NetworkError::new(&e))),
    }
}

/// The part of a snapshot that a connection has received so far.
#[derive(Default)]
pub(crate) struct Receiving {
    begun: Option<(StoredVote, Box<Incoming>)>,
}

impl Receiving {
    /// Handles a request that belongs to a snapshot.
    pub(crate) async fn take(&mut self, raft: &Raft, dir: &Path, request: Request) -> Answer {
        let taken = match request {
            Request::SnapshotBeginV1 { vote, state } => self.begin(dir.to_owned(), vote, state).await,
            Request::SnapshotChunkV1 { index, crc, pairs } => self.chunk(index, crc, pairs).await,
            Request::SnapshotEndV1 { chunks, pairs } => return self.end(raft, chunks, pairs).await,
            _ => Err(StoreError::Io("the request is not a part of a snapshot".to_owned())),
        };
        match taken {
            Ok(vote) => Answer::SnapshotV1 { vote, done: false },
            Err(error) => self.fail(&error),
        }
    }

    /// Drops what was received so far.
    pub(crate) fn fail(&mut self, error: &StoreError) -> Answer {
        tracing::warn!(%error, "cannot receive a snapshot");
        self.begun = None;
        Answer::FailedV1 { reason: error.to_string() }
    }

    async fn begin(
        &mut self,
        dir: PathBuf,
        vote: StoredVote,
        state: crate::wire::SystemV1,
    ) -> Result<StoredVote, StoreError> {
        self.begun = None;
        let incoming = blocking(move || Incoming::begin(&dir, state)).await?;
        self.begun = Some((vote, Box::new(incoming)));
        Ok(vote)
    }

    async fn chunk(&mut self, index: u64, crc: u32, pairs: Vec<PairV1>) -> Result<StoredVote, StoreError> {
        let (vote, mut incoming) = self.begun.take().ok_or_else(out_of_turn)?;
        incoming = blocking(move || incoming.chunk(index, crc, &pairs).map(|()| incoming)).await?;
        self.begun = Some((vote, incoming));
        Ok(vote)
    }

    async fn end(&mut self, raft: &Raft, chunks: u64, pairs: u64) -> Answer {
        let Some((vote, incoming)) = self.begun.take() else {
            return self.fail(&out_of_turn());
        };
        let received = match blocking(move || incoming.finish(chunks, pairs)).await {
            Ok(received) => received,
            Err(error) => return self.fail(&error),
        };
        let meta = match store::meta(&received.state) {
            Ok(meta) => meta,
            Err(error) => return self.fail(&error),
        };
        let snapshot = Snapshot { meta, snapshot: SnapshotData::Received(received) };
        match raft.install_full_snapshot(vote.into(), snapshot).await {
            Ok(response) => Answer::SnapshotV1 { vote: (&response.vote).into(), done: true },
            Err(fatal) => self.fail(&StoreError::Io(fatal.to_string())),
        }
    }
}

fn out_of_turn() -> StoreError {
    StoreError::Io("a part of a snapshot that was not begun".to_owned())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    spawn_blocking(work).await.map_err(|e| StoreError::Io(e.to_string()))?
}

/// Removes the files of an interrupted transfer.
pub(crate) fn clear(dir: &Path) -> std::io::Result<()> {
    match os::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => os::fs::create_dir_all(dir),
    }
}
