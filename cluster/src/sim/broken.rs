//! Defects that can be switched on in a simulated cluster: what the judge must find.

use super::World;

/// One defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// An append is answered before it is on disk.
    AnswerBeforeFsync,
    /// A vote is answered before it is on disk.
    VoteWithoutFsync,
    /// A restarted leader goes on in its old term, though its tail may be lost.
    RestoredLeader,
    /// A leader answers reads without asking whether it still leads.
    StaleRead,
    /// An append without an answer counts as replicated: entries are applied that are not committed.
    ApplyBeforeCommit,
    /// A proposal whose answer was lost is proposed again.
    RepeatUnknown,
    /// The rename that puts a received snapshot in place is not made durable.
    RenameWithoutSync,
    /// What is applied again after a crash counts as durable though it is not, and the log lets go of it.
    RestartWithoutCheckpoint,
    /// A checkpoint is reported without having been made durable.
    CheckpointWithoutSync,
    /// Node ids are given out without being counted.
    IdGivenTwice,
    /// The store is made durable without regard to whether the log has, on disk, what was applied.
    CheckpointBeforeLog,
    /// Entries are stamped with the leader's wall clock, and things expire by it.
    OwnClock,
    /// A leader that does not know the time believes its own clock, and that the time since has passed.
    RestartTrustsClock,
}

impl Broken {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::AnswerBeforeFsync,
        Self::VoteWithoutFsync,
        Self::RestoredLeader,
        Self::StaleRead,
        Self::ApplyBeforeCommit,
        Self::RepeatUnknown,
        Self::RenameWithoutSync,
        Self::RestartWithoutCheckpoint,
        Self::CheckpointWithoutSync,
        Self::IdGivenTwice,
        Self::CheckpointBeforeLog,
        Self::OwnClock,
        Self::RestartTrustsClock,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::AnswerBeforeFsync => "answer-before-fsync",
            Self::VoteWithoutFsync => "vote-without-fsync",
            Self::RestoredLeader => "restored-leader",
            Self::StaleRead => "stale-read",
            Self::ApplyBeforeCommit => "apply-before-commit",
            Self::RepeatUnknown => "repeat-unknown",
            Self::RenameWithoutSync => "rename-without-sync",
            Self::RestartWithoutCheckpoint => "restart-without-checkpoint",
            Self::CheckpointWithoutSync => "checkpoint-without-sync",
            Self::IdGivenTwice => "id-given-twice",
            Self::CheckpointBeforeLog => "checkpoint-before-log",
            Self::OwnClock => "own-clock",
            Self::RestartTrustsClock => "restart-trusts-clock",
        }
    }

    /// The world that the caller lives in has this defect.
    pub(crate) fn is_on(self) -> bool {
        World::try_with(|world| world.broken == Some(self)).unwrap_or(false)
    }
}
