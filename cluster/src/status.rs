//! The words of what a node knows about the cluster.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::NodeId;
use crate::time::ClockState;

/// What a node is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Orders the log.
    Leader,
    /// Votes and follows.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Replicates without a vote.
    #[default]
    Learner,
    /// The consensus engine has stopped.
    Stopped,
}

/// How a node and its peers know each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PeerSecurity {
    /// Not at all: loopback only.
    #[default]
    None,
    /// By a shared key; not encrypted.
    Key,
    /// By certificates; encrypted.
    Tls,
}

/// The cluster's time as a node knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ClockStatus {
    /// The time (ms since 1970).
    pub time_ms: u64,
    /// The clock that things expire by (ms).
    pub expiry_ms: u64,
    /// The time that ids have reached (ms since 1970); they run on from there until the time reaches it.
    pub id_ms: u64,
    /// What the leader thinks of the voters' clocks.
    pub clocks: ClockState,
    /// So much time (ms) seems to have passed before this leader began, which expiry does not count since
    /// nobody could say that it is true; negative where the clocks stand before the last stamp.
    pub held_ms: Option<i64>,
}

/// One member of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct MemberStatus {
    /// Its id, never used twice.
    pub id: NodeId,
    /// Has a vote (else it is a learner).
    pub voter: bool,
    /// It shall have a vote, if it has none yet.
    pub wants_vote: bool,
    /// Drained by hand, since then (ms since 1970).
    pub drained_ms: Option<u64>,
    /// Where peers reach it (`host:port`).
    pub peer_addr: String,
    /// What it told about itself.
    pub meta: BTreeMap<String, String>,
    /// Known on the leader only: highest log index that it has durably.
    pub matched: Option<u64>,
    /// Milliseconds since it was last heard from, where that is known.
    pub heard_ms: Option<u64>,
    /// It was heard from lately (this node itself always is).
    pub reachable: bool,
}

/// What a node knows at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Status {
    /// Random id of the cluster (32 hexadecimal digits).
    pub cluster_id: String,
    /// This node.
    pub node_id: NodeId,
    /// Who leads, if anyone.
    pub leader: Option<NodeId>,
    /// The present term.
    pub term: u64,
    /// What this node is.
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
    /// The leader heard from a majority lately, a follower from the leader.
    pub has_quorum: bool,
    /// The voters are being changed: until that is through, a majority of the old ones and one of the new are
    /// needed.
    pub changing: bool,
    /// The longest time (milliseconds) without a word of the leader in this term; 0 on the leader.
    pub silence_ms: u64,
    /// Size of the disk that the data directory lies on (bytes; 0 = not known).
    pub disk_total: u64,
    /// What is free there, with what is reserved (bytes).
    pub disk_free: u64,
    /// What should be free at least (bytes).
    pub disk_reserve: u64,
    /// Less is: nothing that can wait should be proposed.
    pub disk_full: bool,
    /// Milliseconds since the store was last made durable.
    pub snapshot_age_ms: u64,
    /// The cluster told this node that it is no member any more.
    pub removed: bool,
    /// Why the node stopped for good, if it did.
    pub failure: Option<String>,
    /// Milliseconds since a node of another cluster last took this one for a member of its own, by id and
    /// address.
    pub foreign_ms: Option<u64>,
    /// How this node and its peers know each other.
    pub peer_security: PeerSecurity,
    /// When this node's certificate for its peers ends (seconds since 1970), if it has one.
    pub peer_certificate_until: Option<u64>,
    /// The cluster's time as this node knows it, and what a leader thinks of the voters' clocks.
    pub clock: ClockStatus,
    /// All members, by id.
    pub members: Vec<MemberStatus>,
}

impl Status {
    /// The member with that id.
    pub fn member(&self, id: NodeId) -> Option<&MemberStatus> {
        self.members.iter().find(|m| m.id == id)
    }

    /// What is wrong with this node's certificate, from 30 days before its end; `now` in seconds since 1970.
    pub fn certificate_problem(&self, now: u64) -> Option<String> {
        let left = certificate_days_left(self.peer_certificate_until?, now)?;
        let node = self.node_id;
        Some(match left {
            Some(days) => format!("the peer certificate of node {node} ends in {days} days"),
            None => format!("the peer certificate of node {node} has ended: peers refuse it"),
        })
    }

    /// It is alone in a young cluster, and another cluster looks for it under its id: most likely it was
    /// meant to join that one again, and began one of its own because its data directory was empty.
    pub fn is_astray(&self) -> bool {
        // Where the log has been let go of there is something to lose: others' mistakes must not stop it.
        self.members.len() == 1 && self.purged == 0 && self.foreign_ms.is_some_and(|ms| ms < LOOKED_FOR)
    }

    /// This node leads.
    pub fn is_leader(&self) -> bool {
        self.role == Role::Leader
    }
}

/// A call from another cluster counts for so long (milliseconds).
const LOOKED_FOR: u64 = 30_000;

/// A certificate is called in question so long before its end (seconds).
const CERTIFICATE_WARNING: u64 = 30 * 86_400;

/// How long a certificate lasts that ends at `until`; both in seconds since 1970. `None`: long enough.
/// `Some(None)`: it has ended. Else the days that are left.
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
    fn only_who_is_alone_and_young_is_astray() {
        let member = |id| MemberStatus { id, ..MemberStatus::default() };
        let astray = Status { foreign_ms: Some(1), members: vec![member(1)], ..Status::default() };
        assert!(astray.is_astray());
        assert!(!Status { foreign_ms: None, ..astray.clone() }.is_astray());
        assert!(!Status { foreign_ms: Some(LOOKED_FOR), ..astray.clone() }.is_astray());
        assert!(!Status { purged: 1, ..astray.clone() }.is_astray());
        assert!(!Status { members: vec![member(1), member(2)], ..astray }.is_astray());
    }

    #[test]
    fn a_certificate_is_told_thirty_days_before_its_end() {
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
            status(Some(now - 1)).certificate_problem(now).is_some_and(|text| text.contains("has ended"))
        );
    }
}
