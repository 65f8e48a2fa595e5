//! `POST /api/cluster/{operation}`: operations on the cluster. Any node accepts them.

use super::which::{Meant, Which};
use crate::core::admin_token::AdminScope;
use crate::core::error_code::Code;
use crate::core::field_error::{FieldCode, FieldError};
use crate::core::json::Members;
use crate::edge::audit::facts::note_thing;
use crate::edge::body::Body;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};
use waypost_cluster::{Operation, Refused, Status};

/// The body of a request.
#[derive(Debug)]
struct Wanted {
    node: Option<Which>,
    address: Option<String>,
    force: bool,
}

impl Wanted {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            node: m.nullable("node", "the id, name or address of a member").flatten(),
            address: m.nullable("address", "host:port").flatten(),
            force: m.take(&["force"], "true or false").unwrap_or(false),
        }
    }
}

/// The id of the node that the operation needs.
fn needed(node: &Option<Meant>) -> Result<u64, ApiError> {
    node.as_ref().map(|node| node.id).ok_or_else(|| {
        missing("node", "the id, name or address of a member is required").hint(
            r#"for example {"node": 3} or {"node": "berlin-2"}; GET /api/cluster/status lists the members"#,
        )
    })
}

fn missing(field: &str, message: &str) -> ApiError {
    ApiError::invalid_body(&FieldError::new(field, FieldCode::Required, message).into())
}

pub(super) async fn operate(
    request: HttpRequest,
    edge: Data<Edge>,
    name: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    edge.admin_or(&request, AdminScope::Operate).await?;
    let wanted = body.object(Wanted::read).await?;
    let hub = &edge.hub;
    let status = hub.health().status();
    let node = wanted.node.as_ref().map(|node| node.find(&status)).transpose()?;
    if let Some(node) = &node {
        note_thing(&request, "of_node", node.id);
    }
    let refused = |why| refused(why, node.as_ref());
    let operation = match name.as_str() {
        "add" => return add(&edge, &wanted).await,
        "snapshot" => return snapshot(&edge, node.as_ref()).await,
        "restore" => return Err(restore()),
        "remove" => {
            hub.operations().remove_node(needed(&node)?, wanted.force).await.map_err(refused)?;
            return Ok(done(&name, to(node.as_ref())));
        }
        "promote" => Operation::Promote(needed(&node)?),
        "demote" => Operation::Demote(needed(&node)?),
        "drain" => Operation::Drain { node: needed(&node)?, force: wanted.force },
        "undrain" => Operation::Undrain(needed(&node)?),
        "transfer-leader" => Operation::Lead(node.as_ref().map(|node| node.id)),
        "step-down" => Operation::Lead(None),
        _ => return Err(ApiError::not_found("this operation")),
    };
    hub.operations().operate(operation).await.map_err(refused)?;
    let now = hub.health().status();
    let leader = now.leader.map(|leader| Meant::of(&now, leader));
    let mut what = to(node.as_ref());
    what["leader_id"] = now.leader.into();
    what["leader_name"] = json!(leader.as_ref().and_then(|leader| leader.name.as_deref()));
    what["leader_address"] = json!(leader.as_ref().and_then(|leader| leader.address.as_deref()));
    Ok(done(&name, what))
}

/// What an answer says of the node that an operation was about.
fn to(node: Option<&Meant>) -> Value {
    node.map_or_else(|| json!({"node": null, "name": null, "address": null}), Meant::json)
}

fn done(operation: &str, mut what: Value) -> HttpResponse {
    what["operation"] = operation.into();
    HttpResponse::Ok().json(json!({"data": what}))
}

/// A node joins by itself. This makes a node that has joined a voter, or says how to start one.
async fn add(edge: &Edge, wanted: &Wanted) -> Result<HttpResponse, ApiError> {
    let Some(address) = &wanted.address else {
        return Err(missing("address", "host:port at which the other nodes will reach it is required"));
    };
    let status = edge.hub.health().status();
    if let Some(member) = status.members.iter().find(|member| member.peer_addr == *address) {
        let node = Meant::of(&status, member.id);
        let promoted = edge.hub.operations().operate(Operation::Promote(member.id)).await;
        promoted.map_err(|why| refused(why, Some(&node)))?;
        let mut what = node.json();
        what["state"] = "member".into();
        return Ok(done("add", what));
    }
    let join: Vec<&str> = status.members.iter().map(|member| member.peer_addr.as_str()).collect();
    let run = format!("waypost serve --peer-addr {address} --join {}", join.join(","));
    Ok(done("add", json!({"node": null, "name": null, "address": address, "state": "awaited", "run": run})))
}

async fn snapshot(edge: &Edge, node: Option<&Meant>) -> Result<HttpResponse, ApiError> {
    let status = edge.hub.health().status();
    if let Some(node) = node.filter(|node| status.member(node.id).is_none()) {
        return Err(refused(Refused::UnknownNode(node.id), Some(node)));
    }
    let members = status.members.iter().map(|member| member.id);
    let members = members.filter(|id| node.is_none_or(|node| node.id == *id));
    let asked = members.map(|id| async move { (id, edge.hub.operations().snapshot_on(id).await) });
    let told = futures_util::future::join_all(asked).await.into_iter().map(|(id, indexes)| {
        json!({
            "id": id,
            "name": name_of(&status, id),
            "durable_index": indexes.map(|(durable, _)| durable),
            "purged_index": indexes.map(|(_, purged)| purged),
        })
    });
    Ok(done("snapshot", json!({"nodes": told.collect::<Vec<_>>()})))
}

fn restore() -> ApiError {
    let message = "a restore makes a new cluster: it can't be done on a running one";
    ApiError::new(StatusCode::CONFLICT, Code::RestoreOffline, message)
        .hint("on the machine of its first node: waypost restore --from FILE --data-dir EMPTY_DIRECTORY")
}

fn name_of(status: &Status, node: u64) -> Option<&str> {
    status.member(node)?.name()
}

/// The answer for an operation that was refused: why, of which node, and what to do.
fn refused(refused: Refused, node: Option<&Meant>) -> ApiError {
    let message = match node.and_then(Meant::told) {
        Some(told) => format!("{refused} ({told})"),
        None => refused.to_string(),
    };
    let conflict = |code, hint: &str| ApiError::new(StatusCode::CONFLICT, code, message.as_str()).hint(hint);
    match refused {
        Refused::UnknownNode(_) => ApiError::new(StatusCode::NOT_FOUND, Code::UnknownNode, message.as_str())
            .hint("`waypost cluster status` lists the nodes; a node that joins again has a new one"),
        Refused::LastVoter(_) => conflict(Code::LastVoter, "promote another node first"),
        Refused::Majority { .. } => conflict(
            Code::WouldLoseMajority,
            "start the voters that are down; a voter that will not come back can be removed first as long as a majority of all is up; otherwise see docs/runbooks/lost-majority.md",
        ),
        Refused::Learner(_) => conflict(Code::Learner, "promote it first"),
        Refused::Unreachable(_) => conflict(Code::NodeUnreachable, "start it, or see why it is cut off"),
        Refused::Behind { .. } => {
            conflict(Code::NodeBehind, "wait until it has caught up; the cluster is bringing it up to date")
        }
        Refused::LastServing(_) => {
            conflict(Code::LastServing, "its clients would have no other node; use force to do it anyway")
        }
        Refused::NoSuccessor => conflict(Code::NoSuccessor, "start another voter, or promote a learner"),
        Refused::Busy => ApiError::unavailable(message),
        Refused::NotTaken(_) => ApiError::unavailable(message)
            .hint("nothing was changed; repeat it, or name another node"),
        Refused::NotLeader(_) => ApiError::unavailable("no leader with a majority")
            .hint("nothing was changed; start the missing nodes; if that is not possible, see docs/runbooks/lost-majority.md"),
        Refused::Failed => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, Code::UnknownOutcome, message)
            .hint("see the cluster's status, then repeat it: a second time changes nothing more (a removed node is unknown_node then)"),
    }
}
