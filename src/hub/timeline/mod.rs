//! What became of an event: what each node noted of it, gathered from all nodes when somebody asks.
//!
//! Each node notes publishes, applied entries and attempts in rings of a fixed size ([`Notes`]), and each
//! dispatcher counts what it hands to sockets. Nothing is sent or stored for it, so what a node noted ends with
//! its process.

pub(in crate::hub) mod notes;
mod recent;

pub use notes::{ApplyNote, Author, DeliveryNote, Notes, PublishNote, Via};

use super::bridge::Bridge;
use super::peers::{Lane, PeerRequest, Peers};
use super::topics::Topics;
use crate::core::ids::{EventId, NodeId};
use crate::core::reached::{Asked, Reached};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use waypost_cluster::Cluster;

/// How long the nodes have to answer.
const WITHIN: Duration = Duration::from_millis(2500);
/// The most deliveries in the answer of one node: the newest ones.
const MOST_DELIVERIES: usize = 1000;
/// Questions that a node looks into at a time. The others wait.
const LOOKS: usize = 4;

/// Asks a node what it knows of an event.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Follow {
    event: EventId,
    /// Where the event is stored, if it is.
    stored: Option<Asked>,
}

impl PeerRequest for Follow {
    type Answer = Known;
    const KIND: u16 = 42;
    const LANE: Lane = Lane::patient(2, 62);
}

/// What one node knows of an event.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Known {
    /// The publish, if it came to this node.
    pub published: Option<PublishNote>,
    /// When the node applied the event.
    pub applied: Option<ApplyNote>,
    /// Whether the node has applied the log as far as the event.
    pub has_applied: bool,
    /// Whether the process of the node was started after the event.
    pub began_after: bool,
    /// What the node did for webhooks and consumers, oldest first.
    pub deliveries: Vec<DeliveryNote>,
    /// How far the event has come to the node's sockets; `None` if that was not asked, or not told in time.
    pub reached: Option<Reached>,
}

impl Known {
    /// Whether the node did more for webhooks and consumers than it told.
    pub fn has_more_deliveries(&self) -> bool {
        self.deliveries.len() >= MOST_DELIVERIES
    }
}

/// What the nodes know of an event.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    /// The nodes that answered.
    pub nodes: BTreeMap<NodeId, Known>,
    /// The nodes that did not answer in time.
    pub unreachable: Vec<NodeId>,
}

impl Gathered {
    /// The publish, and the node to which it came.
    pub fn published(&self) -> Option<(NodeId, &PublishNote)> {
        self.nodes.iter().find_map(|(node, known)| Some((*node, known.published.as_ref()?)))
    }
}

/// Follows events over all nodes; cheap to clone.
#[derive(Clone)]
pub struct Timeline {
    cluster: Cluster,
    peers: Peers,
    topics: Topics,
    bridge: Arc<Bridge>,
    looks: Arc<Semaphore>,
}

impl Timeline {
    /// Also answers other nodes that ask what this node knows.
    pub(super) fn new(cluster: Cluster, peers: Peers, topics: Topics, bridge: Arc<Bridge>) -> Self {
        let looks = Arc::new(Semaphore::new(LOOKS));
        let timeline = Self { cluster, peers, topics, bridge, looks };
        let here = timeline.clone();
        timeline.peers.serve(move |_, follow: Follow| {
            let here = here.clone();
            async move { here.own(follow).await }
        });
        timeline
    }

    /// What all nodes know of an event. `stored` says where it is stored, if it is. Takes at most three
    /// seconds.
    pub async fn gather(&self, event: EventId, stored: Option<Asked>) -> Gathered {
        let me = self.cluster.node_id();
        let members = self.cluster.status().members;
        let asked = members.iter().map(async |member| {
            let follow = Follow { event, stored: stored.clone() };
            let known = match member.id {
                id if id == me => timeout(WITHIN, self.own(follow)).await.ok(),
                id => self.ask(id, &follow).await,
            };
            (member.id, known)
        });
        let mut gathered = Gathered::default();
        for (node, known) in join_all(asked).await {
            match known {
                Some(known) => drop(gathered.nodes.insert(node, known)),
                None => gathered.unreachable.push(node),
            }
        }
        gathered.unreachable.sort_unstable();
        gathered
    }

    async fn ask(&self, node: NodeId, follow: &Follow) -> Option<Known> {
        match timeout(WITHIN, self.peers.ask(node, follow, WITHIN)).await {
            Ok(Ok(known)) => Some(known),
            Ok(Err(error)) => {
                let node = self.peers.called(node);
                tracing::debug!(node, %error, "a node does not tell what it knows of an event");
                None
            }
            Err(_) => None,
        }
    }

    /// What this node knows.
    async fn own(&self, follow: Follow) -> Known {
        let Follow { event, stored } = follow;
        let _turn = self.looks.acquire().await;
        // Before the notes are looked at: what is applied by now is noted already.
        let position = event.log_position();
        let applied_index = self.cluster.applied_in(position.group);
        let bridge = self.bridge.clone();
        // Looking through the notes takes a few milliseconds, in which other work goes on.
        let looked = tokio::task::spawn_blocking(move || {
            let notes = &bridge.notes;
            let mut deliveries = notes.deliveries_of(event);
            let excess = deliveries.len().saturating_sub(MOST_DELIVERIES);
            deliveries.drain(..excess);
            (notes.publish_of(event), notes.apply_of(event), deliveries)
        });
        let (published, applied, deliveries) = looked.await.unwrap_or_default();
        let reached = match stored {
            Some(stored) => self.topics.reached(stored).await,
            None => None,
        };
        Known {
            published,
            applied,
            has_applied: applied_index.is_some_and(|applied| applied >= position.index),
            began_after: self.bridge.notes.began_after(position.index),
            deliveries,
            reached,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
