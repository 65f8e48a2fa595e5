//! The settings of a node: addresses, timings and limits, with defaults that work. This module reads neither
//! files nor the environment.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::error::StartError;
use crate::net::Lane;

/// Called once, with the reason, when the node cannot go on (damaged or failing disk, panic while applying).
pub type FatalHook = Arc<dyn Fn(&str) + Send + Sync>;

/// Called with the reason, when a node begins to wait for a cluster and when the reason changes.
pub type WaitHook = Arc<dyn Fn(&str) + Send + Sync>;

/// What admits a newcomer to the cluster. Between members identities decide, and every connection is
/// encrypted, whatever is set here. With neither keys nor certificates every process that reaches the peer
/// port may join, so the port must be on loopback.
///
/// A cluster changes from one to the other node by node: with keys and certificates, a node shows its
/// certificate, and a peer needs either.
#[derive(Clone, Default)]
pub struct Security {
    /// Secrets that nodes share, each of at least [`Security::KEY_LENGTH`] characters. Each of them admits,
    /// so a key is replaced node by node: the new one, and the old one until all nodes have the new one.
    pub keys: Vec<String>,
    /// Certificates of an authority.
    pub tls: Option<TlsFiles>,
}

/// The PEM files of a node's certificate for its peers. The node reads them again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates of the authorities that this node trusts. A peer needs a certificate of one of them.
    pub ca: PathBuf,
    /// This node's certificate, with the intermediate certificates up to the authority.
    pub cert: PathBuf,
    /// The private key of that certificate.
    pub key: PathBuf,
}

impl Security {
    /// Minimum length of a shared key (characters).
    pub const KEY_LENGTH: usize = 16;
    /// Most keys at a time: one, and the one before it.
    pub const KEYS: usize = 2;

    fn validate(&self, peer_addr: SocketAddr) -> Result<(), StartError> {
        let wrong = |what: String| Err(StartError::Config(what));
        let anybody = self.keys.is_empty() && self.tls.is_none();
        if anybody && !peer_addr.ip().to_canonical().is_loopback() {
            return wrong(format!(
                "peers can reach {peer_addr} from other machines, and every process there could join: set \
                 certificates or a key for the peers, or listen on loopback"
            ));
        }
        if self.keys.iter().any(|key| key.chars().count() < Self::KEY_LENGTH) {
            return wrong(format!("a key of the peers must have at least {} characters", Self::KEY_LENGTH));
        }
        if self.keys.len() > Self::KEYS {
            return wrong(format!("the peers may have {} keys at most", Self::KEYS));
        }
        Ok(())
    }
}

/// Settings of one node.
#[derive(Clone)]
pub struct Config {
    /// Folder that holds everything durable; created if absent, locked while in use.
    pub data_dir: PathBuf,
    /// Address that this node listens on for peers; port 0 takes a free one.
    pub peer_addr: SocketAddr,
    /// Address that peers use to reach this node (`host:port`); empty = `peer_addr` as bound.
    pub advertise_peer: String,
    /// What admits a newcomer to the cluster.
    pub security: Security,
    /// What a caller of the peer port gets that begins with a capital letter, and so speaks no TLS: a client that
    /// has taken this port for another one. Empty = nothing.
    pub told_without_tls: Bytes,
    /// Further facts about this node for the members (address of its API, version, …). That of the name
    /// [`crate::NAME`] is the name by which log lines and the status call it.
    pub meta: BTreeMap<String, String>,
    /// Peer addresses (`host:port`) of members to join when the data directory is empty.
    pub join: Vec<String>,
    /// How many nodes with empty data directories found a cluster together, once all of them see each other at
    /// the addresses of `join`; the same on all of them. 0 = this node founds none with others.
    pub bootstrap_expect: u32,
    /// Called while the node waits for a cluster.
    pub on_waiting: Option<WaitHook>,
    /// Stay a learner: replicate and serve clients, but never vote.
    pub role_learner: bool,
    /// How often the leader sends a heartbeat (milliseconds).
    pub heartbeat_ms: u64,
    /// Shortest election timeout (milliseconds).
    pub election_min_ms: u64,
    /// Longest election timeout (milliseconds); also how long a leader that is not heard keeps its lease.
    pub election_max_ms: u64,
    /// Longest that a proposal or a barrier waits for its answer.
    pub propose_timeout: Duration,
    /// Largest command (bytes).
    pub max_command_bytes: usize,
    /// Largest total size of the commands of one log entry (bytes).
    pub max_entry_bytes: usize,
    /// Most commands in one log entry.
    pub max_entry_commands: usize,
    /// Most log entries that this node has in flight at a time.
    pub max_entries_in_flight: usize,
    /// Most proposals that wait or are under way. One flow may hold as many as are left.
    pub max_queued_proposals: usize,
    /// Most bytes of proposals that wait or are under way. One flow may hold as many as are left.
    pub max_queued_bytes: usize,
    /// Most bytes of log entries in one append to a follower.
    pub max_append_bytes: usize,
    /// Cache of the store (bytes).
    pub store_cache_bytes: usize,
    /// Cache of recent log entries (bytes).
    pub log_cache_bytes: usize,
    /// Size at which a file of the log is closed and the next one begun (bytes).
    pub log_chunk_bytes: usize,
    /// How long a flush of the log waits so that it can include further writes.
    pub log_flush_wait: Duration,
    /// The store is made durable after this many entries …
    pub checkpoint_entries: u64,
    /// … or this many bytes of entries …
    pub checkpoint_bytes: u64,
    /// … or this long after the last time, if anything was applied.
    pub checkpoint_interval: Duration,
    /// Number of applied entries that stay in the log for members that were away for a while.
    pub keep_entries: u64,
    /// Most bytes of applied entries that stay in the log.
    pub keep_bytes: u64,
    /// Longest that sending one chunk of a snapshot may take.
    pub snapshot_timeout: Duration,
    /// Largest body of an application request and of its answer (bytes).
    pub max_request_bytes: usize,
    /// Most requests in flight to one peer on one connection.
    pub max_requests_in_flight: usize,
    /// The same limit for the connections of [`crate::RequestLane::Patient`], [`crate::RequestLane::Relay`] and
    /// [`crate::RequestLane::Large`], whose requests take long to answer.
    pub max_patient_requests: usize,
    /// Most connections that peers may hold to this node.
    pub max_connections: usize,
    /// Bytes to keep free on the disk of the data directory; never more than a tenth of the disk. 0 = none.
    pub disk_reserve: u64,
    /// Check every page of the store against its checksum at the start.
    pub verify_store: bool,
    /// Called before the process is aborted; with `None` the process is aborted at once. When the hook
    /// returns, the process is aborted, unless [`Config::abort_on_fatal`] is off.
    pub on_fatal: Option<FatalHook>,
    /// Abort the process on a fatal error (off only if several nodes share a process).
    pub abort_on_fatal: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./data"),
            peer_addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 4001)),
            advertise_peer: String::new(),
            security: Security::default(),
            told_without_tls: Bytes::new(),
            meta: BTreeMap::new(),
            join: Vec::new(),
            bootstrap_expect: 0,
            on_waiting: None,
            role_learner: false,
            heartbeat_ms: 100,
            election_min_ms: 300,
            election_max_ms: 600,
            propose_timeout: Duration::from_secs(5),
            max_command_bytes: 1024 * 1024,
            max_entry_bytes: 1024 * 1024,
            max_entry_commands: 512,
            max_entries_in_flight: 4,
            max_queued_proposals: 16 * 1024,
            max_queued_bytes: 64 * 1024 * 1024,
            max_append_bytes: 2 * 1024 * 1024,
            store_cache_bytes: 64 * 1024 * 1024,
            log_cache_bytes: 64 * 1024 * 1024,
            log_chunk_bytes: 64 * 1024 * 1024,
            log_flush_wait: Duration::from_micros(50),
            checkpoint_entries: 10_000,
            checkpoint_bytes: 32 * 1024 * 1024,
            checkpoint_interval: Duration::from_secs(10),
            keep_entries: 100_000,
            keep_bytes: 256 * 1024 * 1024,
            snapshot_timeout: Duration::from_secs(30),
            max_request_bytes: 1024 * 1024,
            max_requests_in_flight: 1024,
            max_patient_requests: 4096,
            max_connections: 256,
            disk_reserve: 0,
            verify_store: true,
            on_fatal: None,
            abort_on_fatal: true,
        }
    }
}

impl Config {
    /// The smallest number of nodes that found a cluster together: minimum of [`Config::bootstrap_expect`], if
    /// it is not 0.
    pub const FEWEST_FOUNDERS: u32 = 2;
    /// Minimum of [`Config::max_connections`]: in a cluster of three, each of the two peers has one
    /// connection per lane.
    pub const MIN_CONNECTIONS: usize = 2 * Lane::ALL.len();

    /// Refuses settings that cannot work.
    pub(crate) fn validate(&self) -> Result<(), StartError> {
        let wrong = |what: &str| Err(StartError::Config(what.to_owned()));
        if self.heartbeat_ms == 0 || self.heartbeat_ms * 2 > self.election_min_ms {
            return wrong("heartbeat_ms must be at least 1 and at most half of election_min_ms");
        }
        if self.election_min_ms >= self.election_max_ms {
            return wrong("election_min_ms must be less than election_max_ms");
        }
        if self.max_command_bytes > crate::wire::MAX_COMMAND
            || self.max_entry_bytes > crate::wire::MAX_COMMAND
        {
            return wrong("max_command_bytes and max_entry_bytes may be 2 MiB at most");
        }
        if self.max_request_bytes > crate::wire::MAX_COMMAND
            || self.max_append_bytes > crate::wire::MAX_COMMAND
        {
            return wrong("max_request_bytes and max_append_bytes may be 2 MiB at most");
        }
        if self.max_entry_commands == 0 || self.max_entries_in_flight == 0 || self.max_queued_proposals == 0 {
            return wrong(
                "max_entry_commands, max_entries_in_flight and max_queued_proposals must be at least 1",
            );
        }
        if self.bootstrap_expect > 0
            && (self.bootstrap_expect < Self::FEWEST_FOUNDERS || self.join.is_empty())
        {
            return wrong(
                "bootstrap_expect must be 0, or at least 2 with the addresses of the others in join",
            );
        }
        if self.max_queued_bytes < 4 * self.max_command_bytes {
            return wrong("max_queued_bytes must be at least four times max_command_bytes");
        }
        if self.checkpoint_entries == 0 {
            return wrong("checkpoint_entries must be at least 1");
        }
        if self.max_connections < Self::MIN_CONNECTIONS {
            return wrong(&format!("max_connections must be at least {}", Self::MIN_CONNECTIONS));
        }
        if self.max_requests_in_flight == 0 || self.max_patient_requests == 0 {
            return wrong("max_requests_in_flight and max_patient_requests must be at least 1");
        }
        if self.propose_timeout.is_zero() || self.snapshot_timeout < Duration::from_secs(1) {
            return wrong("propose_timeout must be positive and snapshot_timeout at least a second");
        }
        self.security.validate(self.peer_addr)
    }
}
