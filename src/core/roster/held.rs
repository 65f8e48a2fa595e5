//! What a node holds of one member and of one subject, and what the cluster knows of it.

use crate::core::ids::SocketId;
use crate::core::lease::{Member, PresenceChange};
use bytes::Bytes;
use std::time::Duration;

/// The bytes of a change beside its texts, at most.
const OF_CHANGE: usize = 64;

/// What the cluster knows of a member through this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing.
    Absent,
    /// A join is under way.
    Joining,
    /// The node has the member.
    Present,
    /// A leave is under way.
    Leaving,
}

/// A member that this node holds, or that the cluster still takes it to hold.
#[derive(Debug)]
pub(super) struct Held<W> {
    pub(super) memberships: u32,
    pub(super) info: Bytes,
    pub(super) socket: Option<SocketId>,
    /// The end of the longest grace period of the memberships that ended since the last one began, by the
    /// clock of [`Roster::leave`](super::Roster::leave).
    pub(super) grace_ends: Option<Duration>,
    /// For how long the member stays after the last membership ended.
    pub(super) leave_ms: u32,
    pub(super) known: Known,
    /// Whether the cluster knew the member in an earlier incarnation: its limit was checked then.
    pub(super) was_known: bool,
    pub(super) is_queued: bool,
    /// Who waits until the cluster knows the member.
    pub(super) waiting: Vec<W>,
}

/// The subscriptions of a subject on this node.
#[derive(Debug)]
pub(super) struct Subscriptions {
    pub(super) count: u32,
    /// How many the cluster knows of; `None` if that is unknown.
    pub(super) told: Option<u32>,
    pub(super) is_queued: bool,
}

impl<W> Held<W> {
    pub(super) fn new() -> Self {
        Self {
            memberships: 0,
            info: Bytes::new(),
            socket: None,
            grace_ends: None,
            leave_ms: 0,
            known: Known::Absent,
            was_known: false,
            is_queued: false,
            waiting: Vec::new(),
        }
    }
}

impl Subscriptions {
    pub(super) const NONE: Self = Self { count: 0, told: Some(0), is_queued: false };
}

/// About how many bytes the change has.
pub(super) fn size(change: &PresenceChange) -> usize {
    let of = |member: &Member| OF_CHANGE + member.subject.as_str().len() + member.name.len();
    match change {
        PresenceChange::Join(join) => of(&join.member) + join.info.len(),
        PresenceChange::Leave { member, .. } => of(member),
        PresenceChange::Occupy { subject, .. } => OF_CHANGE + subject.as_str().len(),
    }
}
