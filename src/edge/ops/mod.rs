//! The operator's routes: health, readiness, metrics, the state of the cluster, and operations on it.

mod backup;
pub mod drained;
mod metrics;
mod operations;
mod problems;
pub mod starting;
mod status;
mod which;

use super::Table;
use super::context::Edge;
use super::error::as_line;
use super::paths::at;
use super::query::Takes;
use crate::core::error_code::Code;
use actix_web::HttpResponse;
use actix_web::web::Data;
use serde_json::json;

/// The query parameters of the routes.
pub const TAKES: &[Takes] = &[Takes::of("GET", "/api/cluster/backup", backup::NAMES)];

/// The paths that tell the health of the node. They are answered also when all connections are taken.
pub const HEALTH: [&str; 2] = ["/healthz", "/readyz"];

/// Adds `/healthz`, `/readyz`, `/metrics` and `/api/cluster`.
pub fn routes(config: &mut Table<'_>) {
    config
        .service(at(HEALTH[0]).get(health))
        .service(at(HEALTH[1]).get(ready))
        .service(at("/metrics").get(metrics::scrape))
        .service(at("/api/cluster/status").get(status::status))
        .service(at("/api/cluster/backup").get(backup::backup))
        .service(at("/api/cluster/{operation}").post(operations::operate));
}

/// Answers as long as the process lives.
async fn health() -> HttpResponse {
    as_line(&mut HttpResponse::Ok(), &json!({"status": "ok"}))
}

/// Whether new clients may be sent to this node.
async fn ready(edge: Data<Edge>) -> HttpResponse {
    match not_ready(&edge) {
        None => as_line(&mut HttpResponse::Ok(), &json!({"status": "ready"})),
        Some(reason) => not_ready_answer(reason),
    }
}

fn not_ready_answer(reason: &str) -> HttpResponse {
    let body = json!({"status": "not_ready", "code": Code::NotReady, "message": reason, "reason": reason});
    as_line(HttpResponse::ServiceUnavailable().insert_header(("retry-after", "1")), &body)
}

/// How many entries a node may be behind the committed ones that it knows of and still count as caught up.
const MAX_BEHIND: u64 = 1_000;

/// Why no new clients should be sent to this node. `None` if they may be.
pub fn not_ready(edge: &Edge) -> Option<&'static str> {
    let status = edge.hub.health().status();
    if status.original.is_some() {
        Some("another process with this node's id answers elsewhere: this data directory is a copy")
    } else if status.removed {
        Some("removed from the cluster: stop this node, empty its data directory, start it with WAYPOST_JOIN")
    } else if edge.hub.health().is_draining() {
        Some("draining")
    } else if status.is_astray() {
        Some("another cluster expects this node, but it started a cluster of its own: set WAYPOST_JOIN")
    } else if edge.hub.health().is_cut_off() {
        Some("cut off: no majority reached for long, and other nodes may have one")
    } else if status.leader.is_none() || !status.has_quorum {
        Some("no leader with a majority")
    } else if status.member(status.node_id).is_none() {
        Some("joining")
    } else if status.committed.saturating_sub(status.applied) > MAX_BEHIND {
        Some("catching up")
    } else {
        None
    }
}
