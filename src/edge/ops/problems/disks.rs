//! Disks that fill up, and which step of the runbook applies.

use super::reach::list;
use super::{Known, Problem, problem};
use crate::core::ids::NodeId;
use crate::hub::NodeInfo;
use waypost_cluster::MemberStatus;

const GIB: u64 = 1 << 30;
const RUNBOOK: &str = "docs/runbooks/full-disk.md";
const SLOW_RUNBOOK: &str = "docs/runbooks/slow-disk.md";

/// Publishing is refused for lack of space.
pub(super) fn no_room(has_room: bool, known: &[Known<'_>]) -> Option<Problem> {
    if has_room {
        return None;
    }
    let reports = known.iter().filter_map(|known| Some((known.member.id, known.info()?)));
    let full: Vec<(NodeId, &NodeInfo)> = reports.filter(|(_, info)| info.disk_full).collect();
    let ids: Vec<NodeId> = full.iter().map(|(id, _)| *id).collect();
    let of = if ids.is_empty() { String::new() } else { format!(" ({})", list(&ids, known)) };
    let what = format!(
        "too little room on the disk of the leader or of a majority{of}: publishing answers 503 disk_full"
    );
    let foreign: Vec<NodeId> = full.iter().filter(|(_, info)| is_foreign(info)).map(|(id, _)| *id).collect();
    let all = full.len() == known.len();
    let step = if !foreign.is_empty() {
        format!(
            "most of what fills the disk of {} is not of Waypost: see \"Something other than Waypost\"",
            list(&foreign, known)
        )
    } else if !all {
        "make the disks larger, or replace the full nodes: see \"The disk is too small\"".to_owned()
    } else if full.iter().all(|(_, info)| info.disk_reusable > info.disk_free) {
        let step = "the stores have space for new events, but the log needs some on the disks: see \"The events \
                    themselves fill the disks of all\", from step 2 on";
        step.to_owned()
    } else {
        "shorten the maps' retention: see \"The events themselves fill the disks of all\", step 1".to_owned()
    };
    let hint = format!("{step}, {RUNBOOK}; it ends by itself");
    Some(problem("disk_full", "critical", what, hint))
}

/// Whether most of what is on the disk is not in the data directory.
fn is_foreign(info: &NodeInfo) -> bool {
    info.disk_used < info.disk_total.saturating_sub(info.disk_free) / 2
}

/// The disk of a member has little space left.
pub(super) fn low(member: &MemberStatus, info: &NodeInfo) -> Option<Problem> {
    let low = info.disk_total > 0 && (info.disk_free < info.disk_total / 10 || info.disk_free < GIB);
    if !info.disk_full && !low {
        return None;
    }
    let severity = if info.disk_full { "critical" } else { "warning" };
    let inside = match info.disk_reusable >> 20 {
        0 => String::new(),
        mib => format!(", and {mib} MiB in its store for new events"),
    };
    let what = format!("node {} has {} MiB of disk left{inside}", member.called(), info.disk_free >> 20);
    let step = if is_foreign(info) { "Something other than Waypost" } else { "The disk is too small" };
    let hint = format!(
        "make room on the disk of its data directory, or shorten the maps' retention: see \"{step}\", {RUNBOOK}"
    );
    Some(problem("disk_low", severity, what, hint))
}

/// The disk of a member is far behind, while a majority of the nodes is not.
pub(super) fn slow(member: &MemberStatus, info: &NodeInfo) -> Option<Problem> {
    if !info.disk_slow {
        return None;
    }
    let seconds = |ms: u64| format!("{}.{} s", ms / 1000, ms % 1000 / 100);
    let took = match info.sync_age_ms {
        0..1000 => format!("took {}", seconds(info.sync_slowest_ms)),
        age => format!("is under way for {}", seconds(age)),
    };
    let leads = info.leader == Some(member.id);
    let so = if leads {
        "it leads, and no other node has taken the lead"
    } else {
        "it does not lead until it is faster"
    };
    let what = format!("the disk of node {} is slow: a write to its log {took}; {so}", member.called());
    let hint = format!("find out what keeps the disk busy, or give the node another one: {SLOW_RUNBOOK}");
    Some(problem("disk_slow", "warning", what, hint))
}
