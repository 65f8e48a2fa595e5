//! Positions in a stream that bodies name: reading and finding them.

use super::error::Problem;
use crate::core::event::Event;
use crate::core::field_error::{FieldCode, FieldError};
use crate::core::history::Start;
use crate::core::ids::{EventId, TopicId, WebhookId};
use crate::core::json::Members;
use crate::core::time::iso_millis;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::given::Given;
use crate::edge::start::{Form, Named};

/// How far a caller's clock may be ahead of the cluster's time, in milliseconds.
const AHEAD_MS: u64 = 60_000;

/// Reads the position that a field names. An error joins the faults of the body.
pub(in crate::edge) fn read(body: &mut Members<'_>, field: &str, form: Form, text: &str) -> Option<Named> {
    form.read(Given::Text(text)).map_err(|error| body.fault(field, FieldCode::Invalid, error)).ok()
}

/// The seq of the first event of that time or later, or of the named event. If the named event is gone, the
/// seq of the first event left after it. A time in the future is refused, and so is an id that is not an
/// event of the stream.
pub(super) async fn first(edge: &Edge, topic: TopicId, named: Named) -> Result<u64, Problem> {
    match named {
        Named::Time(ms) if ms > edge.hub.clock().time_ms() + AHEAD_MS => {
            let message = format_args!("{} lies in the future", iso_millis(ms));
            Err(FieldError::new("since", FieldCode::OutOfRange, message).into())
        }
        Named::Event(id) => match next_seq(edge, topic, id).await? {
            Some(next_seq) => {
                Ok(next_seq - u64::from(event_before(edge, topic, next_seq, id).await?.is_some()))
            }
            None => Err(unknown("since", id)),
        },
        Named::Time(_) | Named::Newest(_) => {
            Ok(edge.hub.archive().locate(topic, named.start()).await?.next_seq)
        }
    }
}

/// The seq of the first event left after `id`, whether `id` is kept or removed. `None` if `id` is not an
/// event of the stream.
async fn next_seq(edge: &Edge, topic: TopicId, id: EventId) -> Result<Option<u64>, Problem> {
    let position = edge.hub.archive().resume(topic, Start::After(id)).await.map_err(ApiError::from)?;
    Ok(position.is_known.then_some(position.next_seq))
}

fn unknown(field: &str, id: EventId) -> Problem {
    FieldError::new(field, FieldCode::Conflict, format_args!("{id} is not an event of the map")).into()
}

/// The seq after the event that `field` names. If that event is gone, the seq of the first event left after
/// it.
pub(in crate::edge) async fn after(
    edge: &Edge,
    topic: TopicId,
    field: &str,
    id: EventId,
) -> Result<u64, Problem> {
    next_seq(edge, topic, id).await?.ok_or_else(|| unknown(field, id))
}

/// The seq of an event. `None` if the event is not kept.
pub(super) async fn seq_of(edge: &Edge, topic: TopicId, id: EventId) -> Result<Option<u64>, Problem> {
    Ok(event_of(edge, topic, id).await?.map(|event| event.seq))
}

/// The event of that id. `None` if readers may not have it, or if it is not kept.
pub(super) async fn event_of(edge: &Edge, topic: TopicId, id: EventId) -> Result<Option<Event>, Problem> {
    match next_seq(edge, topic, id).await? {
        Some(next_seq) => event_before(edge, topic, next_seq, id).await,
        None => Ok(None),
    }
}

/// The event right before `seq`. `None` if its id is not `id`, or if readers may not have it.
async fn event_before(edge: &Edge, topic: TopicId, seq: u64, id: EventId) -> Result<Option<Event>, Problem> {
    let page = edge.hub.archive().read(topic, seq - 1, 1, 1, None).await?;
    Ok(page.events.into_iter().next().filter(|event| event.id == id))
}

/// The event at `seq`, if it is kept for readers or for that webhook.
pub(in crate::edge) async fn event_for(
    edge: &Edge,
    webhook: WebhookId,
    topic: TopicId,
    seq: u64,
) -> Result<Option<Event>, Problem> {
    let page = edge.hub.archive().with_backlog().read(topic, seq, 1, 1, None).await?;
    match page.events.into_iter().next().filter(|event| event.seq == seq) {
        Some(event) => Ok(Some(event)),
        None => Ok(edge.hub.webhooks().kept_event(webhook, seq)?),
    }
}

/// When the first event from `seq` on was published (Unix milliseconds), of those that are kept for readers or
/// only for webhooks.
pub(in crate::edge) async fn published_from(
    edge: &Edge,
    topic: TopicId,
    seq: u64,
) -> Result<Option<u64>, Problem> {
    let page = edge.hub.archive().with_backlog().read(topic, seq, 1, 1, None).await?;
    Ok(page.events.first().map(|event| event.time_ms))
}
