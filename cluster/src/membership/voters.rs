//! Decides from a status what may be done with the voters. Pure.

use crate::NodeId;
use crate::error::Refused;
use crate::status::{MemberStatus, Status};

/// A voter that is this many entries behind is not handed the lead.
const BEHIND: u64 = 10_000;

/// The member with that id.
pub(super) fn known(status: &Status, id: NodeId) -> Result<&MemberStatus, Refused> {
    status.member(id).ok_or(Refused::UnknownNode(id))
}

/// Whether that member could lead instead of this node.
pub(super) fn may_lead(status: &Status, member: &MemberStatus) -> Result<(), Refused> {
    let behind = status.last_log.saturating_sub(member.matched.unwrap_or(0));
    if !member.voter {
        Err(Refused::Learner(member.id))
    } else if member.id == status.node_id {
        Err(Refused::NoSuccessor)
    } else if !member.reachable {
        Err(Refused::Unreachable(member.id))
    } else if behind > BEHIND {
        Err(Refused::Behind { node: member.id, entries: behind })
    } else {
        Ok(())
    }
}

/// Refuses if no majority of the other voters can be reached.
pub(super) fn without(status: &Status, ids: &[NodeId]) -> Result<(), Refused> {
    let left: Vec<&MemberStatus> =
        status.members.iter().filter(|m| m.voter && !ids.contains(&m.id)).collect();
    if left.is_empty() {
        return Err(Refused::LastVoter(ids.first().copied().unwrap_or_default()));
    }
    let voters = left.len() as u64;
    let needed = left.len() as u64 / 2 + 1;
    let reachable = left.iter().filter(|m| m.reachable).count() as u64;
    if reachable < needed { Err(Refused::Majority { voters, reachable, needed }) } else { Ok(()) }
}

#[cfg(all(test, not(feature = "sim")))]
mod tests {
    use super::*;

    fn status(members: &[(NodeId, bool, bool)]) -> Status {
        let member = |(id, voter, reachable): &(NodeId, bool, bool)| MemberStatus {
            id: *id,
            voter: *voter,
            reachable: *reachable,
            ..MemberStatus::default()
        };
        Status { node_id: 1, members: members.iter().map(member).collect(), ..Status::default() }
    }

    #[test]
    fn a_majority_of_the_remaining_voters_must_be_reachable() {
        let three = status(&[(1, true, true), (2, true, true), (3, true, false)]);
        assert_eq!(without(&three, &[3]), Ok(()), "an unreachable voter may be removed");
        assert_eq!(without(&three, &[2]), Err(Refused::Majority { voters: 2, reachable: 1, needed: 2 }));
        assert_eq!(without(&status(&[(1, true, true), (2, false, true)]), &[1]), Err(Refused::LastVoter(1)));
        assert_eq!(without(&status(&[(1, true, true), (2, true, true)]), &[2]), Ok(()));
    }

    #[test]
    fn only_a_reachable_voter_may_lead() {
        let mut four = status(&[(1, true, true), (2, true, true), (3, true, false), (4, false, true)]);
        let may = |status: &Status, id| may_lead(status, known(status, id)?);
        assert_eq!(may(&four, 1), Err(Refused::NoSuccessor));
        assert_eq!(may(&four, 2), Ok(()));
        assert_eq!(may(&four, 3), Err(Refused::Unreachable(3)));
        assert_eq!(may(&four, 4), Err(Refused::Learner(4)));
        assert_eq!(may(&four, 5), Err(Refused::UnknownNode(5)));
        four.last_log = BEHIND + 1;
        assert_eq!(may(&four, 2), Err(Refused::Behind { node: 2, entries: BEHIND + 1 }));
    }
}
