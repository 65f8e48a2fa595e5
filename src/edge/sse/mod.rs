//! Server-sent events at `/api/maps/{map}/events/stream`.
//!
//! Wire source: Wanderer's event stream and the HTML standard. The greeting's id is the position right before the first
//! event that comes, so that a drop before that event, or in the middle of a backfill, loses nothing; an event is never
//! split over chunks.

mod form;

pub use form::SseForm;

use crate::core::access::Scopes;
use crate::core::filter::Filter;
use crate::core::frame::View;
use crate::core::history::Start;
use crate::core::time::{iso_millis, parse_iso};
use crate::delivery::{Connection, EventStream, OutboundBody, Outbox, Outlet};
use crate::edge::auth::bearer;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::query::{Query, Takes};
use crate::hub::{Grant, Who};
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::{Data, Path, ServiceConfig, get};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use serde_json::json;
use std::rc::Rc;
use std::sync::Arc;

/// Pause that a client is asked for when the map has as many sockets as it may have.
const RETRY_MS: u64 = 5000;
/// Most events that `backfill` may ask for.
const MAX_BACKFILL: u64 = 100_000;

/// Adds the stream.
pub fn routes(config: &mut ServiceConfig) {
    config.route("/api/maps/{map}/events/stream", get().to(stream));
}

const NAMES: &[&str] = &["token", "events", "filter", "last_event_id", LAST_EVENT_ID_OF_POLYFILLS, "since", "backfill"];
/// What polyfills of EventSource, which can't set headers everywhere, send in place of `Last-Event-ID`.
const LAST_EVENT_ID_OF_POLYFILLS: &str = "lastEventId";

/// What the stream takes in its query.
pub const TAKES: &[Takes] = &[Takes::of("GET", "/api/maps/{map}/events/stream", NAMES)];

async fn stream(request: HttpRequest, edge: Data<Edge>, map: Path<String>) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request, NAMES)?;
    if !edge.origin_allowed(&request) {
        return Err(ApiError::forbidden("this origin may not connect"));
    }
    let token = bearer(&request).or(query.get("token"));
    let grant = edge.grant(&request, token, &map, Scopes::SUBSCRIBE).await?;
    let filter = Filter::from_query(query.get("events"))
        .map_err(|error| ApiError::bad_request("invalid_events", error.to_string()))?;
    let expression = query.get("filter").map(ApiError::filter).transpose()?;
    let start = start_of(&request, &query)?;
    let outlet = Outlet::of_this_thread(&edge.hub, &edge.config.outlet);
    if edge.is_draining() {
        return Err(ApiError::unavailable("this node is going away"));
    }
    let address = edge.take_address(&request)?;
    let connection = edge.hub.take_connection(grant.map.id, grant.who.by()).await.map_err(|limit| {
        ApiError::too_fast("too_many_connections", "the map has as many sockets as it may have", RETRY_MS)
            .with("limit", limit.into())
    })?;
    let condition = expression.map(|expression| edge.hub.condition(&grant.map, expression)).transpose();
    let condition = condition.map_err(|error| {
        ApiError::too_fast("too_many_filters", error.to_string(), RETRY_MS).with("limit", error.0.into())
    })?;
    let position = edge.hub.locate(grant.map.topic, start).await?;
    if !edge.hub.still_granted(&grant, Scopes::SUBSCRIBE) {
        return Err(ApiError::unauthorized());
    }
    let before = position.before.to_string();
    let server_time = iso_millis(edge.hub.time_ms());
    let mut greeting = json!({"map_id": grant.map.id.to_string(), "server_time": server_time, "last_event_id": before});
    if let Some(oldest) = position.gap {
        greeting["gap"] = true.into();
        greeting["oldest_id"] = oldest.map(|id| id.to_string()).into();
    }
    let greeting = format!("event: connected\nid: {before}\ndata: {greeting}\n\n");
    let view = View::new(Arc::new(SseForm::new(grant.map.id)), condition);
    Ok(open(
        &request,
        &edge,
        &outlet,
        grant,
        view,
        |outbox, feed, map| {
            outbox.hold(address);
            outbox.subscribe(feed, map, position.next_seq, filter, true, Some(Rc::new(connection)));
        },
        greeting,
    ))
}

/// Where the stream starts: the standard header first, which browsers send when they reconnect. An empty one says
/// nothing: what the query says counts then.
fn start_of(request: &HttpRequest, query: &Query) -> Result<Start, ApiError> {
    let header = request.headers().get("last-event-id").and_then(|value| value.to_str().ok());
    let reconnected = header.filter(|id| !id.is_empty()).or(query.get(LAST_EVENT_ID_OF_POLYFILLS));
    if let Some(id) = reconnected.or(query.get("last_event_id")) {
        let invalid = || {
            ApiError::bad_request("invalid_last_event_id", "an event id is expected, 26 characters")
                .hint("leave it out to begin with what comes")
        };
        return id.parse().map(Start::After).map_err(|_| invalid());
    }
    if let Some(since) = query.get("since") {
        return parse_iso(since).map(Start::Since).ok_or_else(|| {
            ApiError::bad_request("invalid_since", "an ISO-8601 time with an offset is expected")
                .hint("for example since=2025-06-21T12:34:56Z")
        });
    }
    let backfill = query.number("backfill", "invalid_backfill", 0..=MAX_BACKFILL)?;
    Ok(backfill.map_or(Start::Live, Start::Last))
}

fn open(
    request: &HttpRequest,
    edge: &Edge,
    outlet: &Rc<Outlet>,
    grant: Grant,
    view: View,
    subscribe: impl FnOnce(&Rc<Outbox>, Rc<crate::delivery::Feed>, crate::core::ids::MapId),
    greeting: String,
) -> HttpResponse {
    let token = match &grant.who {
        Who::Admin => None,
        Who::Token(token) => Some(token.id),
    };
    // One event, one chunk: at least one real client can't put an event together from two.
    let outbox = Outbox::new(outlet, token, 1);
    let feed = outlet.feed(grant.map.topic, view);
    subscribe(&outbox, feed, grant.map.id);
    let words = EventStream::new(greeting.into(), Bytes::from_static(b": keepalive\n\n"), edge.config.keep_alive);
    let connection = request.conn_data::<Connection>().copied();
    let body = OutboundBody::new(outlet, outbox, connection, Box::pin(words), "sse", false);
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-cache, no-transform"))
        .insert_header(("x-accel-buffering", "no"))
        .body(body)
}
