//! `POST /api/cluster/{operation}`: operations on the cluster. Any node accepts them.

use crate::core::admin_token::AdminScope;
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
use waypost_cluster::{Operation, Refused};

/// The body of a request.
#[derive(Debug)]
struct Wanted {
    node: Option<u64>,
    address: Option<String>,
    force: bool,
}

impl Wanted {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            node: m.nullable("node", "the id of a member").flatten(),
            address: m.nullable("address", "host:port").flatten(),
            force: m.take(&["force"], "true or false").unwrap_or(false),
        }
    }

    fn node(&self) -> Result<u64, ApiError> {
        self.node.ok_or_else(|| {
            missing("node", "the id of a member is required")
                .hint(r#"for example {"node": 3}; GET /api/cluster/status lists the ids"#)
        })
    }
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
    if let Some(node) = wanted.node {
        note_thing(&request, "of_node", node);
    }
    let hub = &edge.hub;
    let operation = match name.as_str() {
        "add" => return add(&edge, &wanted).await,
        "snapshot" => return snapshot(&edge, wanted.node).await,
        "restore" => return Err(restore()),
        "remove" => {
            let node = wanted.node()?;
            hub.operations().remove_node(node, wanted.force).await.map_err(refused)?;
            return Ok(done(&name, json!({"node": node})));
        }
        "promote" => Operation::Promote(wanted.node()?),
        "demote" => Operation::Demote(wanted.node()?),
        "drain" => Operation::Drain { node: wanted.node()?, force: wanted.force },
        "undrain" => Operation::Undrain(wanted.node()?),
        "transfer-leader" => Operation::Lead(wanted.node),
        "step-down" => Operation::Lead(None),
        _ => return Err(ApiError::not_found("this operation")),
    };
    hub.operations().operate(operation).await.map_err(refused)?;
    Ok(done(&name, json!({"node": wanted.node, "leader_id": hub.health().status().leader})))
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
        edge.hub.operations().operate(Operation::Promote(member.id)).await.map_err(refused)?;
        return Ok(done("add", json!({"node": member.id, "state": "member"})));
    }
    let join: Vec<&str> = status.members.iter().map(|member| member.peer_addr.as_str()).collect();
    let run = format!("waypost serve --peer-addr {address} --join {}", join.join(","));
    Ok(done("add", json!({"node": null, "state": "awaited", "run": run})))
}

async fn snapshot(edge: &Edge, node: Option<u64>) -> Result<HttpResponse, ApiError> {
    let status = edge.hub.health().status();
    if let Some(node) = node.filter(|node| status.member(*node).is_none()) {
        return Err(refused(Refused::UnknownNode(node)));
    }
    let members =
        status.members.iter().map(|member| member.id).filter(|id| node.is_none_or(|node| node == *id));
    let asked = members.map(|id| async move { (id, edge.hub.operations().snapshot_on(id).await) });
    let told = futures_util::future::join_all(asked).await.into_iter().map(|(id, indexes)| {
        json!({
            "id": id,
            "durable_index": indexes.map(|(durable, _)| durable),
            "purged_index": indexes.map(|(_, purged)| purged),
        })
    });
    Ok(done("snapshot", json!({"nodes": told.collect::<Vec<_>>()})))
}

fn restore() -> ApiError {
    let message = "a restore makes a new cluster: it can't be done on a running one";
    ApiError::new(StatusCode::CONFLICT, "restore_offline", message)
        .hint("on the machine of its first node: waypost restore --from FILE --data-dir EMPTY_DIRECTORY")
}

/// The answer for an operation that was refused: why, and what to do.
fn refused(refused: Refused) -> ApiError {
    let message = refused.to_string();
    let conflict = |code, hint: &str| ApiError::new(StatusCode::CONFLICT, code, message.as_str()).hint(hint);
    match refused {
        Refused::UnknownNode(_) => ApiError::new(StatusCode::NOT_FOUND, "unknown_node", message.as_str())
            .hint("`waypost cluster status` lists the ids; a node that joins again has a new one"),
        Refused::LastVoter(_) => conflict("last_voter", "promote another node first"),
        Refused::Majority { .. } => conflict(
            "would_lose_majority",
            "start the voters that are down; a voter that will not come back can be removed first as long as a majority of all is up; otherwise see docs/runbooks/lost-majority.md",
        ),
        Refused::Learner(_) => conflict("learner", "promote it first"),
        Refused::Unreachable(_) => conflict("node_unreachable", "start it, or see why it is cut off"),
        Refused::Behind { .. } => {
            conflict("node_behind", "wait until it has caught up; the cluster is bringing it up to date")
        }
        Refused::LastServing(_) => {
            conflict("last_serving", "its clients would have no other node; use force to do it anyway")
        }
        Refused::NoSuccessor => conflict("no_successor", "start another voter, or promote a learner"),
        Refused::Busy => ApiError::unavailable(message),
        Refused::NotLeader(_) => ApiError::unavailable("no leader with a majority")
            .hint("nothing was changed; start the missing nodes; if that is not possible, see docs/runbooks/lost-majority.md"),
        Refused::Failed => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unknown_outcome", message)
            .hint("see the cluster's status, then repeat it: a second time changes nothing more (a removed node is unknown_node then)"),
    }
}
