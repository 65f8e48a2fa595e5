//! The cluster as this node sees it, and what each member reports of itself. A node that is cut off answers
//! too: it waits for no member longer than half a second, and as long again for what others know of the
//! members that did not answer.

use super::problems::{Failing, Known, Port, Problem, State, committed, problems};
use crate::clock::now_ms;
use crate::core::admin_token::AdminScope;
use crate::core::ids::MapId;
use crate::core::time::iso_millis;
use crate::core::webhook::standing::WebhookStanding;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::standings::{self, Counted};
use crate::hub::{NodeInfo, Seen, Sight};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use waypost_cluster::Status;

/// A member that doesn't answer within this time is shown with what was last heard of it.
const ASK_TIMEOUT: Duration = Duration::from_millis(500);
/// Maps that are named of those whose webhooks and consumers stand badly, at most.
const WORST_MAPS: usize = 20;

pub(super) async fn status(request: HttpRequest, edge: Data<Edge>) -> Result<HttpResponse, ApiError> {
    edge.admin_or(&request, AdminScope::Read).await?;
    let hub = &edge.hub;
    let status = hub.health().status();
    let (reports, counted) = tokio::join!(hub.health().survey(ASK_TIMEOUT), standings::counted(&edge));
    let seen: Vec<Option<Seen>> =
        status.members.iter().map(|member| hub.health().last_seen(member.id)).collect();
    let known: Vec<Known<'_>> = status
        .members
        .iter()
        .zip(&seen)
        .map(|(member, seen)| Known {
            member,
            report: reports.get(&member.id),
            seen: seen.as_ref(),
            still: hub.health().stands_still(member.id),
        })
        .collect();
    let owned = owned(&edge);
    let committed = committed(&status, &known);
    let members: Vec<Value> =
        known.iter().map(|known| member_json(&status, known, committed, &owned)).collect();
    let port = Port { certificate_until: edge.shown.as_ref().and_then(|shown| shown.until()) };
    let losing = hub.webhooks().losing()?;
    let failing = counted.as_ref().map(|counted| failing(&edge, counted)).unwrap_or_default();
    let state = State { has_room: hub.health().has_room(), losing: &losing, failing: &failing };
    let problems = problems(&status, &known, &port, now_ms(), &state);
    let mut shown = status_json(&status);
    shown["problems"] = problems.iter().map(|problem: &Problem| problem.json(&status)).collect();
    shown["http_certificate_until"] = json!(port.certificate_until);
    shown["webhooks"] = owned.values().sum::<u64>().into();
    shown["webhooks_failing"] = counted.as_ref().map(|_| failing.webhooks).into();
    shown["delivery"] = counted.map_or(Value::Null, |counted| delivery_json(&edge, &counted));
    shown["members"] = members.into();
    Ok(HttpResponse::Ok().json(json!({"data": shown})))
}

/// The cluster as this node sees it, without its members.
fn status_json(status: &Status) -> Value {
    // "Healthy" means serving: the cluster accepts events and this node works. Other problems are reported
    // beside it.
    let healthy = status.has_quorum && status.failure.is_none() && !status.removed && !status.is_astray();
    json!({
        "cluster_id": status.cluster_id,
        "node_id": status.node_id,
        "node_name": name_of(status, Some(status.node_id)),
        "role": status.role,
        "leader_id": status.leader,
        "leader_name": name_of(status, status.leader),
        "term": status.term,
        "healthy": healthy,
        "has_quorum": status.has_quorum,
        "changing": status.changing,
        "last_log_index": status.last_log,
        "committed_index": status.committed,
        "applied_index": status.applied,
        "durable_index": status.snapshot,
        "purged_index": status.purged,
        "log_bytes": status.log_bytes,
        "time": iso_millis(status.clock.time_ms),
        "ids_time": iso_millis(status.clock.id_ms),
        "failure": status.failure,
        "peer_security": status.peer_security,
        "peer_certificate_until": status.peer_certificate_until,
    })
}

/// The name of a member, if it has one.
fn name_of(status: &Status, node: Option<u64>) -> Option<&str> {
    status.member(node?)?.name()
}

/// The webhooks that fail, and their maps.
fn failing(edge: &Edge, counted: &Counted) -> Failing {
    let known = edge.hub.access().known();
    let called =
        |map: MapId| known.map(map).and_then(|map| map.slug.clone()).unwrap_or_else(|| map.to_string());
    let maps = counted.with_webhooks(WebhookStanding::Failing).map(called).collect();
    Failing { webhooks: counted.all().webhooks(WebhookStanding::Failing), maps }
}

/// How the webhooks and consumers of all maps stand, and the maps where something is wrong or late.
fn delivery_json(edge: &Edge, counted: &Counted) -> Value {
    let known = edge.hub.access().known();
    let worst = counted.worst(WORST_MAPS).into_iter().filter_map(|(id, of_map)| {
        let map = known.map(id)?;
        Some(json!({
            "id": id.to_string(),
            "slug": map.slug,
            "name": map.name,
            "webhooks": of_map.webhooks_json(),
            "consumers": of_map.consumers_json(),
        }))
    });
    let maps: Vec<Value> = worst.collect();
    json!({
        "as_of": iso_millis(counted.at_ms()),
        "webhooks": counted.all().webhooks_json(),
        "consumers": counted.all().consumers_json(),
        "maps": maps,
    })
}

/// How many webhooks each node delivers.
fn owned(edge: &Edge) -> BTreeMap<u64, u64> {
    let webhooks = edge.hub.webhooks().directory();
    let mut owned = BTreeMap::new();
    let delivered = webhooks.all().filter(|webhook| !webhook.is_read());
    for owner in delivered.filter_map(|webhook| webhooks.owners().owner_of(webhook.id)) {
        *owned.entry(owner).or_default() += 1;
    }
    owned
}

/// How a member reaches another one.
fn sight_json(status: &Status, sight: &Sight) -> Value {
    json!({
        "node": sight.node,
        "node_name": name_of(status, Some(sight.node)),
        "reached": sight.error.is_none(),
        "error": sight.error,
        "for_ms": sight.for_ms,
    })
}

fn member_json(
    status: &Status,
    known: &Known<'_>,
    committed: Option<u64>,
    owned: &BTreeMap<u64, u64>,
) -> Value {
    let Known { member, report, seen, .. } = known;
    let info = known.info();
    let role = if status.leader == Some(member.id) {
        "leader"
    } else if member.voter {
        "follower"
    } else {
        "learner"
    };
    let state = match info {
        Some(_) if member.drained_ms.is_some() => "drained",
        Some(info) if info.draining => "draining",
        Some(_) => "up",
        None => "unreachable",
    };
    let told = |what: fn(&NodeInfo) -> u64| info.map(what);
    let lag = info.and_then(|info| Some(committed?.saturating_sub(info.applied_index)));
    json!({
        "id": member.id,
        "name": member.name(),
        "role": role,
        "voter": member.voter,
        "stays_learner": !member.voter && !member.wants_vote,
        "state": state,
        "reachable": known.answers(),
        "reported_by": report.map(|report| report.via.unwrap_or(member.id)),
        "reaches": info.map(|info| info.sees.iter().map(|sight| sight_json(status, sight)).collect::<Vec<_>>()),
        "seen_ms": if report.is_some() { Some(0) } else { seen.map(|seen| seen.age.as_millis() as u64) },
        "drained_since_ms": member.drained_ms,
        "peer_addr": member.peer_addr,
        "identity": member.identity,
        "http_addr": member.meta.get("http_addr"),
        "version": info.map_or(member.meta.get("version"), |info| Some(&info.version)),
        "last_log_index": told(|info| info.last_log_index),
        "applied_index": told(|info| info.applied_index),
        "lag": lag,
        "connections": told(|info| info.connections),
        "topics": told(|info| info.topics),
        "ephemeral_interest": told(|info| info.ephemeral_interest),
        "ephemeral_dropped": told(|info| info.ephemeral_dropped),
        "webhooks": owned.get(&member.id).copied().unwrap_or(0),
        "log_bytes": told(|info| info.log_bytes),
        "snapshot_age_ms": told(|info| info.snapshot_age_ms),
        "uptime_ms": told(|info| info.uptime_ms),
        "after_crash": info.and_then(|info| info.after_crash),
        "clock_ms": seen.filter(|_| known.answers()).map(|seen| seen.clock_ms),
        "disk_total_bytes": told(|info| info.disk_total),
        "disk_free_bytes": told(|info| info.disk_free),
        "disk_used_bytes": told(|info| info.disk_used),
        "disk_reusable_bytes": told(|info| info.disk_reusable),
        "disk_full": info.map(|info| info.disk_full),
        "disk_slow": info.map(|info| info.disk_slow),
    })
}
