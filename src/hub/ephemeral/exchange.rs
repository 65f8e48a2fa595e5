//! The state of a node's exchange of ephemeral events with the others: who wants what, what waits for whom, and what has
//! been taken. A state machine without clock or I/O; `T` is what takes events on this node.
//!
//! One lock holds all of it: a publish reaches this node's topics and all links at once, or stands behind what another
//! node is told. That is what makes a subscription's beginning a point in everybody's order:
//!
//! 1. A subscription begins under a new version of this node's interest ([`Exchange::begin`]).
//! 2. Another node that learns the version ([`Exchange::learn`]) confirms it when everything that it pushed before has
//!    arrived. What it pushes afterwards bears the version.
//! 3. When the nodes in reach have confirmed, the subscription is live ([`Exchange::live`]). From then on this node refuses
//!    what bears an older version: a client that came from elsewhere may have had it there.

use super::interest::{KnownInterest, OwnInterest, Table, Tell};
use super::ledger::{Ledger, Verdict};
use super::link::{Batch, Carried, LinkLimits, LinkQueue};
use crate::core::ids::{NodeId, TopicId};
use crate::core::subject::{Selector, Subject};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Bytes of this node's interest that are listed to others, which fit into one request; with more they are told that
/// everything is wanted.
const MAX_INTEREST_BYTES: usize = 768 * 1024;
/// A node that has told nothing for so many ticks wants nothing any more.
const SILENT_TICKS: u32 = 10;

/// Why events for another node were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dropped {
    /// Too much waited for the node.
    Overflow,
    /// The node had a subscription begin since they were published, and refused them.
    Stale,
    /// The node is gone, or was silent for too long.
    Gone,
}

/// What is heard back of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::hub) enum Receipt {
    /// Taken; so many of its events were refused as too old.
    Taken(u64),
    /// It had been taken before.
    Repeated,
    /// The sender's incarnation is not the one that is known: it has to be told of first.
    Unknown,
    /// It was meant for an incarnation of the node that is over.
    Stranger,
}

/// What is heard back of a [`Tell`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::hub) struct Confirmation {
    /// The incarnation of who answers.
    pub(super) incarnation: u64,
    /// The version that it knows now; `None` where it has to be told everything.
    pub(super) known: Option<u64>,
    /// Everything that it pushed before it knew the version has arrived, or never will.
    pub(super) flushed: bool,
}

/// A mark in the link to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark(u64);

/// Another node.
#[derive(Debug)]
struct Peer {
    /// What it wants, since it told; `None` before that, and when it was silent for too long.
    interest: Option<KnownInterest>,
    queue: LinkQueue,
    /// A batch had no answer: nothing is sent until the node has told its interest again.
    held: bool,
    silent_ticks: u32,
    /// The version of this node's interest that it knows.
    knows: Option<u64>,
    /// The version up to which it has confirmed.
    confirmed: u64,
    /// It did not answer what it was told last.
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

    /// The node has that incarnation; one that is new knows nothing, and its predecessor's clients are gone. Answers how many
    /// events that waited for the predecessor were dropped.
    fn meet(&mut self, incarnation: u64) -> usize {
        if self.ledger.incarnation() == Some(incarnation) {
            return 0;
        }
        self.ledger.meet(incarnation);
        (self.interest, self.knows, self.confirmed, self.held) = (None, None, 0, false);
        self.queue.clear()
    }
}

/// A node's whole knowledge of ephemeral events: who wants what, and what is on its way. `T` is where a topic of this
/// node takes its events. It lives as long as the node.
#[derive(Debug)]
pub(super) struct Exchange<T> {
    incarnation: u64,
    limits: LinkLimits,
    own: OwnInterest,
    topics: Table<T>,
    /// The position of the next event on this node.
    next_position: u64,
    /// The number of the last batch, to whatever node.
    batches: u64,
    peers: BTreeMap<NodeId, Peer>,
}

impl<T> Exchange<T> {
    /// Nobody is known yet.
    pub(super) fn new(incarnation: u64, limits: LinkLimits) -> Self {
        let own = OwnInterest::new(MAX_INTEREST_BYTES);
        let (topics, peers) = (Table::default(), BTreeMap::new());
        Self { incarnation, limits, own, topics, next_position: 1, batches: 0, peers }
    }

    pub(super) fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// The other members of the cluster. Answers those that are new, and how many events were dropped with those that
    /// are gone.
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

    // What this node wants.

    /// Events that the selector wants go to `topic` from now on; answers the position of the first.
    pub(super) fn watch(&mut self, stream: TopicId, selector: &Selector, topic: T) -> u64 {
        self.topics.insert(stream, selector.clone(), topic);
        self.own.set(stream, selector, true);
        self.next_position
    }

    /// Nobody wants them any more.
    pub(super) fn unwatch(&mut self, stream: TopicId, selector: &Selector) {
        self.topics.remove(stream, selector);
        self.own.set(stream, selector, false);
    }

    /// A subscription begins: answers the version that the others must confirm.
    pub(super) fn begin(&mut self) -> u64 {
        self.own.begin()
    }

    /// Whether all others have confirmed the version but those that did not answer what they were told last.
    pub(super) fn is_confirmed(&self, version: u64) -> bool {
        self.peers.values().all(|peer| peer.confirmed >= version || peer.mute)
    }

    /// The subscription that began with this version is live: it gets events from the position on that is answered.
    pub(super) fn live(&mut self, version: u64) {
        self.peers.values_mut().for_each(|peer| peer.ledger.live(version));
    }

    /// The position of the next event on this node.
    pub(super) fn next_position(&self) -> u64 {
        self.next_position
    }

    /// What to tell a node, if it does not know it yet or `anyway`.
    pub(super) fn tell(&self, to: NodeId, anyway: bool) -> Option<Tell> {
        let peer = self.peers.get(&to)?;
        let lacks = peer.knows != Some(self.own.version()) || peer.confirmed < self.own.version();
        (anyway || lacks && !peer.mute).then(|| self.own.tell(peer.knows))
    }

    /// The node answered what it was told at that version; `None` where it did not. Answers how many events were dropped
    /// with another incarnation of it.
    ///
    /// This is how a node's incarnation becomes known: a node is asked one thing after another, so the newest answer is of
    /// the newest incarnation. What a node says by itself may come late, from one that is over.
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

    // What others want.

    /// A node tells its interest. Answers what it is to hear when everything before the mark has arrived. What another
    /// incarnation tells than the one that is known is not taken.
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

    /// Whether nothing can be gained by waiting for [`Exchange::is_flushed`]: it is, or nothing is sent to the node now.
    pub(super) fn is_settled(&self, to: NodeId, mark: Mark) -> bool {
        self.is_flushed(to, mark) || self.peers.get(&to).is_some_and(|peer| peer.held)
    }

    /// A second has passed: nodes that are silent for too long want nothing any more. Answers how many events were dropped.
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

    /// An event was published here: it goes to this node's topics, and into the links of the nodes that want it, encoded
    /// once if there is one. `topic` is told the topic and the position. Says which links got it, and how many events
    /// they dropped for it.
    pub(super) fn publish(
        &mut self,
        stream: TopicId,
        subject: &Subject,
        topic: impl FnMut(&T, u64),
        encode: impl FnOnce() -> Bytes,
        mut pushed: impl FnMut(NodeId),
    ) -> usize {
        self.place(stream, subject, topic);
        let (mut encoded, mut encode, mut dropped) = (None, Some(encode), 0);
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

    /// An event has come to this node: its topics get it, under the next position.
    pub(super) fn place(&mut self, stream: TopicId, subject: &Subject, mut topic: impl FnMut(&T, u64)) {
        let position = self.next_position;
        self.next_position += 1;
        self.topics.of(stream, subject).for_each(|known| topic(known, position));
    }

    /// What to send a node now, and for which incarnation of it.
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

    /// What became of a batch; `None` where there was no answer. Answers how many events have arrived, and how many were
    /// dropped.
    pub(super) fn sent(&mut self, to: NodeId, number: u64, receipt: Option<Receipt>) -> (usize, usize) {
        let Some(peer) = self.peers.get_mut(&to) else { return (0, 0) };
        match receipt {
            Some(Receipt::Taken(_) | Receipt::Repeated) => (peer.queue.arrived(number).unwrap_or(0), 0),
            // A new incarnation may have told its interest since: then the batch is none of those under way.
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

    /// A batch came of the sender's incarnation, for incarnation `to` of this node. Answers from which version on its events
    /// are to be placed; or the receipt, where none are.
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

    // What is shown.

    /// Selectors that this node wants.
    pub(super) fn wanted(&self) -> usize {
        self.own.len()
    }

    /// For each other node: the selectors that it wants, and the bytes that wait for it.
    pub(super) fn peers(&self) -> impl Iterator<Item = (NodeId, usize, usize)> {
        self.peers
            .iter()
            .map(|(id, peer)| (*id, peer.interest.as_ref().map_or(0, KnownInterest::len), peer.queue.bytes()))
    }
}

#[cfg(test)]
#[path = "model.rs"]
mod model;
