//! Maps: created, listed and deleted by the admin, shown and changed by who may manage them.

use super::{answer, body};
use crate::core::access::{Map, Scopes, is_slug};
use crate::core::command::{Command, CreateMap, LimitsPatch, Reply, RetentionPatch, UpdateMap};
use crate::core::ids::MapId;
use crate::core::json::Members;
use crate::core::webhook::{Endpoint, promises};
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::hub::{HubError, Who};
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

/// Longest name of a map or token, in characters.
pub(super) const MAX_NAME: usize = 200;
/// Warnings in one answer.
const MAX_WARNINGS: usize = 20;

/// Limits as they are sent: absent, null, or a number.
#[derive(Debug, Default)]
struct LimitsBody {
    connections: Option<Option<u32>>,
    webhooks: Option<Option<u32>>,
    requests_per_minute: Option<Option<u32>>,
    publishes_per_second: Option<Option<u32>>,
    subjects: Option<Option<u32>>,
}

const COUNT: &str = "a whole number";

impl LimitsBody {
    fn read(m: &mut Members<'_>) -> Option<Self> {
        m.object("limits", "limits.", |m| Self {
            connections: m.nullable("connections", COUNT),
            webhooks: m.nullable("webhooks", COUNT),
            requests_per_minute: m.nullable("requests_per_minute", COUNT),
            publishes_per_second: m.nullable("publishes_per_second", COUNT),
            subjects: m.nullable("subjects", COUNT),
        })
    }

    fn checked(self) -> Result<LimitsPatch, ApiError> {
        let Self { connections, webhooks, requests_per_minute, publishes_per_second, subjects } = self;
        if requests_per_minute == Some(Some(0)) || publishes_per_second == Some(Some(0)) {
            return Err(ApiError::bad_request("invalid_limits", "a rate must be at least 1")
                .hint("null is no limit; to stop somebody, revoke the token"));
        }
        Ok(LimitsPatch { connections, webhooks, requests_per_minute, publishes_per_second, subjects })
    }
}

/// Retention as it is sent: absent, null, or a number.
#[derive(Debug, Default)]
struct RetentionBody {
    events: Option<Option<u64>>,
    age_seconds: Option<Option<u64>>,
    bytes: Option<Option<u64>>,
    webhook_backlog: BacklogBody,
}

/// How far retention waits for webhooks, as it is sent.
#[derive(Debug, Default)]
struct BacklogBody {
    /// 0 waits for none.
    bytes: Option<Option<u64>>,
    age_seconds: Option<Option<u64>>,
}

impl BacklogBody {
    fn read(m: &mut Members<'_>) -> Option<Self> {
        m.object("webhook_backlog", "retention.webhook_backlog.", |m| Self {
            bytes: m.nullable("bytes", COUNT),
            age_seconds: m.nullable("age_seconds", COUNT),
        })
    }
}

impl RetentionBody {
    fn read(m: &mut Members<'_>) -> Option<Self> {
        m.object("retention", "retention.", |m| Self {
            events: m.nullable("events", COUNT),
            age_seconds: m.nullable("age_seconds", COUNT),
            bytes: m.nullable("bytes", COUNT),
            webhook_backlog: BacklogBody::read(m).unwrap_or_default(),
        })
    }

    fn checked(self) -> Result<RetentionPatch, ApiError> {
        let Self { events, age_seconds, bytes, webhook_backlog: backlog } = self;
        if [events, age_seconds, bytes, backlog.age_seconds].contains(&Some(Some(0))) {
            return Err(
                ApiError::bad_request("invalid_retention", "a bound must be at least 1").hint("null is no bound")
            );
        }
        let (backlog_bytes, backlog_age_seconds) = (backlog.bytes, backlog.age_seconds);
        Ok(RetentionPatch { events, age_seconds, bytes, backlog_bytes, backlog_age_seconds })
    }
}

#[derive(Debug)]
struct CreateBody {
    id: Option<String>,
    slug: Option<String>,
    name: Option<String>,
    limits: LimitsBody,
    retention: RetentionBody,
}

impl CreateBody {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            id: m.nullable("id", "a string").flatten(),
            slug: m.nullable("slug", "a string").flatten(),
            name: m.nullable("name", "a string").flatten(),
            limits: LimitsBody::read(m).unwrap_or_default(),
            retention: RetentionBody::read(m).unwrap_or_default(),
        }
    }
}

#[derive(Debug)]
struct UpdateBody {
    slug: Option<Option<String>>,
    name: Option<String>,
    limits: Option<LimitsBody>,
    retention: Option<RetentionBody>,
}

impl UpdateBody {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            slug: m.nullable("slug", "a string"),
            name: m.nullable("name", "a string").flatten(),
            limits: LimitsBody::read(m),
            retention: RetentionBody::read(m),
        }
    }
}

fn check_names(slug: Option<&str>, name: Option<&str>) -> Result<(), ApiError> {
    if let Some(slug) = slug
        && !is_slug(slug)
    {
        return Err(ApiError::bad_request(
            "invalid_slug",
            "a slug begins with a-z or 0-9, has up to 63 of a-z, 0-9, - and _, and is no UUID",
        ));
    }
    check_name(name)
}

pub(super) fn check_name(name: Option<&str>) -> Result<(), ApiError> {
    match name {
        Some(name) if name.chars().count() > MAX_NAME => {
            Err(ApiError::bad_request("invalid_name", format!("a name has at most {MAX_NAME} characters")))
        }
        _ => Ok(()),
    }
}

pub(super) async fn create(
    request: HttpRequest,
    edge: Data<Edge>,
    mut payload: Payload,
) -> Result<HttpResponse, ApiError> {
    edge.admin(&request).await?;
    let body = body::object(&mut payload, edge.config.body_bytes, CreateBody::read).await?;
    check_names(body.slug.as_deref(), body.name.as_deref())?;
    let id = match &body.id {
        None => MapId::new(Uuid::new_v4()),
        Some(id) => id.parse().map_err(|_| ApiError::bad_request("invalid_id", "a map's id is a UUID"))?,
    };
    let (secret, token) = answer::new_token("first", Scopes::ALL)?;
    let command = Command::CreateMap(CreateMap {
        id,
        name: body.name.or_else(|| body.slug.clone()).unwrap_or_default(),
        slug: body.slug,
        limits: body.limits.checked()?.over(&edge.config.new_map_limits),
        retention: body.retention.checked()?.over(&edge.config.new_map_retention),
        token,
        max_maps: edge.config.max_maps,
    });
    let Reply::Map(map) = edge.hub.log().propose(&command).await? else { return Err(unexpected()) };
    let mut data = answer::map(&map);
    data["token"] = secret.into();
    Ok(HttpResponse::Created().json(json!({ "data": data })))
}

pub(super) async fn list(request: HttpRequest, edge: Data<Edge>) -> Result<HttpResponse, ApiError> {
    edge.admin(&request).await?;
    edge.catch_up().await;
    let maps: Vec<_> = edge.hub.access().known().maps().map(|map| answer::map(map)).collect();
    Ok(HttpResponse::Ok().json(json!({ "data": maps })))
}

pub(super) async fn show(request: HttpRequest, edge: Data<Edge>, map: Path<String>) -> Result<HttpResponse, ApiError> {
    let grant = edge.managed(&request, &map).await?;
    Ok(HttpResponse::Ok().json(json!({"data": answer::map(&grant.map)})))
}

pub(super) async fn update(
    request: HttpRequest,
    edge: Data<Edge>,
    map: Path<String>,
    mut payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let grant = edge.managed(&request, &map).await?;
    let body = body::object(&mut payload, edge.config.body_bytes, UpdateBody::read).await?;
    let raises = body.limits.is_some() || body.retention.is_some();
    if raises && !matches!(grant.who, Who::Admin) {
        return Err(ApiError::forbidden("limits and retention are changed with the admin token"));
    }
    check_names(body.slug.as_ref().and_then(|slug| slug.as_deref()), body.name.as_deref())?;
    let command = Command::UpdateMap(UpdateMap {
        map: grant.map.id,
        by: grant.who.by(),
        slug: body.slug,
        name: body.name,
        limits: body.limits.unwrap_or_default().checked()?,
        retention: body.retention.unwrap_or_default().checked()?,
    });
    let Reply::Map(map) = edge.hub.log().propose(&command).await? else { return Err(unexpected()) };
    let mut data = answer::map(&map);
    data["warnings"] = broken_promises(&edge, &map).into();
    Ok(HttpResponse::Ok().json(json!({ "data": data })))
}

/// What the map's settings break of what its webhooks promise.
fn broken_promises(edge: &Edge, map: &Map) -> Vec<String> {
    let endpoints = edge.hub.webhooks().directory();
    let of = |endpoint: &Arc<Endpoint>| {
        let warnings = promises::warnings(endpoint, &map.retention.webhook_backlog);
        let id = endpoint.id;
        warnings.into_iter().map(move |warning| format!("webhook {id}: {warning}")).collect::<Vec<_>>()
    };
    endpoints.of_map(map.id).flat_map(of).take(MAX_WARNINGS).collect()
}

pub(super) async fn remove(
    request: HttpRequest,
    edge: Data<Edge>,
    map: Path<String>,
    mut payload: Payload,
) -> Result<HttpResponse, ApiError> {
    edge.admin(&request).await?;
    body::none(&mut payload).await?;
    edge.hub.log().barrier().await?;
    let Some(map) = edge.hub.access().map(&map).await? else { return Err(ApiError::not_found("the map")) };
    edge.hub.log().propose_everywhere(&Command::DeleteMap(map.id)).await?;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) fn unexpected() -> ApiError {
    HubError::Internal("an unexpected reply".into()).into()
}
