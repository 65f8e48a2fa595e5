//! Linearizable reads.
//!
//! Owns the rounds: those who ask while a round is under way share the next one. A round is safe to repeat.

use std::sync::Weak;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::net::Lane;
use crate::node::Node;
use crate::wire::{Answer, Request};

/// Gets the index that its read must have seen.
pub(crate) type Waiting = oneshot::Sender<u64>;

/// Pause after a round without an answer.
const AGAIN: Duration = Duration::from_millis(20);

/// Serves rounds for as long as the node lives.
pub(crate) async fn serve(node: Weak<Node>, mut queue: mpsc::Receiver<Waiting>) {
    while let Some(first) = queue.recv().await {
        let mut waiting = vec![first];
        while let Ok(next) = queue.try_recv() {
            waiting.push(next);
        }
        while !waiting.is_empty() {
            let Some(node) = node.upgrade() else { return };
            if let Some(index) = round(&node).await {
                for waiting in waiting.drain(..) {
                    // Whoever asked may have given up.
                    let _ = waiting.send(index);
                }
                break;
            }
            node.leader_change(AGAIN).await;
            waiting.retain(|w| !w.is_closed());
        }
    }
}

/// Asks whoever leads.
async fn round(node: &Node) -> Option<u64> {
    let leader = node.leader()?;
    if leader == node.id() {
        return node.read_index().await;
    }
    let limit = Duration::from_millis(node.config.election_max_ms * 3);
    match node.peers.link(leader, Lane::Work).ask(&Request::ReadIndexV1, limit).await {
        Ok(Answer::ReadIndexV1 { index }) => index,
        _ => None,
    }
}
