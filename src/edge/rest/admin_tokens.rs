//! Tokens of the cluster beside the admin token, which alone makes, lists and revokes them.

use super::answer;
use super::maps::read_name;
use crate::core::access::Scopes;
use crate::core::admin_token::{AdminScope, AdminToken};
use crate::core::command::Command;
use crate::core::field_error::FieldCode;
use crate::core::ids::TokenId;
use crate::core::json::Members;
use crate::core::time::iso_millis;
use crate::edge::audit::facts::note_thing;
use crate::edge::body::Body;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

pub(super) async fn create(
    request: HttpRequest,
    edge: Data<Edge>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    edge.admin(&request).await?;
    let (name, scopes) = body.object(|m| (read_name(m), read_scopes(m))).await?;
    let (secret, new) = answer::new_token(&name.unwrap_or_default(), Scopes::NONE)?;
    let token = AdminToken { id: new.id, name: new.name.into(), hash: new.hash, scopes, inserted_ms: 0 };
    note_thing(&request, "made", token.id);
    let id = token.id;
    edge.hub.log().propose_everywhere(&Command::MakeAdminToken(Box::new(token))).await?;
    let made = edge.hub.access().known().admin_tokens().get(id).map(|token| shown(token));
    let mut data = made.ok_or_else(|| ApiError::not_found("the token"))?;
    data["token"] = secret.into();
    Ok(HttpResponse::Created().json(json!({ "data": data })))
}

/// Reads the scopes, each once.
fn read_scopes(m: &mut Members<'_>) -> Vec<AdminScope> {
    const EXPECTED: &str = "a list of read and operate, at least one";
    let Some(names) = m.required::<Vec<String>>("scopes", EXPECTED) else { return Vec::new() };
    let read: Option<Vec<AdminScope>> = names.iter().map(|name| AdminScope::named(name)).collect();
    match read {
        Some(scopes) if !scopes.is_empty() => {
            let has = |wanted: &AdminScope| scopes.contains(wanted);
            [AdminScope::Read, AdminScope::Operate].into_iter().filter(has).collect()
        }
        _ => {
            m.fault("scopes", FieldCode::Invalid, format_args!("must be {EXPECTED}"));
            Vec::new()
        }
    }
}

pub(super) async fn list(request: HttpRequest, edge: Data<Edge>) -> Result<HttpResponse, ApiError> {
    edge.admin(&request).await?;
    edge.catch_up().await;
    let data: Vec<Value> = edge.hub.access().known().admin_tokens().all().map(|token| shown(token)).collect();
    Ok(HttpResponse::Ok().json(json!({ "data": data })))
}

/// Revokes a token. It answers once no reachable node accepts it.
pub(super) async fn revoke(
    request: HttpRequest,
    edge: Data<Edge>,
    token: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    edge.admin(&request).await?;
    body.none().await?;
    let token: TokenId = token.parse().map_err(|_| ApiError::not_found("the token"))?;
    edge.hub.log().propose_everywhere(&Command::RevokeAdminToken(token)).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn shown(token: &AdminToken) -> Value {
    let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.name()).collect();
    json!({
        "id": token.id.to_string(),
        "name": token.name,
        "scopes": scopes,
        "inserted_at": iso_millis(token.inserted_ms),
    })
}
