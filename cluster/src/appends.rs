//! Hands the appends of a leader to the engine, in the order in which they came.
//!
//! A leader sends appends without waiting for answers, and each begins where the one before it ends. If one
//! overtakes another, the engine finds no entry before its own and answers with a conflict. The leader then
//! concludes that this node has lost entries that it had acknowledged.

use std::convert::Infallible;
use std::pin::pin;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use openraft::error::Fatal;
use openraft::raft::{AppendEntriesRequest, StreamAppendResult};
use tokio::sync::oneshot;

use crate::engine::Raft;
use crate::types::Types;

/// The engine's answer to an append.
pub(crate) type AppendResult = Result<StreamAppendResult<Types>, Fatal<Types>>;

/// Hands an append to the engine, and waits while the engine's queue is full. When this ends, the append is in
/// the queue, and whatever is handed over next comes behind it. The future that it returns waits for the
/// result.
pub(crate) async fn hand_over(
    raft: &Raft,
    append: AppendEntriesRequest<Types>,
) -> BoxFuture<'static, AppendResult> {
    // The engine asks for a further append only when the first one is in its queue. Then, or when the engine
    // has stopped, `held` is dropped.
    let (held, let_go) = oneshot::channel::<Infallible>();
    let appends = stream::unfold((Some(append), held), |(append, held)| async move {
        append.map(|append| (append, (None, held)))
    });
    let results = raft.stream_append(appends);
    // Nothing is ever sent, so this is always an error.
    let _ = let_go.await;
    Box::pin(async move {
        let mut results = pin!(results);
        results.next().await.unwrap_or(Err(Fatal::Stopped))
    })
}

#[cfg(all(test, not(feature = "sim")))]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc;
    use std::time::Duration;

    use futures_util::FutureExt;
    use openraft::raft::StreamAppendError;
    use openraft::testing::log::StoreBuilder;
    use tempfile::TempDir;
    use tokio::task::coop::consume_budget;
    use tokio::task::{block_in_place, yield_now};

    use super::*;
    use crate::config::{Config, Security};
    use crate::identity_key::IdentityKey;
    use crate::net::{Limits, Me, Peers, Secure};
    use crate::raft::{Network, settings};
    use crate::suite::Builder;
    use crate::types::{Data, Entry, LogId, Payload, Vote};
    use crate::wire::{StoredLogId, StoredVote};

    /// Calls of the runtime's functions that a task may make before it must give way.
    const BUDGET: u64 = 128;
    const TERM: u64 = 1;
    /// The node that leads. The tested one is another.
    const LEADER: u64 = 1;

    fn at(index: u64) -> StoredLogId {
        StoredLogId { term: TERM, node: LEADER, index }
    }

    /// The append of the entry at `index`, from 0.
    fn append(index: u64) -> AppendEntriesRequest<Types> {
        let payload = Payload::Normal(Data(vec![7; 100].into()));
        AppendEntriesRequest {
            vote: Vote::from(StoredVote { term: TERM, node: LEADER, committed: true }),
            prev_log_id: index.checked_sub(1).map(|before| at(before).into()),
            entries: vec![Entry { log_id: at(index).into(), payload }],
            leader_commit: None,
        }
    }

    /// A follower's engine, whose queue has `room`.
    async fn follower(room: u64) -> (TempDir, Raft) {
        let (dir, log, machine) = Builder.build().await.unwrap();
        let settings = openraft::Config {
            api_channel_size: Some(room),
            ..settings(&Config::default(), "test").unwrap()
        };
        let secure = Secure::new(&Security::default(), IdentityKey::random().unwrap()).unwrap();
        let me = Me { cluster_id: [1; 16], node_id: LEADER + 1, addr: "127.0.0.1:1".to_owned() };
        let network = Network {
            group: crate::FIRST_GROUP,
            peers: Peers::new(me, Arc::new(secure), Limits::new(8, 8)),
            catch_ups: Arc::default(),
            log: log.clone(),
            append_timeout: Duration::from_secs(60),
            snapshot_timeout: Duration::from_secs(60),
        };
        let raft = Raft::new(LEADER + 1, Arc::new(settings), network, log, machine).await.unwrap();
        (dir, raft)
    }

    fn is_success(result: &AppendResult) -> bool {
        matches!(result, Ok(Ok(_)))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn appends_keep_their_order_while_the_engines_queue_is_full() {
        let (_dir, raft) = follower(2).await;
        // The engine stands still until `go_on` is dropped.
        let (go_on, halt) = mpsc::channel::<Infallible>();
        let (stands, standing) = oneshot::channel();
        let halted = raft.external_request(move |_| {
            let _ = stands.send(());
            let _ = block_in_place(|| halt.recv());
        });
        halted.await.unwrap();
        standing.await.unwrap();
        while raft.external_request(|_| ()).now_or_never().is_some() {}

        let mut first = Box::pin(hand_over(&raft, append(0)));
        for _ in 0..100 {
            assert!(first.as_mut().now_or_never().is_none(), "the queue has no room");
            yield_now().await;
        }
        drop(go_on);
        let first = first.await;
        let mut waiting = vec![first];
        for index in 1..20 {
            waiting.push(hand_over(&raft, append(index)).await);
        }
        for (index, result) in waiting.into_iter().enumerate() {
            let result = result.await;
            assert!(is_success(&result), "{index}: {result:?}");
        }
        raft.shutdown().await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_task_that_must_give_way_hands_appends_over_in_order() {
        let (_dir, raft) = follower(64).await;
        for spent in 0..=BUDGET {
            for _ in 0..spent {
                consume_budget().await;
            }
            let first = hand_over(&raft, append(2 * spent)).await;
            let second = hand_over(&raft, append(2 * spent + 1)).await;
            let (first, second) = (first.await, second.await);
            assert!(is_success(&first) && is_success(&second), "{spent}: {first:?}, {second:?}");
        }
        raft.shutdown().await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn an_append_that_overtakes_another_is_a_conflict() {
        let (_dir, raft) = follower(64).await;
        let early = hand_over(&raft, append(1)).await.await;
        let Ok(Err(StreamAppendError::Conflict(asked))) = early else { panic!("{early:?}") };
        assert_eq!(asked, LogId::from(at(0)));
        for index in [0, 1] {
            let result = hand_over(&raft, append(index)).await.await;
            assert!(is_success(&result), "{index}: {result:?}");
        }
        raft.shutdown().await.unwrap();
        // The engine has stopped: that is an answer too.
        assert!(hand_over(&raft, append(2)).await.await.is_err());
    }
}
