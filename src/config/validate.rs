//! Which values are allowed. The tree itself enforces types; this file checks ranges and combinations.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde_json::Value;
use url::{Host, Url};

use super::{Config, console, fault::Fault, keys::pointer, node, security};
use crate::core::filter::Filter;
use crate::core::limits::LIMITS;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const TIB: u64 = 1024 * 1024 * MIB;

/// Minimum and maximum of every number, except for the limits of new maps.
const RANGES: &[(&str, u64, u64)] = &[
    ("workers", 0, 1024),
    ("bootstrap_expect", 0, 16),
    ("limits.event_bytes", KIB, 768 * KIB),
    ("limits.batch_events", 1, 10_000),
    ("limits.body_bytes", 4 * KIB, 256 * MIB),
    ("limits.body_seconds", 1, 3600),
    // The JSON parser itself stops at a depth of 128.
    ("limits.json_depth", 1, 127),
    ("limits.map_connections_with_app", 1, 1_000_000),
    ("limits.maps", 1, 50_000),
    ("limits.tokens_per_map", 1, 10_000),
    ("limits.sockets", 1, 1_000_000),
    ("limits.sockets_per_address", 0, 1_000_000),
    ("limits.sockets_per_token", 0, 1_000_000),
    ("limits.channels_per_socket", 1, 10_000),
    ("limits.channel_joins_per_minute", 0, 100_000_000),
    ("limits.expressions_per_topic", 1, 10_000),
    ("limits.frame_bytes", KIB, 16 * MIB),
    ("limits.header_bytes", KIB, 128 * KIB),
    ("limits.upgrade_timeout_ms", 100, 60_000),
    ("limits.auth_failures_per_minute", 0, 1_000_000),
    ("limits.client_token_max_seconds", 60, 3_650 * 86_400),
    ("retention.events", 1, 1_000_000_000),
    ("retention.age_seconds", 1, 3_650 * 86_400),
    ("retention.bytes", 64 * KIB, 16 * TIB),
    ("retention.webhook_backlog.bytes", 0, 16 * TIB),
    ("retention.webhook_backlog.age_seconds", 1, 3_650 * 86_400),
    ("session.idle_timeout_seconds", 5, 86_400),
    ("session.join_seconds", 1, 86_400),
    ("session.messages_per_second", 1, 1_000_000),
    ("session.joins_per_second", 1, 1_000_000),
    ("session.stall_seconds", 1, 3600),
    ("session.min_bytes_per_second", 1, MIB),
    ("session.send_buffer_bytes", 4 * KIB, 64 * MIB),
    ("session.ring_bytes", 64 * KIB, 1024 * MIB),
    ("session.ring_events", 16, 1_000_000),
    ("session.rings_bytes", MIB, TIB),
    ("session.cut_off_seconds", 0, 86_400),
    ("session.drain_seconds", 0, 300),
    ("session.position_seconds", 1, 3600),
    ("session.sse_keepalive_seconds", 1, 300),
    ("session.longpoll_seconds", 1, 60),
    ("publish.timeout_ms", 100, 60_000),
    ("publish.idempotency_seconds", 60, 36_500 * 86_400),
    ("publish.queue", 1, 1_000_000),
    ("publish.queue_bytes", 4 * MIB, 16 * 1024 * MIB),
    ("ephemeral.link_bytes", MIB, 1024 * MIB),
    ("presence.grace_ms", 0, 60_000),
    ("pusher.activity_timeout_seconds", 5, 86_400),
    ("pusher.event_bytes", 256, 768 * KIB),
    ("pusher.client_events_per_second", 1, 10_000),
    ("pusher.subscription_count_seconds", 0, 3600),
    ("raft.heartbeat_ms", 10, 10_000),
    ("raft.election_min_ms", 20, 60_000),
    ("raft.election_max_ms", 30, 120_000),
    ("raft.snapshot_entries", 100, 100_000_000),
    ("raft.keep_entries", 0, 100_000_000),
    ("raft.cache_bytes", MIB, TIB),
    ("raft.flush_wait_us", 0, 10_000),
    ("disk.reserve_mb", 0, 1024 * 1024),
    ("console.session_minutes", 5, 7 * 24 * 60),
    ("otel.sample_per_million", 0, 1_000_000),
    ("webhooks.workers", 0, 1024),
    ("webhooks.connections", 1, 1_000_000),
    ("webhooks.window", 1, 1024),
    ("webhooks.rotation_overlap_seconds", 0, 30 * 86_400),
    ("webhooks.auto_disable_seconds", 0, 365 * 86_400),
    ("webhooks.timeout_ms", 100, 30_000),
    ("webhooks.retry_attempts", 0, 100),
    ("webhooks.retry_delay_ms", 0, 3_600_000),
    ("webhooks.flush_ms", 10, 10_000),
];

/// Minimum and maximum of every number.
pub(super) fn all_ranges() -> impl Iterator<Item = (&'static str, u64, u64)> {
    // 0 means no limit.
    let of_maps = LIMITS.iter().map(|limit| (limit.setting, 0, u64::from(limit.most)));
    RANGES.iter().copied().chain(of_maps)
}

/// Returns the first value that is invalid.
pub(super) fn check(config: &Config, tree: &Value) -> Option<Fault> {
    ranges(tree)
        .or_else(|| addresses(config))
        .or_else(|| security::check(config))
        .or_else(|| console::check(config))
        .or_else(|| texts(config))
        .or_else(|| relations(config))
}

fn fault(path: &'static str, allowed: impl Into<String>) -> Option<Fault> {
    Some(Fault { path, allowed: allowed.into() })
}

fn ranges(tree: &Value) -> Option<Fault> {
    all_ranges().find_map(|(path, least, most)| {
        let value = tree.pointer(&pointer(path)).and_then(Value::as_u64);
        if value.is_some_and(|value| (least..=most).contains(&value)) {
            return None;
        }
        fault(path, format!("must be a whole number from {least} to {most}"))
    })
}

fn addresses(config: &Config) -> Option<Fault> {
    const FORM: &str = "must be host:port, as in node1.example:4001 or [::1]:4001";
    let both = config.http_addr == config.peer_addr && config.http_addr.port() != 0;
    if both {
        return fault("peer_addr", "must differ from http_addr: clients and nodes have a port each");
    }
    if config.advertise_peer_addr.as_deref().is_some_and(|addr| !is_host_port(addr)) {
        return fault("advertise_peer_addr", FORM);
    }
    if config.advertise_http_addr.as_deref().is_some_and(|addr| !is_host_port(addr)) {
        return fault("advertise_http_addr", FORM);
    }
    if !config.http.has_good_public_url() {
        return fault("http.public_url", "must be http(s)://host[:port][/path] without a slash at its end");
    }
    if config.join.iter().any(|addr| !is_host_port(addr)) {
        return fault("join", format!("each {FORM}"));
    }
    // Otherwise the other nodes would learn the address "0.0.0.0" and dial themselves.
    let unreachable = config.peer_addr.ip().is_unspecified() && config.advertise_peer_addr.is_none();
    if unreachable && !config.join.is_empty() {
        return fault("advertise_peer_addr", "must be set when peer_addr is a wildcard and join is used");
    }
    None
}

fn texts(config: &Config) -> Option<Fault> {
    let token = config.admin_token.as_ref().map(super::Secret::expose);
    if token.is_some_and(|token| token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic())) {
        return fault("admin_token", "must be visible ASCII characters without spaces");
    }
    if config.node.name.as_deref().is_some_and(|name| !node::is_name(name)) {
        return fault("node.name", node::FORM);
    }
    if config.data_dir.as_os_str().is_empty() {
        return fault("data_dir", "must name a directory");
    }
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&config.log) {
        return fault("log", format!("must be a filter like info or waypost=debug,warn ({error})"));
    }
    if config.limits.origins.iter().any(|origin| !is_origin(origin)) {
        return fault(
            "limits.origins",
            "each must be scheme://host[:port] without a path, as a browser sends it",
        );
    }
    if let Err(error) = Filter::from_list(&config.live.for_all) {
        return fault("live.for_all", format!("must be a list of event types and patterns ({error})"));
    }
    if config.otel.endpoint.is_some() && config.otel.url().is_none() {
        return fault("otel.endpoint", "must be http(s)://host[:port][/path], without a user and a password");
    }
    if config.otel.header_list().is_none() {
        return fault("otel.headers", "must be a list like authorization=Bearer abc,x-key=1");
    }
    if config.otel.service_name.trim().is_empty() {
        return fault("otel.service_name", "must not be empty");
    }
    if config.webhooks.read_key() == Some(None) {
        return fault("webhooks.secret_key", "must be 64 hexadecimal digits, or base64 of 32 bytes");
    }
    let aws = &config.webhooks.aws;
    if aws.access_key_id.is_some() != aws.secret_access_key.is_some() {
        return fault(
            "webhooks.aws.access_key_id",
            "must be set together with webhooks.aws.secret_access_key",
        );
    }
    if let Some(endpoint) = &aws.endpoint
        && !is_aws_endpoint(endpoint, &config.webhooks.allow_nets)
    {
        let allowed =
            "must be https://host[:port][/path]; http only to an address within webhooks.allow_nets";
        return fault("webhooks.aws.endpoint", allowed);
    }
    None
}

fn relations(config: &Config) -> Option<Fault> {
    let limits = &config.limits;
    let session = &config.session;
    let raft = &config.raft;
    let expected = config.bootstrap_expect;
    if expected > 0 && expected < waypost_cluster::Config::FEWEST_FOUNDERS {
        let allowed = "must be 0, or at least 2; a single node begins a cluster of its own without it";
        return fault("bootstrap_expect", allowed);
    }
    if expected > 0 && config.join.is_empty() {
        return fault(
            "bootstrap_expect",
            "needs join with the addresses of the nodes, as a list or as one name",
        );
    }
    if limits.body_bytes < limits.event_bytes + 1024 {
        return fault("limits.body_bytes", "must exceed limits.event_bytes by 1024, so that one event fits");
    }
    if config.retention.bytes < limits.event_bytes as u64 {
        return fault("retention.bytes", "must be at least limits.event_bytes, so that one event is kept");
    }
    if config.publish.idempotency_seconds.saturating_mul(1000) <= config.publish.timeout_ms {
        let allowed =
            "must be longer than publish.timeout_ms, so that a publish that timed out can be repeated";
        return fault("publish.idempotency_seconds", allowed);
    }
    if session.rings_bytes < session.ring_bytes {
        return fault("session.rings_bytes", "must be at least session.ring_bytes");
    }
    if raft.election_min_ms < raft.heartbeat_ms * 2 {
        return fault("raft.election_min_ms", "must be at least twice raft.heartbeat_ms");
    }
    if raft.election_max_ms <= raft.election_min_ms {
        return fault("raft.election_max_ms", "must exceed raft.election_min_ms");
    }
    None
}

fn is_host_port(text: &str) -> bool {
    if text.parse::<SocketAddr>().is_ok() {
        return true;
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '_';
    !host.is_empty() && host.chars().all(name) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Signed requests and the session's token are sent to this address, so it must be safe.
fn is_aws_endpoint(text: &str, allow_nets: &[IpNet]) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let bare = url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    let allowed = |ip: IpAddr| allow_nets.iter().any(|net| net.contains(&ip));
    let is_safe = match (url.scheme(), url.host()) {
        ("https", Some(_)) => true,
        ("http", Some(Host::Ipv4(ip))) => allowed(ip.into()),
        ("http", Some(Host::Ipv6(ip))) => allowed(ip.into()),
        _ => false,
    };
    bare && is_safe
}

fn is_origin(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, host)| {
        !scheme.is_empty() && !host.is_empty() && !host.contains(['/', ' ', '?', '#'])
    })
}
