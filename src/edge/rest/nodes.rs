//! Questions to all nodes: what each of them answers, and which of them do not.

use crate::core::ids::NodeId;
use crate::edge::context::Edge;
use crate::hub::PeerRequest;
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;
use waypost_cluster::{MemberStatus, Status};

/// How long a node has to answer.
const ANSWER_WAIT: Duration = Duration::from_millis(2500);

/// What is heard of a node.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard<T> {
    /// Its answer.
    Answer(T),
    /// Nothing: what it would have answered is missing.
    Nothing,
    /// No process of it runs, so it has no clients.
    NoProcess,
}

/// Asks one node, which may be this one.
pub(super) async fn ask<R, T>(edge: &Edge, node: NodeId, ask: &R) -> Heard<T>
where
    R: PeerRequest<Answer = Option<T>>,
{
    match timeout(ANSWER_WAIT, edge.hub.peers().ask(node, ask, ANSWER_WAIT)).await {
        Ok(Ok(Some(answer))) => Heard::Answer(answer),
        Ok(Err(error)) if error.shows_end() => Heard::NoProcess,
        Ok(Err(error)) => {
            let node = edge.hub.peers().called(node);
            tracing::debug!(node, %error, "a node does not answer a question to all nodes");
            Heard::Nothing
        }
        Ok(Ok(None)) | Err(_) => Heard::Nothing,
    }
}

/// Asks each node something of its own, all of them at once.
pub(super) async fn ask_all<R, T>(edge: &Edge, asks: Vec<(NodeId, R)>) -> Vec<(NodeId, Heard<T>)>
where
    R: PeerRequest<Answer = Option<T>>,
{
    join_all(asks.iter().map(async |(node, asked)| (*node, ask(edge, *node, asked).await))).await
}

/// A node as answers show it.
pub(super) fn node(status: &Status, id: NodeId) -> Value {
    json!({"id": id, "name": status.member(id).and_then(MemberStatus::name)})
}

/// Nodes as answers show them, in the order of their ids.
pub(super) fn nodes(status: &Status, mut ids: Vec<NodeId>) -> Vec<Value> {
    ids.sort_unstable();
    ids.into_iter().map(|id| node(status, id)).collect()
}
