//! The last requests to each source, with their verdicts: kept in the memory of each node, and put together when
//! somebody asks for them. They have no secret and no body.

use crate::core::ids::{NodeId, SourceId};
use crate::core::time::iso_millis;
use crate::edge::context::Edge;
use crate::hub::{Lane, PeerRequest};
use actix_web::web::Data;
use futures_util::future::join_all;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Requests that are remembered of a source.
pub(super) const MOST: usize = 20;
/// Sources of which a node remembers requests, at most. One more replaces another one.
const MOST_SOURCES: usize = 2000;
/// Longest text of a verdict or a media type (characters).
const MAX_TEXT: usize = 200;
/// How long the other nodes have to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// A request to a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Delivery {
    /// When it was answered (Unix milliseconds).
    pub(super) at_ms: u64,
    /// The node that answered it.
    pub(super) node: NodeId,
    /// The address that it came from.
    pub(super) address: String,
    /// The status of the answer.
    pub(super) status: u16,
    /// `accepted`, `repeated`, `answered`, or the code of the error.
    pub(super) verdict: String,
    /// What was wrong.
    pub(super) message: Option<String>,
    /// The media type.
    pub(super) media: Option<String>,
    /// The bytes of the body, if it was read.
    pub(super) bytes: Option<u64>,
    /// How many events it had.
    pub(super) events: u32,
    /// The id of the first one.
    pub(super) first_id: Option<String>,
}

impl Delivery {
    /// The JSON of the delivery.
    pub(super) fn shown(&self) -> Value {
        json!({
            "at": iso_millis(self.at_ms),
            "node": self.node,
            "address": self.address,
            "status": self.status,
            "verdict": self.verdict,
            "message": self.message,
            "contentType": self.media,
            "bytes": self.bytes,
            "events": self.events,
            "firstId": self.first_id,
        })
    }

    /// Whether it was refused for what it was, and not because there were too many.
    pub(super) fn is_refused(&self) -> bool {
        !matches!(self.status, 200 | 429)
    }
}

/// A text that is short enough to keep.
pub(super) fn short(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

/// The last requests on this node, the newest first.
#[derive(Default)]
pub(super) struct Deliveries(Mutex<FxHashMap<SourceId, VecDeque<Delivery>>>);

impl Deliveries {
    /// Remembers a request.
    pub(super) fn note(&self, source: SourceId, delivery: Delivery) {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.len() >= MOST_SOURCES && !sources.contains_key(&source) {
            let other = sources.keys().next().copied();
            if let Some(other) = other {
                sources.remove(&other);
            }
        }
        let of_source = sources.entry(source).or_default();
        of_source.push_front(delivery);
        of_source.truncate(MOST);
    }

    /// What is asked for.
    fn answer(&self, ask: &AskDeliveries) -> Vec<(SourceId, Vec<Delivery>)> {
        let sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |id: &SourceId| {
            let newest: Vec<Delivery> = sources.get(id)?.iter().take(ask.most as usize).cloned().collect();
            Some((*id, newest))
        };
        ask.sources.iter().filter_map(of).collect()
    }
}

/// Asks a node for the last requests to some sources.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct AskDeliveries {
    sources: Vec<SourceId>,
    /// Of each source, at most.
    most: u32,
}

impl PeerRequest for AskDeliveries {
    type Answer = Vec<(SourceId, Vec<Delivery>)>;
    const KIND: u16 = 121;
    const LANE: Lane = Lane::quick(16, 64);
}

/// Answers the other nodes.
pub(super) fn serve(edge: &Data<Edge>, deliveries: Arc<Deliveries>) {
    edge.hub.peers().serve(move |_, ask: AskDeliveries| ready(deliveries.answer(&ask)));
}

/// The last requests to these sources over all nodes that answer, the newest first.
pub(super) async fn everywhere(
    edge: &Edge,
    here: &Deliveries,
    sources: Vec<SourceId>,
    most: usize,
) -> FxHashMap<SourceId, Vec<Delivery>> {
    let ask = AskDeliveries { sources, most: most as u32 };
    let me = edge.hub.node_id();
    let nodes: Vec<NodeId> = edge.hub.health().status().members.iter().map(|member| member.id).collect();
    let others = nodes.into_iter().filter(|node| *node != me);
    let asked = others.map(|node| edge.hub.peers().ask(node, &ask, ANSWER_WAIT));
    let mut found: FxHashMap<SourceId, Vec<Delivery>> = FxHashMap::default();
    // A node that does not answer has nothing to say.
    let answers = join_all(asked).await.into_iter().filter_map(Result::ok).chain([here.answer(&ask)]);
    for (source, deliveries) in answers.flatten() {
        found.entry(source).or_default().extend(deliveries);
    }
    for deliveries in found.values_mut() {
        deliveries.sort_by_key(|delivery| std::cmp::Reverse(delivery.at_ms));
        deliveries.truncate(most);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(at_ms: u64) -> Delivery {
        Delivery {
            at_ms,
            node: 1,
            address: "192.0.2.1".into(),
            status: 200,
            verdict: "accepted".into(),
            message: None,
            media: None,
            bytes: Some(2),
            events: 1,
            first_id: None,
        }
    }

    #[test]
    fn the_newest_are_remembered_of_a_bounded_number_of_sources() {
        let deliveries = Deliveries::default();
        let source = |n: usize| SourceId::from_bytes((n as u128).to_be_bytes());
        (0..30).for_each(|at| deliveries.note(source(0), delivery(at)));
        let answer = deliveries.answer(&AskDeliveries { sources: vec![source(0), source(9)], most: 50 });
        let times: Vec<u64> = answer.iter().flat_map(|(_, all)| all).map(|one| one.at_ms).collect();
        assert_eq!(times, (10..30).rev().collect::<Vec<_>>());
        (1..=MOST_SOURCES + 5).for_each(|n| deliveries.note(source(n), delivery(0)));
        let sources = deliveries.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(sources.len(), MOST_SOURCES);
    }
}
