//! The cluster as this node sees it, with what each member tells of itself.

use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::hub::NodeInfo;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};
use std::time::Duration;
use waypost_cluster::{MemberStatus, Status};

/// A member that doesn't answer within this is shown without what it would have told.
const ASK_TIMEOUT: Duration = Duration::from_millis(500);

pub(super) async fn status(request: HttpRequest, edge: Data<Edge>) -> Result<HttpResponse, ApiError> {
    edge.admin(&request).await?;
    let status = edge.hub.status();
    let asked = status.members.iter().map(|member| edge.hub.node_info(member.id, ASK_TIMEOUT));
    let infos = futures_util::future::join_all(asked).await;
    let members: Vec<Value> =
        status.members.iter().zip(&infos).map(|(member, info)| member_json(&status, member, info.as_ref())).collect();
    // Healthy is about serving: the cluster takes events and this node works. What else is wrong is told beside.
    let healthy = status.has_quorum && status.failure.is_none();
    let problems = problems(&status, &infos);
    Ok(HttpResponse::Ok().json(json!({"data": {
        "cluster_id": status.cluster_id,
        "node_id": status.node_id,
        "role": status.role,
        "leader_id": status.leader,
        "term": status.term,
        "healthy": healthy,
        "problems": problems,
        "has_quorum": status.has_quorum,
        "last_log_index": status.last_log,
        "committed_index": status.committed,
        "applied_index": status.applied,
        "durable_index": status.snapshot,
        "purged_index": status.purged,
        "log_bytes": status.log_bytes,
        "failure": status.failure,
        "members": members,
    }})))
}

/// What is wrong, and what to do about it.
fn problems(status: &Status, infos: &[Option<NodeInfo>]) -> Vec<String> {
    let mut problems = Vec::new();
    if let Some(failure) = &status.failure {
        problems.push(format!("node {} failed: {failure}; see its log", status.node_id));
    }
    if !status.has_quorum {
        problems.push("no leader with a majority: publishing answers 503; start the missing nodes".to_owned());
    }
    for (member, info) in status.members.iter().zip(infos) {
        if info.is_none() {
            let at = &member.peer_addr;
            problems.push(format!(
                "node {} at {at} does not answer: start it, or wipe it and let it join again",
                member.id
            ));
        }
    }
    problems
}

fn member_json(status: &Status, member: &MemberStatus, info: Option<&NodeInfo>) -> Value {
    let role = if status.leader == Some(member.id) {
        "leader"
    } else if member.voter {
        "follower"
    } else {
        "learner"
    };
    let state = match info {
        Some(info) if info.draining => "draining",
        Some(_) => "up",
        None => "unreachable",
    };
    let committed = status.committed.max(status.applied);
    json!({
        "id": member.id,
        "role": role,
        "voter": member.voter,
        "state": state,
        "reachable": info.is_some(),
        "peer_addr": member.peer_addr,
        "http_addr": member.meta.get("http_addr"),
        "version": member.meta.get("version"),
        "last_log_index": info.map(|info| info.last_log_index),
        "applied_index": info.map(|info| info.applied_index),
        "lag": info.map(|info| committed.saturating_sub(info.applied_index)),
        "connections": info.map(|info| info.connections),
        "topics": info.map(|info| info.topics),
    })
}
