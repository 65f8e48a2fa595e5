//! Ends all connections of a user, on all nodes.
//!
//! All nodes are asked. If some do not answer, the log tells them once they are in reach. A node that stays
//! out of reach of the cluster ends all connections by itself (`session.cut_off_seconds`), and who comes back
//! at another node must sign in again, for which the back end signs.

use super::caller::Caller;
use super::signature::NAMES;
use crate::core::app::TerminateUser;
use crate::core::command::Command;
use crate::core::error_code::Code;
use crate::core::ids::{MapId, NodeId};
use crate::core::json::Members;
use crate::core::lease::MAX_MEMBER_LEN;
use crate::edge::body::Body;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::pusher::state::Pusher;
use crate::hub::{Grant, HubError, Lane, PeerRequest, Termination};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for the other nodes.
const WITHIN: Duration = Duration::from_secs(2);

/// Asks a node to end the connections of a user. The answer says how many there were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TerminateHere {
    map: MapId,
    user: String,
}

impl PeerRequest for TerminateHere {
    type Answer = u64;
    const KIND: u16 = 103;
    const LANE: Lane = Lane::quick(64, 1024);
}

/// Answers the other nodes, and this one, and does what the log says.
pub(in crate::edge::pusher) fn serve(edge: &Data<Edge>, pusher: &Data<Pusher>) {
    let weak = Arc::downgrade(pusher);
    edge.hub.peers().serve(move |_, TerminateHere { map, user }| {
        let ended = weak.upgrade().map_or(0, |pusher| pusher.terminate(map, &user));
        async move { ended as u64 }
    });
    let weak = Arc::downgrade(pusher);
    edge.hub.presence().on_termination(move |termination| {
        let Some(pusher) = weak.upgrade() else { return };
        match termination {
            Termination::User(map, user) => {
                pusher.terminate(*map, user);
            }
            Termination::Missed => pusher.sign_in_again(),
        }
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
        return Err(ApiError::bad_request(Code::InvalidUser, message));
    }
    let text = caller.body(body).await?;
    Members::of(if text.trim().is_empty() { "{}" } else { &text }).finish().into_result(())?;
    let ask = TerminateHere { map: caller.grant.map.id, user };
    let silent = everywhere(&edge, &ask).await;
    if !silent.is_empty() {
        tell_later(&edge, &caller.grant, ask, &silent).await?;
    }
    Ok(HttpResponse::Ok().json(json!({})))
}

/// Has the log tell the nodes that did not answer.
async fn tell_later(
    edge: &Edge,
    grant: &Grant,
    ask: TerminateHere,
    silent: &[NodeId],
) -> Result<(), ApiError> {
    let TerminateHere { map, user } = ask;
    let terminate = TerminateUser { map, by: grant.who.by(), user: user.into() };
    match edge.hub.log().propose(&Command::TerminateUser(terminate)).await {
        Ok(_) => Ok(()),
        Err(refused @ HubError::Refused(_)) => Err(refused.into()),
        Err(error) => {
            let nodes: Vec<String> = silent.iter().map(ToString::to_string).collect();
            let message =
                format!("node {} did not answer, and can't be told later: {error}", nodes.join(", "));
            Err(ApiError::unavailable(message)
                .hint("the connections at the other nodes have ended; repeat the request"))
        }
    }
}

/// Asks all nodes, this one too. Returns those that may still have such connections.
async fn everywhere(edge: &Edge, ask: &TerminateHere) -> Vec<NodeId> {
    let members: Vec<NodeId> = edge.hub.health().status().members.iter().map(|member| member.id).collect();
    let asked = members.into_iter().map(async |node| (node, edge.hub.peers().ask(node, ask, WITHIN).await));
    let silent = join_all(asked).await.into_iter().filter_map(|(node, answer)| match answer {
        Ok(ended) => {
            tracing::debug!(node = edge.hub.peers().called(node), ended, "ended the connections of a user");
            None
        }
        Err(error) if error.shows_end() => None,
        Err(error) => {
            let called = edge.hub.peers().called(node);
            tracing::debug!(node = called, %error, "a node was not asked to end the connections of a user");
            Some(node)
        }
    });
    silent.collect()
}
