//! `GET /api/cluster/backup`: the state of the cluster as a file, streamed from this node.

use crate::core::error_code::Code;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::query::Query;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;
use std::time::Duration;
use waypost_cluster::BackupError;

/// The query parameter: whether the backup includes the key that encrypts webhooks.
pub(super) const NAMES: &[&str] = &["with_key"];

/// How long a backup waits for the key that proves its origin: a node that has just started gets it in a moment.
const KEY_WAIT: Duration = Duration::from_secs(5);

pub(super) async fn backup(request: HttpRequest, edge: Data<Edge>) -> Result<HttpResponse, ApiError> {
    edge.admin(&request).await?;
    let with_key = match Query::of(&request, NAMES)?.get("with_key") {
        Some("true") => true,
        None | Some("false") => false,
        Some(_) => return Err(ApiError::bad_request(Code::InvalidWithKey, "with_key is true or false")),
    };
    let encryption = edge.hub.vault().encryption_within(KEY_WAIT).await;
    let files = if with_key { vec![key(&edge)?] } else { Vec::new() };
    let key = encryption.ok().map(|encryption| encryption.backup_key());
    if key.is_none() {
        tracing::warn!("a backup is made without a proof of its origin: this node hasn't got the key for it");
    }
    let (current, blocks) = edge.hub.operations().backup(files, key).await.map_err(|error| match error {
        BackupError::Busy => ApiError::unavailable(error.to_string()),
        error => {
            tracing::error!(%error, "a backup can't be made");
            ApiError::unavailable(error.to_string())
        }
    })?;
    // An error ends the connection before the end of the body, so half a backup never looks like a whole one.
    let body = stream::unfold(blocks, |mut blocks| async move { Some((blocks.recv().await?, blocks)) });
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/octet-stream"))
        .insert_header((CONTENT_DISPOSITION, "attachment; filename=\"waypost.backup\""))
        .insert_header(("waypost-backup-current", current.to_string()))
        .streaming(body))
}

fn key(edge: &Edge) -> Result<(String, Vec<u8>), ApiError> {
    edge.hub.vault().key_file().ok_or_else(|| {
        let message =
            "this node can't give out the key that encrypts webhooks: the key is in the configuration";
        ApiError::new(StatusCode::CONFLICT, Code::KeyConfigured, message)
            .hint("make the backup without it, and keep webhooks.secret_key where you keep the configuration")
    })
}
