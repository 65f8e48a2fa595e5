//! Leases: what a node holds while it lives. A lease belongs to an incarnation of the node and ends with it.

use super::ids::{MapId, NodeId, SocketId, TokenId};
use super::subject::Subject;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::Arc;

/// The random number of one incarnation: one run of a node's process, from its first statement of what it
/// holds until it ends, stops delivering, or is declared gone. A node that returns does so under another
/// number. 0 means none.
pub type Incarnation = u64;

/// The longest name of a presence member (bytes).
pub const MAX_MEMBER_LEN: usize = 128;

/// The longest info of a presence member (bytes of JSON).
pub const MAX_INFO_LEN: usize = 1024;

/// Changes of one incarnation's connections and candidacy, applied together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseBatch {
    /// The node.
    pub node: NodeId,
    /// Its incarnation. An unknown incarnation must begin with a batch that is [`LeaseBatch::whole`].
    pub incarnation: Incarnation,
    /// Counts the incarnation's batches, from 1. A batch whose number is not higher than the last one is not
    /// applied: it is a repetition, or a later batch overtook it.
    pub number: u64,
    /// Whether to release first all connections that the node held before: the changes then state all that it
    /// holds. The node's candidacy stays, so that a node that restarts quickly keeps its webhooks. The presence
    /// of an earlier incarnation stays until the new one has stated its own ([`PresenceBatch::whole`]).
    pub whole: bool,
    /// The changes, in order.
    pub changes: Vec<LeaseChange>,
}

/// A change of a node's connections or candidacy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaseChange {
    /// Add connections of a map, as far as the map's limit permits.
    Take(Connections),
    /// Add connections that exist already. They are counted even beyond the limit.
    Hold(Connections),
    /// Remove connections of a map.
    Give(Connections),
    /// Make the node a candidate for owning webhooks and consumers.
    Deliver,
    /// End the node's candidacy.
    Rest,
}

/// Connections of a map that one token opened. Connections of maps without a limit are accepted without being
/// counted; when such a map gets a limit, the nodes state their connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// The map.
    pub map: MapId,
    /// The token; `None` is the admin.
    pub token: Option<TokenId>,
    /// The number of connections.
    pub count: u32,
}

/// Changes of who is there through one incarnation of a node, applied together.
///
/// The batches of an incarnation have numbers of their own. A node repeats a batch whose outcome is unknown as
/// it was, so each is applied once, and nothing needs to be stated a second time in the same incarnation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceBatch {
    /// The node.
    pub node: NodeId,
    /// Its incarnation, which a [`LeaseBatch`] has begun.
    pub incarnation: Incarnation,
    /// Counts the incarnation's presence batches, from 1. A batch whose number is not higher than the last one
    /// is not applied.
    pub number: u64,
    /// Whether the incarnation has now stated all that the node held when it began. What the cluster still
    /// shows of the node's earlier incarnations ends then.
    pub whole: bool,
    /// The changes, in order.
    pub changes: Vec<PresenceChange>,
}

/// A change of who is there through a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PresenceChange {
    /// The node has connections of the member from now on.
    Join(Join),
    /// The node has no connection of the member any more.
    Leave {
        /// The member.
        member: Member,
        /// For how long the member stays if no other node has it (milliseconds of the expiry clock).
        grace_ms: u32,
    },
    /// The node has this many subscriptions of the subject.
    Occupy {
        /// The map.
        map: MapId,
        /// The subject.
        subject: Subject,
        /// The number of subscriptions.
        count: u32,
    },
}

/// The parameters of [`PresenceChange::Join`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// The member.
    pub member: Member,
    /// What is known of the member: JSON, or nothing. A member that is there already keeps its own.
    pub info: Bytes,
    /// The socket by which the member joins.
    pub socket: Option<SocketId>,
    /// For how long the member stays after the incarnation ends (milliseconds of the expiry clock).
    pub grace_ms: u32,
    /// Whether the member was there in an earlier incarnation. Then it is accepted beyond the subject's limit.
    pub is_held: bool,
}

/// A presence member of a subject, whichever nodes have it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Member {
    /// The map.
    pub map: MapId,
    /// The subject.
    pub subject: Subject,
    /// The member's name: 1 to [`MAX_MEMBER_LEN`] bytes.
    pub name: Box<str>,
}

/// A member that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Present {
    /// The member's name.
    pub name: Box<str>,
    /// What is known of the member: JSON, or nothing.
    #[serde(with = "serde_bytes")]
    pub info: Box<[u8]>,
    /// The socket by which the member joined.
    pub socket: Option<SocketId>,
}

/// A member that is there, ordered by name.
#[derive(Clone, Debug)]
pub struct ByName(pub Arc<Present>);

impl Borrow<str> for ByName {
    fn borrow(&self) -> &str {
        &self.0.name
    }
}

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for ByName {}

impl PartialOrd for ByName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.name.cmp(&other.0.name)
    }
}
