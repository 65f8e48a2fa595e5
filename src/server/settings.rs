//! Translates the configuration into the settings of each module. Owns no value itself: defaults belong to
//! the configuration.

use super::files::Shares;
use super::http::WRITE_BUFFER_BYTES;
use super::peer_port;
use crate::config::{self, Config};
use crate::core::access::{Limits, Retention, WebhookBacklog, hash_token};
use crate::delivery::webhook::lambda::Credentials;
use crate::delivery::{DispatcherConfig, webhook};
use crate::edge::context::{ConsoleConfig, EdgeConfig, WebhookDefaults};
use crate::edge::sessions::MostSessions;
use crate::hub::HubConfig;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn hub(config: &Config) -> HubConfig {
    HubConfig {
        admin: config.admin_token.as_ref().map(|token| hash_token(token.expose())),
        idempotency: Duration::from_secs(config.publish.idempotency_seconds),
        encryption_key: config.webhooks.encryption_key(),
        expressions_per_topic: config.limits.expressions_per_topic,
        ephemeral_link_bytes: config.ephemeral.link_bytes,
        cut_off_after: Some(config.session.cut_off_seconds)
            .filter(|seconds| *seconds > 0)
            .map(Duration::from_secs),
        presence_grace: Duration::from_millis(config.presence.grace_ms.into()),
        channel_joins_per_minute: config.limits.channel_joins_per_minute,
        longest_client_token: Duration::from_secs(config.limits.client_token_max_seconds),
    }
}

pub(super) fn webhook(config: &Config, shares: &Shares) -> webhook::WebhookConfig {
    let settings = &config.webhooks;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let credentials = settings.credentials().map(|(access_key_id, secret_access_key, session_token)| {
        Credentials { access_key_id, secret_access_key, session_token }
    });
    webhook::WebhookConfig {
        workers: if settings.workers == 0 { (cores / 2).max(1) } else { settings.workers },
        connections: shares.webhooks,
        window: settings.window,
        flush: Duration::from_millis(settings.flush_ms),
        allow_nets: settings.allow_nets.clone(),
        deny_nets: settings.deny_nets.clone(),
        ca_file: settings.ca_file.clone(),
        aws: webhook::Account {
            credentials,
            functions: settings.aws.functions.clone(),
            endpoint: settings.aws.endpoint.clone(),
        },
    }
}

pub(super) fn cluster(
    config: &Config,
    shares: &Shares,
    on_waiting: waypost_cluster::WaitHook,
) -> waypost_cluster::Config {
    let advertised =
        |given: &Option<String>, bound: SocketAddr| given.clone().unwrap_or_else(|| bound.to_string());
    let meta = BTreeMap::from([
        ("http_addr".to_owned(), advertised(&config.advertise_http_addr, config.http_addr)),
        (waypost_cluster::NAME.to_owned(), config.node.name()),
        ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ]);
    waypost_cluster::Config {
        data_dir: config.data_dir.clone(),
        peer_addr: config.peer_addr,
        security: config.peer.security(),
        told_without_tls: peer_port::answer(),
        advertise_peer: config.advertise_peer_addr.clone().unwrap_or_default(),
        meta,
        max_connections: shares.peers,
        join: config.join.clone(),
        bootstrap_expect: config.bootstrap_expect,
        on_waiting: Some(on_waiting),
        role_learner: config.role == config::Role::Learner,
        heartbeat_ms: config.raft.heartbeat_ms,
        election_min_ms: config.raft.election_min_ms,
        election_max_ms: config.raft.election_max_ms,
        propose_timeout: Duration::from_millis(config.publish.timeout_ms),
        max_queued_proposals: config.publish.queue,
        max_queued_bytes: config.publish.queue_bytes,
        store_cache_bytes: config.raft.cache_bytes,
        checkpoint_entries: config.raft.snapshot_entries,
        keep_entries: config.raft.keep_entries,
        disk_reserve: config.disk.reserve_mb << 20,
        log_flush_wait: Duration::from_micros(config.raft.flush_wait_us),
        ..waypost_cluster::Config::default()
    }
}

pub(super) fn edge(config: &Config, shares: &Shares) -> EdgeConfig {
    let limits = &config.limits;
    let retention = &config.retention;
    let session = &config.session;
    EdgeConfig {
        event_bytes: limits.event_bytes,
        batch_events: limits.batch_events,
        body_bytes: limits.body_bytes,
        body_time: Duration::from_secs(limits.body_seconds),
        json_depth: limits.json_depth,
        new_map_limits: Limits::from(&limits.new_maps),
        connections_with_app: limits.map_connections_with_app,
        new_map_retention: Retention {
            events: Some(retention.events),
            age_seconds: Some(retention.age_seconds),
            bytes: Some(retention.bytes),
            webhook_backlog: WebhookBacklog {
                bytes: Some(retention.webhook_backlog.bytes),
                age_seconds: Some(retention.webhook_backlog.age_seconds),
            },
        },
        max_maps: u32::try_from(limits.maps).unwrap_or(u32::MAX),
        max_tokens: u32::try_from(limits.tokens_per_map).unwrap_or(u32::MAX),
        sockets_per_address: limits.sockets_per_address,
        most_sessions: MostSessions::of(limits.sockets_per_token, shares.sockets),
        origins: limits.origins.clone(),
        write_bytes: WRITE_BUFFER_BYTES,
        dispatcher: DispatcherConfig {
            ring_bytes: session.ring_bytes,
            ring_events: session.ring_events,
            rings_bytes: session.rings_bytes,
            stall_seconds: session.stall_seconds,
            least_bytes: session.min_bytes_per_second,
            idle_seconds: session.idle_timeout_seconds,
            join_seconds: session.join_seconds,
            position_seconds: session.position_seconds,
        },
        webhooks: WebhookDefaults {
            defaults: config.webhooks.defaults(),
            overlap_seconds: config.webhooks.rotation_overlap_seconds,
        },
        console: config.console.enabled.then(|| console(config)),
    }
}

fn console(config: &Config) -> ConsoleConfig {
    let base = config.base_url();
    let oidc = config.console.oidc.settings(config.http.public_url.as_deref()).map(Arc::new);
    ConsoleConfig {
        session: Duration::from_secs(config.console.session_minutes * 60),
        is_secure: config.http.tls().is_some() || base.starts_with("https://"),
        base,
        oidc_tag: oidc.as_ref().map(|oidc| oidc.tag()),
        oidc,
    }
}
