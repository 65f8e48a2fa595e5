//! Positions in a topic that bodies name: read, and found.

use super::error::Problem;
use crate::core::event::Event;
use crate::core::history::Start;
use crate::core::ids::{EndpointId, EventId, TopicId};
use crate::core::json::Members;
use crate::core::time::iso_millis;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::given::Given;
use crate::edge::start::{Form, Named};

/// As far a caller's clock may differ from the cluster's time, milliseconds.
const AHEAD_MS: u64 = 60_000;

/// Reads the position that a field names. What is wrong with it joins the problems of the body.
pub(super) fn read(body: &mut Members<'_>, field: &str, form: Form, text: &str) -> Option<Named> {
    form.read(Given::Text(text)).map_err(|error| body.problem(field, error)).ok()
}

/// The first event of that time or later, or the event itself; where it is gone, what is left behind it. A time that has
/// yet to come is refused, and so is an id that is none of the topic's.
pub(super) async fn first(edge: &Edge, topic: TopicId, named: Named) -> Result<u64, Problem> {
    match named {
        Named::Time(ms) if ms > edge.hub.time_ms() + AHEAD_MS => {
            Err(Problem::Invalid(vec![format!("since: {} lies in the future", iso_millis(ms))]))
        }
        Named::Event(id) => match find(edge, topic, id).await? {
            Found::At(seq) => Ok(seq + u64::from(event_at(edge, topic, seq).await?.is_none())),
            Found::Gone { oldest } => Ok(oldest),
            Found::Unknown => Err(unknown("since", id)),
        },
        Named::Time(_) | Named::Newest(_) => Ok(edge.hub.archive().locate(topic, named.start()).await?.next_seq),
    }
}

/// Where an event's id lies in a topic.
enum Found {
    /// At that seq; the newest event that was removed counts, too.
    At(u64),
    /// Before the oldest event that is kept, whose seq is given.
    Gone { oldest: u64 },
    /// Nowhere: it is no event of the topic.
    Unknown,
}

async fn find(edge: &Edge, topic: TopicId, id: EventId) -> Result<Found, Problem> {
    let position = edge.hub.locate(topic, Start::After(id)).await.map_err(ApiError::from)?;
    Ok(match position.gap {
        None => Found::At(position.next_seq - 1),
        Some(Some(oldest)) if id < oldest => Found::Gone { oldest: position.next_seq },
        Some(_) => Found::Unknown,
    })
}

fn unknown(field: &str, id: EventId) -> Problem {
    Problem::Invalid(vec![format!("{field}: {id} is not an event of the map")])
}

/// The seq behind the event that `field` names; where it is gone, what is left behind it.
pub(super) async fn after(edge: &Edge, topic: TopicId, field: &str, id: EventId) -> Result<u64, Problem> {
    match find(edge, topic, id).await? {
        Found::At(seq) => Ok(seq + 1),
        Found::Gone { oldest } => Ok(oldest),
        Found::Unknown => Err(unknown(field, id)),
    }
}

/// The seq of an event, if it is kept.
pub(super) async fn seq_of(edge: &Edge, topic: TopicId, id: EventId) -> Result<Option<u64>, Problem> {
    let Found::At(seq) = find(edge, topic, id).await? else { return Ok(None) };
    let found = event_at(edge, topic, seq).await?;
    Ok(found.filter(|event| event.id == id).map(|event| event.seq))
}

/// The event at a place, if readers may have it.
async fn event_at(edge: &Edge, topic: TopicId, seq: u64) -> Result<Option<Event>, Problem> {
    let page = edge.hub.archive().read(topic, seq, 1, 1, None).await?;
    Ok(page.events.into_iter().next().filter(|event| event.seq == seq))
}

/// The event at a place, if it is kept for readers or for that webhook.
pub(super) async fn event_for(
    edge: &Edge,
    webhook: EndpointId,
    topic: TopicId,
    seq: u64,
) -> Result<Option<Event>, Problem> {
    let page = edge.hub.archive().with_backlog().read(topic, seq, 1, 1, None).await?;
    match page.events.into_iter().next().filter(|event| event.seq == seq) {
        Some(event) => Ok(Some(event)),
        None => Ok(edge.hub.kept_event(webhook, seq)?),
    }
}
