//! The presence members of a subject (subscribe scope).

use crate::core::access::Scopes;
use crate::core::error_code::Code;
use crate::core::subject::Subject;
use crate::edge::auth::bearer;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::hub::PresentMember;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

/// Lists the members of a subject, by user id. `presence` tells a subject that can have members from one that has
/// none by its name and the map's rules.
pub(super) async fn list(
    request: HttpRequest,
    edge: Data<Edge>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (map, subject) = path.into_inner();
    let grant = edge.grant(&request, bearer(&request), &map, Scopes::SUBSCRIBE).await?;
    edge.charge(&grant).await?;
    let subject = Subject::parse(&subject)
        .map_err(|error| ApiError::bad_request(Code::InvalidSubject, error.to_string()))?;
    let members = edge.hub.presence().members(grant.map.id, &subject);
    let data: Vec<Value> = members.iter().map(shown).collect();
    let presence = grant.map.rules.facts_of(subject.as_str()).presence;
    Ok(HttpResponse::Ok().json(json!({"data": data, "presence": presence})))
}

fn shown(member: &PresentMember) -> Value {
    // Whoever signed the info gave JSON, or nothing.
    let info: Option<Value> = serde_json::from_slice(&member.info).ok();
    json!({"user_id": &*member.user, "info": info})
}
