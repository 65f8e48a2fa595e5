//! Webhooks of a map: listing, creating, showing, changing and deleting them.

use super::error::Problem;
use super::managed::{Managed, Manager};
use super::{answer, object, on, settings};
use crate::core::command::{Activate, Command, Refusal, Reply};
use crate::core::webhook::patch::Patch;
use crate::core::webhook::shown::Settings;
use crate::core::webhook::shown::ShownWebhook;
use crate::core::webhook::{Origin, Profile, Webhook};
use crate::edge::audit::changes::{self, Change};
use crate::edge::audit::facts::{note_changes, note_thing};
use crate::edge::body::Body;
use crate::edge::context::Edge;
use crate::hub::Grant;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;
use std::sync::Arc;

pub(super) async fn list(edge: Data<Edge>, Manager(grant): Manager) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(json!({"data": list_of(&edge, &grant).await?})))
}

pub(super) async fn list_of(edge: &Edge, grant: &Grant) -> Result<Vec<ShownWebhook>, Problem> {
    let mut webhooks: Vec<Arc<Webhook>> = {
        let directory = edge.hub.webhooks().directory();
        directory.of_map(grant.map.id).filter(|webhook| !webhook.is_read()).cloned().collect()
    };
    webhooks.sort_by_key(|webhook| std::cmp::Reverse((webhook.inserted_ms, webhook.id)));
    let mut shown = Vec::with_capacity(webhooks.len());
    for webhook in webhooks {
        match answer::opened(edge, grant, &webhook).await {
            Ok(webhook) => shown.push(webhook),
            // The webhook was deleted meanwhile.
            Err(Problem::NoWebhook) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(shown)
}

pub(super) async fn create(
    request: HttpRequest,
    edge: Data<Edge>,
    Manager(grant): Manager,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let patch = Patch::read(&object(body).await?);
    let plain = settings::create(&edge, grant.who.by(), grant.map.id, &patch, Profile::Wanderer).await?;
    note_thing(&request, "made", plain.webhook.id);
    // The shown webhook is read on this node, which may be behind the leader.
    edge.catch_up().await;
    Ok(HttpResponse::Created().json(json!({"data": answer::with_secret(&edge, &grant, &plain).await?})))
}

pub(super) async fn show(
    edge: Data<Edge>,
    Managed { grant, webhook }: Managed,
) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(json!({"data": answer::opened(&edge, &grant, &webhook).await?})))
}

pub(super) async fn update(
    request: HttpRequest,
    edge: Data<Edge>,
    Managed { grant, webhook }: Managed,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let patch = Patch::read_back(&object(body).await?);
    let changed = change(&edge, &grant, &webhook, &patch).await?;
    note_changed(&request, &edge, &webhook, &changed);
    Ok(HttpResponse::Ok().json(json!({"data": answer::opened(&edge, &grant, &changed).await?})))
}

/// Changes the webhook as the patch asks. A webhook from the configuration file can only be stopped and
/// started.
pub(super) async fn change(
    edge: &Edge,
    grant: &Grant,
    webhook: &Webhook,
    patch: &Patch,
) -> Result<Webhook, Problem> {
    if webhook.origin == Origin::Api {
        return Ok(settings::update(edge, grant.who.by(), webhook.id, patch).await?.webhook);
    }
    match patch.active() {
        Some(active) if patch.only_activates() => activate(edge, grant, webhook, active, None).await,
        _ => Err(Refusal::Configured.into()),
    }
}

/// Notes which settings of a webhook or a consumer were changed, for the audit log. Their values may be secret.
pub(in crate::edge) fn note_changed(request: &HttpRequest, edge: &Edge, before: &Webhook, after: &Webhook) {
    let shown = |webhook: &Webhook| serde_json::to_value(Settings::of(webhook, None)).unwrap_or_default();
    let public = changes::between(&shown(before), &shown(after)).into_iter();
    let mut changed: Vec<Change> = public.map(Change::without_values).collect();
    let opened = |webhook: &Webhook| {
        let encryption = edge.hub.vault().encryption().ok()?;
        encryption.open(webhook.id, &webhook.encrypted).ok()
    };
    if let (Some(had), Some(has)) = (opened(before), opened(after)) {
        let private = [
            ("url", had.target != has.target),
            ("headers", had.headers != has.headers),
            ("secret", had.secret != has.secret),
        ];
        changed.extend(private.iter().filter(|(_, differs)| *differs).map(|(name, _)| Change::of(*name)));
    }
    note_changes(request, changed);
}

/// Starts or stops deliveries to it.
pub(super) async fn activate(
    edge: &Edge,
    grant: &Grant,
    webhook: &Webhook,
    active: bool,
    seek: Option<u64>,
) -> Result<Webhook, Problem> {
    let command = Command::ActivateWebhook(on(grant, webhook, Activate { active, seek }));
    let Reply::Webhook(webhook) = edge.hub.log().propose(&command).await? else {
        return Err(super::unexpected());
    };
    // The webhook's state is read on this node, which may be behind the leader.
    edge.catch_up().await;
    Ok(*webhook)
}

pub(super) async fn remove(
    edge: Data<Edge>,
    Managed { grant, webhook }: Managed,
    body: Body,
) -> Result<HttpResponse, Problem> {
    body.none().await?;
    edge.hub.log().propose(&Command::DeleteWebhook(on(&grant, &webhook, Origin::Api))).await?;
    Ok(HttpResponse::NoContent().finish())
}
