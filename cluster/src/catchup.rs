//! The members that this node, as leader, brings up to date with a snapshot.
//!
//! While a snapshot is on its way, the log goes on. If the entries after the snapshot were purged before the
//! member has them, it would need another snapshot, and under load another one after that. So the log is kept
//! for a member from the moment its snapshot begins until it has caught up. What the disk can spare bounds
//! that (`purge`): beyond it the member is given up, and the status says so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::NodeId;

/// A member that gets no further for this long, with its snapshot in place, is given up.
const STANDSTILL: Duration = Duration::from_secs(60);
/// A member that lacks this many entries, or fewer, has caught up.
const CAUGHT_UP: u64 = 256;

/// How a member that needs a snapshot is brought up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// A snapshot is being sent to it.
    Snapshot,
    /// It has the snapshot, and gets the entries after it.
    Entries,
    /// The leader could not keep its log for it: the disk has no room for that, or the member got no further.
    GivenUp,
}

/// How far a member has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The snapshot is on its way.
    Sending,
    /// The snapshot is in place, and the entries after it follow.
    Following,
    /// The log is not kept for the member. It may need another snapshot.
    GivenUp,
}

/// A member that is brought up to date.
#[derive(Debug)]
struct Member {
    stage: Stage,
    /// The snapshot's number: a later one takes the place of an earlier one.
    snapshot: u64,
    /// The member has everything up to here, or will have it with its snapshot.
    has: u64,
    /// When it last got further.
    moved: Instant,
    /// Whether it was given up since it last had caught up.
    was_given_up: bool,
}

/// The members that are brought up to date. One for each node; empty unless it leads.
#[derive(Default)]
pub(crate) struct CatchUps {
    of: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Snapshots that were begun.
    snapshots: u64,
    members: BTreeMap<NodeId, Member>,
}

/// How far the members are, as the leader knows it.
pub(crate) struct Progress {
    /// The last entry of the log.
    pub(crate) last: u64,
    /// What each member is known to have durably.
    pub(crate) matched: BTreeMap<NodeId, u64>,
    /// Entries that the log keeps of those that are applied.
    pub(crate) keeps: u64,
}

impl CatchUps {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A snapshot of the state at `index` is about to be sent to `member`. If the result is dropped, the
    /// transfer has failed.
    pub(crate) fn begin(self: &Arc<Self>, member: NodeId, index: u64) -> Sending {
        let mut known = self.known();
        known.snapshots += 1;
        let snapshot = known.snapshots;
        let was_given_up = known.members.get(&member).is_some_and(|before| before.was_given_up);
        let begun =
            Member { stage: Stage::Sending, snapshot, has: index, moved: Instant::now(), was_given_up };
        known.members.insert(member, begun);
        Sending { of: self.clone(), member, snapshot }
    }

    /// The transfer of that snapshot has ended.
    fn ended(&self, member: NodeId, snapshot: u64, arrived: bool) {
        let mut known = self.known();
        let Some(sent) = known.members.get_mut(&member).filter(|sent| sent.snapshot == snapshot) else {
            return;
        };
        match sent.stage {
            Stage::Sending if arrived => {
                sent.stage = Stage::Following;
                sent.moved = Instant::now();
            }
            Stage::Sending if sent.was_given_up => sent.stage = Stage::GivenUp,
            Stage::Sending => drop(known.members.remove(&member)),
            Stage::Following | Stage::GivenUp => {}
        }
    }

    /// Takes note of how far the members are; `None` on a node that does not lead.
    pub(crate) fn note(&self, progress: Option<&Progress>) {
        self.note_at(progress, Instant::now());
    }

    fn note_at(&self, progress: Option<&Progress>, now: Instant) {
        self.known().members.retain(|id, member| {
            if member.stage == Stage::Sending {
                return true;
            }
            let Some((progress, matched)) = progress.and_then(|p| Some((p, *p.matched.get(id)?))) else {
                return false;
            };
            if matched > member.has {
                member.has = matched;
                member.moved = now;
            }
            if member.stage == Stage::Following && now.saturating_duration_since(member.moved) > STANDSTILL {
                member.stage = Stage::GivenUp;
                member.was_given_up = true;
                tracing::warn!(node = id, "a member gets no further after its snapshot");
            }
            progress.last.saturating_sub(matched) > CAUGHT_UP.min(progress.keeps / 2)
        });
    }

    /// Members need every entry after this one; `None` if there are no such members.
    pub(crate) fn kept_after(&self) -> Option<u64> {
        let known = self.known();
        known.members.values().filter(|member| member.stage != Stage::GivenUp).map(|member| member.has).min()
    }

    /// Gives up the members that need an entry up to `upto`, which is about to be purged.
    pub(crate) fn give_up(&self, upto: u64) {
        for (id, member) in &mut self.known().members {
            if member.has < upto && member.stage != Stage::GivenUp {
                member.stage = Stage::GivenUp;
                member.was_given_up = true;
                tracing::warn!(
                    node = id,
                    "the disk has no room to keep the log for a member that catches up"
                );
            }
        }
    }

    /// How the member is brought up to date, if it is.
    pub(crate) fn of(&self, member: NodeId) -> Option<CatchUp> {
        let known = self.known();
        let known = known.members.get(&member)?;
        Some(match known.stage {
            _ if known.was_given_up => CatchUp::GivenUp,
            Stage::Sending => CatchUp::Snapshot,
            Stage::Following | Stage::GivenUp => CatchUp::Entries,
        })
    }
}

/// A snapshot on its way to a member.
pub(crate) struct Sending {
    of: Arc<CatchUps>,
    member: NodeId,
    snapshot: u64,
}

impl Sending {
    /// The member has put the snapshot in place.
    pub(crate) fn arrived(self) {
        self.of.ended(self.member, self.snapshot, true);
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        // This changes nothing if the snapshot has arrived.
        self.of.ended(self.member, self.snapshot, false);
    }
}

#[cfg(all(test, not(feature = "sim")))]
mod tests {
    use super::*;

    const MEMBER: NodeId = 3;

    fn progress(last: u64, matched: u64) -> Progress {
        Progress { last, matched: BTreeMap::from([(MEMBER, matched)]), keeps: 1000 }
    }

    #[test]
    fn the_log_is_kept_from_the_beginning_of_a_snapshot_until_the_member_has_caught_up() {
        let all = Arc::new(CatchUps::default());
        assert_eq!((all.kept_after(), all.of(MEMBER)), (None, None));
        let sending = all.begin(MEMBER, 500);
        all.note(Some(&progress(2000, 10)));
        assert_eq!((all.kept_after(), all.of(MEMBER)), (Some(500), Some(CatchUp::Snapshot)));
        sending.arrived();
        // The leader does not know yet that the member has the snapshot.
        all.note(Some(&progress(2000, 10)));
        assert_eq!((all.kept_after(), all.of(MEMBER)), (Some(500), Some(CatchUp::Entries)));
        all.note(Some(&progress(3000, 2000)));
        assert_eq!(all.kept_after(), Some(2000));
        all.note(Some(&progress(3000, 2800)));
        assert_eq!((all.kept_after(), all.of(MEMBER)), (None, None));
    }

    #[test]
    fn a_transfer_that_fails_keeps_nothing_and_a_later_one_is_not_taken_for_it() {
        let all = Arc::new(CatchUps::default());
        drop(all.begin(MEMBER, 500));
        assert_eq!(all.kept_after(), None);
        let first = all.begin(MEMBER, 500);
        let second = all.begin(MEMBER, 700);
        drop(first);
        assert_eq!(all.kept_after(), Some(700));
        second.arrived();
        assert_eq!(all.of(MEMBER), Some(CatchUp::Entries));
        all.note(None);
        assert_eq!((all.kept_after(), all.of(MEMBER)), (None, None), "the node leads no longer");
    }

    #[test]
    fn a_member_that_was_given_up_is_named_until_it_has_caught_up() {
        let all = Arc::new(CatchUps::default());
        let sending = all.begin(MEMBER, 500);
        all.give_up(500);
        assert_eq!(all.of(MEMBER), Some(CatchUp::Snapshot), "nothing that it needs is purged");
        all.give_up(501);
        assert_eq!((all.kept_after(), all.of(MEMBER)), (None, Some(CatchUp::GivenUp)));
        sending.arrived();
        assert_eq!(all.kept_after(), None);
        let again = all.begin(MEMBER, 900);
        assert_eq!((all.kept_after(), all.of(MEMBER)), (Some(900), Some(CatchUp::GivenUp)));
        drop(again);
        assert_eq!((all.kept_after(), all.of(MEMBER)), (None, Some(CatchUp::GivenUp)));
        all.begin(MEMBER, 1000).arrived();
        all.note(Some(&progress(1100, 1050)));
        assert_eq!(all.of(MEMBER), None);
    }

    #[test]
    fn a_member_that_stands_still_is_given_up() {
        let all = Arc::new(CatchUps::default());
        all.begin(MEMBER, 500).arrived();
        let now = Instant::now();
        all.note_at(Some(&progress(2000, 500)), now + STANDSTILL / 2);
        assert_eq!(all.kept_after(), Some(500));
        all.note_at(Some(&progress(3000, 600)), now + STANDSTILL);
        all.note_at(Some(&progress(4000, 600)), now + STANDSTILL * 2);
        assert_eq!(all.kept_after(), Some(600), "it got further a minute ago");
        all.note_at(Some(&progress(5000, 600)), now + STANDSTILL * 3);
        assert_eq!((all.kept_after(), all.of(MEMBER)), (None, Some(CatchUp::GivenUp)));
    }
}
