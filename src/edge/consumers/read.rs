//! What readers do over HTTP: they take events, acknowledge or refuse them, and keep them for longer.

use super::Consumers;
use super::owner::{self, Word};
use crate::core::access::Scopes;
use crate::core::consumer::reading::{
    AckId, Handed, MAX_IDS, MAX_READ, MAX_VISIBILITY_MS, MAX_WAIT_MS, NotAnAckId, Wish,
};
use crate::core::error_code::Code;
use crate::core::field_error::FieldCode;
use crate::core::json::Members;
use crate::core::webhook::Webhook;
use crate::edge::auth::bearer;
use crate::edge::body::Body;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::query::Query;
use crate::edge::webhooks::no_consumer;
use crate::hub::Grant;
use actix_web::http::header::ContentType;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;
use std::sync::Arc;

pub(super) const NAMES: &[&str] = &["wait", "max"];

/// The events of a read that does not say how many.
const DEFAULT_MAX: u64 = 100;

/// Takes events: `wait` is in seconds.
pub(super) async fn pull(
    request: HttpRequest,
    edge: Data<Edge>,
    consumers: Data<Consumers>,
    path: Path<(String, String)>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let (map, name) = path.into_inner();
    let grant = granted(&request, &edge, &map).await?;
    let query = Query::of(&request, NAMES)?;
    let wait = query.number("wait", Code::InvalidWait, 0..=MAX_WAIT_MS / 1000)?.unwrap_or(0);
    let max = query.number("max", Code::InvalidMax, 1..=MAX_READ.into())?.unwrap_or(DEFAULT_MAX);
    body.none().await?;
    let consumer = find(&edge, &grant, &name).await?;
    let _waits = consumers.bounds.wait(&grant)?;
    let max = u32::try_from(max).unwrap_or(MAX_READ);
    let wish = Wish { reader: 0, unacknowledged: 0, max, wait_ms: wait * 1000 };
    let got = owner::read(&edge, &consumers, &consumer, wish).await?;
    // Its token may have been revoked meanwhile. Then others get the events.
    edge.grant(&request, bearer(&request), &map, Scopes::SUBSCRIBE).await?;
    Ok(HttpResponse::Ok().insert_header(ContentType::json()).body(page(&got.take())))
}

/// The right to read the map's consumers. The request is charged.
async fn granted(request: &HttpRequest, edge: &Edge, map: &str) -> Result<Grant, ApiError> {
    let grant = edge.grant(request, bearer(request), map, Scopes::SUBSCRIBE).await?;
    edge.charge(&grant).await?;
    Ok(grant)
}

/// The consumer of that name. It may have been made at another node a moment ago.
pub(super) async fn find(edge: &Edge, grant: &Grant, name: &str) -> Result<Arc<Webhook>, ApiError> {
    let known = || edge.hub.webhooks().directory().read_by_name(grant.map.id, name).cloned();
    if let Some(consumer) = known() {
        return Ok(consumer);
    }
    edge.catch_up().await;
    known().ok_or_else(no_consumer)
}

/// The JSON of what was read.
fn page(handed: &[Handed]) -> Vec<u8> {
    let bytes: usize = handed.iter().map(|handed| handed.event.len() + 128).sum();
    let mut page = Vec::with_capacity(bytes + 16);
    page.extend_from_slice(b"{\"data\":");
    write_list(handed, &mut page);
    page.push(b'}');
    page
}

/// Writes events that were handed over, as a list.
pub(in crate::edge) fn write_list(handed: &[Handed], out: &mut Vec<u8>) {
    out.push(b'[');
    for (place, handed) in handed.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write(handed, out);
    }
    out.push(b']');
}

/// Writes one event that was handed over: `{"ack_id","attempt","gap","event"}`.
pub(super) fn write(handed: &Handed, out: &mut Vec<u8>) {
    let gap = handed.gap.map_or_else(|| "null".to_owned(), |gap| format!("\"{gap}\""));
    let head =
        format!("{{\"ack_id\":\"{}\",\"attempt\":{},\"gap\":{gap},\"event\":", handed.ack_id, handed.attempt);
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(&handed.event);
    out.push(b'}');
}

pub(super) async fn acknowledge(
    request: HttpRequest,
    edge: Data<Edge>,
    consumers: Data<Consumers>,
    path: Path<(String, String)>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let (map, name) = path.into_inner();
    let grant = granted(&request, &edge, &map).await?;
    let ids = body.object(read_ids).await?;
    let consumer = find(&edge, &grant, &name).await?;
    settle(&edge, &consumers, &consumer, &ids, Word::Acknowledged).await
}

pub(super) async fn refuse(
    request: HttpRequest,
    edge: Data<Edge>,
    consumers: Data<Consumers>,
    path: Path<(String, String)>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let (map, name) = path.into_inner();
    let grant = granted(&request, &edge, &map).await?;
    let (ids, delay_ms) = body.object(|m| (read_ids(m), read_ms(m, "delay_ms", 0))).await?;
    let consumer = find(&edge, &grant, &name).await?;
    settle(&edge, &consumers, &consumer, &ids, Word::Refused(delay_ms)).await
}

pub(super) async fn extend(
    request: HttpRequest,
    edge: Data<Edge>,
    consumers: Data<Consumers>,
    path: Path<(String, String)>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let (map, name) = path.into_inner();
    let grant = granted(&request, &edge, &map).await?;
    let (ids, ms) = body.object(|m| (read_ids(m), read_ms(m, "visibility_ms", 1))).await?;
    let consumer = find(&edge, &grant, &name).await?;
    let ms = ms.unwrap_or(consumer.timeout_ms.into());
    settle(&edge, &consumers, &consumer, &ids, Word::Extended(ms)).await
}

async fn settle(
    edge: &Edge,
    consumers: &Consumers,
    consumer: &Webhook,
    ids: &[AckId],
    word: Word,
) -> Result<HttpResponse, ApiError> {
    let unknown = owner::say(edge, consumers, consumer, ids, word).await?;
    let settled = ids.len().saturating_sub(unknown.len());
    let unknown: Vec<String> = unknown.iter().map(ToString::to_string).collect();
    Ok(HttpResponse::Ok().json(json!({"data": {"settled": settled, "unknown": unknown}})))
}

pub(super) fn read_ids(m: &mut Members<'_>) -> Vec<AckId> {
    let texts: Vec<String> = m.required("ack_ids", "a list of ids").unwrap_or_default();
    if texts.len() > MAX_IDS {
        m.fault("ack_ids", FieldCode::OutOfRange, format_args!("may have at most {MAX_IDS} ids"));
        return Vec::new();
    }
    let ids: Result<Vec<AckId>, NotAnAckId> = texts.iter().map(|text| text.parse()).collect();
    ids.unwrap_or_else(|error| {
        m.fault("ack_ids", FieldCode::Invalid, error);
        Vec::new()
    })
}

pub(super) fn read_ms(m: &mut Members<'_>, name: &str, least: u64) -> Option<u64> {
    let ms: u64 = m.take(&[name], "a whole number of milliseconds")?;
    if !(least..=MAX_VISIBILITY_MS).contains(&ms) {
        let message = format_args!("must be from {least} to {MAX_VISIBILITY_MS}");
        m.fault(name, FieldCode::OutOfRange, message);
    }
    Some(ms)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::ids::EventId;

    #[test]
    fn a_page_is_json() {
        let ack_id = AckId { node: 1, incarnation: 0xab, loan: 16 };
        let gap = Some(EventId::new(1, 2, 3));
        let first = Handed { ack_id, attempt: 1, gap: None, event: br#"{"id":"x"}"#.to_vec() };
        let second = Handed { gap, attempt: 2, ..first.clone() };
        let page: serde_json::Value = serde_json::from_slice(&page(&[first, second])).unwrap();
        let shown = |attempt, gap: Option<EventId>| {
            let gap = gap.map(|id| id.to_string());
            json!({"ack_id": "1-ab-10", "attempt": attempt, "gap": gap, "event": {"id": "x"}})
        };
        assert_eq!(page, json!({"data": [shown(1, None), shown(2, gap)]}));
        assert_eq!(super::page(&[]), br#"{"data":[]}"#);
    }

    #[test]
    fn ids_and_times_are_read_strictly() {
        let faults = |text: &str| {
            let mut members = Members::of(text);
            read_ids(&mut members);
            read_ms(&mut members, "delay_ms", 0);
            members.finish().messages().len()
        };
        assert_eq!(faults(r#"{"ack_ids":["1-2-3"],"delay_ms":0}"#), 0);
        for text in [
            "{}",
            r#"{"ack_ids":"1-2-3"}"#,
            r#"{"ack_ids":["x"]}"#,
            r#"{"ack_ids":[],"delay":1}"#,
            r#"{"ack_ids":[],"delay_ms":43200001}"#,
        ] {
            assert_eq!(faults(text), 1, "{text}");
        }
    }
}
