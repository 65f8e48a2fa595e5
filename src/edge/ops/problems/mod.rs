//! Finds what is wrong with the cluster, how bad that is, and what to do about it.
//!
//! This module only draws conclusions: its functions are pure and work on what the nodes reported. Each file
//! has the problems of one kind.

mod clocks;
mod disks;
mod members;
mod names;
mod own_node;
mod ports;
mod reach;
mod service;
mod settings;
mod webhooks;

#[cfg(test)]
mod tests;

pub(super) use webhooks::Failing;

use crate::core::ids::WebhookId;
use crate::core::state::backlog::Losing;
use crate::hub::{NodeInfo, Report, Seen};
use serde_json::{Value, json};
use std::time::Duration;
use waypost_cluster::{MemberStatus, Status};

/// What is known of a member.
pub(super) struct Known<'a> {
    pub(super) member: &'a MemberStatus,
    /// What the member reported just now: to this node, or to another node that passed it on.
    pub(super) report: Option<&'a Report>,
    /// When this node last heard of the member and what its clock said then, which may be long ago.
    pub(super) seen: Option<&'a Seen>,
    /// How long the member has lacked entries without applying any.
    pub(super) still: Duration,
}

impl Known<'_> {
    /// What the member reported of itself.
    pub(super) fn info(&self) -> Option<&NodeInfo> {
        self.report.map(|report| &report.info)
    }

    /// Whether the member itself answered this node.
    pub(super) fn answers(&self) -> bool {
        self.report.is_some_and(|report| report.via.is_none())
    }
}

/// The highest log index that counts as committed by what the members report. `None` if that may be far
/// behind the truth: no member hears from a majority, and no majority of the voters reports.
pub(super) fn committed(status: &Status, known: &[Known<'_>]) -> Option<u64> {
    let infos = || known.iter().filter_map(Known::info);
    let of_members = infos().map(|info| info.committed_index.max(info.applied_index)).max();
    let index = status.committed.max(status.applied).max(of_members.unwrap_or(0));
    let voters = known.iter().filter(|known| known.member.voter);
    let reporting = voters.clone().filter(|known| known.report.is_some()).count();
    let is_known = status.has_quorum || infos().any(|info| info.has_quorum) || reporting * 2 > voters.count();
    is_known.then_some(index)
}

/// What the node that answers the request knows of its client port.
#[derive(Default)]
pub(super) struct Port {
    /// When its certificate ends (seconds since 1970).
    pub(super) certificate_until: Option<u64>,
}

/// What the node that answers the request knows of the replicated state.
pub(super) struct State<'a> {
    /// Whether publishing is possible: there is room on the disks.
    pub(super) has_room: bool,
    /// Webhooks that lose events.
    pub(super) losing: &'a [(WebhookId, Losing)],
    /// Webhooks that fail, as far as that is known.
    pub(super) failing: &'a Failing,
}

/// One problem.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) code: &'static str,
    /// `critical`: clients are affected now. `warning`: they will be. `info`: good to know.
    pub(super) severity: &'static str,
    pub(super) node: Option<u64>,
    pub(super) what: String,
    pub(super) hint: String,
}

impl Problem {
    /// The problem as JSON, with the name of its node.
    pub(super) fn json(&self, status: &Status) -> Value {
        let member = self.node.and_then(|node| status.member(node));
        json!({
            "code": self.code, "severity": self.severity, "node": self.node,
            "node_name": member.and_then(MemberStatus::name), "what": self.what, "do": self.hint,
        })
    }
}

fn problem(
    code: &'static str,
    severity: &'static str,
    what: impl Into<String>,
    hint: impl Into<String>,
) -> Problem {
    Problem { code, severity, node: None, what: what.into(), hint: hint.into() }
}

/// All problems, the worst first. `now_ms` is this node's clock. Certificates end by it.
pub(super) fn problems(
    status: &Status,
    known: &[Known<'_>],
    port: &Port,
    now_ms: u64,
    state: &State<'_>,
) -> Vec<Problem> {
    let mut found = own_node::problems(status);
    if status.removed {
        // The cluster refuses this process, so what it sees of the others says nothing of them.
        return found;
    }
    found.extend(service::problems(status, known));
    found.extend(reach::problems(known));
    found.extend(disks::no_room(state.has_room, known));
    found.extend(service::of_voters(known));
    found.extend(service::of_releases(known));
    found.extend(settings::problems(known));
    found.extend(webhooks::losing(status, state.losing));
    found.extend(webhooks::failing(state.failing));
    found.extend(names::problems(known));
    found.extend(members::of_claims(known));
    found.extend(members::of_given_up(known));
    found.extend(clocks::of_time(status, known));
    let right = clocks::middle(status, known);
    found.extend(ports::of_peer_port(status, now_ms / 1000));
    found.extend(ports::of_client_port(status, port, now_ms / 1000));
    let committed = committed(status, known);
    let catching_up = members::catching_up(known);
    for member in known {
        let fetches = catching_up.contains(&member.member.id);
        let mut of_member = members::problems(status, member, committed, fetches);
        if member.report.is_none() {
            of_member.push(reach::unreachable(status, member, known));
        }
        if let Some(info) = member.info() {
            of_member.extend(disks::low(member.member, info));
            of_member.extend(disks::slow(member.member, info));
            of_member.extend(ports::few_files(member.member, info));
        }
        of_member.extend(clocks::apart(status, member, right));
        found.extend(of_member.into_iter().map(|p| Problem { node: Some(member.member.id), ..p }));
    }
    let weight = |p: &Problem| ["critical", "warning", "info"].iter().position(|s| *s == p.severity);
    found.sort_by_key(weight);
    found
}

/// A span of time for people to read.
fn ago(ms: u64) -> String {
    match ms / 1000 {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s => format!("{} h", s / 3600),
    }
}
