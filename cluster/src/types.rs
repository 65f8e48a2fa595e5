//! The types that openraft is instantiated with. Their layouts on disk and on the wire are in
//! [`crate::wire`].

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::NodeId;
use crate::identity_key::PublicKey;

/// The fact of a member ([`crate::Config::meta`]) that is its name for people.
pub const NAME: &str = "name";

/// A node for people: its id and, if it has one, its name, as in `3 (berlin-2)`.
pub(crate) fn called(id: NodeId, name: Option<&str>) -> String {
    name.map_or_else(|| id.to_string(), |name| format!("{id} ({name})"))
}

/// What the members know about a member; replicated with the membership.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Member {
    /// `host:port` of its peer listener.
    pub(crate) peer_addr: String,
    /// The member asked to stay without a vote.
    pub(crate) learner_only: bool,
    /// The further facts that the member reported about itself.
    pub(crate) meta: BTreeMap<String, String>,
    /// What operators decided about the member.
    pub(crate) wishes: Wishes,
    /// The identity that the member joined with. It never changes.
    pub(crate) identity: Option<PublicKey>,
}

/// What operators decided about a member. It is kept across restarts of the member, whatever the member
/// reports about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Wishes {
    /// Whether the member shall vote; `None`: as the member itself asked.
    pub(crate) voter: Option<bool>,
    /// When the member was drained (ms since 1970). Since then it serves no clients.
    pub(crate) drained_ms: Option<u64>,
}

impl Member {
    /// The member, whose id that is, for log lines: its id and its name.
    pub(crate) fn called(&self, id: NodeId) -> String {
        called(id, self.meta.get(NAME).map(String::as_str))
    }

    /// Whether the member shall have a vote once it has caught up.
    pub(crate) fn wants_vote(&self) -> bool {
        self.wishes.voter.unwrap_or(!self.learner_only)
    }
}

/// Data of a log entry: an encoded [`crate::wire::EntryData`]. It is kept as bytes, so that it is encoded
/// once and then shared without copying by the proposer, the log and the connections to peers.
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

/// The answer to a proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ProposalReply {
    /// It is applied: by this entry, or by an earlier one, which `index` then names.
    Applied {
        index: u64,
        /// The time of that entry (ms since 1970).
        time_ms: u64,
        /// One reply for each command.
        replies: Vec<Vec<u8>>,
    },
    /// Nothing more is known: it was applied and its replies are forgotten, or its node has given it up.
    Forgotten,
    /// Not applied by this entry: another incarnation of its node, with this ordinal, is in force.
    Superseded { ordinal: u64 },
    /// Not applied by this entry: its node is not a member, or names too many proposals.
    Refused,
}

/// The result of applying an entry.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Applied {
    /// The answer to each proposal in the entry.
    pub(crate) proposals: Vec<ProposalReply>,
    /// The id that was allocated, if the entry allocated one.
    pub(crate) new_id: Option<u64>,
}

impl std::fmt::Display for Applied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Applied({} proposals)", self.proposals.len())
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
