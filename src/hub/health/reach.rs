//! Whether this node is cut off: it has not reached a majority for long, and others may have one.
//!
//! Clients of a node that is cut off get nothing new and do not notice it, so they are sent to other nodes. If
//! the processes of the other nodes are known to be dead, or if the others have no majority either, no node
//! could serve the clients better, and they stay.

use super::Health;
use std::sync::atomic::Ordering;
use std::time::Duration;
use waypost_cluster::Status;

/// How often the node checks whether it reaches a majority. Only the time in which the process runs counts.
const TICK: Duration = Duration::from_millis(500);
/// Longest wait for another voter to answer, or for its host to refuse a connection.
const LOOK: Duration = Duration::from_secs(2);

/// What this node finds out about another voter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Voter {
    /// Its host refuses connections: its process is dead.
    Dead,
    /// It neither answers nor refuses.
    Silent,
    /// It answers, and has no majority either.
    Alone,
    /// It answers, and belongs to a majority.
    InMajority,
}

/// Whether nodes that this node does not hear from may have a majority of `voters`.
fn may_be_elsewhere(others: &[Voter], voters: usize) -> bool {
    let silent = others.iter().filter(|other| **other == Voter::Silent).count();
    others.contains(&Voter::InMajority) || silent > voters / 2
}

/// Whether the node with this status has lately heard from a majority, or from a leader that has.
fn reaches_majority(status: &Status) -> bool {
    status.leader.is_some() && status.has_quorum
}

impl Health {
    /// Whether this node is cut off and takes no new subscriptions.
    pub fn is_cut_off(&self) -> bool {
        self.counts.cut_off.load(Ordering::Relaxed)
    }

    /// Ends the sessions of this node's clients when it has not reached a majority for `after`, as long as
    /// the node runs. `None`: never.
    pub(in crate::hub) async fn watch_reach(self, after: Option<Duration>) {
        let Some(after) = after else { return };
        let mut without = Duration::ZERO;
        let mut has_told = false;
        loop {
            tokio::time::sleep(TICK).await;
            let status = self.status();
            without = if reaches_majority(&status) { Duration::ZERO } else { without.saturating_add(TICK) };
            let is_cut_off = without >= after && self.finds_others_better(&status).await;
            // A node that joins does not know the members yet.
            let stay = without >= after && !is_cut_off && !status.members.is_empty();
            if stay && !std::mem::replace(&mut has_told, true) {
                tracing::warn!("no majority, and no other node can have one: clients stay on this node");
            }
            has_told &= !without.is_zero();
            if self.counts.cut_off.swap(is_cut_off, Ordering::Relaxed) == is_cut_off {
                continue;
            }
            if is_cut_off {
                tracing::warn!(
                    seconds = without.as_secs(),
                    "cut off: no majority reached, and others may have one; clients are sent to other nodes"
                );
            } else if reaches_majority(&self.status()) {
                tracing::info!("in touch with the cluster again: this node serves clients");
            } else {
                tracing::info!(
                    "no majority reached, and no other node can have one now: this node serves clients"
                );
            }
            self.topics.announce_cut_off(is_cut_off);
        }
    }

    /// Whether other nodes may have a majority that this node does not reach.
    async fn finds_others_better(&self, status: &Status) -> bool {
        let voters: Vec<u64> = status.members.iter().filter(|m| m.voter).map(|m| m.id).collect();
        let others = voters.iter().filter(|id| **id != status.node_id);
        let found = futures_util::future::join_all(others.map(|id| self.look_at(*id))).await;
        // The node may have reached the majority meanwhile.
        may_be_elsewhere(&found, voters.len()) && !reaches_majority(&self.status())
    }

    async fn look_at(&self, voter: u64) -> Voter {
        let admin = self.cluster.admin();
        let (info, is_refused) = tokio::join!(self.node_info(voter, LOOK), admin.is_refused_by(voter, LOOK));
        match info {
            _ if is_refused => Voter::Dead,
            None => Voter::Silent,
            Some(info) if info.leader.is_some() && info.has_quorum => Voter::InMajority,
            Some(_) => Voter::Alone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Voter::{Alone, Dead, InMajority, Silent};

    #[test]
    fn clients_leave_only_where_others_may_have_a_majority() {
        assert!(may_be_elsewhere(&[Silent, Silent], 3));
        assert!(!may_be_elsewhere(&[Dead, Dead], 3), "no node could serve them better");
        assert!(!may_be_elsewhere(&[Dead, Silent], 3), "one voter of three is no majority");
        assert!(!may_be_elsewhere(&[Alone, Silent], 3));
        assert!(may_be_elsewhere(&[InMajority, Dead], 3), "it says so itself");
        assert!(may_be_elsewhere(&[Silent, Silent, Silent, Alone], 5));
        assert!(!may_be_elsewhere(&[Silent, Silent, Dead, Alone], 5));
        assert!(may_be_elsewhere(&[Silent, Silent, Silent], 3), "a learner is cut off from all voters");
        assert!(!may_be_elsewhere(&[Silent], 2), "one voter of two is no majority");
        assert!(!may_be_elsewhere(&[], 1));
    }
}
