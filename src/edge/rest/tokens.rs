//! A map's tokens: creating, listing and revoking them.

use super::answer;
use super::maps::{read_name, unexpected};
use crate::core::access::Scopes;
use crate::core::command::{Command, CreateToken, NewToken, Reply, RevokeToken};
use crate::core::error_code::Code;
use crate::core::field_error::FieldCode;
use crate::core::json::Members;
use crate::core::subject_limit::{MAX_LIMIT_PATTERNS, SubjectLimit};
use crate::core::time::parse_iso;
use crate::edge::audit::facts::note_thing;
use crate::edge::body::Body;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

pub(super) async fn create(
    request: HttpRequest,
    edge: Data<Edge>,
    map: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let grant = edge.managed(&request, &map).await?;
    let now_ms = edge.hub.clock().time_ms();
    let read = |m: &mut Members<'_>| (read_name(m), read_scopes(m), read_expiry(m, now_ms), read_subjects(m));
    let (name, scopes, expires_ms, subjects) = body.object(read).await?;
    if subjects.is_some() && scopes.contains(Scopes::MANAGE) {
        return Err(ApiError::bad_request(
            Code::InvalidBody,
            "a token that may manage the map is not limited to subjects: leave out manage or subjects",
        ));
    }
    let (secret, token) = answer::new_token(&name.unwrap_or_default(), scopes)?;
    let token = NewToken { expires_ms, subjects, ..token };
    note_thing(&request, "made", token.id);
    let max_tokens = edge.config.max_tokens;
    let command =
        Command::CreateToken(CreateToken { map: grant.map.id, by: grant.who.by(), token, max_tokens });
    let Reply::Token(token) = edge.hub.log().propose(&command).await? else { return Err(unexpected()) };
    let mut data = answer::token(&token);
    data["token"] = secret.into();
    Ok(HttpResponse::Created().json(json!({ "data": data })))
}

/// Reads the scopes. The result is empty if there is a fault.
fn read_scopes(m: &mut Members<'_>) -> Scopes {
    const EXPECTED: &str = "a list of subscribe, publish, presence and manage, at least one";
    let Some(names) = m.required::<Vec<String>>("scopes", EXPECTED) else { return Scopes::NONE };
    Scopes::from_names(&names).unwrap_or_else(|| {
        m.fault("scopes", FieldCode::Invalid, format_args!("must be {EXPECTED}"));
        Scopes::NONE
    })
}

/// Reads when the token ends.
fn read_expiry(m: &mut Members<'_>, now_ms: u64) -> Option<u64> {
    const EXPECTED: &str = "a date with a time, such as 2030-01-31T12:00:00Z";
    let text: String = m.nullable("expires_at", EXPECTED).flatten()?;
    let at_ms = parse_iso(&text);
    match at_ms {
        None => m.fault("expires_at", FieldCode::Invalid, format_args!("must be {EXPECTED}")),
        Some(at_ms) if at_ms <= now_ms => m.fault("expires_at", FieldCode::OutOfRange, "has passed"),
        Some(_) => {}
    }
    at_ms
}

/// Reads the subjects that the token's holder may use.
fn read_subjects(m: &mut Members<'_>) -> Option<SubjectLimit> {
    let patterns: Vec<String> = m.nullable("subjects", "a list of patterns of subjects").flatten()?;
    let limit = SubjectLimit::new(&patterns);
    if limit.is_none() {
        let message = format_args!("must be a list of 1 to {MAX_LIMIT_PATTERNS} patterns of subjects");
        m.fault("subjects", FieldCode::Invalid, message);
    }
    limit
}

pub(super) async fn list(
    request: HttpRequest,
    edge: Data<Edge>,
    map: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let grant = edge.managed(&request, &map).await?;
    let tokens: Vec<_> =
        edge.hub.access().known().tokens_of(grant.map.id).map(|token| answer::token(token)).collect();
    Ok(HttpResponse::Ok().json(json!({ "data": tokens })))
}

/// Revokes a token. It answers once every reachable node has cut the token off.
pub(super) async fn revoke(
    request: HttpRequest,
    edge: Data<Edge>,
    path: Path<(String, String)>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let (map, token) = path.into_inner();
    let grant = edge.managed(&request, &map).await?;
    body.none().await?;
    let token = token.parse().map_err(|_| ApiError::not_found("the token"))?;
    let revoke = RevokeToken { map: grant.map.id, by: grant.who.by(), token };
    edge.hub.log().propose_everywhere(&Command::RevokeToken(revoke)).await?;
    Ok(HttpResponse::NoContent().finish())
}
