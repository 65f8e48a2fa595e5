//! The form of maps and tokens in answers, and the making of a new token.

use crate::core::access::Scopes;
use crate::core::access::{Map, Token, fingerprint, hash_token};
use crate::core::command::NewToken;
use crate::core::error_code::Code;
use crate::core::ids::TokenId;
use crate::core::time::iso_millis;
use crate::edge::error::ApiError;
use actix_web::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use uuid::Uuid;

pub(super) fn map(map: &Map) -> Value {
    json!({
        "id": map.id.to_string(),
        "slug": map.slug,
        "name": map.name,
        "limits": map.limits,
        "retention": map.retention,
        "inserted_at": iso_millis(map.inserted_ms),
        "updated_at": iso_millis(map.updated_ms),
    })
}

/// A map with what it has stored: the number of events that readers can read, and their bytes.
pub(super) fn map_with(map: &Map, (events, bytes): (u64, u64)) -> Value {
    let mut shown = self::map(map);
    shown["stored"] = json!({"events": events, "bytes": bytes});
    shown
}

pub(super) fn token(token: &Token) -> Value {
    let subjects: Option<Vec<&str>> = token.subjects.as_ref().map(|limit| limit.patterns().collect());
    json!({
        "id": token.id.to_string(),
        "name": token.name,
        "scopes": token.scopes.names(),
        "fingerprint": fingerprint(&token.hash),
        "expires_at": token.expiry.map(|expiry| iso_millis(expiry.at_ms)),
        "subjects": subjects,
        "inserted_at": iso_millis(token.inserted_ms),
    })
}

/// A new token: its secret, which is shown once, and what the cluster keeps of it.
pub(super) fn new_token(name: &str, scopes: Scopes) -> Result<(String, NewToken), ApiError> {
    let mut random = [0u8; 32];
    getrandom::fill(&mut random).map_err(|error| {
        tracing::error!(%error, "no random bytes");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, "the system has no random bytes")
    })?;
    let secret = format!("wp_{}", URL_SAFE_NO_PAD.encode(random));
    let hash = hash_token(&secret);
    let id = TokenId::new(Uuid::new_v4());
    Ok((secret, NewToken { id, name: name.to_owned(), hash, scopes, expires_ms: None, subjects: None }))
}
