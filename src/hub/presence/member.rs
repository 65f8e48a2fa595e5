//! What callers see of presence.

use super::rate::TooManyChannelJoins;
use crate::core::ids::NodeId;
use crate::core::lease::{MAX_INFO_LEN, MAX_MEMBER_LEN, Present};
use crate::core::subject::Subject;
use crate::core::text::counted;
use bytes::Bytes;
use bytestring::ByteString;
use std::collections::BTreeMap;

/// A user who is there on a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentMember {
    /// The user.
    pub user: ByteString,
    /// What is known of the user: JSON, or nothing.
    pub info: Bytes,
}

impl From<&Present> for PresentMember {
    fn from(present: &Present) -> Self {
        Self { user: (&*present.name).into(), info: Bytes::copy_from_slice(&present.info) }
    }
}

/// A change of a subject's members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PresenceNews {
    /// A user became a member.
    Joined(PresentMember),
    /// A user is no longer a member.
    Left(PresentMember),
}

/// Why a user can't become a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PresenceError {
    /// The subject has as many members as it may have.
    #[error(
        "the channel has {}, as many as it may have; the limit is `members_max` of the channel rule",
        counted(*.limit, "member", "members")
    )]
    Full {
        /// The limit.
        limit: u32,
    },
    /// The user's name is empty or too long.
    #[error("a member's user id has 1 to {MAX_MEMBER_LEN} bytes")]
    Name,
    /// The info is too long.
    #[error("a member's info has at most {MAX_INFO_LEN} bytes")]
    Info,
    /// The map's clients join too fast.
    #[error(transparent)]
    TooFast(#[from] TooManyChannelJoins),
    /// The map was deleted.
    #[error("there is no such map")]
    UnknownMap,
    /// It is unknown whether the user is a member: the cluster does not answer. The user leaves again.
    #[error("the cluster does not answer")]
    Unavailable,
}

/// How many there are on a subject, over the whole cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Subscriptions of all protocols.
    pub subscriptions: u64,
    /// Members.
    pub users: u64,
}

/// The answers of all nodes to a request for counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// The subjects, by name.
    pub counts: BTreeMap<Subject, Counts>,
    /// The nodes that did not answer within a second, sorted: their subscriptions are missing. A node that is
    /// gone has none.
    pub silent: Vec<NodeId>,
    /// Whether there are more subjects than were asked for.
    pub more: bool,
}
