//! The same webhooks in the shapes of a session service's API: of the token's own map, not wrapped in `data`, with
//! `enabled`, `created_at`, logs, and a test with its example event. A secret is never returned.

use super::error::Problem;
use super::{answer, crud, endpoint_of, managed, object, on, place, settings, state_of};
use crate::core::command::Command;
use crate::core::endpoint::class::Class;
use crate::core::endpoint::form::Form;
use crate::core::endpoint::progress::Attempt;
use crate::core::endpoint::{Endpoint, Profile};
use crate::core::time::iso_millis;
use crate::edge::auth::bearer;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::hub::{Grant, Who};
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

const TEST_KIND: &str = "game.added";
const TEST_PAYLOAD: &str = r#"{"session":{"id":3,"is_active":true,"games_played":2},"game":{"id":42,"title":"Quiplash 3","pack_name":"Jackbox Party Pack 7","min_players":3,"max_players":8,"manually_added":false}}"#;

#[derive(Debug, Deserialize)]
struct Query {
    map: Option<String>,
}

/// One attempt as a log entry. Typed, since a payload's bytes go out as they are.
#[derive(Serialize)]
struct Log {
    id: String,
    webhook_id: String,
    event_type: String,
    payload: Option<Box<RawValue>>,
    status: &'static str,
    response_status: Option<u16>,
    error_message: Option<String>,
    attempt: u32,
    duration_ms: u32,
    created_at: String,
}

/// The right to manage the token's own map; the admin names one.
async fn own(edge: &Edge, request: &HttpRequest) -> Result<Grant, Problem> {
    let map = match edge.authenticate(request, bearer(request)).await? {
        Who::Token(token) => token.map.to_string(),
        Who::Admin => serde_urlencoded::from_str(request.query_string())
            .ok()
            .and_then(|query: Query| query.map)
            .ok_or_else(|| ApiError::bad_request("map_needed", "with the admin token, name the map: ?map=…"))?,
    };
    managed(edge, request, &map).await
}

async fn shown(edge: &Edge, grant: &Grant, endpoint: &Endpoint) -> Result<Value, Problem> {
    Ok(shaped(answer::opened(edge, grant, endpoint).await?))
}

fn shaped(mut webhook: Value) -> Value {
    let Some(fields) = webhook.as_object_mut() else { return webhook };
    for (from, to) in [("active", "enabled"), ("inserted_at", "created_at")] {
        if let Some(value) = fields.remove(from) {
            fields.insert(to.to_owned(), value);
        }
    }
    webhook
}

pub(super) async fn list(request: HttpRequest, edge: Data<Edge>) -> Result<HttpResponse, Problem> {
    let grant = own(&edge, &request).await?;
    let all: Vec<Value> = crud::list_of(&edge, &grant).await?.into_iter().map(shaped).collect();
    Ok(HttpResponse::Ok().json(all))
}

pub(super) async fn create(
    request: HttpRequest,
    edge: Data<Edge>,
    mut payload: Payload,
) -> Result<HttpResponse, Problem> {
    let grant = own(&edge, &request).await?;
    let mut form = Form::read(&object(&edge, &mut payload).await?);
    let profile = form.profile().unwrap_or(Profile::Envelope);
    if !profile.is_chat() && !form.has_secret() {
        // It could not be known otherwise: nothing here ever returns it.
        form.add_problem("secret: is required".to_owned());
    }
    let plain = settings::create(&edge, grant.who.by(), grant.map.id, &form, Profile::Envelope).await?;
    edge.catch_up().await;
    Ok(HttpResponse::Created().json(shown(&edge, &grant, &plain.endpoint).await?))
}

pub(super) async fn show(request: HttpRequest, edge: Data<Edge>, id: Path<String>) -> Result<HttpResponse, Problem> {
    let grant = own(&edge, &request).await?;
    let endpoint = endpoint_of(&edge, &grant, &id)?;
    Ok(HttpResponse::Ok().json(shown(&edge, &grant, &endpoint).await?))
}

pub(super) async fn update(
    request: HttpRequest,
    edge: Data<Edge>,
    id: Path<String>,
    mut payload: Payload,
) -> Result<HttpResponse, Problem> {
    let grant = own(&edge, &request).await?;
    let endpoint = endpoint_of(&edge, &grant, &id)?;
    let form = Form::read(&object(&edge, &mut payload).await?);
    let changed = crud::change(&edge, &grant, &endpoint, &form).await?;
    Ok(HttpResponse::Ok().json(shown(&edge, &grant, &changed).await?))
}

pub(super) async fn remove(request: HttpRequest, edge: Data<Edge>, id: Path<String>) -> Result<HttpResponse, Problem> {
    let grant = own(&edge, &request).await?;
    let endpoint = endpoint_of(&edge, &grant, &id)?;
    edge.hub.propose(&Command::DeleteEndpoint(on(&grant, &endpoint, ()))).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Newest first.
pub(super) async fn logs(request: HttpRequest, edge: Data<Edge>, id: Path<String>) -> Result<HttpResponse, Problem> {
    let grant = own(&edge, &request).await?;
    let endpoint = endpoint_of(&edge, &grant, &id)?;
    let mut logs = Vec::new();
    for attempt in state_of(&edge, &endpoint)?.shelf.attempts.iter().rev() {
        logs.push(log(&edge, &grant, &endpoint, attempt).await?);
    }
    Ok(HttpResponse::Ok().json(logs))
}

async fn log(edge: &Edge, grant: &Grant, endpoint: &Endpoint, attempt: &Attempt) -> Result<Log, Problem> {
    let event = match attempt.seq {
        Some(seq) => place::event_at(edge, grant.map.topic, seq).await?,
        None => None,
    };
    let text = event.and_then(|event| String::from_utf8(event.payload.to_vec()).ok());
    Ok(Log {
        id: format!("{}/{}", attempt.message_id, attempt.attempt),
        webhook_id: endpoint.id.to_string(),
        event_type: attempt.kind.clone(),
        payload: text.and_then(|text| RawValue::from_string(text).ok()),
        status: if attempt.class == Class::Delivered { "success" } else { "failed" },
        response_status: attempt.status,
        error_message: attempt.error.clone(),
        attempt: attempt.attempt,
        duration_ms: attempt.took_ms,
        created_at: iso_millis(attempt.at_ms),
    })
}

/// Sends the example event; what became of it stands in the logs.
pub(super) async fn test(request: HttpRequest, edge: Data<Edge>, id: Path<String>) -> Result<HttpResponse, Problem> {
    let grant = own(&edge, &request).await?;
    let endpoint = endpoint_of(&edge, &grant, &id)?;
    let id = endpoint.id;
    actix_web::rt::spawn(async move {
        if let Err(error) = edge.webhooks.test(endpoint, TEST_KIND.to_owned(), TEST_PAYLOAD.into()).await {
            tracing::warn!(webhook = %id, %error, "a test could not be sent");
        }
    });
    let message = json!({"message": "Test webhook sent", "webhook_id": id.to_string(), "event": TEST_KIND});
    Ok(HttpResponse::Accepted().json(message))
}
