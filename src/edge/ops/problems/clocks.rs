//! Clocks that differ, and what follows for the cluster's time.

use super::{Known, Problem, ago, problem};
use waypost_cluster::{ClockState, Status};

/// Clocks that are further apart than this are reported (milliseconds).
const CLOCKS_MS: u64 = 2_000;
/// Event ids that are further ahead of the time than this are reported (milliseconds).
const IDS_AHEAD_MS: u64 = 60_000;

/// A right clock minus this node's clock (milliseconds). The median of all reported clocks counts as right.
/// With only two clocks nobody knows which is right, so this node's counts as right.
pub(super) fn middle(status: &Status, known: &[Known<'_>]) -> i64 {
    let others = known.iter().filter(|known| known.answers() && known.member.id != status.node_id);
    let mut clocks: Vec<i64> =
        others.filter_map(|known| known.seen).map(|seen| seen.clock_ms).chain([0]).collect();
    clocks.sort_unstable();
    if clocks.len() < 3 { 0 } else { clocks[(clocks.len() - 1) / 2] }
}

/// The clock of a member that answered differs from what the others' say. `right_ms` is a right clock minus
/// this node's, from [`middle`].
pub(super) fn apart(status: &Status, known: &Known<'_>, right_ms: i64) -> Option<Problem> {
    if !known.answers() {
        return None;
    }
    let id = known.member.id;
    let apart = if id == status.node_id { 0 } else { known.seen.map_or(0, |seen| seen.clock_ms) } - right_ms;
    if apart.unsigned_abs() <= CLOCKS_MS {
        return None;
    }
    let node = known.member.called();
    let what = format!("the clock of node {node} is {apart} ms off what the other nodes' say");
    let hint = "let NTP set it; meanwhile another node leads, if one can: docs/runbooks/clock.md";
    Some(problem("clocks_apart", "warning", what, hint))
}

/// Problems with the cluster's time, as the leader reports them.
pub(super) fn of_time(status: &Status, known: &[Known<'_>]) -> Vec<Problem> {
    let leads = known.iter().find(|known| Some(known.member.id) == status.leader);
    let Some((leader, info)) = leads.and_then(|known| Some((known.member.called(), known.info()?))) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    match info.clocks {
        ClockState::Disagree => found.push(problem(
            "clocks_disagree",
            "warning",
            "no majority of the voters agrees on the time: it runs on unchecked, and nothing is lost",
            "let NTP set the clocks of all nodes, and start those that are down: docs/runbooks/clock.md",
        )),
        ClockState::Jumped(ms) => {
            let what =
                format!("the clock of node {leader} jumped by {} while it ran, and it alone votes", span(ms));
            let hint = "set it by NTP; if it is right as it is, restart the node: docs/runbooks/clock.md";
            found.push(problem("clock_jumped", "warning", what, hint));
        }
        ClockState::Wrong(_) | ClockState::Good | ClockState::Unknown => {}
    }
    if let Some(ms) = info.held_ms {
        let what = format!(
            "by the clocks {} passed before node {leader} led, which no majority confirms: everything expires later by that time",
            span(ms)
        );
        let hint = "make sure that the clock is right; nothing else has to be done: docs/runbooks/clock.md";
        found.push(problem("expiry_held", "warning", what, hint));
    }
    if info.ids_ahead_ms > IDS_AHEAD_MS {
        let ahead = span(i64::try_from(info.ids_ahead_ms).unwrap_or(i64::MAX));
        let what =
            format!("a clock was ahead: event ids stay {ahead} ahead of the time until it reaches them");
        let hint = "nothing has to be done: ids only order events, and their times are right: docs/runbooks/clock.md";
        found.push(problem("ids_ahead", "info", what, hint));
    }
    found
}

/// A span of time with its sign.
fn span(ms: i64) -> String {
    format!("{}{}", if ms < 0 { "-" } else { "" }, ago(ms.unsigned_abs()))
}
