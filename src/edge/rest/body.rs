//! Reads request bodies with a limit on bytes and time.

use crate::core::json::Members;
use crate::edge::error::ApiError;
use actix_web::http::StatusCode;
use actix_web::web::{BytesMut, Payload};
use futures_util::StreamExt;
use std::time::Duration;

/// A client may take this long between two pieces of a body.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes that are read of a body that should be empty.
const MAX_NOTHING: usize = 4096;

/// The whole body as text.
pub(in crate::edge) async fn text(payload: &mut Payload, max_bytes: usize) -> Result<String, ApiError> {
    let mut body = BytesMut::new();
    while let Some(piece) = next(payload).await? {
        if body.len() + piece.len() > max_bytes {
            return Err(ApiError::too_large(format!("a body may have at most {max_bytes} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    String::from_utf8(body.into()).map_err(|_| ApiError::bad_request("invalid_json", "the body is not UTF-8"))
}

/// The next piece of a body.
pub(super) async fn next(payload: &mut Payload) -> Result<Option<bytes::Bytes>, ApiError> {
    match tokio::time::timeout(READ_TIMEOUT, payload.next()).await {
        Ok(None) => Ok(None),
        Ok(Some(Ok(piece))) => Ok(Some(piece)),
        Ok(Some(Err(error))) => Err(ApiError::bad_request("incomplete_body", error.to_string())),
        Err(_) => Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body came too slowly")),
    }
}

/// Reads the body as an object: `read` takes it member by member. An empty body is `{}`. `Err` is 400 with
/// all faults, unknown members among them.
pub(in crate::edge) async fn object<T>(
    payload: &mut Payload,
    max_bytes: usize,
    read: impl FnOnce(&mut Members<'_>) -> T,
) -> Result<T, ApiError> {
    let text = text(payload, max_bytes).await?;
    let mut members = Members::of(if text.trim().is_empty() { "{}" } else { &text });
    let value = read(&mut members);
    Ok(members.finish().into_result(value)?)
}

/// Accepts no body, or `{}`: for requests whose path says everything.
pub(in crate::edge) async fn none(payload: &mut Payload) -> Result<(), ApiError> {
    object(payload, MAX_NOTHING, |_| ()).await
}
