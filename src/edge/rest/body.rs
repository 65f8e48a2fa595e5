//! Request bodies, read under a bound in bytes and time.

use crate::edge::error::ApiError;
use actix_web::http::StatusCode;
use actix_web::web::{BytesMut, Payload};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// A client may take this long between two pieces of a body.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(30);

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

/// The body as JSON of a known shape; an empty one is `{}`.
pub(super) async fn json<T: DeserializeOwned>(payload: &mut Payload, max_bytes: usize) -> Result<T, ApiError> {
    let text = text(payload, max_bytes).await?;
    let text = if text.trim().is_empty() { "{}" } else { &text };
    // A list would pass for a struct's fields in their order.
    if !text.trim_start().starts_with('{') {
        return Err(ApiError::bad_request("invalid_body", "a JSON object is expected"));
    }
    serde_json::from_str(text).map_err(|error| ApiError::bad_request("invalid_body", error.to_string()))
}
