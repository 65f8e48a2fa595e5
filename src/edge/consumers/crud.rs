//! Consumers of a map: listing, creating, showing, changing and deleting them.

use super::Consumers;
use super::answer::shown;
use super::settings;
use crate::core::command::Command;
use crate::core::webhook::{Origin, Webhook};
use crate::edge::audit::facts::note_thing;
use crate::edge::body::Body;
use crate::edge::context::Edge;
use crate::edge::webhooks::{Managed, Manager, Problem, note_changed, on};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;
use std::sync::Arc;

pub(super) async fn list(
    edge: Data<Edge>,
    consumers: Data<Consumers>,
    Manager(grant): Manager,
) -> Result<HttpResponse, Problem> {
    let mut found: Vec<Arc<Webhook>> = {
        let directory = edge.hub.webhooks().directory();
        directory.of_map(grant.map.id).filter(|webhook| webhook.is_read()).cloned().collect()
    };
    found.sort_by(|a, b| a.name.cmp(&b.name));
    let mut data = Vec::with_capacity(found.len());
    for consumer in found {
        match shown(&edge, &consumers, &grant, &consumer).await {
            Ok(shown) => data.push(shown),
            // It was deleted meanwhile.
            Err(Problem::NoWebhook) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(HttpResponse::Ok().json(json!({ "data": data })))
}

pub(super) async fn create(
    request: HttpRequest,
    edge: Data<Edge>,
    consumers: Data<Consumers>,
    Manager(grant): Manager,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let consumer = settings::create(&edge, &grant, &body.text().await?).await?;
    note_thing(&request, "made", consumer.id);
    let shown = shown(&edge, &consumers, &grant, &consumer).await?;
    Ok(HttpResponse::Created().json(json!({ "data": shown })))
}

pub(super) async fn show(
    edge: Data<Edge>,
    consumers: Data<Consumers>,
    Managed { grant, webhook }: Managed,
) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(json!({"data": shown(&edge, &consumers, &grant, &webhook).await?})))
}

pub(super) async fn update(
    request: HttpRequest,
    edge: Data<Edge>,
    consumers: Data<Consumers>,
    Managed { grant, webhook }: Managed,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let changed = settings::update(&edge, &grant, &webhook, &body.text().await?).await?;
    note_changed(&request, &edge, &webhook, &changed);
    Ok(HttpResponse::Ok().json(json!({"data": shown(&edge, &consumers, &grant, &changed).await?})))
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
