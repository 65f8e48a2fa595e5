//! Ends all connections of a user, on all nodes.

use super::caller::Caller;
use super::signature::NAMES;
use crate::core::ids::{MapId, NodeId};
use crate::core::json::Members;
use crate::core::lease::MAX_MEMBER_LEN;
use crate::edge::body::Body;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::pusher::state::Pusher;
use crate::hub::{Lane, PeerError, PeerRequest};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use waypost_cluster::Unreached;

/// Longest wait for the other nodes.
const WITHIN: Duration = Duration::from_secs(2);

/// Asks a node to end the connections of a user. The answer says how many there were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TerminateUser {
    map: MapId,
    user: String,
}

impl PeerRequest for TerminateUser {
    type Answer = u64;
    const KIND: u16 = 103;
    const LANE: Lane = Lane::quick(64, 1024);
}

/// Answers the other nodes, and this one.
pub(in crate::edge::pusher) fn serve(edge: &Data<Edge>, pusher: &Data<Pusher>) {
    let weak = Arc::downgrade(pusher);
    edge.hub.peers().serve(move |_, TerminateUser { map, user }| {
        let ended = weak.upgrade().map_or(0, |pusher| pusher.terminate(map, &user));
        async move { ended as u64 }
    });
}

/// `POST /apps/{app}/users/{user}/terminate_connections`.
pub(super) async fn terminate(
    request: HttpRequest,
    edge: Data<Edge>,
    path: Path<(String, String)>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let (app, user) = path.into_inner();
    let caller = Caller::of(&request, &edge, &app, NAMES).await?;
    edge.charge(&caller.grant).await?;
    if user.is_empty() || user.len() > MAX_MEMBER_LEN {
        let message = format!("the id of a user has 1 to {MAX_MEMBER_LEN} bytes");
        return Err(ApiError::bad_request("invalid_user", message));
    }
    let text = caller.body(body).await?;
    Members::of(if text.trim().is_empty() { "{}" } else { &text }).finish().into_result(())?;
    let ask = TerminateUser { map: caller.grant.map.id, user };
    let silent = everywhere(&edge, &ask).await;
    if silent.is_empty() {
        return Ok(HttpResponse::Ok().json(json!({})));
    }
    let nodes: Vec<String> = silent.iter().map(ToString::to_string).collect();
    Err(ApiError::unavailable(format!("node {} did not answer", nodes.join(", ")))
        .hint("the connections at the other nodes have ended; repeat the request"))
}

/// Asks all nodes, this one too. Returns those that may still have such connections.
async fn everywhere(edge: &Edge, ask: &TerminateUser) -> Vec<NodeId> {
    let members: Vec<NodeId> = edge.hub.health().status().members.iter().map(|member| member.id).collect();
    let asked = members.into_iter().map(async |node| (node, edge.hub.peers().ask(node, ask, WITHIN).await));
    let silent = join_all(asked).await.into_iter().filter_map(|(node, answer)| match answer {
        Ok(ended) => {
            tracing::debug!(node, ended, "ended the connections of a user");
            None
        }
        Err(error) if is_gone(&error) => None,
        Err(error) => {
            tracing::debug!(node, %error, "a node was not asked to end the connections of a user");
            Some(node)
        }
    });
    silent.collect()
}

/// Whether the error shows that the other node's process has ended, and its connections with it.
fn is_gone(error: &PeerError) -> bool {
    matches!(error, PeerError::Request(error) if error.unreached() == Some(Unreached::Refused))
}
