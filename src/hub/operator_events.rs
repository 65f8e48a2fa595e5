//! A task of the leader: it observes the nodes, and reports what operators were not told yet.
//!
//! Each round compares how things are with what was told ([`Told`], part of the replicated state), so nothing
//! waits here: what could not be reported in one round is seen again in the next, by whoever leads then.

use super::health::{Health, NodeInfo};
use super::replica::ViewStore;
use crate::core::codec;
use crate::core::command::Command;
use crate::core::ids::NodeId;
use crate::core::operators::{Certificate, NodeName, Observed, OperatorReport, Told};
use crate::core::state::keys;
use crate::core::store::ReadStore;
use std::collections::BTreeMap;
use std::time::Duration;
use waypost_cluster::{ClockState, Cluster, Flow, MemberStatus, Status};

/// How often the leader looks.
const ROUND: Duration = Duration::from_secs(1);
/// A round that began this late follows a pause of this node: the others were not silent, this node did not
/// listen.
const PAUSE: Duration = Duration::from_secs(2);
/// A node that was silent in so many rounds in a row is down.
const SILENT_ROUNDS: u32 = 5;
/// A clock that is further from the others is apart (milliseconds).
const CLOCK_APART_MS: u64 = 2_000;
/// A clock that was apart is well again within this (milliseconds).
const CLOCK_WELL_MS: u64 = 1_000;
/// Fewer clocks do not show which of them is wrong.
const LEAST_CLOCKS: usize = 3;
/// A disk with less free space than this (bytes), or than a tenth, is low.
const DISK_LOW: u64 = 1 << 30;
/// A disk that was low is well again with this (bytes) and an eighth.
const DISK_WELL: u64 = DISK_LOW + (1 << 28);

/// Observes the nodes as long as this node runs, while it leads.
pub(super) async fn run(cluster: Cluster, health: Health) {
    let mut silent = BTreeMap::new();
    // The term in which this node leads, and since when (the cluster's time).
    let mut leads: Option<(u64, u64)> = None;
    loop {
        let slept = tokio::time::Instant::now();
        tokio::time::sleep(ROUND).await;
        let status = health.status();
        let is_on_time = slept.elapsed() < ROUND + PAUSE;
        if !status.is_leader() || !status.has_quorum {
            silent.clear();
            continue;
        }
        let known_ms = leads.filter(|(term, _)| *term == status.term).map(|(_, since_ms)| since_ms);
        let since_ms = known_ms.unwrap_or_else(|| cluster.clocks().0);
        leads = Some((status.term, since_ms));
        if !is_on_time {
            silent.clear();
            continue;
        }
        if let Some(told) = told(&cluster) {
            look(&cluster, &health, &status, (&mut silent, since_ms), &told).await;
        }
    }
}

/// What operators were told so far; `None` if it can't be read now.
fn told(cluster: &Cluster) -> Option<Told> {
    let view = cluster.reader().view().ok()?;
    let stored = ViewStore(&view).get(keys::OPERATORS);
    let told = stored.map_err(|error| error.to_string()).and_then(|stored| match stored {
        Some(bytes) => codec::decode(&bytes).map_err(|error| error.to_string()),
        None => Ok(Told::default()),
    });
    told.inspect_err(|error| tracing::error!(%error, "what operators were told can't be read")).ok()
}

/// Observes the nodes, and reports the news: which nodes were silent for how many rounds, and since when this
/// node has led (Unix milliseconds), is known.
async fn look(
    cluster: &Cluster,
    health: &Health,
    status: &Status,
    (silent, since_ms): (&mut BTreeMap<NodeId, u32>, u64),
    told: &Told,
) {
    let reports: Vec<(&MemberStatus, NodeInfo, i64)> = status
        .members
        .iter()
        .filter_map(|member| health.present_info(member.id).map(|(info, clock_ms)| (member, info, clock_ms)))
        .collect();
    let mut observed = vec![Observed::Leads { since_ms }];
    observed.extend(reach(status, silent));
    observed.extend(reports.iter().filter_map(|(member, info, _)| disk(member, info)));
    observed.extend(clocks(&reports));
    // Certificates end by the cluster's time, which counts here only if a majority's clocks agree on it.
    if matches!(status.clock.clocks, ClockState::Good | ClockState::Wrong(_)) {
        observed.extend(reports.iter().flat_map(|(member, info, _)| certificates(member, info)));
    }
    observed.extend(told.nodes().filter(|node| status.member(*node).is_none()).map(Observed::Left));
    let own = status.member(status.node_id).map(name);
    let leader = own.unwrap_or(NodeName { id: status.node_id, name: None });
    let (time_ms, expiry_ms) = cluster.clocks();
    let report = OperatorReport { term: status.term, leader, observed };
    let Some(news) = told.news(report, time_ms, expiry_ms) else { return };
    let Ok(command) = codec::encode(&Command::TellOperators(Box::new(news))) else { return };
    if let Err(error) = cluster.propose(Flow::NONE, command).await {
        tracing::debug!(%error, "the news for operators wait for the next round");
    }
}

fn name(member: &MemberStatus) -> NodeName {
    NodeName { id: member.id, name: member.name().map(str::to_owned) }
}

/// Which nodes are down. A node that has just become silent is neither up nor down.
fn reach(status: &Status, silent: &mut BTreeMap<NodeId, u32>) -> Vec<Observed> {
    silent.retain(|node, _| status.member(*node).is_some());
    let mut observed = Vec::new();
    for member in &status.members {
        let is_heard = member.id == status.node_id || member.reachable;
        let rounds = silent.entry(member.id).or_default();
        *rounds = if is_heard { 0 } else { rounds.saturating_add(1) };
        if is_heard || *rounds >= SILENT_ROUNDS {
            observed.push(Observed::Reach { node: name(member), is_down: !is_heard });
        }
    }
    observed
}

/// How full a node's disk is. A disk between low and well is neither.
fn disk(member: &MemberStatus, info: &NodeInfo) -> Option<Observed> {
    let (total, free) = (info.disk_total, info.disk_free);
    if total == 0 {
        return None;
    }
    let is_low = info.disk_full || free < DISK_LOW || free < total / 10;
    let is_well = free >= DISK_WELL && free >= total / 8;
    let percent = (u128::from(free) * 100 / u128::from(total)).min(100) as u8;
    let node = name(member);
    (is_low || is_well).then_some(Observed::Disk { node, is_low, free_bytes: free, percent })
}

/// How the clocks compare with the one in their middle. A clock between apart and well is neither.
fn clocks(reports: &[(&MemberStatus, NodeInfo, i64)]) -> Vec<Observed> {
    let mut all: Vec<i64> = reports.iter().map(|(_, _, clock_ms)| *clock_ms).collect();
    if all.len() < LEAST_CLOCKS {
        return Vec::new();
    }
    all.sort_unstable();
    let middle = all[(all.len() - 1) / 2];
    let observed = reports.iter().filter_map(|(member, _, clock_ms)| {
        let offset_ms = clock_ms.saturating_sub(middle);
        let is_apart = offset_ms.unsigned_abs() > CLOCK_APART_MS;
        let is_well = offset_ms.unsigned_abs() <= CLOCK_WELL_MS;
        (is_apart || is_well).then(|| Observed::Clock { node: name(member), is_apart, offset_ms })
    });
    observed.collect()
}

/// When the certificates of a node end.
fn certificates(member: &MemberStatus, info: &NodeInfo) -> Vec<Observed> {
    let end = |certificate: Certificate| {
        let until = *info.certificates.get(certificate.name())?;
        Some(Observed::Certificate { node: name(member), certificate, until })
    };
    Certificate::ALL.into_iter().filter_map(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: NodeId, reachable: bool) -> MemberStatus {
        MemberStatus { id, reachable, ..MemberStatus::default() }
    }

    fn node(id: NodeId) -> NodeName {
        NodeName { id, name: None }
    }

    #[test]
    fn a_node_that_was_silent_for_some_rounds_is_down() {
        let mut status =
            Status { node_id: 1, members: vec![member(1, true), member(2, false)], ..Status::default() };
        let mut silent = BTreeMap::new();
        let up = |id| Observed::Reach { node: node(id), is_down: false };
        for _ in 1..SILENT_ROUNDS {
            assert_eq!(reach(&status, &mut silent), [up(1)]);
        }
        let down = Observed::Reach { node: node(2), is_down: true };
        assert_eq!(reach(&status, &mut silent), [up(1), down]);
        status.members[1].reachable = true;
        assert_eq!(reach(&status, &mut silent), [up(1), up(2)]);
        status.members[1].reachable = false;
        assert_eq!(reach(&status, &mut silent), [up(1)], "it is counted anew");
    }

    #[test]
    fn a_disk_is_low_until_there_is_clearly_more_room() {
        let of = |free: u64| {
            let info = NodeInfo { disk_total: 100 << 30, disk_free: free << 30, ..NodeInfo::default() };
            disk(&member(1, true), &info)
        };
        let is_low = |observed| match observed {
            Some(Observed::Disk { is_low, .. }) => Some(is_low),
            _ => None,
        };
        assert_eq!([9, 11, 13].map(|free| is_low(of(free))), [Some(true), None, Some(false)]);
        let expected = Observed::Disk { node: node(1), is_low: true, free_bytes: 9 << 30, percent: 9 };
        assert_eq!(of(9), Some(expected));
        assert_eq!(disk(&member(1, true), &NodeInfo::default()), None, "nothing is known");
    }

    #[test]
    fn the_clock_in_the_middle_is_right() {
        let members = [1, 2, 3].map(|id| member(id, true));
        let of = |clocks: &[i64]| {
            let reports: Vec<_> = members
                .iter()
                .zip(clocks)
                .map(|(member, clock_ms)| (member, NodeInfo::default(), *clock_ms))
                .collect();
            clocks_apart(&reports)
        };
        assert_eq!(of(&[0, -5000, -4900]), [(1, 4900)], "this node's own clock is wrong");
        assert_eq!(of(&[0, 10, 2500]), [(3, 2490)]);
        assert!(of(&[0, 10, 2009]).is_empty(), "it is not far enough");
        assert!(of(&[0, 90_000]).is_empty(), "two clocks do not show which one is wrong");
    }

    fn clocks_apart(reports: &[(&MemberStatus, NodeInfo, i64)]) -> Vec<(NodeId, i64)> {
        let apart = clocks(reports).into_iter().filter_map(|observed| match observed {
            Observed::Clock { node, is_apart: true, offset_ms } => Some((node.id, offset_ms)),
            _ => None,
        });
        apart.collect()
    }

    #[test]
    fn the_ends_of_certificates_are_those_that_the_node_reported() {
        let certificates_of = BTreeMap::from([("client".to_owned(), 7), ("other".to_owned(), 8)]);
        let info = NodeInfo { certificates: certificates_of, ..NodeInfo::default() };
        let client = Observed::Certificate { node: node(1), certificate: Certificate::Client, until: 7 };
        assert_eq!(certificates(&member(1, true), &info), [client]);
    }
}
