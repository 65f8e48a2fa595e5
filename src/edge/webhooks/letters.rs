//! Dead letters: events that were given up. Listed, shown, tried again, removed.

use super::error::Problem;
use super::managed::Managed;
use super::place;
use super::replay::{self, Wanted};
use super::{object, on, order, state_of};
use crate::core::command::{Command, Reply};
use crate::core::consumer::progress::Order;
use crate::core::event::MapText;
use crate::core::ids::EventId;
use crate::core::json::Members;
use crate::core::time::iso_millis;
use crate::core::webhook::Endpoint;
use crate::core::webhook::records::DeadLetter;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::query::Query;
use crate::edge::rest::body;
use crate::edge::start::Form;
use crate::hub::Grant;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 1000;
/// A page stops growing here, whatever the limit says.
const MAX_PAGE_BYTES: usize = 4 << 20;
/// Letters looked through at once for one of them.
const LOOK: usize = 512;

#[derive(Deserialize)]
pub(super) struct OfLetter {
    event: String,
}

pub(super) const NAMES: &[&str] = &["after", "limit"];

/// A letter as it is shown. Typed, since an event's bytes go out as they are.
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

#[derive(Serialize)]
struct Page {
    data: Vec<Shown>,
    cursor: Option<u64>,
    has_more: bool,
    total: u32,
}

#[derive(Serialize)]
struct One {
    data: Shown,
}

pub(super) async fn list(
    request: HttpRequest,
    edge: Data<Edge>,
    Managed { grant, endpoint }: Managed,
) -> Result<HttpResponse, Problem> {
    let query = Query::of(&request, NAMES)?;
    let limit = query.number("limit", "invalid_limit", 1..=MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT) as usize;
    let after = query.number("after", "invalid_after", 0..=u64::MAX)?;
    let from_seq = after.map_or(0, |after| after.saturating_add(1));
    let letters = edge.hub.webhooks().dead_letters(endpoint.id, from_seq, limit + 1)?;
    let total = state_of(&edge, &endpoint)?.shelf.dead;
    let (mut data, mut bytes) = (Vec::new(), 0);
    for letter in letters.iter().take(limit) {
        if bytes >= MAX_PAGE_BYTES {
            break;
        }
        let letter = shown(&edge, &grant, &endpoint, letter).await?;
        bytes += letter.event.as_ref().map_or(0, |event| event.get().len());
        data.push(letter);
    }
    let cursor = data.last().map(|letter| letter.seq);
    let has_more = data.len() < letters.len();
    Ok(HttpResponse::Ok().json(Page { data, cursor, has_more, total }))
}

async fn shown(edge: &Edge, grant: &Grant, endpoint: &Endpoint, letter: &DeadLetter) -> Result<Shown, Problem> {
    let event = place::event_for(edge, endpoint.id, grant.map.topic, letter.seq).await?;
    let event = event.filter(|event| event.id == letter.event_id).and_then(|event| {
        let mut envelope = Vec::new();
        event.write_envelope(&MapText::from(grant.map.id), false, &mut envelope);
        RawValue::from_string(String::from_utf8(envelope).ok()?).ok()
    });
    Ok(Shown {
        id: letter.event_id.to_string(),
        seq: letter.seq,
        r#type: letter.kind.clone(),
        attempts: letter.attempts,
        first_attempt_at: (letter.first_ms > 0).then(|| iso_millis(edge.hub.clock().shown_ms(letter.first_ms))),
        given_up_at: iso_millis(edge.hub.clock().shown_ms(letter.buried_ms)),
        class: letter.class().name(),
        status: letter.status(),
        error: letter.error().to_owned(),
        event,
    })
}

/// The letter of an event. Letters lie in the order of seq, which is that of ids.
fn find(edge: &Edge, endpoint: &Endpoint, event: &str) -> Result<DeadLetter, Problem> {
    let unknown = || Problem::from(ApiError::not_found("the dead letter"));
    let id: EventId = event.parse().map_err(|_| unknown())?;
    let mut from_seq = 0;
    loop {
        let letters = edge.hub.webhooks().dead_letters(endpoint.id, from_seq, LOOK)?;
        let Some(last) = letters.last() else { return Err(unknown()) };
        from_seq = last.seq + 1;
        if last.event_id >= id {
            return letters.into_iter().find(|letter| letter.event_id == id).ok_or_else(unknown);
        }
    }
}

pub(super) async fn show(
    edge: Data<Edge>,
    Managed { grant, endpoint }: Managed,
    path: Path<OfLetter>,
) -> Result<HttpResponse, Problem> {
    let letter = find(&edge, &endpoint, &path.event)?;
    Ok(HttpResponse::Ok().json(One { data: shown(&edge, &grant, &endpoint, &letter).await? }))
}

pub(super) async fn retry(
    edge: Data<Edge>,
    Managed { grant, endpoint }: Managed,
    path: Path<OfLetter>,
    mut payload: Payload,
) -> Result<HttpResponse, Problem> {
    body::none(&mut payload).await?;
    let letter = find(&edge, &endpoint, &path.event)?;
    order(&edge, &grant, &endpoint, Order::Redeliver(vec![letter.seq])).await?;
    Ok(HttpResponse::Accepted().json(One { data: shown(&edge, &grant, &endpoint, &letter).await? }))
}

pub(super) async fn retry_all(
    edge: Data<Edge>,
    Managed { grant, endpoint }: Managed,
    mut payload: Payload,
) -> Result<HttpResponse, Problem> {
    let text = object(&edge, &mut payload).await?;
    let mut body = Members::of(&text);
    let since: Option<String> = body.take(&["since"], "a time or the id of an event");
    let place = since.and_then(|since| place::read(&mut body, "since", Form::IdOrTime, &since));
    body.finish().into_result(())?;
    let from_seq = match place {
        Some(place) => place::first(&edge, grant.map.topic, place).await?,
        None => edge.hub.webhooks().dead_letters(endpoint.id, 0, 1)?.first().map_or(1, |letter| letter.seq),
    };
    let wanted = Wanted { from_seq, until_seq: u64::MAX, failed_only: true };
    replay::begin(&edge, &grant, &endpoint, wanted).await
}

pub(super) async fn purge(
    edge: Data<Edge>,
    Managed { grant, endpoint }: Managed,
    mut payload: Payload,
) -> Result<HttpResponse, Problem> {
    body::none(&mut payload).await?;
    let removed = remove_letters(&edge, &grant, &endpoint, None).await?;
    Ok(HttpResponse::Ok().json(json!({"data": {"removed": removed}})))
}

pub(super) async fn remove(
    edge: Data<Edge>,
    Managed { grant, endpoint }: Managed,
    path: Path<OfLetter>,
    mut payload: Payload,
) -> Result<HttpResponse, Problem> {
    body::none(&mut payload).await?;
    let letter = find(&edge, &endpoint, &path.event)?;
    remove_letters(&edge, &grant, &endpoint, Some(vec![letter.seq])).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn remove_letters(
    edge: &Edge,
    grant: &Grant,
    endpoint: &Endpoint,
    seqs: Option<Vec<u64>>,
) -> Result<u32, Problem> {
    match edge.hub.log().propose(&Command::PurgeDead(on(grant, endpoint, seqs))).await? {
        Reply::Removed(removed) => Ok(removed),
        _ => Err(super::unexpected()),
    }
}
