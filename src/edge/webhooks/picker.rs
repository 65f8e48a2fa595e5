//! The same webhooks in the shapes of a session service's API: of the token's own map, not wrapped in `data`, with
//! `enabled`, `created_at`, logs, and a test with its example event. A secret is never returned.

use super::error::Problem;
use super::managed::{Managed, Manager};
use super::{answer, crud, object, place, settings, state_of};
use crate::core::time::iso_millis;
use crate::core::webhook::form::Form;
use crate::core::webhook::outcome::Class;
use crate::core::webhook::records::Attempt;
use crate::core::webhook::{Endpoint, Profile};
use crate::edge::context::Edge;
use crate::edge::rest::body;
use crate::hub::Grant;
use actix_web::HttpResponse;
use actix_web::web::{Data, Payload};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

const TEST_KIND: &str = "game.added";
const TEST_PAYLOAD: &str = r#"{"session":{"id":3,"is_active":true,"games_played":2},"game":{"id":42,"title":"Quiplash 3","pack_name":"Jackbox Party Pack 7","min_players":3,"max_players":8,"manually_added":false}}"#;

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

pub(super) async fn list(edge: Data<Edge>, Manager(grant): Manager) -> Result<HttpResponse, Problem> {
    let all: Vec<Value> = crud::list_of(&edge, &grant).await?.into_iter().map(shaped).collect();
    Ok(HttpResponse::Ok().json(all))
}

pub(super) async fn create(
    edge: Data<Edge>,
    Manager(grant): Manager,
    mut payload: Payload,
) -> Result<HttpResponse, Problem> {
    let mut form = Form::read(&object(&edge, &mut payload).await?);
    let profile = form.profile().unwrap_or(Profile::Envelope);
    if !profile.is_chat() && !form.has_secret() && !form.is_unreadable() {
        // It could not be known otherwise: nothing here ever returns it.
        form.add_problem("secret: is required".to_owned());
    }
    let plain = settings::create(&edge, grant.who.by(), grant.map.id, &form, Profile::Envelope).await?;
    edge.catch_up().await;
    Ok(HttpResponse::Created().json(shown(&edge, &grant, &plain.endpoint).await?))
}

pub(super) async fn show(edge: Data<Edge>, Managed { grant, endpoint }: Managed) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(shown(&edge, &grant, &endpoint).await?))
}

pub(super) async fn update(
    edge: Data<Edge>,
    Managed { grant, endpoint }: Managed,
    mut payload: Payload,
) -> Result<HttpResponse, Problem> {
    let form = Form::read_back(&object(&edge, &mut payload).await?);
    let changed = crud::change(&edge, &grant, &endpoint, &form).await?;
    Ok(HttpResponse::Ok().json(shown(&edge, &grant, &changed).await?))
}

/// Newest first.
pub(super) async fn logs(edge: Data<Edge>, Managed { grant, endpoint }: Managed) -> Result<HttpResponse, Problem> {
    let mut logs = Vec::new();
    for attempt in state_of(&edge, &endpoint)?.shelf.attempts.iter().rev() {
        logs.push(log(&edge, &grant, &endpoint, attempt).await?);
    }
    Ok(HttpResponse::Ok().json(logs))
}

async fn log(edge: &Edge, grant: &Grant, endpoint: &Endpoint, attempt: &Attempt) -> Result<Log, Problem> {
    let event = match attempt.seq {
        Some(seq) => place::event_for(edge, endpoint.id, grant.map.topic, seq).await?,
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
pub(super) async fn test(
    edge: Data<Edge>,
    Managed { endpoint, .. }: Managed,
    mut payload: Payload,
) -> Result<HttpResponse, Problem> {
    body::none(&mut payload).await?;
    let id = endpoint.id;
    actix_web::rt::spawn(async move {
        if let Err(error) = edge.webhooks.test(endpoint, TEST_KIND.to_owned(), TEST_PAYLOAD.into()).await {
            tracing::warn!(webhook = %id, %error, "a test could not be sent");
        }
    });
    let message = json!({"message": "Test webhook sent", "webhook_id": id.to_string(), "event": TEST_KIND});
    Ok(HttpResponse::Accepted().json(message))
}
