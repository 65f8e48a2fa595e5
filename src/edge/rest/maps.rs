//! Maps. The admin creates, lists and deletes them. Holders of the manage scope read and change them.

use super::now::{self, Connections};
use super::{answer, nodes};
use crate::core::access::{Map, Scopes, is_slug};
use crate::core::admin_token::AdminScope;
use crate::core::command::{Command, CreateMap, LimitsPatch, Reply, RetentionPatch, UpdateMap};
use crate::core::error_code::Code;
use crate::core::field_error::FieldCode;
use crate::core::ids::MapId;
use crate::core::json::Members;
use crate::core::webhook::{Webhook, promises};
use crate::edge::audit::changes;
use crate::edge::audit::facts::{note_changes, note_map};
use crate::edge::body::Body;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::query::Query;
use crate::edge::standings;
use crate::hub::{HubError, Who};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// Longest name of a map or token, in characters.
const MAX_NAME: usize = 200;
const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 1000;
/// Warnings in one answer, at most.
const MAX_WARNINGS: usize = 20;

/// Parameters of the list.
pub(super) const NAMES: &[&str] = &["after", "limit", now::NAME];
/// Parameters of one map.
pub(super) const NAMES_OF_ONE: &[&str] = &[now::NAME];

/// A map as the request asks for it.
struct NewMap {
    id: Option<MapId>,
    slug: Option<String>,
    name: Option<String>,
    limits: LimitsPatch,
    retention: RetentionPatch,
}

impl NewMap {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            id: read_id(m),
            slug: read_slug(m).flatten(),
            name: read_name(m),
            limits: m.object("limits", LimitsPatch::read).unwrap_or_default(),
            retention: m.object("retention", RetentionPatch::read).unwrap_or_default(),
        }
    }
}

/// Changes of a map. `None` leaves a setting as it is.
struct Changes {
    slug: Option<Option<String>>,
    name: Option<String>,
    limits: Option<LimitsPatch>,
    retention: Option<RetentionPatch>,
}

impl Changes {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            slug: read_slug(m),
            name: read_name(m),
            limits: m.object("limits", LimitsPatch::read),
            retention: m.object("retention", RetentionPatch::read),
        }
    }
}

fn read_id(m: &mut Members<'_>) -> Option<MapId> {
    let id = m.nullable::<String>("id", "a string").flatten()?.parse().ok();
    if id.is_none() {
        m.fault("id", FieldCode::Invalid, "must be a UUID");
    }
    id
}

fn read_slug(m: &mut Members<'_>) -> Option<Option<String>> {
    let slug: Option<String> = m.nullable("slug", "a string")?;
    if !slug.as_deref().is_none_or(is_slug) {
        let message = "must begin with a-z or 0-9, have up to 63 of a-z, 0-9, - and _, and be no UUID";
        m.fault("slug", FieldCode::Invalid, message);
    }
    Some(slug)
}

/// The name of a map or token.
pub(super) fn read_name(m: &mut Members<'_>) -> Option<String> {
    let name: String = m.nullable("name", "a string").flatten()?;
    if name.chars().count() > MAX_NAME {
        m.fault("name", FieldCode::OutOfRange, format_args!("must have at most {MAX_NAME} characters"));
    }
    Some(name)
}

pub(super) async fn create(
    request: HttpRequest,
    edge: Data<Edge>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    edge.admin(&request).await?;
    let body = body.object(NewMap::read).await?;
    let id = body.id.unwrap_or_else(|| MapId::new(Uuid::new_v4()));
    let (secret, token) = answer::new_token("first", Scopes::ALL)?;
    let connections = body.limits.connections;
    let command = Command::CreateMap(CreateMap {
        id,
        name: body.name.or_else(|| body.slug.clone()).unwrap_or_default(),
        slug: body.slug,
        limits: body.limits.over(&edge.config.new_map_limits),
        retention: body.retention.over(&edge.config.new_map_retention),
        token,
        max_maps: edge.config.max_maps,
    });
    note_map(&request, id);
    let Reply::Map(map) = edge.hub.log().propose(&command).await? else { return Err(unexpected()) };
    if connections == Some(edge.config.new_map_limits.connections) {
        keep_connections(&edge, id, connections).await;
    }
    let mut data = answer::map(&map);
    data["token"] = secret.into();
    Ok(HttpResponse::Created().json(json!({ "data": data })))
}

/// Has the cluster remember that the admin gave a new map this limit, which is that of new maps: the map's
/// first app does not replace it.
async fn keep_connections(edge: &Edge, map: MapId, connections: Option<Option<u32>>) {
    let limits = LimitsPatch { connections, ..LimitsPatch::default() };
    let retention = RetentionPatch::default();
    let update = UpdateMap { map, by: None, slug: None, name: None, limits, retention };
    if let Err(error) = edge.hub.log().propose(&Command::UpdateMap(update)).await {
        tracing::warn!(%map, %error, "a new map's limit on connections counts as that of new maps");
    }
}

/// Lists the maps by id, a page at a time.
pub(super) async fn list(request: HttpRequest, edge: Data<Edge>) -> Result<HttpResponse, ApiError> {
    edge.admin_or(&request, AdminScope::Read).await?;
    let query = Query::of(&request, NAMES)?;
    let limit = query.number("limit", Code::InvalidLimit, 1..=MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT) as usize;
    let is_now = now::is_asked(&query)?;
    let after = query.get("after").map(str::parse::<MapId>).transpose();
    let after =
        after.map_err(|_| ApiError::bad_request(Code::InvalidAfter, "after must be the id of a map"))?;
    edge.catch_up().await;
    // One map more than the limit shows whether there are more.
    let mut maps: Vec<Arc<Map>> =
        edge.hub.access().known().maps_after(after).take(limit + 1).cloned().collect();
    let has_more = maps.len() > limit;
    maps.truncate(limit);
    let cursor = maps.last().map(|map| map.id.to_string());
    let stored = edge.hub.archive().stored(maps.iter().map(|map| map.topic).collect()).await?;
    let mut data: Vec<Value> =
        maps.iter().zip(stored).map(|(map, stored)| answer::map_with(map, stored)).collect();
    if !is_now {
        return Ok(HttpResponse::Ok().json(json!({"data": data, "cursor": cursor, "has_more": has_more})));
    }
    let asked = Connections::of(&edge, maps.iter().map(|map| map.id).collect());
    let (connections, counted) = tokio::join!(asked, standings::counted(&edge));
    for (place, (map, shown)) in maps.iter().zip(&mut data).enumerate() {
        let of_map = counted.as_ref().map(|counted| counted.of_map(map.id));
        let at_ms = counted.as_ref().map(|counted| counted.at_ms());
        shown["now"] = now::shown(connections.at(place), of_map.as_ref().zip(at_ms));
    }
    let unreachable = nodes::nodes(&edge.hub.health().status(), connections.silent);
    let page = json!({"data": data, "cursor": cursor, "has_more": has_more, "unreachable": unreachable});
    Ok(HttpResponse::Ok().json(page))
}

pub(super) async fn show(
    request: HttpRequest,
    edge: Data<Edge>,
    map: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let grant = edge.managed(&request, &map).await?;
    let is_now = now::is_asked(&Query::of(&request, NAMES_OF_ONE)?)?;
    let stored = edge.hub.archive().stored(vec![grant.map.topic]).await?;
    let stored = stored.first().copied().unwrap_or_default();
    let mut data = answer::map_with(&grant.map, stored);
    if !is_now {
        return Ok(HttpResponse::Ok().json(json!({ "data": data })));
    }
    let at_ms = edge.hub.clock().time_ms();
    let asked = Connections::of(&edge, vec![grant.map.id]);
    let (connections, counted) = tokio::join!(asked, standings::of_map(&edge, &grant.map));
    data["now"] = now::shown(connections.at(0), counted.as_ref().map(|standings| (standings, at_ms)));
    let unreachable = nodes::nodes(&edge.hub.health().status(), connections.silent);
    Ok(HttpResponse::Ok().json(json!({"data": data, "unreachable": unreachable})))
}

pub(super) async fn update(
    request: HttpRequest,
    edge: Data<Edge>,
    map: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let grant = edge.managed(&request, &map).await?;
    let body = body.object(Changes::read).await?;
    let is_for_the_admin = body.slug.is_some() || body.limits.is_some() || body.retention.is_some();
    if is_for_the_admin && !matches!(grant.who, Who::Admin) {
        return Err(ApiError::forbidden("slug, limits and retention are changed with the admin token"));
    }
    let command = Command::UpdateMap(UpdateMap {
        map: grant.map.id,
        by: grant.who.by(),
        slug: body.slug,
        name: body.name,
        limits: body.limits.unwrap_or_default(),
        retention: body.retention.unwrap_or_default(),
    });
    let Reply::Map(map) = edge.hub.log().propose(&command).await? else { return Err(unexpected()) };
    let mut data = answer::map(&map);
    note_changes(&request, changes::between(&answer::map(&grant.map), &data));
    data["warnings"] = broken_promises(&edge, &map).into();
    Ok(HttpResponse::Ok().json(json!({ "data": data })))
}

/// Promises of the map's webhooks that the map's settings break.
fn broken_promises(edge: &Edge, map: &Map) -> Vec<String> {
    let webhooks = edge.hub.webhooks().directory();
    let of = |webhook: &Arc<Webhook>| {
        let warnings = promises::warnings(webhook, &map.retention.webhook_backlog);
        let named = if webhook.is_read() {
            format!("consumer {}", webhook.name)
        } else {
            format!("webhook {}", webhook.id)
        };
        warnings.into_iter().map(|warning| format!("{named}: {warning}")).collect::<Vec<_>>()
    };
    webhooks.of_map(map.id).flat_map(of).take(MAX_WARNINGS).collect()
}

pub(super) async fn remove(
    request: HttpRequest,
    edge: Data<Edge>,
    map: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    edge.admin(&request).await?;
    body.none().await?;
    edge.hub.log().barrier().await?;
    let Some(map) = edge.hub.access().map(&map).await? else { return Err(ApiError::not_found("the map")) };
    note_map(&request, map.id);
    edge.hub.log().propose_everywhere(&Command::DeleteMap(map.id)).await?;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) fn unexpected() -> ApiError {
    HubError::Internal("an unexpected reply".into()).into()
}
