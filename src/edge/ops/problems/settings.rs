//! Settings that shall be the same on all nodes and are not, and what follows from one node's settings.

use super::reach::list;
use super::{Known, Problem, problem};
use crate::core::ids::NodeId;
use crate::core::text::counted;
use crate::hub::NodeInfo;
use std::collections::BTreeMap;
use waypost_cluster::MemberStatus;

/// A node that has run for this long without the key does not get it by itself (milliseconds).
const KEY_WITHIN_MS: u64 = 30_000;
/// Settings that are named in one problem.
const NAMED: usize = 8;

pub(super) fn problems(known: &[Known<'_>]) -> Vec<Problem> {
    let reports = || known.iter().filter_map(|known| Some((known.member.id, known.info()?)));
    let members = || known.iter().filter_map(|known| Some((known.member, known.info()?)));
    let mut found: Vec<Problem> = members().filter_map(|(member, info)| of_node(member, info)).collect();
    found.extend(members().filter_map(|(member, info)| audit_lost(member, info)));
    found.extend(different(&reports().collect::<Vec<_>>(), known));
    found
}

/// The node cannot read the secrets of webhooks.
fn of_node(member: &MemberStatus, info: &NodeInfo) -> Option<Problem> {
    if info.has_key != Some(false) || info.uptime_ms < KEY_WITHIN_MS {
        return None;
    }
    let id = member.called();
    let what = format!("node {id} has not got the key that encrypts webhooks: it delivers none");
    let hint = "set webhooks.secret_key as on the other nodes, or start a node that has the key";
    Some(Problem { node: Some(member.id), ..problem("no_key", "critical", what, hint) })
}

fn audit_lost(member: &MemberStatus, info: &NodeInfo) -> Option<Problem> {
    if info.audit_lost == 0 {
        return None;
    }
    let lost = counted(info.audit_lost, "line", "lines");
    let what = format!("node {} could not write {lost} of its audit log", member.called());
    let hint = "make room for the file of audit.file and let the node write it; changes go on meanwhile";
    Some(Problem { node: Some(member.id), ..problem("audit_lost", "warning", what, hint) })
}

/// Nodes whose settings differ from those of most nodes. Only nodes of the same release are compared: another
/// one may have other defaults.
fn different(reports: &[(NodeId, &NodeInfo)], known: &[Known<'_>]) -> Vec<Problem> {
    let mut by_node: BTreeMap<Vec<NodeId>, Vec<&str>> = BTreeMap::new();
    for (_, first) in reports {
        for name in first.settings.keys() {
            let nodes = outliers(name, reports, &first.version);
            let names = by_node.entry(nodes).or_default();
            if !names.contains(&&**name) {
                names.push(name);
            }
        }
    }
    by_node.remove(&Vec::new());
    by_node.into_iter().map(|(nodes, names)| differs(&nodes, &names, known)).collect()
}

/// The nodes of that release with another value than most. With no majority for one value: all of them.
fn outliers(name: &str, reports: &[(NodeId, &NodeInfo)], version: &str) -> Vec<NodeId> {
    let mut values: BTreeMap<&str, Vec<NodeId>> = BTreeMap::new();
    for (id, info) in reports.iter().filter(|(_, info)| info.version == version) {
        if let Some(value) = info.settings.get(name) {
            values.entry(value).or_default().push(*id);
        }
    }
    let all: usize = values.values().map(Vec::len).sum();
    if values.len() > 1 {
        values.retain(|_, nodes| nodes.len() * 2 <= all);
        let mut nodes: Vec<NodeId> = values.into_values().flatten().collect();
        nodes.sort_unstable();
        nodes
    } else {
        Vec::new()
    }
}

fn differs(nodes: &[NodeId], names: &[&str], known: &[Known<'_>]) -> Problem {
    let more = names.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let names = names[..names.len().min(NAMED)].join(", ");
    let what = match nodes {
        [_] => format!("{} has another value than the other nodes of: {names}{more}", list(nodes, known)),
        several => format!("{} differ in: {names}{more}", list(several, known)),
    };
    let hint = "set the same value on all nodes and restart those that change; `waypost config check`, run \
                with a node's environment and file, shows its values and where each comes from (secrets masked)";
    let found = problem("settings_differ", "warning", what, hint);
    Problem { node: if let [one] = nodes { Some(*one) } else { None }, ..found }
}
