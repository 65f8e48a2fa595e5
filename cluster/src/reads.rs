//! Linearizable reads.
//!
//! This module does not rely on openraft for the question whether a majority follows this node. openraft
//! (0.10.0-alpha.37) counts the answer to an append as an answer to every append that was sent since and ends
//! at the same entry. So a leader that was suspended may take an old answer for an answer to its present
//! question.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use openraft::ServerState;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::NodeId;
use crate::engine::Engine;
use crate::net::Lane;
use crate::store::Store;
use crate::wire::{Answer, Append, Appended, Request, StoredVote};

/// Receives the index that its read must have seen.
pub(crate) type Waiting = oneshot::Sender<u64>;

/// Pause after a round that had no result.
const AGAIN: Duration = Duration::from_millis(20);

/// The leadership of this node, as the engine reports it at one moment.
struct Lead {
    vote: StoredVote,
    /// Last entry known to be committed.
    committed: u64,
    /// The sets of voters: one, or, during a change, the old one and the new one.
    voters: Vec<BTreeSet<NodeId>>,
}

/// Finds out which index a read must have seen. Readers that ask during a round share the next one. A round
/// can be repeated safely.
pub(crate) struct Reads {
    engine: Arc<Engine>,
    store: Arc<Store>,
}

impl Reads {
    pub(crate) fn new(engine: Arc<Engine>, store: Arc<Store>) -> Arc<Self> {
        Arc::new(Self { engine, store })
    }

    /// Runs rounds as long as a reader can ask.
    pub(crate) async fn serve(self: Arc<Self>, mut queue: mpsc::Receiver<Waiting>) {
        while let Some(first) = queue.recv().await {
            let mut waiting = vec![first];
            while let Ok(next) = queue.try_recv() {
                waiting.push(next);
            }
            while !waiting.is_empty() {
                if let Some(index) = self.round().await {
                    for waiting in waiting.drain(..) {
                        // The reader may have given up.
                        let _ = waiting.send(index);
                    }
                    break;
                }
                self.engine.leader_change(AGAIN).await;
                waiting.retain(|w| !w.is_closed());
            }
        }
    }

    /// Asks the present leader.
    async fn round(&self) -> Option<u64> {
        let leadership = self.engine.leadership()?;
        if leadership.leader == self.engine.id() {
            return self.read_index().await;
        }
        let limit = Duration::from_millis(self.engine.config().election_max_ms * 3);
        let request = Request::ReadIndexV1;
        tokio::select! {
            answer = self.engine.ask(leadership.leader, Lane::Work, &request, limit) => {
                match answer {
                    Ok(Answer::ReadIndexV1 { index }) => index,
                    _ => None,
                }
            }
            // A leader that hangs is not waited for once there is another.
            () = self.engine.other_leadership(leadership) => None,
        }
    }

    /// The index that a linearizable read on this leader must have seen; `None` if no majority follows this
    /// node.
    pub(crate) async fn read_index(&self) -> Option<u64> {
        if crate::failpoint!("stale-read") {
            return Some(*self.store.applied().borrow());
        }
        let limit = Duration::from_millis(self.engine.config().election_max_ms * 2);
        let lead = self.lead().await?;
        // The voters are asked after the index was read, so every later leader has all that was committed
        // until then.
        if !timeout(limit, self.is_followed(&lead, limit)).await.unwrap_or(false) {
            return None;
        }
        // This node counts toward the majority too, unless it has voted for another node meanwhile.
        let still = self.lead().await?;
        (still.vote == lead.vote).then_some(lead.committed)
    }

    /// The leadership of this node, once an entry of its own term is committed. Before that, entries may be
    /// committed that it does not know to be.
    async fn lead(&self) -> Option<Lead> {
        let own = self.engine.id();
        let lead = self.engine.raft().with_raft_state(move |state| {
            let vote = StoredVote::from(state.vote_ref());
            let committed = state.local_committed()?;
            let leads = state.server_state == ServerState::Leader && vote.committed && vote.node == own;
            let voters = state.membership_state.effective().membership().get_joint_config().clone();
            let lead = Lead { vote, committed: committed.index, voters };
            (leads && committed.committed_leader_id().term == vote.term).then_some(lead)
        });
        lead.await.ok().flatten()
    }

    /// Whether a majority of the voters follows this leader, as answered after the call.
    async fn is_followed(&self, lead: &Lead, limit: Duration) -> bool {
        let own = self.engine.id();
        let request =
            Request::AppendV1(Append { vote: lead.vote, prev: None, commit: None, entries: Vec::new() });
        let others: BTreeSet<NodeId> =
            lead.voters.iter().flatten().copied().filter(|id| *id != own).collect();
        let mut answers: FuturesUnordered<_> = others
            .into_iter()
            .map(|id| {
                let request = &request;
                async move { (id, self.engine.ask(id, Lane::Pulse, request, limit).await) }
            })
            .collect();
        let mut follow = BTreeSet::from([own]);
        while !lead.voters.iter().all(|voters| voters.intersection(&follow).count() > voters.len() / 2) {
            match answers.next().await {
                None => return false,
                Some((_, Ok(Answer::AppendV1(Appended::Higher(_))))) => return false,
                Some((id, Ok(Answer::AppendV1(_)))) => drop(follow.insert(id)),
                // The voter is unreachable or cannot answer: the others may be enough.
                Some(_) => {}
            }
        }
        true
    }
}
