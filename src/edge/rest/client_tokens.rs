//! Client tokens (JWTs): revoking them, and exchanging a map's token for one.

use crate::core::access::Scopes;
use crate::core::command::Command;
use crate::core::error_code::Code;
use crate::core::field_error::FieldCode;
use crate::core::issuer::{RevokeClients, RevokedClients};
use crate::core::json::Members;
use crate::core::jwt::MAX_NAME_LEN;
use crate::core::limits::LimitName;
use crate::edge::body::Body;
use crate::edge::clients::Client;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::refused::Refused;
use crate::hub::Who;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;
use std::time::Duration;

/// How much longer than any token lives a revocation is kept: clocks of issuers differ.
const SPARE: Duration = Duration::from_secs(60);
/// Longest body of a login (bytes).
const MAX_LOGIN: usize = 4096;

/// Revokes tokens by their id, or by whom they are about if they were issued before now. It answers once
/// every reachable node has ended their sessions.
pub(super) async fn revoke(
    request: HttpRequest,
    edge: Data<Edge>,
    map: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let grant = edge.managed(&request, &map).await?;
    let Some(which) = body.object(read_which).await? else {
        return Err(ApiError::bad_request(Code::InvalidBody, "jti or sub is required"));
    };
    let keep = edge.hub.access().clients().longest() + SPARE;
    let keep_ms = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
    let revoke = RevokeClients { map: grant.map.id, by: grant.who.by(), which, keep_ms };
    edge.hub.log().propose_everywhere(&Command::RevokeClients(revoke)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Reads the one member that says which tokens.
fn read_which(m: &mut Members<'_>) -> Option<RevokedClients> {
    let jti: Option<String> = m.take(&["jti"], "a string");
    let sub: Option<String> = m.take(&["sub"], "a string");
    let (name, text) = match (jti, sub) {
        (Some(_), Some(_)) => {
            m.fault("sub", FieldCode::Conflict, "give jti or sub, not both");
            return None;
        }
        (Some(jti), None) => ("jti", jti),
        (None, Some(sub)) => ("sub", sub),
        (None, None) => {
            m.fault("jti", FieldCode::Required, "jti or sub is required");
            return None;
        }
    };
    if !(1..=MAX_NAME_LEN).contains(&text.len()) {
        m.fault(name, FieldCode::OutOfRange, format_args!("must have 1 to {MAX_NAME_LEN} bytes"));
    }
    Some(if name == "jti" { RevokedClients::Jti(text.into()) } else { RevokedClients::Sub(text.into()) })
}

/// Exchanges a map's token (`key`) for a client token that ends with it. In its errors the sentence stands in
/// `error`, where tools that expect this route read it.
pub(super) async fn log_in(
    request: HttpRequest,
    edge: Data<Edge>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    // The body says who the sender is.
    if let Some(client) = request.conn_data::<Client>() {
        client.hear_out();
    }
    let text = body.at_most(MAX_LOGIN, LimitName::Fixed).text().await?;
    let mut m = Members::of(&text);
    let key: Option<String> = m.take(&["key"], "a map's token");
    let errors = m.finish();
    if !errors.is_empty() {
        return Ok(plain(StatusCode::BAD_REQUEST, Code::InvalidBody, &errors.to_string()));
    }
    let Some(key) = key.filter(|key| !key.trim().is_empty()) else {
        return Ok(plain(StatusCode::UNAUTHORIZED, Code::Unauthorized, "Access token required"));
    };
    let holder = match edge.authenticate(&request, Some(key.as_str())).await {
        Ok(Who::Token(holder)) if holder.client().is_none() => holder,
        Ok(_) | Err(Refused::Unauthorized | Refused::LongToken { .. }) => return Ok(invalid()),
        Err(refused) => return Err(refused.into()),
    };
    if holder.scopes.and(Scopes::OF_ISSUERS) == Scopes::NONE {
        return Ok(invalid());
    }
    let token = edge.hub.access().clients().log_in(&holder).await;
    let token = token.map_err(|error| ApiError::unavailable(error.to_string()))?;
    Ok(HttpResponse::Ok().json(json!({ "token": token })))
}

fn invalid() -> HttpResponse {
    plain(StatusCode::FORBIDDEN, Code::InvalidToken, "Invalid or expired token")
}

/// An error whose sentence stands in `error`.
fn plain(status: StatusCode, code: Code, error: &str) -> HttpResponse {
    let error = ApiError::new(status, code, error);
    let mut body = error.body();
    body["error"] = body["message"].clone();
    error.answer(&body)
}
