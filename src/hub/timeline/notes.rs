//! What this node notes of events on their way: who published them, when their log entries were applied, and
//! what came of each attempt to deliver them. A note is a few numbers, and the newest of each kind are kept.
//!
//! Topics and sockets are not noted here: each dispatcher counts for itself.

use super::recent::{KEPT, Recent};
use crate::core::ids::{EventId, NodeId, SourceId, TokenId, TopicId, WebhookId};
use crate::core::webhook::outcome::Class;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};
use waypost_cluster::ProposalName;

/// The protocol over which an event was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Via {
    /// The REST API.
    Rest,
    /// The Pusher protocol, or its signed HTTP API.
    Pusher,
    /// Phoenix channels.
    Phoenix,
    /// The routes of live sessions.
    Live,
    /// An ingest source.
    Ingest,
}

impl Via {
    const ALL: [Self; 5] = [Self::Rest, Self::Pusher, Self::Phoenix, Self::Live, Self::Ingest];

    /// The name, as in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Pusher => "pusher",
            Self::Phoenix => "phoenix",
            Self::Live => "live",
            Self::Ingest => "ingest",
        }
    }
}

/// Who published an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Author {
    /// The holder of the admin token.
    Admin,
    /// The holder of that token. Clients of an app or an issuer act as a token of it.
    Token(TokenId),
    /// A sender at that ingest source.
    Source(SourceId),
}

/// A publish that this node took: its events have consecutive places in one log entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishNote {
    /// The id of the first event.
    pub first_id: EventId,
    /// The number of events.
    pub count: u32,
    /// The stream.
    pub stream: TopicId,
    /// The seq of the first event.
    pub first_seq: u64,
    /// Who published them.
    pub author: Author,
    /// Over which protocol.
    pub via: Via,
    /// When the publish came (Unix nanoseconds).
    pub received_ns: u64,
    /// When it was handed to the log: microseconds after it came.
    pub proposed_us: u32,
}

impl PublishNote {
    const WORDS: usize = 9;

    fn words(&self) -> [u64; Self::WORDS] {
        let [id_high, id_low] = halves(self.first_id.to_bytes());
        let (kind, who) = match self.author {
            Author::Admin => (0, [0; 16]),
            Author::Token(token) => (1, *token.as_bytes()),
            Author::Source(source) => (2, *source.as_bytes()),
        };
        let [who_high, who_low] = halves(who);
        let more = u64::from(self.count) << 32 | u64::from(self.via as u8) << 8 | kind;
        let Self { stream, first_seq, received_ns, proposed_us, .. } = *self;
        let proposed = u64::from(proposed_us);
        [id_high, id_low, stream.0, first_seq, who_high, who_low, more, received_ns, proposed]
    }

    fn of(words: &[u64; Self::WORDS]) -> Option<Self> {
        let [id_high, id_low, stream, first_seq, who_high, who_low, more, received_ns, proposed] = *words;
        let who = whole([who_high, who_low]);
        let author = match more & 0xff {
            0 => Author::Admin,
            1 => Author::Token(TokenId::from_bytes(who)),
            _ => Author::Source(SourceId::from_bytes(who)),
        };
        Some(Self {
            first_id: EventId::from_bytes(whole([id_high, id_low])),
            count: (more >> 32) as u32,
            stream: TopicId(stream),
            first_seq,
            author,
            via: *Via::ALL.get((more >> 8 & 0xff) as usize)?,
            received_ns,
            proposed_us: proposed as u32,
        })
    }

    /// The place of the event among those of the publish, if it is one of them.
    pub fn place_of(&self, event: EventId) -> Option<u32> {
        let after = u128::from_be_bytes(event.to_bytes())
            .checked_sub(u128::from_be_bytes(self.first_id.to_bytes()))
            .and_then(|after| u32::try_from(after).ok());
        after.filter(|after| *after < self.count)
    }
}

/// A proposal with events that this node applied: its events have consecutive places in one log entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyNote {
    /// The index of the log entry.
    pub index: u64,
    /// The first place of its events in the entry.
    pub first_slot: u32,
    /// The place after the last one.
    pub end_slot: u32,
    /// The name of the proposal: node, incarnation and number; zeros if it had none.
    pub proposal: (NodeId, u64, u64),
    /// The leader that put the entry into the log.
    pub leader: NodeId,
    /// When this node began to apply it, which it does once it knows that the entry is committed (Unix
    /// nanoseconds).
    pub began_ns: u64,
    /// When readers on this node could see its events (Unix nanoseconds).
    pub done_ns: u64,
}

impl ApplyNote {
    const WORDS: usize = 8;

    fn words(&self) -> [u64; Self::WORDS] {
        let Self { index, first_slot, end_slot, proposal: (node, incarnation, number), leader, .. } = *self;
        let slots = u64::from(first_slot) << 32 | u64::from(end_slot);
        [index, slots, node, incarnation, number, leader, self.began_ns, self.done_ns]
    }

    fn of(words: &[u64; Self::WORDS]) -> Self {
        let [index, slots, node, incarnation, number, leader, began_ns, done_ns] = *words;
        let (first_slot, end_slot) = ((slots >> 32) as u32, slots as u32);
        Self { index, first_slot, end_slot, proposal: (node, incarnation, number), leader, began_ns, done_ns }
    }

    fn has(&self, event: EventId) -> bool {
        event.log_position().index == self.index && (self.first_slot..self.end_slot).contains(&event.slot())
    }
}

/// What this node did for the receiver of an event: an attempt to deliver the event to a webhook, or the
/// acknowledgement of a consumer's reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryNote {
    /// The event.
    pub event: EventId,
    /// The webhook, or the consumer.
    pub receiver: WebhookId,
    /// When the attempt began, or the acknowledgement came, by the cluster's time (Unix milliseconds).
    pub at_ms: u64,
    /// The number of the attempt in its delivery, from 1; 0 for an acknowledgement.
    pub attempt: u32,
    /// How long the attempt took (milliseconds).
    pub took_ms: u32,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// How the attempt ended; [`Class::Delivered`] for an acknowledgement.
    pub class: Class,
    /// Whether the event was given up after this attempt.
    pub is_given_up: bool,
    /// Whether somebody asked to have the event delivered again.
    pub is_replay: bool,
}

impl DeliveryNote {
    const WORDS: usize = 7;

    /// A reader acknowledged the event at that time.
    pub fn acknowledged(event: EventId, receiver: WebhookId, at_ms: u64) -> Self {
        Self {
            event,
            receiver,
            at_ms,
            attempt: 0,
            took_ms: 0,
            status: None,
            class: Class::Delivered,
            is_given_up: false,
            is_replay: false,
        }
    }

    fn words(&self) -> [u64; Self::WORDS] {
        let [id_high, id_low] = halves(self.event.to_bytes());
        let [to_high, to_low] = halves(*self.receiver.as_bytes());
        let times = u64::from(self.attempt) << 32 | u64::from(self.took_ms);
        let flags = u64::from(self.is_replay) << 1 | u64::from(self.is_given_up);
        let end = (self.class as u64) << 32 | u64::from(self.status.unwrap_or(0)) << 2 | flags;
        [id_high, id_low, to_high, to_low, self.at_ms, times, end]
    }

    fn of(words: &[u64; Self::WORDS]) -> Option<Self> {
        let [id_high, id_low, to_high, to_low, at_ms, times, end] = *words;
        Some(Self {
            event: EventId::from_bytes(whole([id_high, id_low])),
            receiver: WebhookId::from_bytes(whole([to_high, to_low])),
            at_ms,
            attempt: (times >> 32) as u32,
            took_ms: times as u32,
            status: Some((end >> 2) as u16).filter(|status| *status != 0),
            class: *Class::ALL.get((end >> 32) as usize)?,
            is_given_up: end & 1 != 0,
            is_replay: end & 2 != 0,
        })
    }
}

/// The halves of an id, as two words.
fn halves(bytes: [u8; 16]) -> [u64; 2] {
    let whole = u128::from_be_bytes(bytes);
    [(whole >> 64) as u64, whole as u64]
}

/// The bytes of an id from its halves.
fn whole([high, low]: [u64; 2]) -> [u8; 16] {
    (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
}

/// The notes of this node. They live as long as the process, and begin anew with it.
#[derive(Debug)]
pub struct Notes {
    published: Recent<{ PublishNote::WORDS }>,
    applied: Recent<{ ApplyNote::WORDS }>,
    delivered: Recent<{ DeliveryNote::WORDS }>,
    /// The index of the first entry that came into the log in this run of the process and was applied; 0: none
    /// yet.
    since_index: AtomicU64,
}

impl Default for Notes {
    fn default() -> Self {
        Self {
            published: Recent::new(KEPT),
            applied: Recent::new(KEPT),
            delivered: Recent::new(KEPT),
            since_index: AtomicU64::new(0),
        }
    }
}

impl Notes {
    /// Notes a publish.
    pub(in crate::hub) fn published(&self, note: &PublishNote) {
        self.published.put(note.words());
    }

    /// Notes an attempt to deliver an event, or that a reader acknowledged it.
    pub fn delivered(&self, note: &DeliveryNote) {
        self.delivered.put(note.words());
    }

    /// The publish that the event belongs to.
    pub(super) fn publish_of(&self, event: EventId) -> Option<PublishNote> {
        let [high, _] = halves(event.to_bytes());
        // The events of a publish differ in their lowest bits alone.
        let found = self.published.find(|words| words[0] == high);
        found.iter().filter_map(PublishNote::of).find(|note| note.place_of(event).is_some())
    }

    /// When the event was applied here.
    pub(super) fn apply_of(&self, event: EventId) -> Option<ApplyNote> {
        let index = event.log_position().index;
        let found = self.applied.find(|words| words[0] == index);
        found.iter().map(ApplyNote::of).find(|note| note.has(event))
    }

    /// What was done here for the receivers of the event, oldest first.
    pub(super) fn deliveries_of(&self, event: EventId) -> Vec<DeliveryNote> {
        let [high, low] = halves(event.to_bytes());
        let found = self.delivered.find(|words| words[0] == high && words[1] == low);
        found.iter().filter_map(DeliveryNote::of).collect()
    }

    /// Whether the process was started after the entry of that index came into this node's log.
    pub(super) fn began_after(&self, index: u64) -> bool {
        let since = self.since_index.load(Ordering::Relaxed);
        since == 0 || index < since
    }
}

/// What is being applied, until readers can see it. The thread that applies the log has it.
#[derive(Debug, Default)]
pub(in crate::hub) struct Applying {
    /// When the first command since the last commit of the store began to be applied.
    began_ns: Option<u64>,
    /// The proposals with events since then.
    notes: Vec<ApplyNote>,
}

impl Applying {
    /// A command begins to be applied at that time.
    pub(in crate::hub) fn begin(&mut self, now_ns: impl FnOnce() -> u64) {
        if self.began_ns.is_none() {
            self.began_ns = Some(now_ns());
        }
    }

    /// A command of that proposal, by that leader, was applied. Its events have these places in the entry.
    pub(in crate::hub) fn applied(
        &mut self,
        (index, leader): (u64, NodeId),
        proposal: Option<ProposalName>,
        (first_slot, end_slot): (u32, u32),
    ) {
        if first_slot == end_slot {
            return;
        }
        let name = proposal.map_or((0, 0, 0), |name| (name.node, name.incarnation, name.number));
        match self.notes.last_mut() {
            Some(last) if last.index == index && last.proposal == name => last.end_slot = end_slot,
            _ => self.notes.push(ApplyNote {
                index,
                first_slot,
                end_slot,
                proposal: name,
                leader,
                began_ns: 0,
                done_ns: 0,
            }),
        }
    }

    /// Readers can see all of it.
    pub(in crate::hub) fn commit(&mut self, notes: &Notes, now_ns: impl FnOnce() -> u64) {
        let Some(began_ns) = self.began_ns.take() else { return };
        let Some(first) = self.notes.first() else { return };
        let done_ns = now_ns();
        if notes.since_index.load(Ordering::Relaxed) == 0 {
            notes.since_index.store(first.index, Ordering::Relaxed);
        }
        for note in self.notes.drain(..) {
            notes.applied.put(ApplyNote { began_ns, done_ns, ..note }.words());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
