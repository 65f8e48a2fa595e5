//! Leases: what a node holds while it lives. A lease belongs to an incarnation of the node and ends with it.

use super::ids::{MapId, NodeId, TokenId};
use super::subject::Subject;
use serde::{Deserialize, Serialize};

/// The random number of one incarnation: one run of a node's process, from its first statement of what it
/// holds until it ends, stops delivering, or is declared gone. A node that returns does so under another
/// number. 0 means none.
pub type Incarnation = u64;

/// The longest name of a presence member (bytes).
pub const MAX_MEMBER_LEN: usize = 128;

/// Changes of one incarnation's leases, applied together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseBatch {
    /// The node.
    pub node: NodeId,
    /// Its incarnation. An unknown incarnation must begin with a batch that is [`LeaseBatch::whole`].
    pub incarnation: Incarnation,
    /// Counts the incarnation's batches, from 1. A batch whose number is not higher than the last one is not
    /// applied: it is a repetition, or a later batch overtook it.
    pub number: u64,
    /// Whether to release first everything that the node held before: the changes then state all that it
    /// holds. The node's candidacy stays, so that a node that restarts quickly keeps its webhooks.
    pub whole: bool,
    /// The changes, in order.
    pub changes: Vec<LeaseChange>,
}

/// A change of a node's leases.
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
    /// Add a connection of a presence member.
    Join {
        /// The member, its subject, and the connection.
        member: Member,
        /// For how long the member stays after the incarnation ends (milliseconds of the expiry clock).
        grace_ms: u32,
    },
    /// Remove a connection of a presence member.
    Leave(Member),
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

/// A presence member of a subject, by one of its connections.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Member {
    /// The map.
    pub map: MapId,
    /// The subject.
    pub subject: Subject,
    /// The member's name: 1 to [`MAX_MEMBER_LEN`] bytes.
    pub name: Box<str>,
    /// The number of the connection on its node.
    pub connection: u64,
}
