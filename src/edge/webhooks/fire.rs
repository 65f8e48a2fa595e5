//! Firing by hand: an event for the map's webhooks, such as a lifecycle event that a back end makes itself.
//!
//! The event is stored like the lifecycle events of its channel. So webhooks get it in order with these, at
//! least once, and clients that read the channel don't get it.

use super::error::Problem;
use super::managed::Manager;
use super::object;
use crate::core::access::Scopes;
use crate::core::command::Publish;
use crate::core::event::{NewEvent, is_kind};
use crate::core::field_error::FieldCode;
use crate::core::json::{self, Members};
use crate::core::subject::Subject;
use crate::edge::body::Body;
use crate::edge::context::{Edge, EdgeConfig};
use crate::edge::error::ApiError;
use crate::edge::refused::Refused;
use crate::hub::Via;
use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Deserialize;
use serde_json::json;

/// The member of an event's data that this server reads.
#[derive(Deserialize)]
struct OfChannel {
    /// The channel that the event is about.
    #[serde(default)]
    channel: String,
}

/// Stores the event. Its publisher is the caller: the map's rate applies, and nothing of a revoked token is
/// stored.
pub(super) async fn fire(
    edge: Data<Edge>,
    Manager(grant): Manager,
    body: Body,
) -> Result<HttpResponse, Problem> {
    if !grant.who.may(grant.map.id, Scopes::PUBLISH) {
        return Err(ApiError::from(Refused::Forbidden(Scopes::PUBLISH)).into());
    }
    let event = read(&edge.config, &object(body).await?)?;
    let subject = event.subject.clone();
    let publish = Publish { map: grant.map.id, by: grant.who.by(), events: vec![event], key: None };
    let published = edge.hub.publisher().publish(&grant.map, publish, Via::Rest).await?;
    let data = json!({
        "id": published.first_id.to_string(),
        "seq": published.first_seq,
        "subject": subject,
    });
    Ok(HttpResponse::Created().json(json!({"data": data})))
}

/// Reads `{"event", "data"}`.
fn read(config: &EdgeConfig, text: &str) -> Result<NewEvent, Problem> {
    let mut body = Members::of(text);
    let kind: Option<String> = body.required("event", "an event type, such as broadcast");
    if kind.as_deref().is_some_and(|kind| !is_kind(kind)) {
        body.fault("event", FieldCode::Invalid, "must be an event type");
    }
    let data = body.raw(&["data"]).map_or("{}", |raw| raw.get());
    let most = config.event_bytes;
    if data.len() > most {
        body.fault("data", FieldCode::OutOfRange, format_args!("may have at most {most} bytes"));
    }
    let payload = json::normalise(data, config.json_depth).unwrap_or_else(|error| {
        body.fault("data", FieldCode::Invalid, error);
        "{}".to_owned()
    });
    let channel = match serde_json::from_str::<OfChannel>(&payload) {
        Ok(OfChannel { channel }) if payload.starts_with('{') => channel,
        _ => {
            body.fault("data", FieldCode::WrongType, "must be an object whose channel is a string");
            String::new()
        }
    };
    let channel = Subject::parse(&channel).unwrap_or_else(|error| {
        body.fault("data.channel", FieldCode::Invalid, error);
        Subject::own()
    });
    let event = NewEvent::new(Subject::of_channel(&channel), kind.unwrap_or_default(), payload);
    Ok(body.finish().into_result(event)?)
}
