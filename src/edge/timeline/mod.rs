//! What became of one event, as a timeline: from its publish to every webhook and consumer (manage scope).
//!
//! It is made when somebody asks: from what each node noted and counted, and from what is stored anyway. What
//! nobody knows any more is said.

mod drawn;
mod receivers;

use super::Table;
use super::context::Edge;
use super::error::ApiError;
use super::paths::at;
use crate::core::command::Refusal;
use crate::core::event::Event;
use crate::core::history::Start;
use crate::core::ids::{EventId, TopicId};
use crate::core::operators::SYSTEM_MAP;
use crate::core::reached::Asked;
use crate::core::time::iso_millis;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use drawn::Drawn;
use receivers::Receivers;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;

/// Said of an event that this node may not have applied yet.
const BEHIND: &str = "the node that was asked may not have applied the event yet: ask again, or another node";
/// How long this node has to catch up with the event. Beyond that, the answer says that it is behind.
const CATCH_UP: Duration = Duration::from_millis(400);
/// How far the id of an ephemeral event may be ahead of this node's time (milliseconds): nodes read the
/// cluster's time a little apart, and ids do not go back with it.
const AHEAD_MS: u64 = 60_000;
/// The timeline of one event.
const TRACE: &str = "/api/maps/{map}/events/{event:[0-9A-Za-z]{26}}/trace";

/// Adds the route.
pub fn routes(config: &mut Table<'_>) {
    config.service(at(TRACE).get(trace));
}

async fn trace(
    request: HttpRequest,
    edge: Data<Edge>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (map, event) = path.into_inner();
    let grant = edge.managed(&request, &map).await?;
    let unknown = || ApiError::from(Refusal::UnknownEvent);
    let id: EventId = event.parse().map_err(|_| unknown())?;
    if id.is_ephemeral() {
        // Such an id says when it was made, and nothing else shows whether it ever was.
        if id.id_ms() > edge.hub.clock().time_ms().saturating_add(AHEAD_MS) {
            return Err(unknown());
        }
        return Ok(HttpResponse::Ok().json(json!({"data": of_ephemeral(id)})));
    }
    let topic = grant.map.topic;
    let (stored, is_behind) = stored(&edge, topic, id).await?;
    let asked = stored.as_ref().map(|event| asked(topic, event));
    let is_asked = asked.is_some();
    let mut gathered = edge.hub.operations().timeline().gather(id, asked).await;
    // Whoever knows an event's id learns nothing of it unless it is an event of the map.
    for known in gathered.nodes.values_mut() {
        known.published = known.published.filter(|publish| publish.stream == topic);
    }
    let published = gathered.published().map(|(_, publish)| *publish);
    let seq = stored.as_ref().map(|event| event.seq).or_else(|| {
        let publish = published?;
        Some(publish.first_seq + u64::from(publish.place_of(id)?))
    });
    let receivers = Receivers::of(&edge, grant.map.id, (id, seq), &gathered).await?;
    if stored.is_none() && published.is_none() && !receivers.know_it() {
        return Err(if is_behind { ApiError::unavailable(BEHIND) } else { unknown() });
    }
    let event = match (stored, seq.or(receivers.seq())) {
        (Some(event), _) => Some(event),
        (None, Some(seq)) => kept(&edge, topic, &receivers, (id, seq)).await?,
        (None, None) => None,
    };
    let status = edge.hub.health().status();
    let mut drawn = Drawn::new(&status);
    if event.is_none() {
        drawn.gone(if is_behind { BEHIND } else { "the event itself is no longer stored" });
    }
    let is_reserved = event.as_ref().is_some_and(|event| event.subject.is_reserved());
    drawn.publish(&edge, is_reserved || grant.map.id == SYSTEM_MAP, gathered.published());
    drawn.log(id, &gathered);
    drawn.sockets(&gathered, is_asked);
    receivers.draw(&edge, (event.as_ref(), &gathered), &mut drawn).await;
    let answer = drawn.answer(event.as_ref().map(shown), &gathered.unreachable);
    Ok(HttpResponse::Ok().json(json!({ "data": answer })))
}

/// The event, if readers may have it, and whether this node may be behind it.
async fn stored(edge: &Edge, topic: TopicId, id: EventId) -> Result<(Option<Event>, bool), ApiError> {
    let (archive, start) = (edge.hub.archive(), Start::After(id));
    let (position, is_behind) = match timeout(CATCH_UP, archive.resume(topic, start)).await {
        Ok(Ok(position)) => (position, false),
        // Without a leader, a node that is behind can't catch up. The others may know the event.
        Ok(Err(_)) | Err(_) => (archive.locate(topic, start).await?, true),
    };
    let event = match position.next_seq.checked_sub(1).filter(|_| position.is_known) {
        Some(seq) => at_seq(edge, topic, (id, seq)).await?,
        None => None,
    };
    Ok((event, is_behind))
}

async fn at_seq(edge: &Edge, topic: TopicId, (id, seq): (EventId, u64)) -> Result<Option<Event>, ApiError> {
    let page = edge.hub.archive().with_backlog().read(topic, seq, 1, 1, None).await?;
    Ok(page.events.into_iter().find(|event| event.id == id))
}

/// The event, if it is kept for a webhook or a consumer alone.
async fn kept(
    edge: &Edge,
    topic: TopicId,
    receivers: &Receivers,
    (id, seq): (EventId, u64),
) -> Result<Option<Event>, ApiError> {
    if let Some(event) = at_seq(edge, topic, (id, seq)).await? {
        return Ok(Some(event));
    }
    for receiver in receivers.ids() {
        let kept = edge.hub.webhooks().kept_event(receiver, seq)?;
        if let Some(event) = kept.filter(|event| event.id == id) {
            return Ok(Some(event));
        }
    }
    Ok(None)
}

fn asked(stream: TopicId, event: &Event) -> Asked {
    Asked { stream, seq: event.seq, subject: event.subject.clone(), kind: event.kind.to_string() }
}

fn shown(event: &Event) -> Value {
    json!({
        "id": event.id.to_string(),
        "seq": event.seq,
        "subject": event.subject,
        "type": &*event.kind,
        "ts": iso_millis(event.time_ms),
    })
}

/// Nothing of ephemeral events is noted: whatever the id is, the answer is what the id itself says.
fn of_ephemeral(id: EventId) -> Value {
    let at = iso_millis(id.id_ms());
    json!({
        "event": null,
        "steps": [],
        "not_chosen": [],
        "gone": [format!(
            "the id is that of an ephemeral event, published about {at}: such events are passed on to those who \
             are subscribed at that moment, and no node stores or notes anything of them"
        )],
        "unreachable": [],
    })
}
