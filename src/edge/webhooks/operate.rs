//! Webhooks in operation: stopping, starting, testing them, and rotating their secrets.

use super::crud::activate;
use super::error::Problem;
use super::managed::Managed;
use super::{answer, object, position, preview, settings};
use crate::core::command::Refusal;
use crate::core::event::{Event, is_kind};
use crate::core::field_error::FieldCode;
use crate::core::json::{self, Members};
use crate::core::webhook::secret;
use crate::core::webhook::{Origin, Webhook};
use crate::delivery::webhook::AsAttempt;
use crate::edge::body::Body;
use crate::edge::context::Edge;
use crate::edge::node_names::NodeNames;
use crate::edge::start::{Form, Named};
use actix_web::HttpResponse;
use actix_web::web::Data;
use serde_json::{Value, json};

/// Longest overlap of two secrets, seconds.
const MAX_OVERLAP: u64 = 30 * 86_400;
const TEST_KIND: &str = "webhook.test";
const TEST_PAYLOAD: &str = r#"{"message":"This is a test."}"#;

/// Where a webhook continues.
enum From {
    Resume,
    Skip,
    Since(Named),
}

pub(super) async fn enable(
    edge: Data<Edge>,
    Managed { grant, webhook }: Managed,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let seek = match read_from(&object(body).await?)? {
        From::Resume => None,
        From::Skip => Some(u64::MAX),
        From::Since(position) => Some(position::first(&edge, grant.map.topic, position).await?),
    };
    let webhook = activate(&edge, &grant, &webhook, true, seek).await?;
    Ok(HttpResponse::Ok().json(json!({"data": answer::opened(&edge, &grant, &webhook).await?})))
}

fn read_from(text: &str) -> Result<From, Problem> {
    let mut body = Members::of(text);
    let from: Option<String> = body.take(&["from"], "resume, skip or since");
    let since: Option<String> = body.take(&["since"], "a time or the id of an event");
    let position = since.and_then(|since| position::read(&mut body, "since", Form::IdOrTime, &since));
    let from = match (from.as_deref(), position) {
        (Some("since") | None, Some(position)) => From::Since(position),
        (Some("since"), None) => {
            body.fault("since", FieldCode::Required, "is required if from is since");
            From::Resume
        }
        (Some("skip"), None) => From::Skip,
        (Some("resume") | None, None) => From::Resume,
        (Some("skip" | "resume"), Some(_)) => {
            body.fault("since", FieldCode::Conflict, "is allowed only if from is since");
            From::Resume
        }
        (Some(_), _) => {
            body.fault("from", FieldCode::Invalid, "must be resume, skip or since");
            From::Resume
        }
    };
    Ok(body.finish().into_result(from)?)
}

pub(super) async fn disable(
    edge: Data<Edge>,
    Managed { grant, webhook }: Managed,
    body: Body,
) -> Result<HttpResponse, Problem> {
    Members::of(&object(body).await?).finish().into_result(())?;
    let webhook = activate(&edge, &grant, &webhook, false, None).await?;
    Ok(HttpResponse::Ok().json(json!({"data": answer::opened(&edge, &grant, &webhook).await?})))
}

pub(super) async fn rotate(
    edge: Data<Edge>,
    Managed { grant, webhook }: Managed,
    body: Body,
) -> Result<HttpResponse, Problem> {
    if webhook.origin == Origin::Config {
        return Err(Refusal::Configured.into());
    }
    let text = object(body).await?;
    let mut body = Members::of(&text);
    let secret: Option<String> = body.take(&["secret"], "a string");
    let overlap: Option<u64> = body.take(&["overlap_seconds"], "a whole number of seconds");
    let overlap = overlap.unwrap_or(edge.config.webhooks.overlap_seconds);
    if let Some(problem) = secret.as_deref().and_then(secret::problem) {
        body.fault("secret", FieldCode::Invalid, problem);
    }
    if overlap > MAX_OVERLAP {
        body.fault("overlap_seconds", FieldCode::OutOfRange, format_args!("must be from 0 to {MAX_OVERLAP}"));
    }
    body.finish().into_result(())?;
    let secret = settings::NewSecret::of(secret)?;
    let plain = settings::rotate(&edge, grant.who.by(), webhook.id, &secret, overlap).await?;
    Ok(HttpResponse::Ok().json(json!({"data": answer::with_secret(&edge, &grant, &plain).await?})))
}

pub(super) async fn test(
    edge: Data<Edge>,
    Managed { grant, webhook }: Managed,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let (kind, payload) = read_test(&edge, &object(body).await?)?;
    let (attempt, event) = edge.webhooks.test(webhook.clone(), kind, payload.into_bytes()).await?;
    let mut shown = super::attempts::attempt(&attempt, &NodeNames::seen_by(&edge, &grant.who));
    shown["request"] = tested(&edge, &webhook, &event, attempt.at_ms).await;
    Ok(HttpResponse::Ok().json(json!({ "data": shown })))
}

/// The request that a test has made, without its secrets; null if there was none.
async fn tested(edge: &Edge, webhook: &Webhook, event: &Event, at_ms: u64) -> Value {
    let encryption = edge.hub.vault().encryption();
    let private = encryption.and_then(|encryption| encryption.open(webhook.id, &webhook.encrypted));
    let Ok(private) = private else { return Value::Null };
    let attempt = AsAttempt { number: 1, at_ms: Some(at_ms) };
    let request = preview::request_of(edge, webhook.clone(), private, event, attempt).await;
    request.ok().and_then(|request| serde_json::to_value(request).ok()).unwrap_or_default()
}

fn read_test(edge: &Edge, text: &str) -> Result<(String, String), Problem> {
    let mut body = Members::of(text);
    let kind = body.take(&["type"], "an event type").unwrap_or_else(|| TEST_KIND.to_owned());
    if !is_kind(&kind) {
        body.fault("type", FieldCode::Invalid, "must be an event type");
    }
    let payload = body.raw(&["payload"]).map_or(TEST_PAYLOAD, |raw| raw.get());
    let most = edge.config.event_bytes;
    if payload.len() > most {
        body.fault("payload", FieldCode::OutOfRange, format_args!("may have at most {most} bytes"));
    }
    let payload = json::normalise(payload, edge.config.json_depth).unwrap_or_else(|error| {
        body.fault("payload", FieldCode::Invalid, error);
        String::new()
    });
    Ok(body.finish().into_result((kind, payload))?)
}
