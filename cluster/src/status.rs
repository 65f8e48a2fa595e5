//! The types that describe what a node knows about the cluster.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::NodeId;
use crate::catchup::CatchUp;
use crate::time::ClockState;
use crate::types::{NAME, called};
use crate::words::counted;

/// The role of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Leads: decides the order of the log.
    Leader,
    /// Votes and follows a leader.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Replicates without a vote.
    #[default]
    Learner,
    /// The consensus engine has stopped.
    Stopped,
}

/// What admits a newcomer to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerSecurity {
    /// Nothing is needed: loopback only.
    #[default]
    None,
    /// The shared key.
    Key,
    /// A certificate of the cluster's authority. Every connection of a member needs one too.
    Tls,
    /// Either, while a cluster changes from one to the other.
    KeyOrTls,
}

/// The cluster's time as a node knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ClockStatus {
    /// The time (ms since 1970).
    pub time_ms: u64,
    /// The clock by which things expire (ms).
    pub expiry_ms: u64,
    /// The highest time used in ids (ms since 1970). Ids keep counting from there until the cluster's time
    /// reaches it.
    pub id_ms: u64,
    /// What the leader knows about the voters' clocks.
    pub clocks: ClockState,
    /// The time (ms) that seems to have passed before this leader began. Expiry does not count it, since no
    /// majority can confirm it. Negative if the clocks show a time before the last stamp.
    pub held_ms: Option<i64>,
}

/// One member of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct MemberStatus {
    /// Its id, never used twice.
    pub id: NodeId,
    /// Whether it has a vote (otherwise it is a learner).
    pub voter: bool,
    /// Whether it shall have a vote, if it has none yet.
    pub wants_vote: bool,
    /// When an operator drained it (ms since 1970).
    pub drained_ms: Option<u64>,
    /// Where peers reach it (`host:port`).
    pub peer_addr: String,
    /// The identity that it joined with: the first 16 hexadecimal digits of its public key.
    pub identity: Option<String>,
    /// The further facts that it reported about itself.
    pub meta: BTreeMap<String, String>,
    /// Highest log index that it has durably. Known only on the leader.
    pub matched: Option<u64>,
    /// How it is brought up to date, if it needed a snapshot and has not caught up since. Known only on the
    /// leader.
    pub catch_up: Option<CatchUp>,
    /// Milliseconds since this node last heard from it, if known.
    pub heard_ms: Option<u64>,
    /// Whether this node heard from it lately (always true for this node itself).
    pub reachable: bool,
}

impl MemberStatus {
    /// The name that it reported about itself; `None` if it has none.
    pub fn name(&self) -> Option<&str> {
        self.meta.get(NAME).map(String::as_str)
    }

    /// The member for people: its id and its name, as in `3 (berlin-2)`.
    pub fn called(&self) -> String {
        called(self.id, self.name())
    }
}

/// Two processes claim the same id: a data directory was copied.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Claim {
    /// The id.
    pub id: NodeId,
    /// Where the process answers that the members take for the node (`host:port`).
    pub known: String,
    /// Where the other process answers (`host:port`).
    pub other: String,
}

/// What a node knows at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Status {
    /// Random id of the cluster (32 hexadecimal digits).
    pub cluster_id: String,
    /// This node.
    pub node_id: NodeId,
    /// The present leader, if any.
    pub leader: Option<NodeId>,
    /// The present term.
    pub term: u64,
    /// The role of this node.
    pub role: Role,
    /// Index of the last entry in this node's log (0 = none).
    pub last_log: u64,
    /// Index of the last entry known to be committed (0 = none).
    pub committed: u64,
    /// Index of the last applied entry (0 = none).
    pub applied: u64,
    /// Index up to which the store is durable (0 = none).
    pub snapshot: u64,
    /// Index up to which the log was purged (0 = nothing).
    pub purged: u64,
    /// Size of the log on disk (bytes).
    pub log_bytes: u64,
    /// On the leader: it heard from a majority lately. On a follower: it heard from the leader lately.
    pub has_quorum: bool,
    /// Whether the set of voters is being changed. Until the change is complete, decisions need a majority of
    /// the old voters and a majority of the new ones.
    pub changing: bool,
    /// The longest time (milliseconds) in this term without a message from the leader; 0 on the leader.
    pub silence_ms: u64,
    /// Size of the disk that holds the data directory (bytes; 0 = not known).
    pub disk_total: u64,
    /// Free bytes on it, including the reserve.
    pub disk_free: u64,
    /// Bytes in the store that hold nothing and will be used again. They are counted only while the disk is
    /// short of space.
    pub disk_reusable: u64,
    /// Bytes that should stay free at least.
    pub disk_reserve: u64,
    /// Whether less than that is free: then nothing that can be deferred should be proposed.
    pub disk_full: bool,
    /// Whether the disk was slow a moment ago: a write to the log was not on it long after a majority of the
    /// nodes had it. Such a node does not lead.
    pub disk_slow: bool,
    /// How long the slowest write to the log of the last minute or two took until it was on disk
    /// (milliseconds).
    pub sync_slowest_ms: u64,
    /// The age of the oldest write to the log that is not on disk yet (milliseconds); 0 if there is none.
    pub sync_age_ms: u64,
    /// Milliseconds since the store was last made durable.
    pub snapshot_age_ms: u64,
    /// Whether the cluster reported that this node is no longer a member.
    pub removed: bool,
    /// If the cluster excluded this node because another process has its id: where that process answers. Then
    /// `removed` is true too.
    pub original: Option<String>,
    /// The ids that two processes claim, as far as this node noticed.
    pub claims: Vec<Claim>,
    /// Why the node stopped permanently, if it did.
    pub failure: Option<String>,
    /// Milliseconds since a node of another cluster last contacted this node by its id and address, in the
    /// belief that it is a member there.
    pub foreign_ms: Option<u64>,
    /// What admits a newcomer to the cluster, as this node is set.
    pub peer_security: PeerSecurity,
    /// When this node's peer certificate expires (seconds since 1970), if it has one.
    pub peer_certificate_until: Option<u64>,
    /// The cluster's time as this node knows it, and what a leader knows about the voters' clocks.
    pub clock: ClockStatus,
    /// All members, by id.
    pub members: Vec<MemberStatus>,
}

impl Status {
    /// The member with that id.
    pub fn member(&self, id: NodeId) -> Option<&MemberStatus> {
        self.members.iter().find(|m| m.id == id)
    }

    /// A node for people: its id and, if it is a member with a name, its name, as in `3 (berlin-2)`.
    pub fn called(&self, id: NodeId) -> String {
        called(id, self.member(id).and_then(MemberStatus::name))
    }

    /// What is wrong with this node's certificate, from 30 days before it expires; `now` in seconds since
    /// 1970.
    pub fn certificate_problem(&self, now: u64) -> Option<String> {
        let left = certificate_days_left(self.peer_certificate_until?, now)?;
        let node = self.called(self.node_id);
        Some(match left {
            Some(days) => {
                format!("the peer certificate of node {node} ends in {}", counted(days, "day", "days"))
            }
            None => format!("the peer certificate of node {node} has ended: peers refuse it"),
        })
    }

    /// Whether this node is alone in a young cluster while another cluster looks for one of its members here.
    /// Most likely this node was meant to rejoin that cluster, and began a cluster of its own because its data
    /// directory was empty.
    pub fn is_astray(&self) -> bool {
        // Once the log was purged there is data to lose. A mistake of another cluster must not stop such a
        // node.
        self.members.len() == 1 && self.purged == 0 && self.foreign_ms.is_some_and(|ms| ms < LOOKED_FOR)
    }

    /// Whether this node leads.
    pub fn is_leader(&self) -> bool {
        self.role == Role::Leader
    }
}

/// How long a contact from another cluster counts (milliseconds).
const LOOKED_FOR: u64 = 30_000;

/// How long before its end a certificate is reported (seconds).
const CERTIFICATE_WARNING: u64 = 30 * 86_400;

/// The days until a certificate expires; both arguments in seconds since 1970. `None`: long enough.
/// `Some(None)`: it has expired. `Some(Some(days))`: the days that are left.
pub fn certificate_days_left(until: u64, now: u64) -> Option<Option<u64>> {
    match until.checked_sub(now) {
        Some(left) if left > CERTIFICATE_WARNING => None,
        left => Some(left.map(|left| left / 86_400)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lone_node_of_a_young_cluster_is_astray() {
        let member = |id| MemberStatus { id, ..MemberStatus::default() };
        let astray = Status { foreign_ms: Some(1), members: vec![member(1)], ..Status::default() };
        assert!(astray.is_astray());
        assert!(!Status { foreign_ms: None, ..astray.clone() }.is_astray());
        assert!(!Status { foreign_ms: Some(LOOKED_FOR), ..astray.clone() }.is_astray());
        assert!(!Status { purged: 1, ..astray.clone() }.is_astray());
        assert!(!Status { members: vec![member(1), member(2)], ..astray }.is_astray());
    }

    #[test]
    fn a_node_is_called_by_its_id_and_its_name() {
        let named = MemberStatus {
            id: 3,
            meta: BTreeMap::from([(NAME.to_owned(), "berlin-2".to_owned())]),
            ..MemberStatus::default()
        };
        let status = Status {
            members: vec![named, MemberStatus { id: 4, ..MemberStatus::default() }],
            ..Status::default()
        };
        assert_eq!([3, 4, 5].map(|id| status.called(id)), ["3 (berlin-2)", "4", "5"]);
    }

    #[test]
    fn a_certificate_is_reported_thirty_days_before_it_expires() {
        let status = |until| Status { peer_certificate_until: until, node_id: 2, ..Status::default() };
        let now = 1_700_000_000;
        assert_eq!(status(None).certificate_problem(now), None);
        assert_eq!(status(Some(now + 31 * 86_400)).certificate_problem(now), None);
        assert!(
            status(Some(now + 29 * 86_400))
                .certificate_problem(now)
                .is_some_and(|text| text.contains("29 days"))
        );
        assert!(
            status(Some(now + 86_400))
                .certificate_problem(now)
                .is_some_and(|text| text.ends_with("in 1 day"))
        );
        assert!(
            status(Some(now - 1)).certificate_problem(now).is_some_and(|text| text.contains("has ended"))
        );
    }
}
