//! The failpoints of the cluster that a simulation can have switched on.

/// Each by its name, with what is wrong then.
pub(crate) const FAILPOINTS: [(&str, &str); 13] = [
    ("answer-before-fsync", "an append is answered before it is on disk"),
    ("vote-without-fsync", "a vote is answered before it is on disk"),
    ("restored-leader", "a restarted leader goes on in its old term, though its tail may be lost"),
    ("stale-read", "a leader answers reads without asking whether it still leads"),
    (
        "apply-before-commit",
        "an append without an answer counts as replicated: entries are applied that are not committed",
    ),
    ("repeat-unknown", "a proposal whose answer was lost is proposed again"),
    ("rename-without-sync", "the rename that puts a received snapshot in place is not made durable"),
    (
        "restart-without-checkpoint",
        "what is applied again after a crash counts as durable though it is not, and the log lets go of it",
    ),
    ("checkpoint-without-sync", "a checkpoint is reported without having been made durable"),
    ("id-given-twice", "node ids are given out without being counted"),
    (
        "checkpoint-before-log",
        "the store is made durable without regard to whether the log has, on disk, what was applied",
    ),
    ("own-clock", "entries are stamped with the leader's wall clock, and things expire by it"),
    (
        "restart-trusts-clock",
        "a leader that does not know the time believes its own clock, and that the time since has passed",
    ),
];

/// The name, if there is such a failpoint.
pub(crate) fn named(name: &str) -> Result<&'static str, String> {
    let known = FAILPOINTS.map(|(known, _)| known);
    known.into_iter().find(|known| *known == name).ok_or_else(|| format!("one of: {}", known.join(", ")))
}
