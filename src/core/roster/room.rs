//! Whether a subject may get room for another member.

use super::{Item, Roster};
use crate::core::ids::MapId;
use crate::core::lease::{Member, PresenceChange};
use crate::core::subject::Subject;

impl<W> Roster<W> {
    /// Returns whether a member of the subject may be about to leave, so that the cluster has not made room yet:
    /// one of this node's, or one that only an earlier incarnation of the node had.
    pub fn may_leave(&self, map: MapId, subject: &Subject) -> bool {
        let has_left = |member: &Member| {
            member.subject == *subject && self.members.get(member).is_some_and(|held| held.memberships == 0)
        };
        let is_queued = self.queues.get(&map).is_some_and(|queue| {
            queue.iter().any(|item| matches!(item, Item::Member(member) if has_left(member)))
        });
        let states = self.statement.is_owed() || self.under_way.as_ref().is_some_and(|batch| batch.whole);
        let mut told = self.under_way.iter().flat_map(|batch| &batch.changes);
        states
            || is_queued
            || told.any(|change| {
                matches!(change, PresenceChange::Leave { member, .. }
                    if member.map == map && member.subject == *subject)
            })
    }
}
