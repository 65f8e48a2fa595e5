//! What nodes tell each other of how they are, asked for regularly.
//!
//! Owns the last word of every member and when it came: so it can be told since when one is silent, and whether the
//! disks of a majority have room. Never decides who leads or who is a member.

use super::Hub;
use super::bridge::Bridge;
use super::peers::{Lane, PeerRequest, Peers};
use crate::clock::now_ms;
use crate::core::ids::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use waypost_cluster::{ClockState, Cluster, Operation, Status};

/// How often the members are asked.
const ROUND: Duration = Duration::from_secs(2);
/// Longest wait for one of them.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);
/// What was told longer ago says nothing about now.
const STALE: Duration = Duration::from_secs(10);
/// A leader's word that it has no majority counts so long.
const ALONE: Duration = Duration::from_secs(5);
/// How often a leader without a majority is asked whether it has one again.
const LOOK: Duration = Duration::from_millis(200);

/// What do you carry?
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AskInfo;

impl PeerRequest for AskInfo {
    /// [`NodeInfo`] as JSON, which other releases can read too.
    type Answer = serde_bytes::ByteBuf;
    const KIND: u16 = 3;
    const LANE: Lane = Lane::quick(32, 32);
}

pub(super) fn serve(peers: &Peers, cluster: &Cluster, info: Arc<InfoSource>, bridge: Arc<Bridge>) {
    let cluster = cluster.clone();
    peers.serve(move |_, AskInfo| {
        let info = info.tell(&cluster, bridge.topic_count() as u64);
        std::future::ready(serde_json::to_vec(&info).unwrap_or_default().into())
    });
}

/// What a node tells of itself. Fields are only ever added: what another release doesn't tell is left at its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeInfo {
    /// Index of the last log entry in its log.
    pub last_log_index: u64,
    /// Index of the last entry applied.
    pub applied_index: u64,
    /// Open client connections.
    pub connections: u64,
    /// Topics with subscribers.
    pub topics: u64,
    /// It takes no new clients.
    pub draining: bool,
    /// Subjects and patterns of ephemeral events that it wants of the others.
    pub ephemeral_interest: u64,
    /// Ephemeral events that did not reach another node from there.
    pub ephemeral_dropped: u64,
    /// The release that runs there.
    pub version: String,
    /// Its clock (Unix milliseconds).
    pub time_ms: u64,
    /// How long it runs (milliseconds).
    pub uptime_ms: u64,
    /// How long ago its store was made durable (milliseconds).
    pub snapshot_age_ms: u64,
    /// Size of its log (bytes).
    pub log_bytes: u64,
    /// Size of its disk (bytes).
    pub disk_total: u64,
    /// Free there (bytes).
    pub disk_free: u64,
    /// Used by its data directory (bytes).
    pub disk_used: u64,
    /// Less is free than what is reserved.
    pub disk_full: bool,
    /// Folders in its data directory with files that were set aside as damaged.
    pub damaged: u64,
    /// The cluster told it that it is no member any more.
    pub removed: bool,
    /// Why it stopped for good.
    pub failure: Option<String>,
    /// It leads, but has not heard of a majority lately.
    pub leads_alone: bool,
    /// What it thinks of the voters' clocks, if it leads.
    pub clocks: ClockState,
    /// So much time (milliseconds) seems to have passed before it led, that expiry does not count.
    pub held_ms: Option<i64>,
    /// The time that event ids have reached is so far ahead of the time (milliseconds).
    pub ids_ahead_ms: u64,
}

/// The last word of a member.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What it told.
    pub info: NodeInfo,
    /// How long ago.
    pub age: Duration,
    /// Its clock minus this node's, in milliseconds, as far as the way there lets it be known.
    pub clock_ms: i64,
}

/// Counts that other rooms keep up to date, and what is measured seldom.
#[derive(Debug)]
pub struct InfoSource {
    /// Open client connections.
    pub connections: AtomicU64,
    /// It takes no new clients.
    pub draining: AtomicBool,
    /// Subjects and patterns of ephemeral events that this node wants of the others.
    pub(super) ephemeral_interest: AtomicU64,
    /// Ephemeral events that did not reach another node.
    pub(super) ephemeral_dropped: AtomicU64,
    disk_used: AtomicU64,
    damaged: AtomicU64,
    started: Instant,
}

impl Default for InfoSource {
    fn default() -> Self {
        Self {
            connections: AtomicU64::default(),
            draining: AtomicBool::default(),
            ephemeral_interest: AtomicU64::default(),
            ephemeral_dropped: AtomicU64::default(),
            disk_used: AtomicU64::default(),
            damaged: AtomicU64::default(),
            started: Instant::now(),
        }
    }
}

impl InfoSource {
    /// What this node tells.
    pub(super) fn tell(&self, cluster: &Cluster, topics: u64) -> NodeInfo {
        let status = cluster.status();
        NodeInfo {
            last_log_index: status.last_log,
            applied_index: status.applied,
            connections: self.connections.load(Ordering::Relaxed),
            topics,
            draining: self.draining.load(Ordering::Relaxed),
            ephemeral_interest: self.ephemeral_interest.load(Ordering::Relaxed),
            ephemeral_dropped: self.ephemeral_dropped.load(Ordering::Relaxed),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            time_ms: now_ms(),
            uptime_ms: self.started.elapsed().as_millis() as u64,
            snapshot_age_ms: status.snapshot_age_ms,
            log_bytes: status.log_bytes,
            disk_total: status.disk_total,
            disk_free: status.disk_free,
            disk_used: self.disk_used.load(Ordering::Relaxed),
            disk_full: status.disk_full,
            damaged: self.damaged.load(Ordering::Relaxed),
            removed: status.removed,
            leads_alone: status.is_leader() && !status.has_quorum,
            failure: status.failure,
            clocks: status.clock.clocks,
            held_ms: status.clock.held_ms,
            ids_ahead_ms: status.clock.id_ms.saturating_sub(status.clock.time_ms),
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Vitals {
    /// For each member: what it had applied when it was last seen to come on or to lack nothing, and when that was.
    progress: Mutex<BTreeMap<NodeId, (u64, Instant)>>,
    seen: Mutex<BTreeMap<NodeId, (NodeInfo, Instant, i64)>>,
    no_room: AtomicBool,
}

impl Vitals {
    fn note(&self, node: NodeId, info: NodeInfo, took: Duration) {
        // Its clock was read somewhere within the time that asking took: half of it is as good a guess as any.
        let offset = info.time_ms as i64 - (now_ms() as i64 - took.as_millis() as i64 / 2);
        let slack = took.as_millis() as i64;
        let clock_ms = if offset.abs() <= slack { 0 } else { offset };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(node, (info, Instant::now(), clock_ms));
    }

    /// Notes how far `node` has come, while `committed` was known to be committed.
    fn note_progress(&self, node: NodeId, applied: u64, committed: u64, now: Instant) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let known = progress.entry(node).or_insert((applied, now));
        if known.0 != applied || applied >= committed {
            *known = (applied, now);
        }
    }

    fn stands_still(&self, node: NodeId, now: Instant) -> Duration {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.get(&node).map_or(Duration::ZERO, |(_, since)| now.saturating_duration_since(*since))
    }

    /// That node said lately that it leads without a majority.
    pub(super) fn leads_alone(&self, node: NodeId) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&node).is_some_and(|(info, at, _)| info.leads_alone && at.elapsed() < ALONE)
    }

    fn seen(&self, node: NodeId) -> Option<Seen> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (info, at, clock_ms) = seen.get(&node)?;
        Some(Seen { info: info.clone(), age: at.elapsed(), clock_ms: *clock_ms })
    }
}

impl Hub {
    /// What a node tells now; `None` when it doesn't answer in time.
    pub async fn node_info(&self, node: NodeId, timeout: Duration) -> Option<NodeInfo> {
        if node == self.node_id() {
            let info = self.0.info.tell(&self.0.cluster, self.0.bridge.topic_count() as u64);
            self.note_progress(node, &info);
            return Some(info);
        }
        let began = Instant::now();
        let told = self.ask(node, &AskInfo, timeout).await.ok()?;
        let info: NodeInfo = serde_json::from_slice(&told).ok()?;
        self.0.vitals.note(node, info.clone(), began.elapsed());
        self.note_progress(node, &info);
        Some(info)
    }

    fn note_progress(&self, node: NodeId, info: &NodeInfo) {
        let status = self.0.cluster.status();
        let committed = status.committed.max(status.applied);
        self.0.vitals.note_progress(node, info.applied_index, committed, Instant::now());
    }

    /// For how long a node has lacked entries without applying any, as far as is known here.
    pub fn stands_still(&self, node: NodeId) -> Duration {
        self.0.vitals.stands_still(node, Instant::now())
    }

    /// What was last heard of a node.
    pub fn last_seen(&self, node: NodeId) -> Option<Seen> {
        self.0.vitals.seen(node)
    }

    /// Whether the disks of the leader and of a majority have room for more events, as far as is known here.
    pub fn has_room(&self) -> bool {
        !self.0.vitals.no_room.load(Ordering::Relaxed)
    }

    /// Asks all members again and again, as long as the node runs.
    pub(super) async fn watch_vitals(self) {
        let mut last_disk_full = false;
        loop {
            let status = self.status();
            let members = status.members.iter().map(|member| member.id);
            futures_util::future::join_all(members.map(|node| self.node_info(node, ASK_TIMEOUT))).await;
            self.measure().await;
            self.judge_room().await;
            // A disk that fills up is told of at once; the others are asked when it is their time.
            for _ in 0..ROUND.as_millis() / LOOK.as_millis() {
                tokio::time::sleep(LOOK).await;
                let status = self.0.cluster.status();
                if status.disk_full != last_disk_full {
                    break;
                }
                if let Some(leader) = status.leader.filter(|leader| self.0.vitals.leads_alone(*leader)) {
                    self.node_info(leader, ASK_TIMEOUT).await;
                }
            }
            last_disk_full = self.status().disk_full;
        }
    }

    async fn measure(&self) {
        let cluster = self.0.cluster.clone();
        if let Ok((used, damaged)) = actix_rt::task::spawn_blocking(move || cluster.admin().disk_use()).await {
            self.0.info.disk_used.store(used, Ordering::Relaxed);
            self.0.info.damaged.store(damaged, Ordering::Relaxed);
        }
    }

    fn is_full(&self, status: &Status, node: NodeId) -> bool {
        if node == status.node_id {
            return status.disk_full;
        }
        self.last_seen(node).is_some_and(|seen| seen.age < STALE && seen.info.disk_full)
    }

    /// Keeps up to date whether there is room; a leader without any hands the lead to a voter that has some.
    async fn judge_room(&self) {
        let status = self.status();
        let (full, roomy): (Vec<_>, Vec<_>) =
            status.members.iter().filter(|m| m.voter).partition(|m| self.is_full(&status, m.id));
        let needed = (full.len() + roomy.len()) / 2 + 1;
        let leader_full = status.leader.is_some_and(|leader| full.iter().any(|m| m.id == leader));
        // Before anything is known of members nothing is known of their disks.
        let no_room = (roomy.len() < needed && !full.is_empty()) || leader_full;
        if self.0.vitals.no_room.swap(no_room, Ordering::Relaxed) != no_room {
            tracing::warn!(refused = no_room, "room on the disks: publishing is refused, or taken again");
        }
        if leader_full && status.is_leader() && roomy.len() >= needed {
            let best = roomy.iter().filter(|m| m.reachable).max_by_key(|m| (m.drained_ms.is_none(), m.matched));
            if let Some(to) = best {
                tracing::warn!(to = to.id, "this leader's disk is full: the lead goes to a node with room");
                let _ = self.0.cluster.admin().operate(Operation::Lead(Some(to.id))).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lacks_entries_and_applies_none_stands_still() {
        let (vitals, start) = (Vitals::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        vitals.note_progress(2, 10, 10, at(0));
        vitals.note_progress(2, 10, 10, at(100));
        assert_eq!(vitals.stands_still(2, at(101)).as_secs(), 1, "it lacks nothing: nothing was written");
        vitals.note_progress(2, 10, 11, at(102));
        vitals.note_progress(2, 10, 90, at(120));
        assert_eq!(vitals.stands_still(2, at(120)).as_secs(), 20);
        vitals.note_progress(2, 11, 95, at(121));
        assert_eq!(vitals.stands_still(2, at(121)).as_secs(), 0, "it comes on, slowly");
        assert_eq!(vitals.stands_still(3, at(121)).as_secs(), 0, "nothing is known");
    }

    #[test]
    fn a_leader_is_believed_that_it_has_no_majority() {
        let vitals = Vitals::default();
        assert!(!vitals.leads_alone(1));
        vitals.note(1, NodeInfo { leads_alone: true, ..NodeInfo::default() }, Duration::ZERO);
        assert!(vitals.leads_alone(1) && !vitals.leads_alone(2));
        vitals.note(1, NodeInfo::default(), Duration::ZERO);
        assert!(!vitals.leads_alone(1));
    }
}
