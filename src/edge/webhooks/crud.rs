//! Webhooks of a map: listed, made, shown, changed, deleted.

use super::error::Problem;
use super::managed::{Managed, Manager};
use super::{answer, object, on, settings};
use crate::core::command::{Activate, Command, Refusal, Reply};
use crate::core::webhook::patch::Patch;
use crate::core::webhook::shown::Webhook;
use crate::core::webhook::{Endpoint, Origin, Profile};
use crate::edge::context::Edge;
use crate::edge::rest::body;
use crate::hub::Grant;
use actix_web::HttpResponse;
use actix_web::web::{Data, Payload};
use serde_json::json;
use std::sync::Arc;

pub(super) async fn list(edge: Data<Edge>, Manager(grant): Manager) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(json!({"data": list_of(&edge, &grant).await?})))
}

pub(super) async fn list_of(edge: &Edge, grant: &Grant) -> Result<Vec<Webhook>, Problem> {
    let mut endpoints: Vec<Arc<Endpoint>> = edge.hub.webhooks().directory().of_map(grant.map.id).cloned().collect();
    endpoints.sort_by_key(|endpoint| std::cmp::Reverse((endpoint.inserted_ms, endpoint.id)));
    let mut shown = Vec::with_capacity(endpoints.len());
    for endpoint in endpoints {
        match answer::opened(edge, grant, &endpoint).await {
            Ok(webhook) => shown.push(webhook),
            // It was deleted meanwhile.
            Err(Problem::NoWebhook) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(shown)
}

pub(super) async fn create(
    edge: Data<Edge>,
    Manager(grant): Manager,
    mut payload: Payload,
) -> Result<HttpResponse, Problem> {
    let patch = Patch::read(&object(&edge, &mut payload).await?);
    let plain = settings::create(&edge, grant.who.by(), grant.map.id, &patch, Profile::Wanderer).await?;
    // What is shown is read on this node, which may be behind the leader.
    edge.catch_up().await;
    Ok(HttpResponse::Created().json(json!({"data": answer::with_secret(&edge, &grant, &plain).await?})))
}

pub(super) async fn show(edge: Data<Edge>, Managed { grant, endpoint }: Managed) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(json!({"data": answer::opened(&edge, &grant, &endpoint).await?})))
}

pub(super) async fn update(
    edge: Data<Edge>,
    Managed { grant, endpoint }: Managed,
    mut payload: Payload,
) -> Result<HttpResponse, Problem> {
    let patch = Patch::read_back(&object(&edge, &mut payload).await?);
    let changed = change(&edge, &grant, &endpoint, &patch).await?;
    Ok(HttpResponse::Ok().json(json!({"data": answer::opened(&edge, &grant, &changed).await?})))
}

/// The webhook as the patch asks. One that stands in the configuration file can only be stopped and started.
pub(super) async fn change(
    edge: &Edge,
    grant: &Grant,
    endpoint: &Endpoint,
    patch: &Patch,
) -> Result<Endpoint, Problem> {
    if endpoint.origin == Origin::Api {
        return Ok(settings::update(edge, grant.who.by(), endpoint.id, patch).await?.endpoint);
    }
    match patch.active() {
        Some(active) if patch.only_activates() => activate(edge, grant, endpoint, active, None).await,
        _ => Err(Refusal::Configured.into()),
    }
}

/// Delivers to it from now on, or no more.
pub(super) async fn activate(
    edge: &Edge,
    grant: &Grant,
    endpoint: &Endpoint,
    active: bool,
    seek: Option<u64>,
) -> Result<Endpoint, Problem> {
    let command = Command::ActivateEndpoint(on(grant, endpoint, Activate { active, seek }));
    let Reply::Endpoint(endpoint) = edge.hub.log().propose(&command).await? else { return Err(super::unexpected()) };
    // How it is doing is read on this node, which may be behind the leader.
    edge.catch_up().await;
    Ok(*endpoint)
}

pub(super) async fn remove(
    edge: Data<Edge>,
    Managed { grant, endpoint }: Managed,
    mut payload: Payload,
) -> Result<HttpResponse, Problem> {
    body::none(&mut payload).await?;
    edge.hub.log().propose(&Command::DeleteEndpoint(on(&grant, &endpoint, Origin::Api))).await?;
    Ok(HttpResponse::NoContent().finish())
}
