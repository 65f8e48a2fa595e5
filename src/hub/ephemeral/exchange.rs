//! The state of a node's exchange of ephemeral events with the others: each node's interest, the events that
//! wait for each node, and the batches that were accepted. It is a state machine without clock or I/O. `T` is
//! the part of this node that takes a topic's events.
//!
//! One lock protects all of it. A publish reaches this node's topics and all links at once, and so it comes
//! either before or after every report to another node. This gives the beginning of a subscription a definite
//! position in the order of every node:
//!
//! 1. A subscription begins under a new version of this node's interest ([`Exchange::begin`]).
//! 2. Another node that learns the version ([`Exchange::learn`]) confirms it when everything that it pushed
//!    before has arrived. Everything that it pushes afterwards carries the version.
//! 3. When the reachable nodes have confirmed, the subscription is live ([`Exchange::live`]). From then on,
//!    this node refuses events with an older version: a client that moved here from another node may have
//!    received them there.

use super::interest::{KnownInterest, OwnInterest, Table, Tell};
use super::ledger::{Ledger, Verdict};
use super::link::{Batch, Carried, LinkLimits, LinkQueue};
use crate::core::ids::{NodeId, TopicId};
use crate::core::subject::{Selector, Subject};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most bytes of this node's interest that are listed to others; they fit into one request. If there are
/// more, this node reports that it requests everything.
const MAX_INTEREST_BYTES: usize = 768 * 1024;
/// A node that has reported nothing for this many ticks counts as requesting nothing.
const SILENT_TICKS: u32 = 10;

/// Why events for another node were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dropped {
    /// Too many events waited for the node.
    Overflow,
    /// A subscription began on the node after the events were published, so the node refused them.
    Stale,
    /// The node is gone, or was silent for too long.
    Gone,
}

/// The answer to a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::hub) enum Receipt {
    /// The batch was accepted; the number counts those of its events that were refused as too old.
    Taken(u64),
    /// The batch had been accepted before.
    Repeated,
    /// The sender's incarnation is not the known one: the sender has to make it known first.
    Unknown,
    /// The batch was meant for an earlier incarnation of the receiver.
    Stranger,
}

/// The answer to a [`Tell`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::hub) struct Confirmation {
    /// The incarnation of the answering node.
    pub(super) incarnation: u64,
    /// The version that the node knows now; `None` if it must be told everything.
    pub(super) known: Option<u64>,
    /// Everything that the node pushed before it knew the version has arrived, or never will.
    pub(super) flushed: bool,
}

/// A position in the link to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark(u64);

/// What this node knows of another node.
#[derive(Debug)]
struct Peer {
    /// The interest that the node reported; `None` before its first report, and after it was silent for too
    /// long.
    interest: Option<KnownInterest>,
    queue: LinkQueue,
    /// A batch got no answer: nothing is sent until the node has reported its interest again.
    held: bool,
    silent_ticks: u32,
    /// The version of this node's interest that the other node knows.
    knows: Option<u64>,
    /// The highest version that the other node has confirmed.
    confirmed: u64,
    /// The node did not answer the last report.
    mute: bool,
    ledger: Ledger,
}

impl Peer {
    fn new(limits: LinkLimits) -> Self {
        Self {
            interest: None,
            queue: LinkQueue::new(limits),
            held: false,
            silent_ticks: 0,
            knows: None,
            confirmed: 0,
            mute: false,
            ledger: Ledger::default(),
        }
    }

    /// Records the node's incarnation. A new incarnation knows nothing, and the clients of the earlier one
    /// are gone. Returns how many events were dropped that waited for the earlier one.
    fn meet(&mut self, incarnation: u64) -> usize {
        if self.ledger.incarnation() == Some(incarnation) {
            return 0;
        }
        self.ledger.meet(incarnation);
        (self.interest, self.knows, self.confirmed, self.held) = (None, None, 0, false);
        self.queue.clear()
    }
}

/// Everything that a node knows of ephemeral events: the interest of each node, and the events under way. `T`
/// takes the events of a topic on this node. It lives as long as the node.
#[derive(Debug)]
pub(super) struct Exchange<T> {
    incarnation: u64,
    limits: LinkLimits,
    own: OwnInterest,
    topics: Table<T>,
    /// The position of the next event on this node.
    next_position: u64,
    /// The number of the last batch to any node.
    batches: u64,
    peers: BTreeMap<NodeId, Peer>,
}

impl<T> Exchange<T> {
    /// An exchange that knows no other nodes yet.
    pub(super) fn new(incarnation: u64, limits: LinkLimits) -> Self {
        let own = OwnInterest::new(MAX_INTEREST_BYTES);
        let topics = Table::default();
        let peers = BTreeMap::new();
        Self { incarnation, limits, own, topics, next_position: 1, batches: 0, peers }
    }

    pub(super) fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Sets the other members of the cluster. Returns the new ones, and how many events were dropped that
    /// waited for former members.
    pub(super) fn set_members(&mut self, members: &[NodeId]) -> (Vec<NodeId>, usize) {
        let mut dropped = 0;
        self.peers.retain(|id, peer| {
            let stays = members.contains(id);
            if !stays {
                dropped += peer.queue.clear();
            }
            stays
        });
        let new: Vec<NodeId> = members.iter().copied().filter(|id| !self.peers.contains_key(id)).collect();
        for id in &new {
            self.peers.insert(*id, Peer::new(self.limits));
        }
        (new, dropped)
    }

    pub(super) fn is_member(&self, peer: NodeId) -> bool {
        self.peers.contains_key(&peer)
    }

    // This node's interest.

    /// Gives events that match the selector to `topic` from now on. Returns the position of the first one.
    pub(super) fn watch(&mut self, stream: TopicId, selector: &Selector, topic: T) -> u64 {
        self.topics.insert(stream, selector.clone(), topic);
        self.own.set(stream, selector, true);
        self.next_position
    }

    /// Stops giving events that match the selector to its topic.
    pub(super) fn unwatch(&mut self, stream: TopicId, selector: &Selector) {
        self.topics.remove(stream, selector);
        self.own.set(stream, selector, false);
    }

    /// Begins a subscription. Returns the version that the others must confirm.
    pub(super) fn begin(&mut self) -> u64 {
        self.own.begin()
    }

    /// The highest version that all other nodes have confirmed, except those that did not answer the last
    /// report. Where there are no others, every version is confirmed.
    pub(super) fn confirmed_version(&self) -> u64 {
        let reachable = self.peers.values().filter(|peer| !peer.mute);
        reachable.map(|peer| peer.confirmed).min().unwrap_or(u64::MAX)
    }

    /// Records that the subscription that began with this version is live: events with an older version are
    /// refused from now on.
    pub(super) fn live(&mut self, version: u64) {
        self.peers.values_mut().for_each(|peer| peer.ledger.live(version));
    }

    /// The position of the next event on this node.
    pub(super) fn next_position(&self) -> u64 {
        self.next_position
    }

    /// The report for a node, if the node lacks something or `anyway` is set.
    pub(super) fn tell(&self, to: NodeId, anyway: bool) -> Option<Tell> {
        let peer = self.peers.get(&to)?;
        let lacks = peer.knows != Some(self.own.version()) || peer.confirmed < self.own.version();
        (anyway || lacks && !peer.mute).then(|| self.own.tell(peer.knows))
    }

    /// Handles the answer to a report at version `told`; `None` means that there was no answer. Returns how
    /// many events were dropped that waited for an earlier incarnation of the node.
    ///
    /// These answers make a node's incarnation known: a node has one request at a time, so the newest answer
    /// comes from the newest incarnation. A message that the node sends by itself may arrive late, from an
    /// earlier incarnation.
    pub(super) fn confirmed(&mut self, from: NodeId, told: u64, answer: Option<Confirmation>) -> usize {
        let Some(peer) = self.peers.get_mut(&from) else { return 0 };
        let Some(Confirmation { incarnation, known, flushed }) = answer else {
            peer.mute = true;
            return 0;
        };
        let dropped = peer.meet(incarnation);
        peer.mute = false;
        peer.knows = known;
        if flushed && known.is_some_and(|known| known >= told) {
            peer.confirmed = peer.confirmed.max(told);
        }
        dropped
    }

    // The interest of other nodes.

    /// Handles another node's report. Returns the answer, which must be sent when everything before the mark
    /// has arrived. A report from an incarnation other than the known one is not accepted.
    pub(super) fn learn(
        &mut self,
        from: NodeId,
        incarnation: u64,
        tell: &Tell,
    ) -> Option<(Confirmation, Mark)> {
        let own_incarnation = self.incarnation;
        let peer = self.peers.get_mut(&from)?;
        let mark = Mark(peer.queue.mark());
        if peer.ledger.incarnation() != Some(incarnation) {
            return Some((Confirmation { incarnation: own_incarnation, known: None, flushed: false }, mark));
        }
        let understood = match &mut peer.interest {
            Some(interest) => interest.learn(tell),
            None => {
                peer.interest = KnownInterest::first(tell);
                peer.interest.is_some()
            }
        };
        if understood {
            (peer.silent_ticks, peer.held) = (0, false);
        }
        let known = peer.interest.as_ref().map(KnownInterest::version);
        Some((Confirmation { incarnation: own_incarnation, known, flushed: false }, mark))
    }

    /// Whether everything that was pushed to a node before the mark has arrived or is lost.
    pub(super) fn is_flushed(&self, to: NodeId, mark: Mark) -> bool {
        self.peers.get(&to).is_none_or(|peer| peer.queue.is_past(mark.0))
    }

    /// Whether waiting for [`Exchange::is_flushed`] is pointless: it is already true, or nothing is sent to
    /// the node now.
    pub(super) fn is_settled(&self, to: NodeId, mark: Mark) -> bool {
        self.is_flushed(to, mark) || self.peers.get(&to).is_some_and(|peer| peer.held)
    }

    /// Advances the time by one second. Nodes that were silent for too long count as requesting nothing.
    /// Returns how many events were dropped.
    pub(super) fn tick(&mut self) -> usize {
        let mut dropped = 0;
        for peer in self.peers.values_mut() {
            peer.silent_ticks += 1;
            if peer.silent_ticks > SILENT_TICKS {
                peer.interest = None;
                dropped += peer.queue.clear();
            }
        }
        dropped
    }

    // Events.

    /// Publishes an event on this node: it goes to this node's topics and into the links of the nodes that
    /// request it. It is encoded at most once. `topic` is called with each topic and the position. Returns
    /// the links that took the event, and how many events they dropped for it.
    pub(super) fn publish(
        &mut self,
        stream: TopicId,
        subject: &Subject,
        topic: impl FnMut(&T, u64),
        encode: impl FnOnce() -> Bytes,
        mut pushed: impl FnMut(NodeId),
    ) -> usize {
        self.place(stream, subject, topic);
        let mut encoded = None;
        let mut encode = Some(encode);
        let mut dropped = 0;
        for (id, peer) in &mut self.peers {
            let Some(interest) = peer.interest.as_ref().filter(|interest| interest.wants(stream, subject))
            else {
                continue;
            };
            let encoded =
                encoded.get_or_insert_with(|| encode.take().map(|encode| encode()).unwrap_or_default());
            dropped += peer.queue.push(Carried { version: interest.version(), event: encoded.clone() });
            pushed(*id);
        }
        dropped
    }

    /// Gives an event that has arrived at this node to its topics, under the next position.
    pub(super) fn place(&mut self, stream: TopicId, subject: &Subject, mut topic: impl FnMut(&T, u64)) {
        let position = self.next_position;
        self.next_position += 1;
        self.topics.of(stream, subject).for_each(|known| topic(known, position));
    }

    /// Whether there is a batch to send to a node now.
    pub(super) fn has_batch(&self, to: NodeId) -> bool {
        self.peers
            .get(&to)
            .is_some_and(|peer| peer.ledger.incarnation().is_some() && !peer.held && peer.queue.has_batch())
    }

    /// The batch to send to a node now, and the incarnation of the node that it is for.
    pub(super) fn batch(&mut self, to: NodeId) -> Option<(u64, Batch)> {
        let peer = self.peers.get_mut(&to)?;
        let incarnation = peer.ledger.incarnation().filter(|_| !peer.held)?;
        let batches = &mut self.batches;
        let number = || {
            *batches += 1;
            *batches
        };
        Some((incarnation, peer.queue.batch(number)?))
    }

    /// Handles the answer to a batch; `None` means that there was no answer. Returns how many events have
    /// arrived, and how many were dropped.
    pub(super) fn sent(&mut self, to: NodeId, number: u64, receipt: Option<Receipt>) -> (usize, usize) {
        let Some(peer) = self.peers.get_mut(&to) else { return (0, 0) };
        match receipt {
            Some(Receipt::Taken(_) | Receipt::Repeated) => (peer.queue.arrived(number).unwrap_or(0), 0),
            // A new incarnation may have reported its interest since. Then the batch is no longer under way.
            Some(Receipt::Stranger) if peer.queue.is_under_way(number) => {
                peer.interest = None;
                (0, peer.queue.clear())
            }
            Some(Receipt::Stranger) => (0, 0),
            Some(Receipt::Unknown) | None => {
                peer.held |= peer.queue.is_under_way(number);
                (0, 0)
            }
        }
    }

    /// Handles the arrival of a batch from incarnation `sender`, meant for incarnation `to` of this node.
    /// Returns the lowest version of the events that are to be delivered, or the receipt if none are.
    pub(super) fn receive(
        &mut self,
        from: NodeId,
        sender: u64,
        to: u64,
        number: u64,
    ) -> Result<u64, Receipt> {
        if to != self.incarnation {
            return Err(Receipt::Stranger);
        }
        let peer = self.peers.get_mut(&from).ok_or(Receipt::Stranger)?;
        match peer.ledger.take(sender, number) {
            Verdict::Take { from_version } => Ok(from_version),
            Verdict::Repeated => Err(Receipt::Repeated),
            Verdict::Unknown => Err(Receipt::Unknown),
        }
    }

    // Values for display.

    /// How many selectors this node requests.
    pub(super) fn wanted(&self) -> usize {
        self.own.len()
    }

    /// For each other node: how many selectors it requests, and the bytes that wait for it.
    pub(super) fn peers(&self) -> impl Iterator<Item = (NodeId, usize, usize)> {
        self.peers
            .iter()
            .map(|(id, peer)| (*id, peer.interest.as_ref().map_or(0, KnownInterest::len), peer.queue.bytes()))
    }
}

#[cfg(test)]
#[path = "model.rs"]
mod model;
