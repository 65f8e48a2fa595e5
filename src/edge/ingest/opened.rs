//! Finds the source that a request names, and opens it when it is first needed, and again after a change.

use super::open_source::OpenSource;
use super::state::Ingest;
use crate::core::access::Map;
use crate::core::error_code::Code;
use crate::core::ids::SourceId;
use crate::core::ingest::{Keys, Reader, Schema, Source};
use crate::edge::addresses::address_of;
use crate::edge::audit::facts::note_map;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::refused::{Refused, Unavailable};
use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for the cluster's key on a node that has just started.
pub(super) const KEY_WAIT: Duration = Duration::from_secs(5);

/// The source with that id, as far as this node knows.
pub(super) fn known(edge: &Edge, id: SourceId) -> Option<Arc<Source>> {
    let access = edge.hub.access().known();
    access.sources().get(id).cloned()
}

/// The map of a source.
pub(super) fn map_of(edge: &Edge, source: &Source) -> Result<Arc<Map>, ApiError> {
    let access = edge.hub.access().known();
    access.map(source.map).cloned().ok_or_else(not_found)
}

/// 404.
pub(super) fn not_found() -> ApiError {
    ApiError::not_found("the ingest source")
}

/// Finds the source that a sender names. A source that is unknown here may have been made on another node a moment
/// ago, so the leader is asked before the answer is 404. Whoever guesses ids is held up like one who guesses tokens.
pub(super) async fn find(
    request: &HttpRequest,
    edge: &Edge,
    ingest: &Ingest,
    id: &str,
) -> Result<Arc<OpenSource>, ApiError> {
    if edge.hub.health().is_removed() {
        return Err(Refused::from(Unavailable::Removed).into());
    }
    let id: Option<SourceId> = id.parse().ok();
    edge.hub.access().know_revokes().await;
    let source = match id.and_then(|id| known(edge, id)) {
        Some(source) => source,
        None => ask_leader(request, edge, id).await?,
    };
    note_map(request, source.map);
    if !source.settings.active {
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            Code::SourceInactive,
            "the ingest source takes no events now",
        ));
    }
    open(edge, ingest, source).await
}

async fn ask_leader(
    request: &HttpRequest,
    edge: &Edge,
    id: Option<SourceId>,
) -> Result<Arc<Source>, ApiError> {
    let address = address_of(request);
    edge.failures.check(address)?;
    if let Some(id) = id {
        edge.hub.log().barrier().await?;
        if let Some(source) = known(edge, id) {
            return Ok(source);
        }
    }
    edge.failures.count(address);
    Err(not_found())
}

async fn open(edge: &Edge, ingest: &Ingest, source: Arc<Source>) -> Result<Arc<OpenSource>, ApiError> {
    let kept = ingest.opened().get(&source.id).cloned();
    if let Some(open) = kept.filter(|open| Arc::ptr_eq(&open.source, &source)) {
        return Ok(open);
    }
    if crate::failpoint!("source-broken") {
        return Err(broken("a planted defect"));
    }
    let unusable = |error: crate::hub::EncryptionError| ApiError::unavailable(error.to_string());
    let encryption = edge.hub.vault().encryption_within(KEY_WAIT).await.map_err(unusable)?;
    let secrets = encryption.open_source(source.id, &source.encrypted).map_err(unusable)?;
    let settings = &source.settings;
    let ids = (source.id, source.map);
    let config = &edge.config;
    let open = Arc::new(OpenSource {
        keys: Keys::read(settings, &secrets).map_err(broken)?,
        reader: Reader::new(ids, settings, config.json_depth, config.batch_events).map_err(broken)?,
        schema: settings.schema.as_deref().map(Schema::compile).transpose().map_err(broken)?,
        source: source.clone(),
    });
    ingest.keep(&open);
    Ok(open)
}

/// The settings were checked when they were stored, by this release or by another one.
fn broken(error: impl Display) -> ApiError {
    tracing::error!(%error, "the settings of an ingest source can't be used");
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        Code::Internal,
        "the settings of the source can't be used",
    )
    .hint("all nodes must run the same release")
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::ResponseError;

    #[test]
    fn settings_that_cannot_be_used_are_a_fault_of_the_server() {
        let answer = broken("a detail of the settings").error_response();
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
