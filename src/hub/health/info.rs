//! What a node reports to the others about itself.

use super::sight::Sight;
use crate::clock::now_ms;
use crate::core::ids::NodeId;
use crate::core::operators::Certificate;
use crate::hub::peers::{Lane, PeerRequest};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use waypost_cluster::{CatchUp, Claim, ClockState, Status};

/// Asks a node for its [`NodeInfo`].
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::hub) struct AskInfo;

impl PeerRequest for AskInfo {
    /// [`NodeInfo`] as JSON, which other releases can read too.
    type Answer = serde_bytes::ByteBuf;
    const KIND: u16 = 3;
    const LANE: Lane = Lane::quick(32, 32);
}

/// Asks a node to ask another member for its [`NodeInfo`].
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::hub) struct AskAbout(pub(in crate::hub) NodeId);

impl PeerRequest for AskAbout {
    /// [`NodeInfo`] as JSON; `None` if that member does not answer the node.
    type Answer = Option<serde_bytes::ByteBuf>;
    const KIND: u16 = 22;
    const LANE: Lane = Lane::quick(16, 16);
}

/// The report of a node about itself. Fields are only ever added: a field that another release does not
/// report has its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeInfo {
    /// Index of the last log entry in its log.
    pub last_log_index: u64,
    /// Index of the last entry applied.
    pub applied_index: u64,
    /// Index of the last entry that it knows to be committed.
    pub committed_index: u64,
    /// The leader that it follows, or itself.
    pub leader: Option<NodeId>,
    /// It leads with a majority, or heard from its leader lately.
    pub has_quorum: bool,
    /// How it reaches each other member.
    pub sees: Vec<Sight>,
    /// A keyed hash of each setting that shall be the same on all nodes, by the setting's name. Empty until
    /// the node has the key.
    pub settings: BTreeMap<String, String>,
    /// It has the key that encrypts webhooks. `None`: an older release, which does not report it.
    pub has_key: Option<bool>,
    /// Lines of the audit log that could not be written since it started.
    pub audit_lost: u64,
    /// What its clients lack because it may open too few files, in words.
    pub short_of_files: Option<String>,
    /// Bytes of its store that are free for new data.
    pub disk_reusable: u64,
    /// Open client connections.
    pub connections: u64,
    /// Topics with subscribers.
    pub topics: u64,
    /// The node accepts no new clients.
    pub draining: bool,
    /// Subjects and patterns whose ephemeral events the node requests from the others.
    pub ephemeral_interest: u64,
    /// Ephemeral events from this node that did not reach another node.
    pub ephemeral_dropped: u64,
    /// The release that the node runs.
    pub version: String,
    /// Its clock (Unix milliseconds).
    pub time_ms: u64,
    /// How long the node has been running (milliseconds).
    pub uptime_ms: u64,
    /// Its process before this one ended without being told to. `None`: that is not known.
    pub after_crash: Option<bool>,
    /// How long ago its store was made durable (milliseconds).
    pub snapshot_age_ms: u64,
    /// Size of its log (bytes).
    pub log_bytes: u64,
    /// Size of its disk (bytes).
    pub disk_total: u64,
    /// Free bytes of its disk.
    pub disk_free: u64,
    /// Bytes used by its data directory.
    pub disk_used: u64,
    /// The disk has less free space than the reserve.
    pub disk_full: bool,
    /// Folders in its data directory with files that were set aside as damaged.
    pub damaged: u64,
    /// Those of them that hold a log of a data directory that was older than what the node had acknowledged.
    pub older: u64,
    /// The cluster told the node that it is no longer a member.
    pub removed: bool,
    /// Why the node stopped for good.
    pub failure: Option<String>,
    /// The node leads, but has not heard from a majority lately.
    pub leads_alone: bool,
    /// The ids that two processes claim, as far as the node noticed.
    pub claims: Vec<Claim>,
    /// The node's judgement of the voters' clocks, if it leads.
    pub clocks: ClockState,
    /// The time that seems to have passed before the node led, and that expiry does not count (milliseconds).
    pub held_ms: Option<i64>,
    /// How far the time in event ids is ahead of the cluster's time (milliseconds).
    pub ids_ahead_ms: u64,
    /// The members that the node, as leader, brings up to date with a snapshot and the entries after it.
    pub catching_up: Vec<NodeId>,
    /// Those of them for which it could not keep its log.
    pub given_up: Vec<NodeId>,
    /// Its disk was slow a moment ago, while a majority of the nodes was not.
    pub disk_slow: bool,
    /// How long the slowest write to its log of the last minute or two took until it was on disk
    /// (milliseconds).
    pub sync_slowest_ms: u64,
    /// The age of the oldest write to its log that is not on disk yet (milliseconds).
    pub sync_age_ms: u64,
    /// When the certificates end that it shows to others (seconds since 1970), by [`Certificate::name`].
    pub certificates: BTreeMap<String, u64>,
}

/// Tells when the certificate ends that clients see (seconds since 1970), if that is known.
pub(super) struct ClientCertificate(pub(super) Box<dyn Fn() -> Option<u64> + Send + Sync>);

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientCertificate").field(&(self.0)()).finish()
    }
}

/// Counters of this node, and values that are measured rarely.
#[derive(Debug)]
pub(in crate::hub) struct Counts {
    /// Open client connections.
    pub(super) connections: AtomicU64,
    /// The node accepts no new clients.
    pub(super) draining: AtomicBool,
    /// The node is cut off from the cluster.
    pub(super) cut_off: AtomicBool,
    /// Subjects and patterns whose ephemeral events this node requests from the others.
    pub(in crate::hub) ephemeral_interest: AtomicU64,
    /// Ephemeral events that did not reach another node.
    pub(in crate::hub) ephemeral_dropped: AtomicU64,
    pub(super) disk_used: AtomicU64,
    pub(super) damaged: AtomicU64,
    pub(super) older: AtomicU64,
    /// Lines of the audit log that could not be written, if there is one.
    pub(super) audit_lost: OnceLock<Arc<AtomicU64>>,
    /// Whether the process before this one ended without being told to.
    pub(super) after_crash: OnceLock<bool>,
    /// What clients of this node lack because it may open too few files.
    pub(super) short_of_files: OnceLock<String>,
    /// The end of the certificate that clients see, if there is one.
    pub(super) client_certificate: OnceLock<ClientCertificate>,
    /// The hashes of the settings that shall be the same on all nodes, once this node has the key for them.
    pub(super) settings: OnceLock<BTreeMap<String, String>>,
    started: Instant,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            connections: AtomicU64::default(),
            draining: AtomicBool::default(),
            cut_off: AtomicBool::default(),
            ephemeral_interest: AtomicU64::default(),
            ephemeral_dropped: AtomicU64::default(),
            disk_used: AtomicU64::default(),
            damaged: AtomicU64::default(),
            older: AtomicU64::default(),
            audit_lost: OnceLock::new(),
            after_crash: OnceLock::new(),
            short_of_files: OnceLock::new(),
            client_certificate: OnceLock::new(),
            settings: OnceLock::new(),
            started: Instant::now(),
        }
    }
}

impl Counts {
    /// The report of this node, from its status and from how it reaches the others.
    pub(super) fn tell(&self, status: &Status, topics: u64, sees: Vec<Sight>) -> NodeInfo {
        let catch_up = |is: fn(CatchUp) -> bool| -> Vec<NodeId> {
            status.members.iter().filter(|member| member.catch_up.is_some_and(is)).map(|m| m.id).collect()
        };
        NodeInfo {
            last_log_index: status.last_log,
            applied_index: status.applied,
            committed_index: status.committed.max(status.applied),
            leader: status.leader,
            has_quorum: status.has_quorum,
            sees,
            settings: self.settings.get().cloned().unwrap_or_default(),
            has_key: Some(self.settings.get().is_some()),
            audit_lost: self.audit_lost.get().map_or(0, |lost| lost.load(Ordering::Relaxed)),
            short_of_files: self.short_of_files.get().cloned(),
            disk_reusable: status.disk_reusable,
            connections: self.connections.load(Ordering::Relaxed),
            topics,
            draining: self.draining.load(Ordering::Relaxed),
            ephemeral_interest: self.ephemeral_interest.load(Ordering::Relaxed),
            ephemeral_dropped: self.ephemeral_dropped.load(Ordering::Relaxed),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            time_ms: now_ms(),
            uptime_ms: self.started.elapsed().as_millis() as u64,
            after_crash: self.after_crash.get().copied(),
            snapshot_age_ms: status.snapshot_age_ms,
            log_bytes: status.log_bytes,
            disk_total: status.disk_total,
            disk_free: status.disk_free,
            disk_used: self.disk_used.load(Ordering::Relaxed),
            disk_full: status.disk_full,
            damaged: self.damaged.load(Ordering::Relaxed),
            older: self.older.load(Ordering::Relaxed),
            removed: status.removed,
            leads_alone: status.is_leader() && !status.has_quorum,
            claims: status.claims.clone(),
            failure: status.failure.clone(),
            clocks: status.clock.clocks,
            held_ms: status.clock.held_ms,
            ids_ahead_ms: status.clock.id_ms.saturating_sub(status.clock.time_ms),
            catching_up: catch_up(|_| true),
            given_up: catch_up(|catch_up| catch_up == CatchUp::GivenUp),
            disk_slow: status.disk_slow,
            sync_slowest_ms: status.sync_slowest_ms,
            sync_age_ms: status.sync_age_ms,
            certificates: self.certificates(status),
        }
    }

    /// When the certificates of this node end, by their names.
    fn certificates(&self, status: &Status) -> BTreeMap<String, u64> {
        let until = |certificate| match certificate {
            Certificate::Peer => status.peer_certificate_until,
            Certificate::Client => self.client_certificate.get().and_then(|of_clients| (of_clients.0)()),
        };
        let known = Certificate::ALL.into_iter().filter_map(|one| Some((one.name().to_owned(), until(one)?)));
        known.collect()
    }
}
