//! Leases: what a node holds while it lives. They belong to an incarnation of the node and end with it.

use super::ids::{MapId, NodeId, TokenId};
use super::subject::Subject;
use serde::{Deserialize, Serialize};

/// Random number of one incarnation: a node's process from when it states what it holds until it ends, rests, or is
/// taken for gone. Who comes back does so under another number. 0 is none.
pub type Incarnation = u64;

/// Longest name of a member (bytes).
pub const MAX_MEMBER_LEN: usize = 128;

/// Changes of what one incarnation holds, applied together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseBatch {
    /// The node.
    pub node: NodeId,
    /// Its incarnation. One that is not known begins with a batch that is [`LeaseBatch::whole`].
    pub incarnation: Incarnation,
    /// Counts the incarnation's batches, from 1. One that is not higher than the last lands no more: it is a repetition,
    /// or was overtaken.
    pub number: u64,
    /// What the node held before is taken back first: the changes say all that it holds. Its candidacy stays, so that a
    /// node that restarts soon keeps its webhooks.
    pub whole: bool,
    /// In order.
    pub changes: Vec<LeaseChange>,
}

/// A change of what a node holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaseChange {
    /// So many more connections of a map, as far as its limit lets them in.
    Take(Connections),
    /// So many connections that are there already: counted whatever the limit says.
    Hold(Connections),
    /// So many connections less.
    Give(Connections),
    /// The node is a candidate for owning webhooks and consumers.
    Deliver,
    /// It is none any more.
    Rest,
    /// A member is there by one more connection.
    Join {
        /// Who, where, and by which connection.
        member: Member,
        /// When the incarnation ends the member stays for so long (milliseconds of the expiry clock).
        grace_ms: u32,
    },
    /// A member has that connection no more.
    Leave(Member),
}

/// Connections of a map that one token opened. Those of maps without a limit are let in and not counted: nodes state them
/// when their map gets one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// The map.
    pub map: MapId,
    /// The token; `None`: the admin's.
    pub token: Option<TokenId>,
    /// How many.
    pub count: u32,
}

/// A member of a subject, as one connection has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Member {
    /// The map.
    pub map: MapId,
    /// The subject.
    pub subject: Subject,
    /// Who: 1 to [`MAX_MEMBER_LEN`] bytes.
    pub name: Box<str>,
    /// Number of the connection on its node.
    pub connection: u64,
}
