//! The failpoints of the cluster and of the replicated state that a simulation can switch on.

/// Each failpoint's name, and what is wrong when it is on.
pub(crate) const FAILPOINTS: [(&str, &str); 22] = [
    ("answer-before-fsync", "an append is answered before it is on disk"),
    ("vote-without-fsync", "a vote is answered before it is on disk"),
    (
        "restored-leader",
        "a restarted leader continues in its old term, although the end of its log may be lost",
    ),
    ("stale-read", "a leader answers reads without asking whether it still leads"),
    (
        "apply-before-commit",
        "an append without an answer counts as replicated: uncommitted entries are applied",
    ),
    ("landed-twice", "a proposal that is sent again is applied again, although it was applied before"),
    ("rename-without-sync", "the rename that puts a received snapshot in place is not made durable"),
    (
        "restart-without-checkpoint",
        "an entry that is applied again after a crash counts as durable too early, and the log releases it",
    ),
    ("checkpoint-without-sync", "a checkpoint is reported before it is durable"),
    ("id-given-twice", "node ids are assigned without being counted"),
    ("checkpoint-before-log", "the store is made durable before the log has the applied entries on disk"),
    (
        "voted-with-a-hole",
        "a node whose log lost its end votes before it has found out what it had acknowledged",
    ),
    ("dropped-committed", "a node drops damaged entries of its log without asking whether others have them"),
    ("own-clock", "entries are stamped with the leader's wall clock, and things expire by it"),
    (
        "restart-trusts-clock",
        "a leader without a known time trusts its own clock for the time since the last stamp",
    ),
    ("ghost-kept", "a node that is gone keeps its presence members"),
    ("vacated-twice", "that a channel is vacated is told twice"),
    ("grace-ignored", "a presence member leaves at once, whatever its grace period"),
    ("start-without-sync", "a node that starts relies on what it read, which may not be on disk"),
    ("no-directory-sync", "directories are not synced: new files may vanish, and renames may be undone"),
    (
        "answers-before-the-group-is-applied",
        "readers do not see the newest group of entries, whose proposers were answered",
    ),
    ("mark-before-sync", "the log marks as synced what is only written: a power cut looks like damage"),
];

/// The name as a static string, if there is such a failpoint.
pub(crate) fn named(name: &str) -> Result<&'static str, String> {
    let known = FAILPOINTS.map(|(known, _)| known);
    known.into_iter().find(|known| *known == name).ok_or_else(|| format!("one of: {}", known.join(", ")))
}
