//! The last attempts of a webhook.

use super::error::Problem;
use super::managed::Managed;
use super::state_of;
use crate::core::error_code::Code;
use crate::core::ids::EventId;
use crate::core::time::iso_millis;
use crate::core::webhook::outcome::Stage;
use crate::core::webhook::records::Attempt;
use crate::edge::context::Edge;
use crate::edge::node_names::NodeNames;
use crate::edge::query::Query;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

pub(super) const NAMES: &[&str] = &["after"];

/// Lists the attempts, oldest first. Tests have no number: they are listed only if no number is asked for.
pub(super) async fn list(
    request: HttpRequest,
    edge: Data<Edge>,
    Managed { grant, webhook }: Managed,
) -> Result<HttpResponse, Problem> {
    let after = Query::of(&request, NAMES)?.number("after", Code::InvalidAfter, 0..=u64::MAX)?;
    let attempts = state_of(&edge, &webhook)?.attempt_history.attempts;
    let wanted = attempts.iter().filter(|attempt| after.is_none_or(|after| attempt.number > after));
    let names = NodeNames::seen_by(&edge, &grant.who);
    let shown: Vec<Value> = wanted.map(|one| attempt(one, &names)).collect();
    Ok(HttpResponse::Ok().json(json!({ "data": shown })))
}

/// The JSON of one attempt.
pub(super) fn attempt(attempt: &Attempt, names: &NodeNames) -> Value {
    json!({
        "number": attempt.number,
        "message_id": attempt.message_id,
        "event_id": event_id(attempt).map(|id| id.to_string()),
        "seq": attempt.seq,
        "type": attempt.kind,
        "events": attempt.events,
        "attempt": attempt.attempt,
        "at": iso_millis(attempt.at_ms),
        "ms": attempt.took_ms,
        "class": attempt.class.name(),
        "sent": attempt.sent.name(),
        "stage": attempt.stage.map(Stage::name),
        "status": attempt.status,
        "error": attempt.error,
        "response": attempt.answer,
        "node": attempt.node,
        "node_name": names.of(attempt.node),
    })
}

/// The id of the attempt's first event. A message's id begins with it.
fn event_id(attempt: &Attempt) -> Option<EventId> {
    attempt.seq?;
    attempt.message_id.get(..EventId::TEXT_LEN)?.parse().ok()
}
