//! What stops the cluster from serving clients, or will: majority, voters, releases.

use super::{Known, Problem, problem, reach};
use crate::core::ids::NodeId;
use waypost_cluster::Status;

/// Problems that stop the cluster from serving clients.
pub(super) fn problems(status: &Status, known: &[Known<'_>]) -> Vec<Problem> {
    let mut found = Vec::new();
    if !status.has_quorum {
        let elsewhere = known.iter().find(|known| {
            known.member.id != status.node_id
                && known.info().is_some_and(|info| info.has_quorum && info.leader == Some(known.member.id))
        });
        found.push(match elsewhere {
            Some(leader) => cut_off(status, leader.member.id, known),
            None => no_majority(known),
        });
    }
    let mut answering = known.iter().filter(|known| known.report.is_some()).peekable();
    if let Some(first) = answering.peek().map(|known| known.member.id)
        && answering.all(|known| known.member.drained_ms.is_some())
    {
        let what = "no node serves clients: all nodes that answer are drained";
        found.push(problem(
            "none_serves",
            "critical",
            what,
            format!("undrain one: waypost cluster undrain {first}"),
        ));
    }
    found
}

/// The cluster has a leader with a majority, and this node does not hear from it.
fn cut_off(status: &Status, leader: NodeId, known: &[Known<'_>]) -> Problem {
    let id = status.node_id;
    let silent = reach::blocked_to(id, known);
    let address = known.iter().find(|known| known.member.id == id).map(|known| &*known.member.peer_addr);
    let (node, leads) = (status.called(id), status.called(leader));
    let what = format!(
        "node {node} hears no leader, while node {leads} leads with a majority: node {node} falls behind, and publishing there answers 503"
    );
    let hint = match (silent.as_slice(), address) {
        ([], _) | (_, None) => {
            format!("see the logs of nodes {node} and {leads}: docs/runbooks/half-open-firewall.md")
        }
        (silent, Some(address)) => format!(
            "let connections from {} to {address}, the peer port of node {node}, pass: docs/runbooks/half-open-firewall.md",
            reach::nodes(silent, known)
        ),
    };
    Problem { node: Some(id), ..problem("cut_off", "critical", what, hint) }
}

fn no_majority(known: &[Known<'_>]) -> Problem {
    let voters = || known.iter().filter(|known| known.member.voter);
    let there = voters().filter(|known| known.report.is_some()).count();
    let all = voters().count();
    let (why, hint) = if there * 2 <= all {
        let why = match (there, all) {
            (_, 1) => "the only voter does not answer".to_owned(),
            (1, _) => format!("1 of {all} voters answers"),
            _ => format!("{there} of {all} voters answer"),
        };
        (
            why,
            "start the voters that do not answer, or repair the network between the nodes; reading goes on meanwhile",
        )
    } else if all == 1 || reach::is_whole(known) {
        let answer = match all {
            1 => "the only voter answers".to_owned(),
            _ => format!("{there} of {all} voters answer and reach each other"),
        };
        (
            format!("{answer}, so an election is under way"),
            "look again in some seconds; if it stays, see the nodes' logs: docs/runbooks/lost-majority.md",
        )
    } else {
        (
            format!("{there} of {all} voters run, but do not all reach each other"),
            "repair the network between the nodes, as the problems below say; reading goes on meanwhile",
        )
    };
    let what = format!("no leader with a majority: {why}; publishing answers 503");
    problem("no_majority", "critical", what, hint)
}

/// A number of voters that is worse than another. Learners that shall vote get their votes when they have
/// caught up: then nobody has to do anything.
pub(super) fn of_voters(known: &[Known<'_>]) -> Option<Problem> {
    let waiting: Vec<String> = (known.iter().map(|known| known.member))
        .filter(|member| !member.voter && member.wants_vote)
        .map(|member| member.called())
        .collect();
    let hint = |otherwise: &str| match waiting.as_slice() {
        [] => otherwise.to_owned(),
        [node] => format!("wait: node {node} gets its vote by itself, as soon as it has caught up"),
        nodes => format!(
            "wait: nodes {} get a vote by themselves, as soon as they have caught up",
            nodes.join(", ")
        ),
    };
    match known.iter().filter(|known| known.member.voter).count() {
        0 => None,
        1 if known.len() == 1 => Some(problem(
            "single_node",
            "info",
            "the cluster has one node: if it is down, everything is down, and its disk has the only copy",
            "start two more with --join",
        )),
        1 => Some(problem(
            "single_voter",
            "warning",
            "only one node votes: if it is down, the cluster is down",
            hint("promote two learners"),
        )),
        n if n % 2 == 0 => Some(problem(
            "even_voters",
            "info",
            format!("{n} voters survive the loss of no more nodes than {} would", n - 1),
            hint("add a voter, or demote one"),
        )),
        _ => None,
    }
}

/// Different releases.
pub(super) fn of_releases(known: &[Known<'_>]) -> Option<Problem> {
    let mut versions: Vec<&str> =
        known.iter().filter_map(Known::info).map(|info| info.version.as_str()).collect();
    versions.sort_unstable();
    versions.dedup();
    if versions.len() < 2 {
        return None;
    }
    let what = format!("the nodes run different releases: {}", versions.join(", "));
    let hint = "finish the upgrade: restart the others with the newest, one after another";
    Some(problem("versions_differ", "info", what, hint))
}
