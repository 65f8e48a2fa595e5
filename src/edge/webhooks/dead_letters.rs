//! Dead letters: events whose delivery was given up. They are listed, shown, retried and removed.

use super::error::Problem;
use super::managed::Managed;
use super::position;
use super::replay;
use super::replayed::Wanted;
use super::{answer, object, on, order, state_of};
use crate::core::command::{Command, Reply};
use crate::core::consumer::progress::OwnerCommand;
use crate::core::error_code::Code;
use crate::core::ids::EventId;
use crate::core::json::Members;
use crate::core::time::iso_millis;
use crate::core::webhook::Webhook;
use crate::core::webhook::records::DeadLetter;
use crate::edge::body::Body;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::query::Query;
use crate::edge::start::Form;
use crate::hub::Grant;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 1000;
/// A page stops growing at this size, whatever the limit of the request.
const MAX_PAGE_BYTES: usize = 4 << 20;
/// Dead letters that are read at once in search of one.
const LOOK: usize = 512;

/// The dead letter in the path.
#[derive(Deserialize)]
pub(super) struct OfDeadLetter {
    event: String,
}

pub(super) const NAMES: &[&str] = &["after", "limit"];

/// A dead letter as it is shown. It is a type of its own because an event's bytes go out unchanged.
#[derive(Serialize)]
struct Shown {
    id: String,
    seq: u64,
    r#type: String,
    attempts: u32,
    first_attempt_at: Option<String>,
    given_up_at: String,
    class: &'static str,
    status: Option<u16>,
    error: String,
    event: Option<Box<RawValue>>,
}

/// A page of dead letters.
#[derive(Serialize)]
struct Page {
    data: Vec<Shown>,
    cursor: Option<u64>,
    has_more: bool,
    total: u32,
}

/// A single dead letter.
#[derive(Serialize)]
struct One {
    data: Shown,
}

pub(super) async fn list(
    request: HttpRequest,
    edge: Data<Edge>,
    Managed { grant, webhook }: Managed,
) -> Result<HttpResponse, Problem> {
    let query = Query::of(&request, NAMES)?;
    let limit = query.number("limit", Code::InvalidLimit, 1..=MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT) as usize;
    let after = query.number("after", Code::InvalidAfter, 0..=u64::MAX)?;
    let from_seq = after.map_or(0, |after| after.saturating_add(1));
    let dead_letters = edge.hub.webhooks().dead_letters(webhook.id, from_seq, limit + 1)?;
    let total = state_of(&edge, &webhook)?.attempt_history.dead;
    let mut data = Vec::new();
    let mut bytes = 0;
    for dead_letter in dead_letters.iter().take(limit) {
        if bytes >= MAX_PAGE_BYTES {
            break;
        }
        let dead_letter = shown(&edge, &grant, &webhook, dead_letter).await?;
        bytes += dead_letter.event.as_ref().map_or(0, |event| event.get().len());
        data.push(dead_letter);
    }
    let cursor = data.last().map(|dead_letter| dead_letter.seq);
    let has_more = data.len() < dead_letters.len();
    Ok(HttpResponse::Ok().json(Page { data, cursor, has_more, total }))
}

async fn shown(
    edge: &Edge,
    grant: &Grant,
    webhook: &Webhook,
    dead_letter: &DeadLetter,
) -> Result<Shown, Problem> {
    let event = position::event_for(edge, webhook.id, grant.map.topic, dead_letter.seq).await?;
    let event = event.filter(|event| event.id == dead_letter.event_id);
    let event = event.and_then(|event| answer::envelope(grant.map.id, &event));
    Ok(Shown {
        id: dead_letter.event_id.to_string(),
        seq: dead_letter.seq,
        r#type: dead_letter.kind.clone(),
        attempts: dead_letter.attempts,
        first_attempt_at: (dead_letter.first_ms > 0)
            .then(|| iso_millis(edge.hub.clock().shown_ms(dead_letter.first_ms))),
        given_up_at: iso_millis(edge.hub.clock().shown_ms(dead_letter.given_up_ms)),
        class: dead_letter.class().name(),
        status: dead_letter.status(),
        error: dead_letter.error().to_owned(),
        event,
    })
}

/// The dead letter of an event. Dead letters are stored in the order of seq, which is the order of ids.
fn find(edge: &Edge, webhook: &Webhook, event: &str) -> Result<DeadLetter, Problem> {
    let unknown = || Problem::from(ApiError::not_found("the dead letter"));
    let id: EventId = event.parse().map_err(|_| unknown())?;
    let mut from_seq = 0;
    loop {
        let dead_letters = edge.hub.webhooks().dead_letters(webhook.id, from_seq, LOOK)?;
        let Some(last) = dead_letters.last() else { return Err(unknown()) };
        from_seq = last.seq + 1;
        if last.event_id >= id {
            return dead_letters
                .into_iter()
                .find(|dead_letter| dead_letter.event_id == id)
                .ok_or_else(unknown);
        }
    }
}

pub(super) async fn show(
    edge: Data<Edge>,
    Managed { grant, webhook }: Managed,
    path: Path<OfDeadLetter>,
) -> Result<HttpResponse, Problem> {
    let dead_letter = find(&edge, &webhook, &path.event)?;
    Ok(HttpResponse::Ok().json(One { data: shown(&edge, &grant, &webhook, &dead_letter).await? }))
}

pub(super) async fn retry(
    edge: Data<Edge>,
    Managed { grant, webhook }: Managed,
    path: Path<OfDeadLetter>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    body.none().await?;
    let dead_letter = find(&edge, &webhook, &path.event)?;
    order(&edge, &grant, &webhook, OwnerCommand::Redeliver(vec![dead_letter.seq])).await?;
    Ok(HttpResponse::Accepted().json(One { data: shown(&edge, &grant, &webhook, &dead_letter).await? }))
}

pub(super) async fn retry_all(
    edge: Data<Edge>,
    Managed { grant, webhook }: Managed,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let text = object(body).await?;
    let mut body = Members::of(&text);
    let since: Option<String> = body.take(&["since"], "a time or the id of an event");
    let position = since.and_then(|since| position::read(&mut body, "since", Form::IdOrTime, &since));
    body.finish().into_result(())?;
    let from_seq = match position {
        Some(position) => position::first(&edge, grant.map.topic, position).await?,
        None => edge
            .hub
            .webhooks()
            .dead_letters(webhook.id, 0, 1)?
            .first()
            .map_or(1, |dead_letter| dead_letter.seq),
    };
    let wanted = Wanted { from_seq, until_seq: u64::MAX, failed_only: true };
    replay::begin(&edge, &grant, &webhook, wanted).await
}

pub(super) async fn purge(
    edge: Data<Edge>,
    Managed { grant, webhook }: Managed,
    body: Body,
) -> Result<HttpResponse, Problem> {
    body.none().await?;
    let removed = remove_dead_letters(&edge, &grant, &webhook, None).await?;
    Ok(HttpResponse::Ok().json(json!({"data": {"removed": removed}})))
}

pub(super) async fn remove(
    edge: Data<Edge>,
    Managed { grant, webhook }: Managed,
    path: Path<OfDeadLetter>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    body.none().await?;
    let dead_letter = find(&edge, &webhook, &path.event)?;
    remove_dead_letters(&edge, &grant, &webhook, Some(vec![dead_letter.seq])).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn remove_dead_letters(
    edge: &Edge,
    grant: &Grant,
    webhook: &Webhook,
    seqs: Option<Vec<u64>>,
) -> Result<u32, Problem> {
    match edge.hub.log().propose(&Command::PurgeDead(on(grant, webhook, seqs))).await? {
        Reply::Removed(removed) => Ok(removed),
        _ => Err(super::unexpected()),
    }
}
