//! Sources over REST: making, changing and deleting them, replacing their secrets, and looking at what came in.

use super::answer::{Shown, shown};
use super::deliveries::{self, Delivery};
use super::draft::{opened, put, random, secret_of};
use super::opened::{known, not_found};
use super::state::Ingest;
use crate::core::command::Command;
use crate::core::field_error::{FieldCode, FieldError, FieldErrors};
use crate::core::ids::SourceId;
use crate::core::ingest::{DeleteSource, Rotation, Settings, Source, SourcePatch, SourceSecrets};
use crate::edge::audit::changes::{self, Change};
use crate::edge::audit::facts::{note_changes, note_thing};
use crate::edge::body::Body;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::hub::Grant;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// Creates a source of the map. A secret that was made here is shown in this answer only.
pub(super) async fn create(
    request: HttpRequest,
    edge: Data<Edge>,
    ingest: Data<Ingest>,
    map: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let grant = edge.managed(&request, &map).await?;
    let patch = SourcePatch::read(&object(body).await?);
    let random = random()?;
    let (mut settings, mut secrets) = (Settings::new(), SourceSecrets::new(""));
    let faults = patch.apply(&mut settings, &mut secrets, |way| secret_of(way, &random));
    faults.into_result(())?;
    let id = SourceId::new(Uuid::new_v4());
    note_thing(&request, "made", id);
    let ids = (id, grant.map.id);
    let source = put(&edge, grant.who.by(), ids, (settings, &secrets), None).await?;
    let made = Some(secrets.current.as_str()).filter(|secret| !patch.has_secret() && !secret.is_empty());
    let with = Shown { counts: Default::default(), newest: None, previous_until_ms: None, secret: made };
    Ok(HttpResponse::Created().json(json!({ "data": shown(&ingest, &source, &with) })))
}

/// Lists the sources of the map.
pub(super) async fn list(
    request: HttpRequest,
    edge: Data<Edge>,
    ingest: Data<Ingest>,
    map: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let grant = edge.managed(&request, &map).await?;
    let sources: Vec<Arc<Source>> = {
        let access = edge.hub.access().known();
        access.sources().of_map(grant.map.id).cloned().collect()
    };
    let ids: Vec<SourceId> = sources.iter().map(|source| source.id).collect();
    let counts = edge.hub.archive().source_counts(&ids)?;
    let newest = deliveries::everywhere(&edge, &ingest.deliveries, ids, 1).await;
    let mut data: Vec<Value> = Vec::with_capacity(sources.len());
    for (source, counts) in sources.iter().zip(counts) {
        let newest = newest.get(&source.id).and_then(|all| all.first());
        let previous_until_ms = previous_until(&edge, source).await?;
        let with = Shown { counts, newest, previous_until_ms, secret: None };
        data.push(shown(&ingest, source, &with));
    }
    Ok(HttpResponse::Ok().json(json!({ "data": data })))
}

/// Shows one source.
pub(super) async fn show(
    request: HttpRequest,
    edge: Data<Edge>,
    ingest: Data<Ingest>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (_, source) = managed(&request, &edge, path).await?;
    answer(&edge, &ingest, &source, None).await
}

/// Changes a source. A new secret replaces the old one at once; [`rotate`] lets both be valid for a while.
pub(super) async fn update(
    request: HttpRequest,
    edge: Data<Edge>,
    ingest: Data<Ingest>,
    path: Path<(String, String)>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let (grant, former) = managed(&request, &edge, path).await?;
    let patch = SourcePatch::read(&object(body).await?);
    let random = random()?;
    let (mut settings, mut secrets) = (former.settings.clone(), opened(&edge, &former).await?);
    let before = secrets.current.clone();
    let faults = patch.apply(&mut settings, &mut secrets, |way| secret_of(way, &random));
    faults.into_result(())?;
    let ids = (former.id, former.map);
    let source = put(&edge, grant.who.by(), ids, (settings, &secrets), Some(former.revision)).await?;
    note_changes(&request, differing(&ingest, (&*former, &source), secrets.current != before));
    let is_made = !patch.has_secret() && !secrets.current.is_empty() && secrets.current != before;
    answer(&edge, &ingest, &source, is_made.then_some(secrets.current.as_str())).await
}

/// Which settings differ, for the audit log. Their values may be secret.
fn differing(ingest: &Ingest, (before, after): (&Source, &Source), has_new_secret: bool) -> Vec<Change> {
    let bare = Shown { counts: Default::default(), newest: None, previous_until_ms: None, secret: None };
    let found = changes::between(&shown(ingest, before, &bare), &shown(ingest, after, &bare)).into_iter();
    let secret = has_new_secret.then(|| Change::of("secretKey"));
    found.map(Change::without_values).chain(secret).collect()
}

/// Deletes a source. It answers once no reachable node takes anything for it.
pub(super) async fn remove(
    request: HttpRequest,
    edge: Data<Edge>,
    path: Path<(String, String)>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let (grant, source) = managed(&request, &edge, path).await?;
    body.none().await?;
    let gone = DeleteSource { map: source.map, by: grant.who.by(), id: source.id };
    edge.hub.log().propose_everywhere(&Command::DeleteSource(gone)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Replaces the secret. The old one stays valid for the overlap.
pub(super) async fn rotate(
    request: HttpRequest,
    edge: Data<Edge>,
    ingest: Data<Ingest>,
    path: Path<(String, String)>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let (grant, source) = managed(&request, &edge, path).await?;
    let text = object(body).await?;
    let random = random()?;
    let mut secrets = opened(&edge, &source).await?;
    let times = (edge.config.webhooks.overlap_seconds, edge.hub.clock().expiry_ms());
    let faults =
        Rotation::read(&text).apply(&source.settings, &mut secrets, times, |way| secret_of(way, &random));
    faults.into_result(())?;
    let ids = (source.id, source.map);
    let base = Some(source.revision);
    let source = put(&edge, grant.who.by(), ids, (source.settings.clone(), &secrets), base).await?;
    let made = source.settings.jwt.is_none().then_some(secrets.current.as_str());
    answer(&edge, &ingest, &source, made).await
}

/// Ends a rotation: only the present secret is valid.
pub(super) async fn end_rotation(
    request: HttpRequest,
    edge: Data<Edge>,
    ingest: Data<Ingest>,
    path: Path<(String, String)>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let (grant, source) = managed(&request, &edge, path).await?;
    body.none().await?;
    let mut secrets = opened(&edge, &source).await?;
    if !secrets.end_rotation() {
        return answer(&edge, &ingest, &source, None).await;
    }
    let ids = (source.id, source.map);
    let base = Some(source.revision);
    let source = put(&edge, grant.who.by(), ids, (source.settings.clone(), &secrets), base).await?;
    answer(&edge, &ingest, &source, None).await
}

/// The last requests to a source over all nodes, the newest first.
pub(super) async fn deliveries(
    request: HttpRequest,
    edge: Data<Edge>,
    ingest: Data<Ingest>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (_, source) = managed(&request, &edge, path).await?;
    let ids = vec![source.id];
    let mut found = deliveries::everywhere(&edge, &ingest.deliveries, ids, deliveries::MOST).await;
    let found = found.remove(&source.id).unwrap_or_default();
    let data: Vec<Value> = found.iter().map(Delivery::shown).collect();
    Ok(HttpResponse::Ok().json(json!({ "data": data })))
}

/// The source that the path names, for a caller that may manage its map. A source of another map looks like one
/// that nobody has.
async fn managed(
    request: &HttpRequest,
    edge: &Edge,
    path: Path<(String, String)>,
) -> Result<(Grant, Arc<Source>), ApiError> {
    let (map, id) = path.into_inner();
    let grant = edge.managed(request, &map).await?;
    let id: Option<SourceId> = id.parse().ok();
    let source = id.and_then(|id| known(edge, id)).filter(|source| source.map == grant.map.id);
    source.map(|source| (grant, source)).ok_or_else(not_found)
}

/// The body as text. An empty one is `{}`.
async fn object(body: Body) -> Result<String, ApiError> {
    let text = body.text().await?;
    if text.trim().is_empty() {
        return Ok("{}".to_owned());
    }
    if !text.trim_start().starts_with('{') {
        let fault = FieldError::new("body", FieldCode::WrongType, "must be a JSON object");
        return Err(FieldErrors::from(fault).into());
    }
    Ok(text)
}

async fn answer(
    edge: &Edge,
    ingest: &Ingest,
    source: &Source,
    secret: Option<&str>,
) -> Result<HttpResponse, ApiError> {
    let counts = edge.hub.archive().source_counts(&[source.id])?.pop().unwrap_or_default();
    let found = deliveries::everywhere(edge, &ingest.deliveries, vec![source.id], 1).await;
    let newest = found.get(&source.id).and_then(|all| all.first());
    let previous_until_ms = previous_until(edge, source).await?;
    let with = Shown { counts, newest, previous_until_ms, secret };
    Ok(HttpResponse::Ok().json(json!({ "data": shown(ingest, source, &with) })))
}

/// When the secret before the present one ends (Unix milliseconds), if it is still valid.
async fn previous_until(edge: &Edge, source: &Source) -> Result<Option<u64>, ApiError> {
    let until = opened(edge, source).await?.previous_until(edge.hub.clock().expiry_ms());
    Ok(until.map(|until_ms| edge.hub.clock().shown_ms(until_ms)))
}
