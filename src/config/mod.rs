//! The configuration: one typed tree, read from defaults, a TOML file, the environment and flags, then validated.
//!
//! Owns what can be set, under which name, and what is allowed. Never acts on a setting: the rooms take their part of
//! the tree. Durations and sizes are integers whose unit stands in the key's name.
//!
//! Adding a key takes a field here, its line in `Default`, its line in `waypost.default.toml` and, for a number, its
//! range in [`validate`]; tests hold these together. Environment names and flags follow by themselves. Limits that maps
//! have of their own stand in [`crate::core::limits`] instead, and need but the line in `waypost.default.toml`.

mod fault;
mod keys;
mod load;
mod promises;
mod secret;
mod security;
mod validate;
mod webhooks;

#[cfg(test)]
mod tests;

use crate::core::limits::NewMapLimits;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

pub use keys::{KEYS, Key, NOT_KEYS};
pub use load::{ConfigError, Loaded, Loader, Source};
pub use secret::Secret;
pub use security::{Http, Peer};
pub use webhooks::{Aws, ConfiguredWebhook, Webhooks};

/// The commented default configuration, as `waypost config default` prints it.
pub const DEFAULT_TOML: &str = include_str!("../../waypost.default.toml");

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Opens every map and the admin API. Absent: made at first start and printed once.
    pub admin_token: Option<Secret>,
    /// Directory of the Raft log and the applied state.
    pub data_dir: std::path::PathBuf,
    /// Where clients connect.
    pub http_addr: SocketAddr,
    /// Where other nodes connect.
    pub peer_addr: SocketAddr,
    /// `host:port` under which other nodes reach `peer_addr`, if not by that very address.
    pub advertise_peer_addr: Option<String>,
    /// `host:port` under which clients reach `http_addr`, if not by that very address.
    pub advertise_http_addr: Option<String>,
    /// `host:port` of peers to join; empty: this node starts (or goes on as) a cluster of its own.
    pub join: Vec<String>,
    /// Whether this node votes.
    pub role: Role,
    /// HTTP worker threads; 0 = one a core.
    pub workers: usize,
    /// Log filter, as in `info` or `waypost=debug,warn`.
    pub log: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// How peers know each other.
    pub peer: Peer,
    /// The client port.
    pub http: Http,
    /// What one caller may take.
    pub limits: Limits,
    /// How much history new maps keep.
    pub retention: Retention,
    /// Client connections.
    pub session: Session,
    /// Publishing.
    pub publish: Publish,
    /// Events that are not stored.
    pub ephemeral: Ephemeral,
    /// Replication and storage.
    pub raft: Raft,
    /// The disk of the data directory.
    pub disk: Disk,
    /// Webhook delivery.
    pub webhooks: Webhooks,
}

/// The disk of the data directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// Room to keep free, in MiB; a tenth of the disk at most. With less, publishing is refused.
    pub reserve_mb: u64,
}

impl Default for Disk {
    fn default() -> Self {
        Self { reserve_mb: 128 }
    }
}

/// A node's part in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Counts towards the majority.
    Voter,
    /// Follows the log and serves clients, never votes.
    Learner,
}

/// The shape of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What one event, request, socket, map or address may take. The loader refuses unknown names: serde can't, beside a
/// flattened part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Largest event (its JSON as sent), in bytes.
    pub event_bytes: usize,
    /// Most events in one request.
    pub batch_events: usize,
    /// Largest JSON request body, in bytes; NDJSON is read line by line and bounded by `event_bytes` a line.
    pub body_bytes: usize,
    /// Deepest JSON that is taken.
    pub json_depth: usize,
    /// What new maps start with.
    #[serde(flatten)]
    pub new_maps: NewMapLimits,
    /// Most maps in the cluster.
    pub maps: usize,
    /// Most tokens a map.
    pub tokens_per_map: usize,
    /// Most client connections on this node.
    pub sockets: usize,
    /// Most client connections from one address on this node; 0 = no limit.
    pub sockets_per_address: usize,
    /// Most topics joined on one socket.
    pub channels_per_socket: usize,
    /// Most different filter expressions in use on one map of this node, and most different patterns of subjects.
    pub expressions_per_topic: usize,
    /// Largest frame from a client, in bytes.
    pub frame_bytes: usize,
    /// Largest request head, in bytes.
    pub header_bytes: usize,
    /// Longest time a client may take to send its request head, in milliseconds.
    pub upgrade_timeout_ms: u64,
    /// Allowed `Origin`s of browsers; empty = any.
    pub origins: Vec<String>,
    /// Refused tokens a minute from one address before it is answered 429; 0 = no limit.
    pub auth_failures_per_minute: u32,
}

/// History that new maps keep; whichever bound is reached first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Events a map.
    pub events: u64,
    /// Age of an event, in seconds.
    pub age_seconds: u64,
    /// Bytes of events a map.
    pub bytes: u64,
    /// How far it waits for webhooks.
    pub webhook_backlog: WebhookBacklog,
}

/// How far the retention of new maps waits for their active webhooks; whichever bound is reached first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookBacklog {
    /// Bytes of events kept for webhooks alone, a map; 0 = retention waits for none.
    pub bytes: u64,
    /// Age of an event kept for webhooks alone, in seconds.
    pub age_seconds: u64,
}

/// Client connections.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// A socket that sent nothing for so long is closed, in seconds; so is a long poll that was not asked.
    pub idle_timeout_seconds: u64,
    /// A socket that took less than `min_bytes_per_second` for so long while something waits is closed (1012), in
    /// seconds.
    pub stall_seconds: u64,
    /// What a socket must take while something waits for it, in bytes a second.
    pub min_bytes_per_second: u64,
    /// Most bytes pending for one client.
    pub send_buffer_bytes: usize,
    /// Most bytes of recent events kept in memory a topic.
    pub ring_bytes: usize,
    /// Most recent events kept in memory a topic.
    pub ring_events: usize,
    /// Most bytes of recent events kept in memory over all topics of this node.
    pub rings_bytes: usize,
    /// Longest drain at shutdown, in seconds.
    pub drain_seconds: u64,
    /// Time between two positions told to a client whose filter lets nothing through, in seconds.
    pub position_seconds: u64,
    /// Time between keep-alive comments on an idle SSE stream, in seconds.
    pub sse_keepalive_seconds: u64,
    /// How long a long poll waits for something, in seconds.
    pub longpoll_seconds: u64,
}

/// Publishing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// Longest wait for the commit before 503, in milliseconds.
    pub timeout_ms: u64,
    /// How long an `Idempotency-Key` is remembered, in seconds.
    pub idempotency_seconds: u64,
    /// Most publishes waiting on this node.
    pub queue: usize,
}

/// Events that are not stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ephemeral {
    /// Bytes that wait for one other node; beyond it the oldest are dropped.
    pub link_bytes: usize,
}

/// Replication and storage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raft {
    /// Time between the leader's heartbeats, in milliseconds.
    pub heartbeat_ms: u64,
    /// Shortest election time-out, in milliseconds.
    pub election_min_ms: u64,
    /// Longest election time-out, in milliseconds.
    pub election_max_ms: u64,
    /// Log entries between snapshots.
    pub snapshot_entries: u64,
    /// Log entries kept after a snapshot, for followers that lag.
    pub keep_entries: u64,
    /// Page cache of the state store, in bytes.
    pub cache_bytes: usize,
    /// How long the log waits for more to share an fsync, in microseconds; 0 = never.
    pub flush_wait_us: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            admin_token: None,
            data_dir: "./data".into(),
            http_addr: SocketAddr::from(([127, 0, 0, 1], 4000)),
            peer_addr: SocketAddr::from(([127, 0, 0, 1], 4001)),
            advertise_peer_addr: None,
            advertise_http_addr: None,
            join: Vec::new(),
            role: Role::Voter,
            workers: 0,
            log: "info".into(),
            log_format: LogFormat::Text,
            peer: Peer::default(),
            http: Http::default(),
            limits: Limits::default(),
            retention: Retention::default(),
            session: Session::default(),
            publish: Publish::default(),
            ephemeral: Ephemeral::default(),
            raft: Raft::default(),
            disk: Disk::default(),
            webhooks: Webhooks::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            event_bytes: 262_144,
            batch_events: 1000,
            body_bytes: 2_097_152,
            json_depth: 64,
            new_maps: NewMapLimits::default(),
            maps: 10_000,
            tokens_per_map: 100,
            sockets: 50_000,
            sockets_per_address: 0,
            channels_per_socket: 100,
            expressions_per_topic: 100,
            frame_bytes: 65_536,
            header_bytes: 16_384,
            upgrade_timeout_ms: 5000,
            origins: Vec::new(),
            auth_failures_per_minute: 120,
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            events: 100_000,
            age_seconds: 604_800,
            bytes: 268_435_456,
            webhook_backlog: WebhookBacklog::default(),
        }
    }
}

impl Default for WebhookBacklog {
    fn default() -> Self {
        Self { bytes: 1_073_741_824, age_seconds: 604_800 }
    }
}

impl Default for Session {
    fn default() -> Self {
        Self {
            idle_timeout_seconds: 60,
            stall_seconds: 60,
            min_bytes_per_second: 1024,
            send_buffer_bytes: 131_072,
            ring_bytes: 4_194_304,
            ring_events: 4096,
            rings_bytes: 268_435_456,
            drain_seconds: 8,
            position_seconds: 10,
            sse_keepalive_seconds: 20,
            longpoll_seconds: 10,
        }
    }
}

impl Default for Publish {
    fn default() -> Self {
        Self { timeout_ms: 5000, idempotency_seconds: 86_400, queue: 8192 }
    }
}

impl Default for Ephemeral {
    fn default() -> Self {
        Self { link_bytes: 4_194_304 }
    }
}

impl Default for Raft {
    fn default() -> Self {
        Self {
            heartbeat_ms: 200,
            election_min_ms: 600,
            election_max_ms: 1200,
            snapshot_entries: 20_000,
            keep_entries: 5000,
            cache_bytes: 67_108_864,
            flush_wait_us: 50,
        }
    }
}
