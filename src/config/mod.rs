//! The configuration: one typed tree. It is read from defaults, a TOML file, the environment and flags, and
//! then validated.
//!
//! Owns which settings exist, their names and their allowed values. Never acts on a setting: each module
//! takes its part of the tree. Durations and sizes are integers; the name of a key contains the unit.
//!
//! A new key needs a field here, its line in `Default`, its line in `waypost.default.toml` and, for a number,
//! its range in [`validate`]; tests hold these together. Environment variables and flags are derived. Limits
//! that each map can override are in [`crate::core::limits`] instead, and need only the line in
//! `waypost.default.toml`.

mod apps;
mod console;
mod fault;
mod keys;
mod live;
mod load;
mod node;
mod otel;
mod presence;
mod promises;
mod pusher;
mod secret;
mod security;
mod session;
mod shared;
mod validate;
mod webhooks;

#[cfg(test)]
mod tests;

use crate::core::limits::NewMapLimits;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

pub use self::console::{Console, Oidc};
pub use apps::ConfiguredApp;
pub use keys::{KEYS, Key, NOT_KEYS};
pub use live::Live;
pub use load::{ConfigError, Loaded, Loader, Source};
pub use node::Node;
pub use otel::Otel;
pub use presence::Presence;
pub use pusher::Pusher;
pub use secret::Secret;
pub use security::{Http, Peer};
pub use session::Session;
pub use webhooks::{Aws, ConfiguredWebhook, Webhooks};

/// The commented default configuration, as `waypost config default` prints it.
pub const DEFAULT_TOML: &str = include_str!("../../waypost.default.toml");

/// All settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Opens every map and the admin API. If absent, the cluster generates it at its first start and prints
    /// it once.
    pub admin_token: Option<Secret>,
    /// Directory of the Raft log and the applied state.
    pub data_dir: std::path::PathBuf,
    /// The address on which clients connect.
    pub http_addr: SocketAddr,
    /// The address on which other nodes connect.
    pub peer_addr: SocketAddr,
    /// `host:port` under which other nodes reach `peer_addr`, if it differs from that address.
    pub advertise_peer_addr: Option<String>,
    /// `host:port` under which clients reach `http_addr`, if it differs from that address.
    pub advertise_http_addr: Option<String>,
    /// `host:port` of peers to join. If empty, this node starts (or continues) a cluster of its own.
    pub join: Vec<String>,
    /// How many nodes with empty data directories found a cluster together; 0 = none.
    pub bootstrap_expect: u32,
    /// Whether this node votes.
    pub role: Role,
    /// HTTP worker threads; 0 = one per core.
    pub workers: usize,
    /// Log filter, as in `info` or `waypost=debug,warn`.
    pub log: String,
    /// The format of log lines.
    pub log_format: LogFormat,
    /// The node itself.
    pub node: Node,
    /// How peers authenticate each other.
    pub peer: Peer,
    /// The client port.
    pub http: Http,
    /// Limits on what one caller may use.
    pub limits: Limits,
    /// How much history new maps keep.
    pub retention: Retention,
    /// Client connections.
    pub session: Session,
    /// Publishing.
    pub publish: Publish,
    /// Events that are not stored.
    pub ephemeral: Ephemeral,
    /// Who is there on which channels.
    pub presence: Presence,
    /// Live sessions.
    pub live: Live,
    /// The Pusher protocol.
    pub pusher: Pusher,
    /// Replication and storage.
    pub raft: Raft,
    /// The disk of the data directory.
    pub disk: Disk,
    /// The log of who changed what.
    pub audit: Audit,
    /// The console, and the portal.
    pub console: Console,
    /// Spans of traces.
    pub otel: Otel,
    /// Webhook delivery.
    pub webhooks: Webhooks,
    /// Apps of the file, `[[apps]]`. This is not a setting: it has no flag and no variable.
    #[serde(default, skip_serializing)]
    pub apps: Vec<ConfiguredApp>,
}

/// The disk of the data directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// Space to keep free, in MiB; at most a tenth of the disk. With less free space, publishing is refused.
    pub reserve_mb: u64,
}

impl Default for Disk {
    fn default() -> Self {
        Self { reserve_mb: 128 }
    }
}

/// The log of who changed what.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// The file that it is appended to; `-` is standard output. If absent, the newest lines are kept in
    /// memory alone.
    pub file: Option<std::path::PathBuf>,
}

/// A node's role in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Counts towards the majority.
    Voter,
    /// Follows the log and serves clients, but never votes.
    Learner,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Limits of one event, request, socket, map or address. The loader refuses unknown names, because serde
/// can't do that beside a flattened part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Largest event (its JSON as sent), in bytes.
    pub event_bytes: usize,
    /// Most events in one request.
    pub batch_events: usize,
    /// Largest JSON request body, in bytes. NDJSON is read line by line; `event_bytes` bounds each line.
    pub body_bytes: usize,
    /// Longest wait for a request body as a whole, in seconds. NDJSON has this time for each `body_bytes`.
    pub body_seconds: u64,
    /// Deepest JSON that is accepted.
    pub json_depth: usize,
    /// The limits that new maps start with.
    #[serde(flatten)]
    pub new_maps: NewMapLimits,
    /// Most sockets of a map that gets its first app, unless it has a limit of its own.
    pub map_connections_with_app: u32,
    /// Most maps in the cluster.
    pub maps: usize,
    /// Most tokens per map.
    pub tokens_per_map: usize,
    /// Most client connections on this node.
    pub sockets: usize,
    /// Most sessions of clients from one address on this node; 0 = no limit.
    pub sockets_per_address: usize,
    /// Most sockets of one token on this node, and as many long-poll sessions; 0 = nine tenths of what the
    /// node takes.
    pub sockets_per_token: usize,
    /// Most topics joined on one socket.
    pub channels_per_socket: usize,
    /// Most joins of channels of one map in a minute on this node, where they are written to the log; 0 = no
    /// limit.
    pub channel_joins_per_minute: u32,
    /// Most distinct filter expressions in use on one map of this node, and most distinct patterns of
    /// subjects.
    pub expressions_per_topic: usize,
    /// Largest frame from a client, in bytes.
    pub frame_bytes: usize,
    /// Largest request head, in bytes.
    pub header_bytes: usize,
    /// Longest time a client may take to send its request head, in milliseconds.
    pub upgrade_timeout_ms: u64,
    /// `Origin`s of browsers that are allowed; empty = any.
    pub origins: Vec<String>,
    /// Refused tokens per minute from one address before it is answered 429; 0 = no limit.
    pub auth_failures_per_minute: u32,
    /// Longest lifetime of a client token (JWT), from its `iat` to its `exp`, in seconds.
    pub client_token_max_seconds: u64,
}

/// The history that new maps keep. The bound that is reached first applies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Events per map.
    pub events: u64,
    /// Age of an event, in seconds.
    pub age_seconds: u64,
    /// Bytes of events per map.
    pub bytes: u64,
    /// How long retention waits for webhooks.
    pub webhook_backlog: WebhookBacklog,
}

/// How long the retention of new maps waits for their active webhooks. The bound that is reached first
/// applies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookBacklog {
    /// Bytes of events per map that are kept only for webhooks; 0 = retention waits for no webhook.
    pub bytes: u64,
    /// Age of an event that is kept only for webhooks, in seconds.
    pub age_seconds: u64,
}

/// Publishing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// Longest wait for the commit before the answer is 503, in milliseconds.
    pub timeout_ms: u64,
    /// How long an `Idempotency-Key` is remembered, in seconds.
    pub idempotency_seconds: u64,
    /// Most publishes that may wait on this node. A map may have as many as are left for the others.
    pub queue: usize,
    /// Most bytes of publishes that may wait on this node. A map may have as many as are left for the others.
    pub queue_bytes: usize,
}

/// Events that are not stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ephemeral {
    /// Bytes that may wait for one other node. Beyond them, the oldest events are dropped.
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
    /// How long the log waits for more entries to share an fsync, in microseconds; 0 = never.
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
            bootstrap_expect: 0,
            role: Role::Voter,
            workers: 0,
            log: "info".into(),
            log_format: LogFormat::Text,
            node: Node::default(),
            peer: Peer::default(),
            http: Http::default(),
            limits: Limits::default(),
            retention: Retention::default(),
            session: Session::default(),
            publish: Publish::default(),
            ephemeral: Ephemeral::default(),
            presence: Presence::default(),
            live: Live::default(),
            pusher: Pusher::default(),
            raft: Raft::default(),
            disk: Disk::default(),
            audit: Audit::default(),
            console: Console::default(),
            otel: Otel::default(),
            webhooks: Webhooks::default(),
            apps: Vec::new(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            event_bytes: 262_144,
            batch_events: 1000,
            body_bytes: 2_097_152,
            body_seconds: 30,
            json_depth: 64,
            new_maps: NewMapLimits::default(),
            map_connections_with_app: 10_000,
            maps: 10_000,
            tokens_per_map: 100,
            sockets: 50_000,
            sockets_per_address: 0,
            sockets_per_token: 0,
            channels_per_socket: 100,
            channel_joins_per_minute: 30_000,
            expressions_per_topic: 100,
            frame_bytes: 65_536,
            header_bytes: 16_384,
            upgrade_timeout_ms: 5000,
            origins: Vec::new(),
            auth_failures_per_minute: 120,
            client_token_max_seconds: 86_400,
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

impl Default for Publish {
    fn default() -> Self {
        Self { timeout_ms: 5000, idempotency_seconds: 86_400, queue: 8192, queue_bytes: 67_108_864 }
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
