//! Members that lag, cannot catch up, were drained and forgotten, or whose ids two processes claim.

use super::{Known, Problem, ago, problem};
use crate::core::ids::NodeId;
use crate::core::text::counted;
use crate::hub::NodeInfo;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use waypost_cluster::{Claim, Status};

/// A member that is more entries behind than this counts as lagging.
pub(super) const LAG: u64 = 10_000;
/// A drain that lasts longer than this counts as forgotten (milliseconds).
const FORGOTTEN_MS: u64 = 3_600_000;
/// A member that lacks entries and has applied none for this long is reported.
const STUCK: Duration = Duration::from_secs(15);

/// Ids that two processes claim, as far as any node noticed.
pub(super) fn of_claims(known: &[Known<'_>]) -> Vec<Problem> {
    let claims = known.iter().filter_map(Known::info).flat_map(|info| &info.claims);
    let by_id: BTreeMap<NodeId, &Claim> = claims.map(|claim| (claim.id, claim)).collect();
    let told = |claim: &Claim| {
        let Claim { id, known, other } = claim;
        let what = format!(
            "two processes claim id {id}: the cluster knows the one at {known}, another is at {other}"
        );
        let hint = format!(
            "a data directory was copied: stop the process that should not run (at {other}, unless the node was moved there), and start it only with an empty data directory, docs/runbooks/two-processes.md"
        );
        Problem { node: Some(*id), ..problem("id_claimed_twice", "critical", what, hint) }
    };
    by_id.into_values().map(told).collect()
}

/// Members for which the leader could not keep its log while it sent them a snapshot.
pub(super) fn of_given_up(known: &[Known<'_>]) -> Vec<Problem> {
    let given_up: BTreeSet<NodeId> =
        known.iter().filter_map(Known::info).flat_map(|info| info.given_up.iter().copied()).collect();
    let told = |member: &Known<'_>| {
        let node = member.member.called();
        let what = format!(
            "node {node} needs a snapshot, and the leader could not keep the log after it: node {node} has \
             to begin anew"
        );
        let hint = "make room on the leader's disk, or let the node catch up while less is published: see \
                    \"The node cannot catch up\", docs/runbooks/slow-node.md";
        Problem { node: Some(member.member.id), ..problem("cannot_catch_up", "warning", what, hint) }
    };
    known.iter().filter(|member| given_up.contains(&member.member.id)).map(told).collect()
}

/// The members that a leader brings up to date with a snapshot.
pub(super) fn catching_up(known: &[Known<'_>]) -> BTreeSet<NodeId> {
    known.iter().filter_map(Known::info).flat_map(|info| info.catching_up.iter().copied()).collect()
}

/// Problems of one member. `committed` is from [`super::committed`], `fetches` whether the leader brings it
/// up to date with a snapshot.
pub(super) fn problems(
    status: &Status,
    known: &Known<'_>,
    committed: Option<u64>,
    fetches: bool,
) -> Vec<Problem> {
    let now_ms = status.clock.time_ms;
    let member = known.member;
    let id = member.id;
    let node = member.called();
    let mut found = Vec::new();
    if let Some(since) = member.drained_ms {
        let long = now_ms.saturating_sub(since) > FORGOTTEN_MS;
        let (code, severity) = if long { ("drain_forgotten", "warning") } else { ("drained", "info") };
        let what = format!(
            "node {node} has been drained for {}: it serves no clients",
            ago(now_ms.saturating_sub(since))
        );
        found.push(problem(
            code,
            severity,
            what,
            format!("waypost cluster undrain {id}, when the work on it is done"),
        ));
    }
    let Some(info) = known.info() else { return found };
    let lag = committed.map_or(0, |committed| committed.saturating_sub(info.applied_index));
    if lag > LAG {
        let what = format!("node {node} is {lag} log entries behind");
        found.push(problem(
            "lag",
            "warning",
            what,
            "it catches up by itself; if it does not, see the load on its disk and CPU",
        ));
    }
    // A node that hears no leader, or whose disk has no room for entries, lacks entries for that reason. While
    // a snapshot comes none are applied.
    let is_explained = !info.has_quorum || info.disk_full || fetches;
    if lag > 0 && known.still >= STUCK && !is_explained {
        let what = format!(
            "node {node} is {} behind and has applied none for {} s",
            counted(lag, "log entry", "log entries"),
            known.still.as_secs()
        );
        let hint = "while it is being sent a snapshot (its log says so) wait; else stop it, move its data directory away, and start it with an empty one and WAYPOST_JOIN: this is needed if an older copy of the directory was put back";
        found.push(problem("stuck", "critical", what, hint));
    }
    found.extend(was_damaged(&node, info));
    found
}

/// The member set files aside. `node` is what it is called.
fn was_damaged(node: &str, info: &NodeInfo) -> Option<Problem> {
    // An older copy leaves two folders: its log, and everything else.
    let (why, first) = match info.damaged {
        0 => return None,
        folders if folders > info.older.saturating_mul(2) => ("set damaged files aside", "check its disk"),
        _ => (
            "set its data aside, which was older than what it had acknowledged,",
            "find out who put an older copy of its data directory back",
        ),
    };
    let what = format!("node {node} {why} and rebuilt itself from the others");
    let hint = format!(
        "{first}; when nobody needs them any more, delete the folders damaged-* in its data directory"
    );
    Some(problem("was_damaged", "warning", what, hint))
}
