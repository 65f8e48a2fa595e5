//! What this node remembers of each member: its last report, its progress, and the way to it.

use super::info::NodeInfo;
use super::sight::{Sight, Sights};
use crate::clock::now_ms;
use crate::core::ids::NodeId;
use crate::hub::peers::PeerError;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a leader's report that it has no majority is valid.
const ALONE: Duration = Duration::from_secs(5);

/// The last report of a member.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The report.
    pub info: NodeInfo,
    /// The age of the report.
    pub age: Duration,
    /// Its clock minus this node's clock, in milliseconds, as far as the network's delay lets it be known.
    pub clock_ms: i64,
}

/// What is known of the members.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// For each member: the index that it had applied when it last made progress or lacked nothing, and that
    /// time.
    progress: Mutex<BTreeMap<NodeId, (u64, Instant)>>,
    seen: Mutex<BTreeMap<NodeId, (NodeInfo, Instant, i64)>>,
    sights: Mutex<Sights>,
    no_room: AtomicBool,
}

impl Members {
    pub(super) fn note(&self, node: NodeId, info: NodeInfo, took: Duration) {
        // The clock was read at some time during the request. The middle of the request is the best guess.
        let offset = info.time_ms as i64 - (now_ms() as i64 - took.as_millis() as i64 / 2);
        let slack = took.as_millis() as i64;
        let clock_ms = if offset.abs() <= slack { 0 } else { offset };
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(node, (info, Instant::now(), clock_ms));
    }

    /// Records that `node` has applied up to `applied`, at a time when `committed` was known to be committed.
    pub(super) fn note_progress(&self, node: NodeId, applied: u64, committed: u64, now: Instant) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let known = progress.entry(node).or_insert((applied, now));
        if known.0 != applied || applied >= committed {
            *known = (applied, now);
        }
    }

    pub(super) fn stands_still(&self, node: NodeId, now: Instant) -> Duration {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.get(&node).map_or(Duration::ZERO, |(_, since)| now.saturating_duration_since(*since))
    }

    /// Whether that node lately reported that it leads without a majority.
    pub(super) fn leads_alone(&self, node: NodeId) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&node).is_some_and(|(info, at, _)| info.leads_alone && at.elapsed() < ALONE)
    }

    pub(super) fn seen(&self, node: NodeId) -> Option<Seen> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (info, at, clock_ms) = seen.get(&node)?;
        Some(Seen { info: info.clone(), age: at.elapsed(), clock_ms: *clock_ms })
    }

    /// Records what a request to `node` showed of the way there.
    pub(super) fn note_sight<T>(&self, node: NodeId, result: &Result<T, PeerError>, now: Instant) {
        self.sights.lock().unwrap_or_else(PoisonError::into_inner).note(node, result, now);
    }

    /// How this node reaches the others.
    pub(super) fn sights(&self, now: Instant) -> Vec<Sight> {
        self.sights.lock().unwrap_or_else(PoisonError::into_inner).list(now)
    }

    /// Forgets the nodes for which `keep` is false.
    pub(super) fn retain(&self, keep: impl Fn(NodeId) -> bool) {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).retain(|node, _| keep(*node));
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).retain(|node, _| keep(*node));
        self.sights.lock().unwrap_or_else(PoisonError::into_inner).retain(keep);
    }

    /// Whether the disks have room for more events.
    pub(super) fn has_room(&self) -> bool {
        !self.no_room.load(Ordering::Relaxed)
    }

    /// Sets whether the disks lack room; returns whether that is news.
    pub(super) fn set_no_room(&self, no_room: bool) -> bool {
        self.no_room.swap(no_room, Ordering::Relaxed) != no_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_lacks_entries_and_applies_none_stands_still() {
        let members = Members::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        members.note_progress(2, 10, 10, at(0));
        members.note_progress(2, 10, 10, at(100));
        assert_eq!(members.stands_still(2, at(101)).as_secs(), 1, "it lacks nothing: nothing was written");
        members.note_progress(2, 10, 11, at(102));
        members.note_progress(2, 10, 90, at(120));
        assert_eq!(members.stands_still(2, at(120)).as_secs(), 20);
        members.note_progress(2, 11, 95, at(121));
        assert_eq!(members.stands_still(2, at(121)).as_secs(), 0, "it makes progress, slowly");
        assert_eq!(members.stands_still(3, at(121)).as_secs(), 0, "nothing is known");
    }

    #[test]
    fn a_leader_that_reports_no_majority_is_believed() {
        let members = Members::default();
        assert!(!members.leads_alone(1));
        members.note(1, NodeInfo { leads_alone: true, ..NodeInfo::default() }, Duration::ZERO);
        assert!(members.leads_alone(1) && !members.leads_alone(2));
        members.note(1, NodeInfo::default(), Duration::ZERO);
        assert!(!members.leads_alone(1));
    }
}
