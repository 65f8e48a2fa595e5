//! The types that openraft is instantiated with. Their layouts on disk and on the wire are in
//! [`crate::wire`].

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What the members know about each other; replicated with the membership.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Member {
    /// `host:port` of its peer listener.
    pub(crate) peer_addr: String,
    /// It asked to stay without a vote.
    pub(crate) learner_only: bool,
    /// What it told about itself.
    pub(crate) meta: BTreeMap<String, String>,
    /// What was decided about it by hand.
    pub(crate) wishes: Wishes,
}

/// What was decided about a member by hand. It stays whatever the member says of itself, and through its
/// restarts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Wishes {
    /// It shall vote, or shall not; `None`: as it asked itself.
    pub(crate) voter: Option<bool>,
    /// It serves no clients, since then (ms since 1970).
    pub(crate) drained_ms: Option<u64>,
}

impl Member {
    /// It shall have a vote once it has caught up.
    pub(crate) fn wants_vote(&self) -> bool {
        self.wishes.voter.unwrap_or(!self.learner_only)
    }
}

/// Data of a log entry: an encoded [`crate::wire::EntryData`], kept as bytes so that it is encoded once and
/// copied by reference from proposer to log to peers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Data(pub(crate) Bytes);

impl std::fmt::Debug for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Data({} bytes)", self.0.len())
    }
}

impl std::fmt::Display for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// What applying an entry answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Applied {
    /// The entry's time after clamping (ms since 1970).
    pub(crate) time_ms: u64,
    /// One reply for each command.
    pub(crate) replies: Vec<Vec<u8>>,
    /// The id that an allocation gave out.
    pub(crate) new_id: Option<u64>,
}

impl std::fmt::Display for Applied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Applied({} replies)", self.replies.len())
    }
}

openraft::declare_raft_types!(
    /// The one instantiation of openraft.
    pub(crate) Types:
        D = Data,
        R = Applied,
        NodeId = u64,
        Node = Member,
        AsyncRuntime = crate::os::RaftRuntime,
);

pub(crate) type LeaderId = openraft::impls::leader_id_adv::LeaderId<u64, u64>;
pub(crate) type Vote = openraft::impls::Vote<LeaderId>;
pub(crate) type LogId = openraft::LogId<LeaderId>;
pub(crate) type Payload = openraft::EntryPayload<Data, u64, Member>;
pub(crate) type Entry = openraft::impls::Entry<LeaderId, Payload>;
pub(crate) type Membership = openraft::Membership<u64, Member>;
pub(crate) type StoredMembership = openraft::StoredMembership<LeaderId, u64, Member>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<LeaderId, u64, Member>;
