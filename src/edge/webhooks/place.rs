//! Places in a topic as they are named: a time, or an event's id.

use super::error::Problem;
use crate::clock::now_ms;
use crate::core::event::Event;
use crate::core::history::Start;
use crate::core::ids::{EndpointId, EventId, TopicId};
use crate::core::time::{iso_millis, parse_iso};
use crate::edge::context::Edge;

/// As far clocks may differ, milliseconds.
const AHEAD_MS: u64 = 60_000;

/// A place by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// Unix milliseconds.
    Time(u64),
    /// An event.
    Event(EventId),
}

impl Named {
    /// From a time with an offset or the id of an event.
    pub(super) fn parse(text: &str) -> Option<Self> {
        parse_iso(text).map(Self::Time).or_else(|| text.parse().ok().map(Self::Event))
    }

    /// The first event of that time or later, or the event itself; where it is gone, what is left behind it. A time
    /// that has yet to come is refused.
    pub(super) async fn first(self, edge: &Edge, topic: TopicId) -> Result<u64, Problem> {
        match self {
            Self::Time(ms) if ms > now_ms() + AHEAD_MS => {
                Err(Problem::Invalid(vec![format!("since: {} lies in the future", iso_millis(ms))]))
            }
            Self::Time(ms) => Ok(edge.hub.archive().locate(topic, Start::Since(ms)).await?.next_seq),
            Self::Event(id) => match seq_of(edge, topic, id).await? {
                Some(seq) => Ok(seq),
                None => after(edge, topic, id).await,
            },
        }
    }
}

/// The seq behind an event.
pub(super) async fn after(edge: &Edge, topic: TopicId, id: EventId) -> Result<u64, Problem> {
    Ok(edge.hub.archive().locate(topic, Start::After(id)).await?.next_seq)
}

/// The seq of an event, if it is kept.
pub(super) async fn seq_of(edge: &Edge, topic: TopicId, id: EventId) -> Result<Option<u64>, Problem> {
    let seq = after(edge, topic, id).await?.saturating_sub(1);
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
