//! Layouts of the names of proposals, and of what the store remembers of them.

use serde::{Deserialize, Serialize};

/// One incarnation of a node, as the nodes that apply its proposals tell it from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct IncarnationV1 {
    /// Higher than that of each incarnation before it, as far as the node knows. The highest that was applied
    /// is in force.
    pub(crate) ordinal: u64,
    /// The random number of the process: two incarnations that took the same ordinal differ in it.
    pub(crate) process: u64,
}

/// The name of a proposal at the node that made it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct ProposalV1 {
    pub(crate) incarnation: IncarnationV1,
    /// From 1, in the order of the proposals.
    pub(crate) number: u64,
    /// The lower numbers that had no answer yet when this one was first sent.
    pub(crate) open: Vec<u64>,
}

/// A proposal in an entry. It borrows, as the entry does.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartV1<'a> {
    /// The node that made it.
    pub(crate) node: u64,
    pub(crate) proposal: ProposalV1,
    #[serde(borrow)]
    pub(crate) commands: Vec<&'a serde_bytes::Bytes>,
}

/// What the store remembers of one node's proposals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProposerV1 {
    /// The incarnation in force.
    pub(crate) incarnation: IncarnationV1,
    /// The highest number that was applied.
    pub(crate) highest: u64,
    /// The lower numbers that may still be applied.
    pub(crate) waiting: Vec<u64>,
}

/// An applied proposal that its node may still repeat.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RememberedV1<'a> {
    pub(crate) index: u64,
    pub(crate) time_ms: u64,
    /// `None` if they took too much room.
    #[serde(borrow)]
    pub(crate) replies: Option<Vec<&'a serde_bytes::Bytes>>,
}
