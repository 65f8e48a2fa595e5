//! Publishing: one event for up to a hundred channels, or a batch of up to ten events.
//!
//! The channel rules of the map say which channels are durable. Durable events of a request are stored
//! together or not at all, and then the ephemeral ones are passed on.

use super::attributes::has_members;
use super::caller::Caller;
use super::new_events::{Requested, read_batch, read_one};
use super::signature::NAMES;
use crate::core::data::payload_of;
use crate::core::event::{NewEvent, Sender};
use crate::core::lifecycle::{Lifecycle, LifecycleKind};
use crate::core::subject::Subject;
use crate::core::trace::TraceContext;
use crate::edge::body::Body;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::pusher::alias::subject_of;
use crate::edge::pusher::state::Pusher;
use crate::edge::traces::trace_of;
use crate::hub::{Counts, Grant, Via};
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use bytestring::ByteString;
use serde_json::{Map as Object, Value, json};
use std::collections::BTreeMap;
use std::iter::repeat_n;

/// `POST /apps/{app}/events`.
pub(super) async fn publish(
    request: HttpRequest,
    edge: Data<Edge>,
    pusher: Data<Pusher>,
    app: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let caller = Caller::of(&request, &edge, &app, NAMES).await?;
    let text = caller.events(&edge, body).await?;
    let requested = [read_one(&text, pusher.settings.event_bytes)?];
    send(&edge, &caller.grant, &requested, trace_of(&request)).await?;
    let [event] = &requested;
    if !event.attributes.has_counts() {
        return Ok(published());
    }
    let counts = Box::pin(counts_of(&edge, &caller.grant, &requested)).await;
    let mut channels = Object::new();
    for (place, channel) in event.channels.iter().enumerate() {
        let told = told(&caller.grant, event, place, &counts);
        channels.insert(channel.name().to_owned(), told.into());
    }
    Ok(HttpResponse::Ok().json(json!({"channels": channels})))
}

/// `POST /apps/{app}/batch_events`.
pub(super) async fn publish_batch(
    request: HttpRequest,
    edge: Data<Edge>,
    pusher: Data<Pusher>,
    app: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let caller = Caller::of(&request, &edge, &app, NAMES).await?;
    let text = caller.events(&edge, body).await?;
    let requested = read_batch(&text, pusher.settings.event_bytes)?;
    send(&edge, &caller.grant, &requested, trace_of(&request)).await?;
    if !requested.iter().any(|event| event.attributes.has_counts()) {
        return Ok(published());
    }
    let counts = Box::pin(counts_of(&edge, &caller.grant, &requested)).await;
    let batch: Vec<Value> =
        requested.iter().map(|event| told(&caller.grant, event, 0, &counts).into()).collect();
    Ok(HttpResponse::Ok().json(json!({"batch": batch})))
}

/// The answer to a request that asks for nothing else.
fn published() -> HttpResponse {
    let json = HeaderValue::from_static("application/json");
    HttpResponse::Ok().insert_header((CONTENT_TYPE, json)).body(Bytes::from_static(b"{}"))
}

/// Publishes the events of a request, in its trace.
async fn send(
    edge: &Edge,
    grant: &Grant,
    requested: &[Requested],
    trace: Option<TraceContext>,
) -> Result<(), ApiError> {
    let is_noted = edge.hub.presence().wants(grant.map.id, LifecycleKind::Broadcast);
    let mut events = Vec::with_capacity(requested.iter().map(|one| one.channels.len()).sum());
    let mut facts = Vec::new();
    for one in requested {
        let (payload, text) = payload_of(&one.data);
        if is_noted {
            facts.extend(broadcasts(grant, one));
        }
        for (channel, payload) in one.channels.iter().zip(repeat_n(payload, one.channels.len())) {
            let mut event = NewEvent::new(subject_of(&grant.map, channel), one.name.as_str(), payload);
            event.text = text.clone();
            event.trace = trace;
            event.sender = one.socket.map(|socket| Sender { socket, user: None });
            events.push(event);
        }
    }
    edge.hub.publisher().publish_channel(&grant.map, grant.who.by(), events, Via::Pusher).await?;
    facts.into_iter().for_each(|fact| edge.hub.presence().note(grant.map.id, fact));
    Ok(())
}

/// The facts that an event was sent to its channels.
fn broadcasts(grant: &Grant, one: &Requested) -> impl Iterator<Item = Lifecycle> {
    let (event, data) = (ByteString::from(one.name.as_str()), ByteString::from(one.data.as_str()));
    one.channels.iter().map(move |channel| Lifecycle::Broadcast {
        channel: subject_of(&grant.map, channel),
        event: event.clone(),
        data: data.clone(),
        socket: one.socket,
    })
}

/// Counts the channels whose counts are asked for. The events are published by now, so a node that does not
/// answer is no error: the counts are unknown then, and the result is empty.
async fn counts_of(edge: &Edge, grant: &Grant, requested: &[Requested]) -> BTreeMap<Subject, Counts> {
    let wanted = requested.iter().filter(|event| event.attributes.has_counts());
    let subjects: Vec<Subject> =
        wanted.flat_map(|event| &event.channels).map(|channel| subject_of(&grant.map, channel)).collect();
    let counted = edge.hub.presence().counts_of(grant.map.id, subjects).await;
    if counted.silent.is_empty() { counted.counts } else { BTreeMap::new() }
}

/// What the answer says of one channel of an event: the attributes that the channel has, if they are known.
fn told(
    grant: &Grant,
    event: &Requested,
    place: usize,
    counts: &BTreeMap<Subject, Counts>,
) -> Object<String, Value> {
    let Some(channel) = event.channels.get(place) else { return Object::new() };
    let Some(counts) = counts.get(&subject_of(&grant.map, channel)) else { return Object::new() };
    let mut attributes = event.attributes;
    attributes.user_count &= has_members(&grant.map, channel);
    attributes.counts(*counts)
}
