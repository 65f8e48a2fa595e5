//! Who reaches whom over the peer ports. Each node reports how it reaches the others; so a node that answers
//! nobody is told from one that only some do not reach.

use super::{Known, Problem, ago, problem};
use crate::core::ids::NodeId;
use crate::hub::Sight;
use waypost_cluster::{MemberStatus, Status, Unreached};

/// A node that is not reached for less than this may be busy, or restarting (milliseconds).
const BUSY_MS: u64 = 3_000;

/// How `from` reports that it reaches `to`.
fn sight<'a>(from: &'a Known<'_>, to: NodeId) -> Option<&'a Sight> {
    from.info()?.sees.iter().find(|sight| sight.node == to)
}

/// The nodes that have reported for a while that they do not reach `to`, each with the reason.
pub(super) fn blocked_to(to: NodeId, known: &[Known<'_>]) -> Vec<(NodeId, Unreached, u64)> {
    let blocked = known.iter().filter(|from| from.member.id != to).filter_map(|from| {
        let sight = sight(from, to).filter(|sight| sight.for_ms >= BUSY_MS)?;
        Some((from.member.id, sight.error?, sight.for_ms))
    });
    blocked.collect()
}

/// The nodes that reach `to` by what they report.
fn reaching(to: NodeId, known: &[Known<'_>]) -> Vec<NodeId> {
    let reaches = |from: &&Known<'_>| {
        from.member.id != to && sight(from, to).is_some_and(|sight| sight.error.is_none())
    };
    known.iter().filter(reaches).map(|from| from.member.id).collect()
}

/// Whether all members that report reach each other.
pub(super) fn is_whole(known: &[Known<'_>]) -> bool {
    known.iter().filter(|to| to.report.is_some()).all(|to| blocked_to(to.member.id, known).is_empty())
}

/// Members that run, and that others do not reach.
pub(super) fn problems(known: &[Known<'_>]) -> Vec<Problem> {
    let alive = known.iter().filter(|to| to.report.is_some());
    alive.filter_map(|to| half_reachable(to, known)).collect()
}

fn half_reachable(to: &Known<'_>, known: &[Known<'_>]) -> Option<Problem> {
    let id = to.member.id;
    let address = &to.member.peer_addr;
    let blocked = blocked_to(id, known);
    let (_, why, _) = *blocked.first()?;
    let longest = blocked.iter().map(|(_, _, ms)| *ms).max().unwrap_or(0);
    let reaching = reaching(id, known);
    let proof = match reaching.as_slice() {
        [] => "though it runs".to_owned(),
        reaching => {
            format!("though it runs and {} {} it", list(reaching, known), verb(reaching.len(), "reach"))
        }
    };
    let backs: Vec<bool> =
        blocked.iter().filter_map(|(from, ..)| Some(sight(to, *from)?.error.is_some())).collect();
    let back = match backs.as_slice() {
        [] => "",
        backs if backs.iter().all(|blocked| *blocked) => "; nor does it reach them",
        _ => "; the other direction is open",
    };
    let what = format!(
        "{} {} not reach node {} at {address} ({why}), for {} now, {proof}{back}",
        nodes(&blocked, known),
        if blocked.len() == 1 { "does" } else { "do" },
        to.member.called(),
        ago(longest),
    );
    let found = problem("half_reachable", "warning", what, remedy(why, &nodes(&blocked, known), address));
    Some(Problem { node: Some(id), ..found })
}

/// `blocked` is the nodes that do not reach the address, for people.
fn remedy(why: Unreached, blocked: &str, address: &str) -> String {
    match why {
        Unreached::NotAdmitted => {
            "one of the two does not accept the other: compare peer.key, or the certificates, of both; their logs say \
             why: docs/runbooks/certificates.md"
                .to_owned()
        }
        Unreached::Refused => format!(
            "nothing listens at {address} as seen from there: check peer_addr and advertise_peer_addr of that node: \
             docs/runbooks/half-open-firewall.md"
        ),
        Unreached::NoConnection | Unreached::Broken | Unreached::NoAnswer => format!(
            "let connections from {blocked} to {address} pass (firewall, routes, advertise_peer_addr): \
             docs/runbooks/half-open-firewall.md"
        ),
    }
}

/// A member of which no node has a report.
pub(super) fn unreachable(status: &Status, known: &Known<'_>, all: &[Known<'_>]) -> Problem {
    let id = known.member.id;
    let address = &known.member.peer_addr;
    let since = known.seen.map_or("since this node started".to_owned(), |seen| {
        format!("for {}", ago(u64::try_from(seen.age.as_millis()).unwrap_or(u64::MAX)))
    });
    let why = all.iter().find_map(|from| sight(from, id)?.error);
    // A follower hears its leader on connections that the leader opened.
    let own = all.iter().find(|from| from.member.id == status.node_id).and_then(|own| sight(own, id));
    let heard = known.member.reachable
        && status.leader == Some(id)
        && own.is_some_and(|sight| sight.error.is_some() && sight.for_ms >= BUSY_MS);
    let (told, wrong) = match why {
        _ if heard => {
            let told = format!(
                "though node {} hears from it: only this direction is blocked",
                status.called(status.node_id)
            );
            (told, format!("let connections to {address} pass: docs/runbooks/half-open-firewall.md"))
        }
        Some(why @ Unreached::Refused) => (why.to_string(), "its process does not run: start it".to_owned()),
        Some(why @ Unreached::NotAdmitted) => {
            let wrong = "it runs, and one side does not accept the other: compare peer.key, or the certificates; \
                         its log says why";
            (why.to_string(), wrong.to_owned())
        }
        Some(why @ (Unreached::NoAnswer | Unreached::Broken)) => (
            why.to_string(),
            "its process or machine hangs, or the network does: see its log, restart it".to_owned(),
        ),
        Some(why @ Unreached::NoConnection) => (
            why.to_string(),
            format!("see whether its machine runs and {address} is open to the others; start it"),
        ),
        None => ("it was not asked yet".to_owned(), "start it".to_owned()),
    };
    let what = format!("node {} at {address} has not answered {since}: {told}", known.member.called());
    // Without a majority nothing can be removed.
    let hint = match (heard, status.has_quorum) {
        (true, _) => wrong,
        (false, true) => format!("{wrong}; if it will not come back: waypost cluster remove {id}"),
        (false, false) => format!("{wrong}, and keep its data: without a majority no node can be removed"),
    };
    problem("unreachable", "warning", what, hint)
}

/// The nodes of such a list, for people.
pub(super) fn nodes(blocked: &[(NodeId, Unreached, u64)], known: &[Known<'_>]) -> String {
    list(&blocked.iter().map(|(node, _, _)| *node).collect::<Vec<_>>(), known)
}

/// Nodes for people, with their names.
pub(super) fn list(ids: &[NodeId], known: &[Known<'_>]) -> String {
    let called = |id: &NodeId| {
        let member = known.iter().map(|known| known.member).find(|member| member.id == *id);
        member.map_or_else(|| id.to_string(), MemberStatus::called)
    };
    let texts: Vec<String> = ids.iter().map(called).collect();
    match texts.as_slice() {
        [one] => format!("node {one}"),
        [first @ .., last] => format!("nodes {} and {last}", first.join(", ")),
        [] => "no node".to_owned(),
    }
}

fn verb(count: usize, verb: &str) -> String {
    if count == 1 { format!("{verb}es") } else { verb.to_owned() }
}
