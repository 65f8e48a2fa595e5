//! The stored subjects of a map: listing them (subscribe scope), and removing their events (manage scope).

use super::maps::unexpected;
use crate::core::access::Scopes;
use crate::core::command::{Command, DeleteEvent, DeleteSubject, Reply};
use crate::core::history::StoredSubject;
use crate::core::subject::Subject;
use crate::edge::auth::bearer;
use crate::edge::body::Body;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::query::Query;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 1000;

pub(super) const NAMES: &[&str] = &["after", "limit"];

/// Lists the subjects that have events, by name. The map's own subject is the first.
pub(super) async fn list(
    request: HttpRequest,
    edge: Data<Edge>,
    map: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let grant = edge.grant(&request, bearer(&request), &map, Scopes::SUBSCRIBE).await?;
    edge.charge(&grant).await?;
    let query = Query::of(&request, NAMES)?;
    let limit = query.number("limit", "invalid_limit", 1..=MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT) as usize;
    let after = query.get("after").map(Subject::parse).transpose();
    let after = after.map_err(|error| ApiError::bad_request("invalid_after", error.to_string()))?;
    // One subject more than the limit shows whether there are more.
    let mut found = edge.hub.archive().subjects(grant.map.topic, after, limit + 1).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let cursor = found.last().map(|last| last.subject.to_string());
    let data: Vec<Value> = found.iter().map(shown).collect();
    Ok(HttpResponse::Ok().json(json!({"data": data, "cursor": cursor, "has_more": has_more})))
}

fn shown(stored: &StoredSubject) -> Value {
    json!({
        "subject": stored.subject,
        "first_seq": stored.first_seq,
        "last_seq": stored.last_seq,
        "count": stored.count,
        "bytes": stored.bytes,
    })
}

/// Removes all stored events of a subject.
pub(super) async fn remove(
    request: HttpRequest,
    edge: Data<Edge>,
    path: Path<(String, String)>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let (map, subject) = path.into_inner();
    let grant = edge.managed(&request, &map).await?;
    body.none().await?;
    let subject = Subject::parse(&subject)
        .map_err(|error| ApiError::bad_request("invalid_subject", error.to_string()))?;
    let delete = DeleteSubject { map: grant.map.id, by: grant.who.by(), subject };
    match edge.hub.log().propose_everywhere(&Command::DeleteSubject(delete)).await? {
        Reply::Removed(0) => Err(ApiError::not_found("the subject's history")),
        Reply::Removed(count) => Ok(HttpResponse::Ok().json(json!({"data": {"removed": count}}))),
        _ => Err(unexpected()),
    }
}

/// Removes one event.
pub(super) async fn remove_event(
    request: HttpRequest,
    edge: Data<Edge>,
    path: Path<(String, String)>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let (map, event) = path.into_inner();
    let grant = edge.managed(&request, &map).await?;
    body.none().await?;
    let id = event.parse().map_err(|_| ApiError::not_found("the event"))?;
    let delete = DeleteEvent { map: grant.map.id, by: grant.who.by(), id };
    match edge.hub.log().propose_everywhere(&Command::DeleteEvent(delete)).await? {
        Reply::Removed(_) => Ok(HttpResponse::NoContent().finish()),
        _ => Err(unexpected()),
    }
}
