//! Layouts of the crate's own data: membership, the store's own record, the identity file.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::WireError;
use super::ids::StoredLogId;
use crate::identity_key::PublicKey;
use crate::time::Stamp;
use crate::types::{Member, Membership, StoredMembership, Wishes};

/// What the members know about a member.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct MemberV1 {
    pub(crate) peer_addr: String,
    pub(crate) learner_only: bool,
    pub(crate) meta: Vec<(String, String)>,
    pub(crate) identity: Option<[u8; 32]>,
}

impl From<&Member> for MemberV1 {
    fn from(m: &Member) -> Self {
        Self {
            peer_addr: m.peer_addr.clone(),
            learner_only: m.learner_only,
            meta: m.meta.iter().map(|(k, v)| (k.clone(), v.clone())).chain(wishes_out(&m.wishes)).collect(),
            identity: m.identity.map(|identity| identity.0),
        }
    }
}

impl From<MemberV1> for Member {
    fn from(m: MemberV1) -> Self {
        let mut meta: BTreeMap<String, String> = m.meta.into_iter().collect();
        let wishes = wishes_in(&mut meta);
        let identity = m.identity.map(PublicKey);
        Self { peer_addr: m.peer_addr, learner_only: m.learner_only, meta, wishes, identity }
    }
}

// Wishes are kept in `meta` under names that no member uses for itself, so that the layout does not change.
const VOTER: &str = "waypost.voter";
const DRAINED: &str = "waypost.drained_ms";

fn wishes_out(wishes: &Wishes) -> impl Iterator<Item = (String, String)> {
    let voter = wishes.voter.map(|voter| (VOTER.to_owned(), voter.to_string()));
    let drained = wishes.drained_ms.map(|ms| (DRAINED.to_owned(), ms.to_string()));
    voter.into_iter().chain(drained)
}

fn wishes_in(meta: &mut BTreeMap<String, String>) -> Wishes {
    let voter = meta.remove(VOTER).and_then(|text| text.parse().ok());
    let drained_ms = meta.remove(DRAINED).and_then(|text| text.parse().ok());
    Wishes { voter, drained_ms }
}

/// The members: one set of voters (two during a change), and the particulars of each member.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct MembershipV1 {
    pub(crate) log_id: Option<StoredLogId>,
    pub(crate) voters: Vec<Vec<u64>>,
    pub(crate) nodes: Vec<(u64, MemberV1)>,
}

impl From<&Membership> for MembershipV1 {
    fn from(m: &Membership) -> Self {
        Self {
            log_id: None,
            voters: m.get_joint_config().iter().map(|set| set.iter().copied().collect()).collect(),
            nodes: m.nodes().map(|(id, node)| (*id, node.into())).collect(),
        }
    }
}

impl From<&StoredMembership> for MembershipV1 {
    fn from(m: &StoredMembership) -> Self {
        Self { log_id: m.log_id().as_ref().map(Into::into), ..Self::from(m.membership()) }
    }
}

impl MembershipV1 {
    /// Converts to openraft's type.
    pub(crate) fn into_membership(self) -> Result<Membership, WireError> {
        if self.voters.is_empty() && self.nodes.is_empty() {
            return Ok(Membership::default());
        }
        let voters = self.voters.into_iter().map(|set| set.into_iter().collect::<BTreeSet<_>>()).collect();
        let nodes: BTreeMap<u64, Member> = self.nodes.into_iter().map(|(id, m)| (id, m.into())).collect();
        Membership::new(voters, nodes).map_err(|e| WireError::Malformed(e.to_string()))
    }

    /// Converts to openraft's type with its position in the log.
    pub(crate) fn into_stored(self) -> Result<StoredMembership, WireError> {
        let log_id = self.log_id.map(Into::into);
        Ok(StoredMembership::new(log_id, self.into_membership()?))
    }
}

/// The leader's stamp of an entry: the layout of [`Stamp`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct StampV1 {
    /// The time (ms since 1970); may go back.
    pub(crate) time_ms: u64,
    /// The expiry clock (ms); never goes back.
    pub(crate) expiry_ms: u64,
    /// Whether a majority of at least two voters agreed with the time.
    pub(crate) checked: bool,
}

impl From<Stamp> for StampV1 {
    fn from(stamp: Stamp) -> Self {
        Self { time_ms: stamp.time_ms, expiry_ms: stamp.expiry_ms, checked: stamp.checked }
    }
}

impl From<StampV1> for Stamp {
    fn from(stamp: StampV1) -> Self {
        Self { time_ms: stamp.time_ms, expiry_ms: stamp.expiry_ms, checked: stamp.checked }
    }
}

/// The store's own record; it changes in the same transaction as the state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct SystemV1 {
    /// Last applied entry.
    pub(crate) applied: Option<StoredLogId>,
    /// The membership in force at `applied`.
    pub(crate) membership: MembershipV1,
    /// The stamp of the newest applied entry with commands. Its expiry clock is the highest of all.
    pub(crate) stamp: StampV1,
    /// The highest time of an applied entry (ms since 1970), which ids use.
    pub(crate) id_ms: u64,
    /// The highest node id that was allocated.
    pub(crate) last_node_id: u64,
    /// The nodes that got an id and have not joined yet.
    pub(crate) awaited: Vec<AwaitedV1>,
}

/// A node that got an id. Only this identity may join under it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AwaitedV1 {
    pub(crate) id: u64,
    pub(crate) identity: [u8; 32],
}

/// A node that another node knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownV1 {
    pub(crate) id: u64,
    /// Its last known address.
    pub(crate) addr: String,
    pub(crate) identity: [u8; 32],
}

/// A statement of a leader about a node that it admitted. See [`crate::introduction`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IntroductionV1 {
    pub(crate) position: u64,
    pub(crate) id: u64,
    pub(crate) identity: [u8; 32],
    /// The identity of the leader.
    pub(crate) by: [u8; 32],
    pub(crate) signature: ByteBuf,
}

/// The identity of this node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct IdentityV1 {
    pub(crate) cluster_id: [u8; 16],
    pub(crate) node_id: u64,
    /// Whether the node is (or was) a member: then its log must not be empty.
    pub(crate) joined: bool,
    /// The other members, as last known.
    pub(crate) peers: Vec<KnownV1>,
    /// The introductions that this node shows to nodes that do not know it yet.
    pub(crate) introductions: Vec<IntroductionV1>,
}

/// The cluster that a data directory belongs to, or belonged to before its files were set aside. It is kept
/// beside the identity, because the identity may be damaged.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct FormerV1 {
    pub(crate) cluster_id: [u8; 16],
    /// The addresses of the other members, as last known.
    pub(crate) addrs: Vec<String>,
}
