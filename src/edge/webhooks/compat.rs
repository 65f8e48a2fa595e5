//! The same webhooks in the shapes of a session service's API. They belong to the token's own map, are not
//! wrapped in `data`, and have `enabled`, `created_at`, logs, and a test with its own example event. A secret
//! is never returned.

use super::error::Problem;
use super::managed::{Managed, Manager};
use super::{answer, crud, object, position, settings, state_of};
use crate::core::json::normalise;
use crate::core::time::iso_millis;
use crate::core::webhook::outcome::Class;
use crate::core::webhook::patch::Patch;
use crate::core::webhook::records::Attempt;
use crate::core::webhook::shown::{ALIASES, ShownWebhook};
use crate::core::webhook::{Profile, Webhook};
use crate::edge::audit::facts::note_thing;
use crate::edge::body::Body;
use crate::edge::context::Edge;
use crate::hub::Grant;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// The example event that a test sends: its type, and its payload in normal form.
#[derive(Default)]
struct Sample {
    kind: String,
    payload: String,
}

/// Empty if the file can't be read. A test makes sure that it can.
static SAMPLE: LazyLock<Sample> = LazyLock::new(|| sample().unwrap_or_default());

fn sample() -> Option<Sample> {
    #[derive(Deserialize)]
    struct Written<'a> {
        #[serde(rename = "type")]
        kind: String,
        #[serde(borrow)]
        payload: &'a RawValue,
    }
    let written: Written<'_> = serde_json::from_str(include_str!("compat.json")).ok()?;
    let payload = normalise(written.payload.get(), MAX_DEPTH).ok()?;
    Some(Sample { kind: written.kind, payload })
}

/// Deepest nesting of the example's payload.
const MAX_DEPTH: usize = 8;

/// One attempt as a log entry. It is a type of its own because a payload's bytes go out unchanged.
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

async fn shown(edge: &Edge, grant: &Grant, webhook: &Webhook) -> Result<Value, Problem> {
    Ok(shaped(&answer::opened(edge, grant, webhook).await?))
}

/// The webhook with the member names of that API.
fn shaped(webhook: &ShownWebhook) -> Value {
    let mut shown = json!(webhook);
    let Some(fields) = shown.as_object_mut() else { return shown };
    for (ours, theirs) in ALIASES {
        if let Some(value) = fields.remove(ours) {
            fields.insert(theirs.to_owned(), value);
        }
    }
    shown
}

pub(super) async fn list(edge: Data<Edge>, Manager(grant): Manager) -> Result<HttpResponse, Problem> {
    let all: Vec<Value> = crud::list_of(&edge, &grant).await?.iter().map(shaped).collect();
    Ok(HttpResponse::Ok().json(all))
}

pub(super) async fn create(
    request: HttpRequest,
    edge: Data<Edge>,
    Manager(grant): Manager,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let mut patch = Patch::read(&object(body).await?);
    let profile = patch.profile().unwrap_or(Profile::Envelope);
    if !profile.is_chat() {
        // The caller must give the secret, because this API never returns one.
        patch.require_secret();
    }
    let plain = settings::create(&edge, grant.who.by(), grant.map.id, &patch, Profile::Envelope).await?;
    note_thing(&request, "made", plain.webhook.id);
    edge.catch_up().await;
    Ok(HttpResponse::Created().json(shown(&edge, &grant, &plain.webhook).await?))
}

pub(super) async fn show(
    edge: Data<Edge>,
    Managed { grant, webhook }: Managed,
) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(shown(&edge, &grant, &webhook).await?))
}

pub(super) async fn update(
    request: HttpRequest,
    edge: Data<Edge>,
    Managed { grant, webhook }: Managed,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let patch = Patch::read_back(&object(body).await?);
    let changed = crud::change(&edge, &grant, &webhook, &patch).await?;
    crud::note_changed(&request, &edge, &webhook, &changed);
    Ok(HttpResponse::Ok().json(shown(&edge, &grant, &changed).await?))
}

/// Lists the attempts, newest first.
pub(super) async fn logs(
    edge: Data<Edge>,
    Managed { grant, webhook }: Managed,
) -> Result<HttpResponse, Problem> {
    let mut logs = Vec::new();
    for attempt in state_of(&edge, &webhook)?.attempt_history.attempts.iter().rev() {
        logs.push(log(&edge, &grant, &webhook, attempt).await?);
    }
    Ok(HttpResponse::Ok().json(logs))
}

async fn log(edge: &Edge, grant: &Grant, webhook: &Webhook, attempt: &Attempt) -> Result<Log, Problem> {
    let event = match attempt.seq {
        Some(seq) => position::event_for(edge, webhook.id, grant.map.topic, seq).await?,
        None => None,
    };
    let text = event.and_then(|event| String::from_utf8(event.payload.to_vec()).ok());
    Ok(Log {
        id: format!("{}/{}", attempt.message_id, attempt.attempt),
        webhook_id: webhook.id.to_string(),
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

/// Sends the example event. The result is in the logs.
pub(super) async fn test(
    edge: Data<Edge>,
    Managed { webhook, .. }: Managed,
    body: Body,
) -> Result<HttpResponse, Problem> {
    body.none().await?;
    let id = webhook.id;
    actix_web::rt::spawn(async move {
        if let Err(error) =
            edge.webhooks.test(webhook, SAMPLE.kind.clone(), SAMPLE.payload.clone().into()).await
        {
            tracing::warn!(webhook = %id, %error, "the test of a webhook could not be sent");
        }
    });
    let message = json!({"message": "Test webhook sent", "webhook_id": id.to_string(), "event": SAMPLE.kind});
    Ok(HttpResponse::Accepted().json(message))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn there_is_an_example_event() {
        let sample = sample().unwrap();
        assert_eq!(sample.kind, "game.added");
        assert!(
            sample
                .payload
                .starts_with(r#"{"session":{"id":3,"is_active":true,"games_played":2},"game":{"id":42"#)
        );
    }
}
