//! What is remembered of applied proposals, so that each is applied once however often its node sends it.
//!
//! A node numbers its proposals, and says with each which lower numbers have no answer yet. A number is
//! remembered with its reply until the node says that it has the answer, until a later incarnation of the
//! node is in force, or until the node is no member any more; never by time. All nodes apply the same
//! entries, so all remember the same.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::View;
use crate::NodeId;
use crate::error::StoreError;
use crate::types::ProposalReply;
use crate::wire::{IncarnationV1, ProposalV1, ProposerV1, RememberedV1, decode, decode_borrowed, encode};

/// Most proposals of one node that may be without an answer.
pub(crate) const MOST_OPEN: usize = 1024;
/// Most bytes of replies that are remembered of one node. Beyond that the oldest are forgotten; that their
/// proposals were applied is not.
const MOST_BYTES: usize = 1024 * 1024;
/// Bytes that a reply takes beside its content.
const REPLY_BYTES: usize = 24;

/// The first byte of the keys below, which no key of the application has.
const OWN: u8 = 0xff;
/// Then the node: its incarnation in force.
const PROPOSER: u8 = b'p';
/// Then the node and the number: an applied proposal.
const REMEMBERED: u8 = b'r';

/// What to do with a proposal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Apply it, then [`Proposals::remember`] it.
    Apply,
    /// Answer with this, and apply nothing.
    Answer(ProposalReply),
}

/// Where and when a proposal was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AppliedAt {
    pub(super) index: u64,
    pub(super) time_ms: u64,
}

/// Takes a key with its value, or with `None` for a key that goes.
type Put<'p> = &'p mut dyn FnMut(&[u8], Option<&[u8]>) -> Result<(), StoreError>;

/// The proposals of all nodes that may be repeated.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Proposals {
    nodes: BTreeMap<NodeId, Remembered>,
    /// The nodes that differ from what the store has.
    changed: BTreeSet<NodeId>,
    /// Proposals that the store has and that are remembered no more.
    gone: BTreeSet<(NodeId, u64)>,
}

/// The proposals of one incarnation of a node.
#[derive(Debug, PartialEq, Eq)]
struct Remembered {
    incarnation: IncarnationV1,
    /// The highest number that was applied.
    highest: u64,
    /// The numbers up to `highest` whose node has no answer yet, as far as it has said: each is applied, or
    /// waits.
    open: BTreeMap<u64, Option<Record>>,
    /// Bytes of the replies.
    bytes: usize,
}

/// An applied proposal.
#[derive(Debug, PartialEq, Eq)]
struct Record {
    at: AppliedAt,
    /// `None` if they took too much room.
    replies: Option<Vec<Vec<u8>>>,
    in_store: InStore,
}

/// Whether the store has a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InStore {
    No,
    /// An older form of it.
    Older,
    Yes,
}

impl Proposals {
    /// Decides about a proposal of a member.
    pub(super) fn admit(&mut self, node: NodeId, proposal: &ProposalV1) -> Due {
        let ProposalV1 { incarnation, number, open } = proposal;
        if open.len() >= MOST_OPEN {
            return Due::Answer(ProposalReply::Refused);
        }
        let known = self.nodes.entry(node).or_insert_with(|| Remembered::new(*incarnation));
        if known.incarnation != *incarnation {
            let ordinal = known.incarnation.ordinal;
            if ordinal >= incarnation.ordinal {
                return Due::Answer(ProposalReply::Superseded { ordinal });
            }
            let before = std::mem::replace(known, Remembered::new(*incarnation));
            self.gone.extend(before.stored().map(|number| (node, number)));
        }
        self.changed.insert(node);
        self.gone.extend(known.learn(*number, open).into_iter().map(|number| (node, number)));
        match known.open.get(number) {
            Some(None) => Due::Apply,
            Some(Some(record)) => Due::Answer(record.reply()),
            None => Due::Answer(ProposalReply::Forgotten),
        }
    }

    /// Records what was replied to a proposal that was admitted.
    pub(super) fn remember(&mut self, node: NodeId, number: u64, at: AppliedAt, replies: &[Vec<u8>]) {
        if let Some(known) = self.nodes.get_mut(&node) {
            known.put(number, Record { at, replies: Some(replies.to_vec()), in_store: InStore::No });
            known.make_room();
        }
    }

    /// Forgets the nodes that are no members.
    pub(super) fn retain(&mut self, is_member: impl Fn(NodeId) -> bool) {
        let gone: Vec<NodeId> = self.nodes.keys().copied().filter(|node| !is_member(*node)).collect();
        for node in gone {
            if let Some(known) = self.nodes.remove(&node) {
                self.gone.extend(known.stored().map(|number| (node, number)));
                self.changed.insert(node);
            }
        }
    }

    /// Hands every key that has changed since the last call to `put`, with its value or `None`.
    pub(super) fn write(&mut self, put: Put<'_>) -> Result<(), StoreError> {
        for (node, number) in std::mem::take(&mut self.gone) {
            put(&remembered_key(node, number), None)?;
        }
        for node in std::mem::take(&mut self.changed) {
            let Some(known) = self.nodes.get_mut(&node) else {
                put(&proposer_key(node), None)?;
                continue;
            };
            for (number, record) in &mut known.open {
                if let Some(record) = record.as_mut().filter(|record| record.in_store != InStore::Yes) {
                    put(&remembered_key(node, *number), Some(record.encode()?.as_slice()))?;
                    record.in_store = InStore::Yes;
                }
            }
            put(&proposer_key(node), Some(known.encode()?.as_slice()))?;
        }
        Ok(())
    }

    /// Reads what the store remembers.
    pub(super) fn load(view: &View) -> Result<Self, StoreError> {
        let mut all = Self::default();
        for kind in [PROPOSER, REMEMBERED] {
            let (from, to) = ([OWN, kind], [OWN, kind + 1]);
            let mut result = Ok(());
            view.scan(&from[..]..&to[..], &mut |key, value| {
                result = all.read(key, value);
                result.is_ok()
            })?;
            result?;
        }
        Ok(all)
    }

    /// Takes up a pair of the store. What names a node comes before that node's proposals.
    fn read(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let odd = || StoreError::corrupt("a proposal is remembered under a key of another form");
        let (_, numbers) = key.split_at_checked(2).ok_or_else(odd)?;
        let (node, number) = numbers.split_first_chunk::<8>().ok_or_else(odd)?;
        let node = u64::from_be_bytes(*node);
        if number.is_empty() {
            self.nodes.insert(node, Remembered::decode(value)?);
            return Ok(());
        }
        let number = u64::from_be_bytes(number.try_into().map_err(|_| odd())?);
        self.nodes.get_mut(&node).ok_or_else(odd)?.put(number, Record::decode(value)?);
        Ok(())
    }
}

/// The ordinal of the incarnation of a node that is in force in a view; 0 if there is none.
pub(crate) fn ordinal_of(view: &View, node: NodeId) -> Result<u64, StoreError> {
    match view.get(&proposer_key(node))? {
        Some(value) => Ok(Remembered::decode(&value)?.incarnation.ordinal),
        None => Ok(0),
    }
}

fn proposer_key(node: NodeId) -> Vec<u8> {
    [&[OWN, PROPOSER][..], &node.to_be_bytes()].concat()
}

fn remembered_key(node: NodeId, number: u64) -> Vec<u8> {
    [&[OWN, REMEMBERED][..], &node.to_be_bytes(), &number.to_be_bytes()].concat()
}

fn unencodable(error: impl ToString) -> StoreError {
    StoreError::Io(error.to_string())
}

impl Remembered {
    fn new(incarnation: IncarnationV1) -> Self {
        Self { incarnation, highest: 0, open: BTreeMap::new(), bytes: 0 }
    }

    /// Learns from a proposal which numbers have their answers, and which are new. Returns those that the
    /// store has and that are over.
    fn learn(&mut self, number: u64, open: &[u64]) -> Vec<u64> {
        let open: BTreeSet<u64> = open.iter().copied().filter(|other| *other < number).collect();
        let below = self.open.range(..number).map(|(other, _)| *other);
        let over: Vec<u64> = below.filter(|other| !open.contains(other)).collect();
        let mut stored = Vec::new();
        for other in over {
            let Some(Some(record)) = self.open.remove(&other) else { continue };
            self.bytes -= record.bytes();
            stored.extend(record.is_stored().then_some(other));
        }
        if number > self.highest {
            let above = (Bound::Excluded(self.highest), Bound::Unbounded);
            self.open.extend(open.range(above).map(|other| (*other, None)));
            self.open.insert(number, None);
            self.highest = number;
        }
        stored
    }

    fn put(&mut self, number: u64, record: Record) {
        self.bytes += record.bytes();
        self.open.insert(number, Some(record));
    }

    /// Forgets replies, the oldest first, until the rest is within the limit.
    fn make_room(&mut self) {
        for record in self.open.values_mut().flatten() {
            if self.bytes <= MOST_BYTES {
                return;
            }
            self.bytes -= record.bytes();
            if record.replies.take().is_some() && record.in_store == InStore::Yes {
                record.in_store = InStore::Older;
            }
        }
    }

    /// The numbers that the store has.
    fn stored(&self) -> impl Iterator<Item = u64> {
        self.open.iter().filter_map(|(number, record)| record.as_ref()?.is_stored().then_some(*number))
    }

    fn encode(&self) -> Result<Vec<u8>, StoreError> {
        let waiting = self.open.iter().filter(|(_, record)| record.is_none()).map(|(number, _)| *number);
        let known =
            ProposerV1 { incarnation: self.incarnation, highest: self.highest, waiting: waiting.collect() };
        encode(&known).map_err(unencodable)
    }

    fn decode(value: &[u8]) -> Result<Self, StoreError> {
        let ProposerV1 { incarnation, highest, waiting } = decode(value).map_err(StoreError::corrupt)?;
        let open = waiting.into_iter().map(|number| (number, None)).collect();
        Ok(Self { incarnation, highest, open, bytes: 0 })
    }
}

impl Record {
    /// Bytes of its replies.
    fn bytes(&self) -> usize {
        self.replies.iter().flatten().map(|reply| reply.len() + REPLY_BYTES).sum()
    }

    /// Whether the store has it, in whatever form.
    fn is_stored(&self) -> bool {
        self.in_store != InStore::No
    }

    fn reply(&self) -> ProposalReply {
        let AppliedAt { index, time_ms } = self.at;
        match self.replies.clone() {
            Some(replies) => ProposalReply::Applied { index, time_ms, replies },
            None => ProposalReply::Forgotten,
        }
    }

    fn encode(&self) -> Result<Vec<u8>, StoreError> {
        let AppliedAt { index, time_ms } = self.at;
        let replies = self.replies.as_ref();
        let replies = replies.map(|all| all.iter().map(|reply| serde_bytes::Bytes::new(reply)).collect());
        encode(&RememberedV1 { index, time_ms, replies }).map_err(unencodable)
    }

    fn decode(value: &[u8]) -> Result<Self, StoreError> {
        let RememberedV1 { index, time_ms, replies } = decode_borrowed(value).map_err(StoreError::corrupt)?;
        let replies = replies.map(|all| all.into_iter().map(|reply| reply.to_vec()).collect());
        Ok(Self { at: AppliedAt { index, time_ms }, replies, in_store: InStore::Yes })
    }
}

#[cfg(test)]
mod tests;
