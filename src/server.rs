//! The composition root: the only file that sees every room. Builds a node from its configuration, runs it, drains it.

mod encrypted;
mod files;

use crate::config::{self, Config};
use crate::core::access::{Limits, Retention, hash_token};
use crate::delivery::webhook::lambda::Credentials;
use crate::delivery::webhook::{self, BadWebhooks, Webhooks};
use crate::delivery::{OutletConfig, SocketConfig, WsConfig, on_connect};
use crate::edge::auth::Failures;
use crate::edge::context::{Edge, EdgeConfig, WebhookDefaults};
use crate::edge::error::ApiError;
use crate::edge::ops::{drained, not_ready};
use crate::edge::{self, phoenix, webhooks};
use crate::hub::{Hub, HubConfig};
use crate::metric;
use crate::notify::{self, Manager};
use crate::tls::{BadTls, Shown};
use actix_cors::Cors;
use actix_web::dev::{Extensions, Server, Service, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::{App, HttpServer, ResponseError, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use files::Shares;
use futures_util::future::Either;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::any::Any;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use waypost_cluster::StartError;

/// Connections that the kernel holds until a worker takes them.
const BACKLOG: i32 = 4096;
/// Bytes that a worker gathers for a client before it writes: many frames, and little for a stalled one to hold.
const WRITE_BUFFER_BYTES: usize = 8 * 1024;
/// Pause between two attempts to store the generated admin token.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// Longest wait for the admin token before the node serves.
const ADMIN_WAIT: Duration = Duration::from_secs(3);
/// Idle HTTP connections are kept so long.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Why a node ended.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The client port is taken or not ours.
    #[error("cannot listen for clients on {addr}: {source}; choose another with --http-addr or WAYPOST_HTTP_ADDR")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Clients can't be shown a certificate.
    #[error("the certificate for clients (http.tls_cert, http.tls_key): {0}")]
    Tls(#[from] BadTls),
    /// The node's part in the cluster did not start.
    #[error(transparent)]
    Cluster(#[from] StartError),
    /// The HTTP server failed.
    #[error("the HTTP server failed: {0}")]
    Http(#[from] std::io::Error),
    /// Webhooks can't be delivered.
    #[error(transparent)]
    Webhooks(#[from] BadWebhooks),
    /// The metrics could not be set up.
    #[error("metrics: {0}")]
    Metrics(String),
}

/// Runs a node until `stop` resolves, then drains it.
///
/// # Errors
/// When the node cannot start or go on.
pub async fn run(config: Config, stop: impl Future<Output = ()>) -> Result<(), ServerError> {
    let manager = Manager::of_this_process().map(Arc::new);
    if let Some(manager) = &manager {
        manager.starting("starting: opening its log, or joining a cluster");
    }
    let workers = match config.workers {
        0 => std::thread::available_parallelism().map_or(2, usize::from),
        workers => workers,
    };
    let shares = Shares::take(&config, workers);
    let listener = listen(config.http_addr)?;
    let shown = config.http.tls().map(|(cert, key)| Shown::load(cert, key)).transpose()?;
    let metrics = install_metrics()?;
    let mut stop = std::pin::pin!(stop);
    let hub = tokio::select! {
        hub = Hub::start(hub_config(&config), cluster_config(&config, &shares)) => hub?,
        () = &mut stop => return Ok(()),
    };
    drained::begin(&hub);
    let edge = web::Data::new(Edge {
        hub: hub.clone(),
        config: edge_config(&config),
        short_of_files: shares.problem(&config),
        shown: shown.clone(),
        failures: Failures::new(config.limits.auth_failures_per_minute),
        addresses: Arc::default(),
        longpolls: phoenix::LongPolls::default(),
        webhooks: Webhooks::start(hub.clone(), webhook_config(&config, &shares))?,
        metrics,
    });
    phoenix::serve_relay(&edge);
    let configured = config.webhooks.endpoints.iter().map(|endpoint| (endpoint.map.clone(), endpoint.form.clone()));
    let configured = actix_rt::spawn(webhooks::keep_configured(edge.clone(), configured.collect()));
    let drained = drained::follow(edge.clone(), Duration::from_secs(config.session.drain_seconds));
    let drained = actix_rt::spawn(drained);
    let mut admin = actix_rt::spawn(admin_token(hub.clone(), config.admin_token.is_some()));
    // Who waits for the node to be ready finds the token printed; without a majority the node serves all the same.
    let _ = tokio::time::timeout(ADMIN_WAIT, &mut admin).await;
    let server = serve(&config, (workers, shares.sockets), listener, shown.as_ref(), edge.clone())?;
    let handle = server.handle();
    let server = actix_rt::spawn(server);
    let fresh = shown.map(|shown| actix_rt::spawn(shown.keep_fresh()));
    tracing::info!(http = %config.http_addr, peer = %config.peer_addr, node = hub.node_id(), "the node serves");
    let told = manager.clone().map(|manager| actix_rt::spawn(tell(manager, edge.clone())));
    stop.await;
    if let Some(manager) = manager {
        manager.stopping();
    }
    admin.abort();
    configured.abort();
    if let Some(fresh) = fresh {
        fresh.abort();
    }
    drained.abort();
    drain(&hub, &edge.webhooks, Duration::from_secs(config.session.drain_seconds)).await;
    handle.stop(true).await;
    if let Some(told) = told {
        told.abort();
    }
    hub.shutdown().await;
    match server.await {
        Ok(result) => Ok(result?),
        Err(_) => Ok(()),
    }
}

/// Keeps the service manager informed, as long as the node runs.
async fn tell(manager: Arc<Manager>, edge: web::Data<Edge>) {
    let state = || {
        let reason = not_ready(&edge);
        let status = edge.hub.status();
        let text = match (reason, status.leader) {
            (Some(reason), _) => format!("node {}: not ready: {reason}", status.node_id),
            (None, Some(leader)) if leader != status.node_id => {
                format!("node {}: ready, follows node {leader}", status.node_id)
            }
            (None, _) => format!("node {}: ready, leads", status.node_id),
        };
        notify::State { ready: reason.is_none(), text }
    };
    manager.follow(state, async || edge.hub.answers().await).await;
}

fn listen(addr: SocketAddr) -> Result<TcpListener, ServerError> {
    let bind = || {
        let socket = socket2::Socket::new(socket2::Domain::for_address(addr), socket2::Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&addr.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    bind().map_err(|source| ServerError::Listen { addr, source })
}

fn install_metrics() -> Result<PrometheusHandle, ServerError> {
    let handle = PrometheusBuilder::new()
        .set_buckets(&[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0])
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| ServerError::Metrics(error.to_string()))?;
    metric::describe();
    Ok(handle)
}

fn serve(
    config: &Config,
    (workers, max_sockets): (usize, usize),
    listener: TcpListener,
    shown: Option<&Arc<Shown>>,
    edge: web::Data<Edge>,
) -> Result<Server, ServerError> {
    let sockets = SocketConfig {
        send_buffer_bytes: config.session.send_buffer_bytes,
        // The watchdog comes first; the kernel's own limit is for what it can't reach.
        user_timeout: Duration::from_secs(config.session.stall_seconds + 15),
    };
    let origins = config.limits.origins.clone();
    let header_bytes = config.limits.header_bytes;
    let app = move || {
        App::new()
            .app_data(edge.clone())
            .wrap(cors(&origins))
            .wrap_fn(move |request, service| {
                let answer = match check_head(&request, header_bytes) {
                    Ok(()) => Either::Left(service.call(request)),
                    Err(error) => {
                        let refused = ServiceResponse::new(request.into_parts().0, error.error_response());
                        Either::Right(std::future::ready(Ok(refused.map_into_right_body())))
                    }
                };
                async move { answer.await.inspect(count_answer) }
            })
            .configure(edge::routes)
            .default_service(web::to(|| async { ApiError::not_found("this path").error_response() }))
    };
    let settings = encrypted::Settings {
        workers,
        max_connections: max_sockets.div_ceil(workers),
        backlog: BACKLOG as u32,
        keep_alive: KEEP_ALIVE,
        request_timeout: Duration::from_millis(config.limits.upgrade_timeout_ms),
        write_buffer_bytes: WRITE_BUFFER_BYTES,
    };
    let connected =
        move |connection: &dyn Any, extensions: &mut Extensions| on_connect(&sockets, connection, extensions);
    if let Some(shown) = shown {
        return Ok(encrypted::serve(app, listener, shown.server()?, settings, connected)?);
    }
    let server = HttpServer::new(app)
        .workers(settings.workers)
        .max_connections(settings.max_connections)
        .backlog(settings.backlog)
        .keep_alive(settings.keep_alive)
        .client_request_timeout(settings.request_timeout)
        .h1_allow_half_closed(false)
        .h1_write_buffer_size(settings.write_buffer_bytes)
        .on_connect(connected)
        .shutdown_timeout(1)
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}

fn check_head(request: &ServiceRequest, max_bytes: usize) -> Result<(), ApiError> {
    let headers: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers + request.head().uri.path().len() + request.query_string().len() <= max_bytes {
        return Ok(());
    }
    let message = format!("the head of a request may have at most {max_bytes} bytes");
    Err(ApiError::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", message))
}

fn count_answer<B>(answer: &ServiceResponse<B>) {
    let class = match answer.status().as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    };
    metrics::counter!(metric::HTTP_ANSWERS, "status" => class).increment(1);
}

fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allow_any_method()
        .allow_any_header()
        .expose_headers(["retry-after", "idempotency-replayed"])
        .max_age(3600);
    if origins.is_empty() {
        return cors.allow_any_origin().send_wildcard();
    }
    origins.iter().fold(cors.block_on_origin_mismatch(false), |cors, origin| cors.allowed_origin(origin))
}

fn hub_config(config: &Config) -> HubConfig {
    HubConfig {
        admin: config.admin_token.as_ref().map(|token| hash_token(token.expose())),
        idempotency: Duration::from_secs(config.publish.idempotency_seconds),
        seal_key: config.webhooks.seal_key(),
        expressions_per_topic: config.limits.expressions_per_topic,
    }
}

fn webhook_config(config: &Config, shares: &Shares) -> webhook::WebhookConfig {
    let settings = &config.webhooks;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let credentials = settings.credentials().map(|(access_key_id, secret_access_key, session_token)| Credentials {
        access_key_id,
        secret_access_key,
        session_token,
    });
    webhook::WebhookConfig {
        workers: if settings.workers == 0 { (cores / 2).max(1) } else { settings.workers },
        connections: shares.webhooks,
        window: settings.window,
        flush: Duration::from_millis(settings.flush_ms),
        allow_nets: settings.allow_nets.clone(),
        ca_file: settings.ca_file.clone(),
        aws: webhook::Account {
            credentials,
            functions: settings.aws.functions.clone(),
            endpoint: settings.aws.endpoint.clone(),
        },
    }
}

fn cluster_config(config: &Config, shares: &Shares) -> waypost_cluster::Config {
    let advertised = |given: &Option<String>, bound: SocketAddr| given.clone().unwrap_or_else(|| bound.to_string());
    let meta = BTreeMap::from([
        ("http_addr".to_owned(), advertised(&config.advertise_http_addr, config.http_addr)),
        ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ]);
    waypost_cluster::Config {
        data_dir: config.data_dir.clone(),
        peer_addr: config.peer_addr,
        security: config.peer.security(),
        advertise_peer: config.advertise_peer_addr.clone().unwrap_or_default(),
        meta,
        max_connections: shares.peers,
        join: config.join.clone(),
        role_learner: config.role == config::Role::Learner,
        heartbeat_ms: config.raft.heartbeat_ms,
        election_min_ms: config.raft.election_min_ms,
        election_max_ms: config.raft.election_max_ms,
        propose_timeout: Duration::from_millis(config.publish.timeout_ms),
        max_queued_proposals: config.publish.queue,
        store_cache_bytes: config.raft.cache_bytes,
        checkpoint_entries: config.raft.snapshot_entries,
        keep_entries: config.raft.keep_entries,
        disk_reserve: config.disk.reserve_mb << 20,
        log_flush_wait: Duration::from_micros(config.raft.flush_wait_us),
        ..waypost_cluster::Config::default()
    }
}

fn edge_config(config: &Config) -> EdgeConfig {
    let (limits, retention, session) = (&config.limits, &config.retention, &config.session);
    let some = |limit: u32| (limit > 0).then_some(limit);
    EdgeConfig {
        event_bytes: limits.event_bytes,
        batch_events: limits.batch_events,
        body_bytes: limits.body_bytes,
        json_depth: limits.json_depth,
        new_map_limits: Limits {
            connections: some(limits.map_connections),
            webhooks: some(limits.map_webhooks),
            requests_per_minute: some(limits.requests_per_minute),
            publishes_per_second: some(limits.publishes_per_second),
        },
        new_map_retention: Retention {
            events: Some(retention.events),
            age_seconds: Some(retention.age_seconds),
            bytes: Some(retention.bytes),
        },
        max_maps: u32::try_from(limits.maps).unwrap_or(u32::MAX),
        max_tokens: u32::try_from(limits.tokens_per_map).unwrap_or(u32::MAX),
        sockets_per_address: limits.sockets_per_address,
        origins: limits.origins.clone(),
        keep_alive: Duration::from_secs(session.sse_keepalive_seconds),
        longpoll: Duration::from_secs(session.longpoll_seconds),
        write_bytes: WRITE_BUFFER_BYTES,
        outlet: OutletConfig {
            ring_bytes: session.ring_bytes,
            ring_events: session.ring_events,
            rings_bytes: session.rings_bytes,
            stall_seconds: session.stall_seconds,
            idle_seconds: session.idle_timeout_seconds,
        },
        ws: WsConfig { max_message_bytes: limits.frame_bytes },
        phoenix: phoenix::PhoenixConfig { max_channels: limits.channels_per_socket },
        webhooks: WebhookDefaults {
            defaults: config.webhooks.defaults(),
            overlap_seconds: config.webhooks.rotation_overlap_seconds,
        },
    }
}

/// Makes an admin token where neither the configuration nor the cluster has one, and prints it once.
async fn admin_token(hub: Hub, configured: bool) {
    if configured {
        return;
    }
    let mut random = [0u8; 32];
    if let Err(error) = getrandom::fill(&mut random) {
        tracing::error!(%error, "no random bytes for an admin token");
        return;
    }
    let token = format!("wpa_{}", URL_SAFE_NO_PAD.encode(random));
    let hash = hash_token(&token);
    loop {
        let known = hub.barrier().await.map(|_| hub.access().admin().copied());
        match known {
            Ok(Some(kept)) => {
                if kept == hash {
                    println!("admin token (shown only now, keep it): {token}");
                }
                return;
            }
            Ok(None) => {
                // Whether this was stored is seen at the next turn, also when the answer was lost.
                if let Err(error) = hub.offer_admin(hash).await {
                    tracing::debug!(%error, "the admin token could not be stored yet");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                continue;
            }
            Err(error) => tracing::debug!(%error, "waiting for a leader before the admin token is made"),
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

/// No new clients; those here are told to come back elsewhere; the lead goes to another node.
async fn drain(hub: &Hub, webhooks: &Webhooks, within: Duration) {
    // The server's own stop and the store's last checkpoint come after this, within the ten seconds in all.
    let deadline = Instant::now() + within.saturating_sub(Duration::from_secs(3));
    hub.info().draining.store(true, Ordering::Relaxed);
    hub.announce_drain();
    webhooks.drain(within / 4).await;
    hub.hand_over(within / 4).await;
    while hub.info().connections.load(Ordering::Relaxed) > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tracing::info!(left = hub.info().connections.load(Ordering::Relaxed), "drained");
}
