//! The composition root: the only file that uses every module. It builds a node from its configuration, runs
//! it and drains it.

mod admin_token;
mod answer;
mod bare;
mod files;
mod gzip;
mod http;
mod metrics;
mod otlp;
mod peer_port;
mod plain;
mod port;
mod running;
mod settings;
mod shared_app;
mod stream;
mod upgraded;

use crate::config::{Config, Key};
use crate::delivery::jwks;
use crate::delivery::webhook::{BadWebhooks, Webhooks};
use crate::edge::addresses::Failures;
use crate::edge::audit::log::AuditLog;
use crate::edge::context::Edge;
use crate::edge::ops::starting::Starting;
use crate::edge::ops::{drained, not_ready};
use crate::edge::standings::LastStandings;
use crate::edge::{self, apps, webhooks};
use crate::hub::{Hub, report_settings};
use crate::notify::{self, Manager};
use crate::spans;
use crate::tls::{BadTls, Shown};
use actix_web::dev::{Server, ServerHandle};
use actix_web::web;
use files::Shares;
use running::Running;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use waypost_cluster::{StartError, WaitHook};

/// Longest wait for a leader. After it, the node serves without one.
const LEADER_WAIT: Duration = Duration::from_secs(3);

/// A node that starts faster than this lets its clients wait. Otherwise its port answers why it does not serve
/// yet.
const QUIET: Duration = Duration::from_secs(1);
/// How long a node that ends waits until the collector has its last spans.
const LAST_SPANS: Duration = Duration::from_secs(1);
/// How long a node that ends waits at least until the cluster has what it counted.
const LAST_COUNTS: Duration = Duration::from_secs(2);
/// Most connections that the client port accepts at a time before the node serves.
const SOCKETS_AT_START: usize = 64;

/// Why a node could not start or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The client port is in use, or the process may not use it.
    #[error("cannot listen for clients on {addr}: {source}; {}", choose("another address", "http_addr"))]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },
    /// The certificate for clients can't be used.
    #[error(
        "the certificate for clients (http.tls_cert, http.tls_key): {}; {}",
        .0,
        choose("other files", "http.tls_cert")
    )]
    Tls(#[from] BadTls),
    /// The node could not start its part of the cluster.
    #[error("{}{}", .0, advice(.0))]
    Cluster(#[from] StartError),
    /// The HTTP server failed.
    #[error("the HTTP server failed: {0}")]
    Http(#[from] std::io::Error),
    /// The audit log can't be opened.
    #[error(
        "the audit log {} (audit.file) can't be opened: {source}; {}",
        path.display(),
        choose("another file", "audit.file")
    )]
    Audit {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The delivery of webhooks can't start.
    #[error(transparent)]
    Webhooks(#[from] BadWebhooks),
    /// The collector of spans can't be used.
    #[error("the collector of spans (otel.endpoint): {0}")]
    Otel(String),
    /// The metrics could not be set up.
    #[error("metrics: {0}")]
    Metrics(String),
}

/// What clients of a node with this configuration lack because this process may open too few files. `None`:
/// nothing. The process's limit is raised as far as it may be.
pub fn short_of_files(config: &Config) -> Option<String> {
    Shares::take(config, workers(config)).problem(config)
}

/// The number of HTTP worker threads.
fn workers(config: &Config) -> usize {
    match config.workers {
        0 => std::thread::available_parallelism().map_or(2, usize::from),
        workers => workers,
    }
}

/// Says where a setting is changed.
fn choose(what: &str, path: &str) -> String {
    let names = Key::by_path(path).map(Key::names).unwrap_or_default();
    format!("choose {what} with {names}")
}

/// What to do about an error of the cluster crate, which knows no settings of this program.
fn advice(error: &StartError) -> String {
    match error {
        StartError::Locked(_) => {
            format!("; stop that process, or {}", choose("another directory", "data_dir"))
        }
        StartError::Listen { .. } => format!("; {}", choose("another address", "peer_addr")),
        StartError::Io(source) if source.kind() == ErrorKind::PermissionDenied => {
            let change = choose("another directory", "data_dir");
            format!("; let the user that runs the node read and write it, or {change}")
        }
        StartError::Io(_) => format!("; {}", choose("another directory", "data_dir")),
        StartError::JoinsItself(_) => format!("; {}", choose("the addresses", "join")),
        _ => String::new(),
    }
}

/// Runs a node until `stop` resolves, then drains it. At each message of `reloads` it reads its certificates
/// again.
///
/// # Errors
/// If the node cannot start or cannot go on.
pub async fn run(
    config: Config,
    stop: impl Future<Output = ()>,
    reloads: mpsc::Receiver<()>,
) -> Result<(), ServerError> {
    let mut stop = std::pin::pin!(stop);
    let node = tokio::select! {
        node = Node::build(config) => node?,
        () = &mut stop => return Ok(()),
    };
    let serving = node.spawn(reloads).await?;
    stop.await;
    serving.drain().await
}

/// A node that is part of the cluster and does not serve clients yet.
struct Node {
    config: Config,
    shares: Shares,
    workers: usize,
    listener: TcpListener,
    shown: Option<Arc<Shown>>,
    manager: Option<Arc<Manager>>,
    running: Running,
    edge: web::Data<Edge>,
}

impl Node {
    async fn build(config: Config) -> Result<Self, ServerError> {
        let manager = Manager::of_this_process().map(Arc::new);
        if let Some(manager) = &manager {
            manager.starting("starting: opening its log, or joining a cluster");
        }
        let workers = workers(&config);
        let shares = Shares::take(&config, workers);
        let listener = http::listen(config.http_addr)?;
        let shown = config.http.tls().map(|(cert, key)| Shown::load(cert, key)).transpose()?;
        let metrics = metrics::install()?;
        let audit = open_audit(config.audit.file.as_deref())?;
        let starting = Starting::new();
        let on_waiting = on_waiting(starting.clone(), manager.clone());
        let hub = Hub::start(settings::hub(&config), settings::cluster(&config, &shares, on_waiting));
        let port = || {
            let listener = listener.try_clone()?;
            http::serve(&config, (1, SOCKETS_AT_START), listener, shown.as_ref(), starting.routes())
        };
        let hub = meanwhile(port, hub).await??;
        let (running, was_crash) = Running::begin(&config.data_dir);
        if let Some(was_crash) = was_crash {
            hub.health().report_end_before(was_crash);
        }
        otlp::start(&config, hub.node_id())?;
        actix_rt::spawn(report_settings(hub.clone(), config.shared()));
        if let Some(lost) = audit.lost() {
            hub.health().report_audit_lost(lost);
        }
        if let Some(what) = shares.problem(&config) {
            hub.health().report_short_of_files(what);
        }
        // This comes before webhooks start: a node that was drained when it stopped must not deliver any.
        if let Some(shown) = shown.clone() {
            hub.health().report_client_certificate(move || shown.until());
        }
        drained::begin(&hub);
        let delivery = Webhooks::start(hub.clone(), settings::webhook(&config, &shares))?;
        jwks::start(&hub, delivery.outside());
        let edge = web::Data::new(Edge {
            config: settings::edge(&config, &shares),
            shown: shown.clone(),
            failures: Failures::new(config.limits.auth_failures_per_minute),
            addresses: Arc::default(),
            sessions: Arc::default(),
            webhooks: delivery,
            standings: LastStandings::default(),
            audit,
            metrics,
            hub,
        });
        Ok(Self { config, shares, workers, listener, shown, manager, running, edge })
    }

    /// Starts to serve clients.
    async fn spawn(self, reloads: mpsc::Receiver<()>) -> Result<Serving, ServerError> {
        let Self { config, shares, workers, listener, shown, manager, running, edge } = self;
        let mut background = Background::spawn(&config, &edge, shown.clone(), reloads);
        // The admin token is printed before the node reports that it is ready, and the node serves no client
        // with the state that it had before it was stopped. Without a majority, it serves anyway after the
        // wait.
        let begun = async { tokio::join!(&mut background.admin, edge.hub.log().barrier()) };
        let _ = tokio::time::timeout(LEADER_WAIT, begun).await;
        let routes = edge::start(&config, &edge);
        let server = http::serve(&config, (workers, shares.sockets), listener, shown.as_ref(), routes)?;
        let handle = server.handle();
        let server = actix_rt::spawn(server);
        // A node that joins may not be in the membership yet.
        let node = format!("{} ({})", edge.hub.node_id(), config.node.name());
        tracing::info!(http = %config.http_addr, peer = %config.peer_addr, node, "the node serves");
        let told = manager.clone().map(|manager| actix_rt::spawn(tell(manager, edge.clone())));
        let drain_within = Duration::from_secs(config.session.drain_seconds);
        Ok(Serving { drain_within, background, server, handle, manager, running, told, edge })
    }
}

/// A node that serves clients.
struct Serving {
    drain_within: Duration,
    background: Background,
    server: JoinHandle<std::io::Result<()>>,
    handle: ServerHandle,
    manager: Option<Arc<Manager>>,
    running: Running,
    /// The task that reports to the service manager.
    told: Option<JoinHandle<()>>,
    edge: web::Data<Edge>,
}

impl Serving {
    /// Sends the clients to other nodes and stops this node.
    async fn drain(self) -> Result<(), ServerError> {
        if let Some(manager) = self.manager {
            manager.stopping();
        }
        drop(self.background);
        let Edge { hub, webhooks, .. } = &**self.edge;
        drain(hub, webhooks, self.drain_within).await;
        self.handle.stop(true).await;
        if let Some(told) = self.told {
            told.abort();
        }
        hub.shutdown().await;
        self.running.end();
        if let Some(tracer) = spans::tracer() {
            tracer.settle(LAST_SPANS).await;
        }
        let audit = self.edge.audit.clone();
        // It waits for a disk, for a bounded time.
        let _ = actix_rt::task::spawn_blocking(move || audit.close()).await;
        match self.server.await {
            Ok(result) => Ok(result?),
            Err(_) => Ok(()),
        }
    }
}

/// Takes no new clients, asks the present ones to reconnect to other nodes, and hands the lead over.
async fn drain(hub: &Hub, webhooks: &Webhooks, within: Duration) {
    // The server's own stop and the store's last checkpoint follow. Everything together must take at most ten
    // seconds.
    let deadline = Instant::now() + within.saturating_sub(Duration::from_secs(3));
    hub.health().set_draining(true);
    hub.topics().announce_drain();
    webhooks.drain(within / 4).await;
    hub.operations().hand_over(within / 4).await;
    while hub.health().connections() > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Without a leader nobody takes the counts, so it does not wait longer for one.
    let left = deadline.saturating_duration_since(Instant::now());
    let limit = hub.health().status().leader.map_or(LAST_COUNTS, |_| left.max(LAST_COUNTS));
    hub.quota().usage().report_within(limit).await;
    tracing::info!(left = hub.health().connections(), "drained");
}

/// The background tasks of a node. Dropping this value stops them.
struct Background {
    admin: JoinHandle<()>,
    others: Vec<JoinHandle<()>>,
}

impl Background {
    fn spawn(
        config: &Config,
        edge: &web::Data<Edge>,
        shown: Option<Arc<Shown>>,
        reloads: mpsc::Receiver<()>,
    ) -> Self {
        let webhooks = config.listed_webhooks();
        let webhooks = webhooks.map(|webhook| (webhook.map.clone(), webhook.patch.clone())).collect();
        let apps = config.apps.iter().map(|app| (app.map.clone(), app.settings.clone())).collect();
        let drain_limit = Duration::from_secs(config.session.drain_seconds);
        let mut others = vec![
            actix_rt::spawn(webhooks::keep_configured(edge.clone(), webhooks)),
            actix_rt::spawn(apps::keep_configured(edge.clone(), apps)),
            actix_rt::spawn(drained::follow(edge.clone(), drain_limit)),
            actix_rt::spawn(renew(edge.hub.clone(), shown.clone(), reloads)),
            actix_rt::spawn(metrics::sort_measured(edge.metrics.clone())),
        ];
        others.extend(shown.map(|shown| actix_rt::spawn(shown.keep_fresh())));
        let admin = actix_rt::spawn(admin_token::make(edge.hub.clone(), config.admin_token.is_some()));
        Self { admin, others }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.admin.abort();
        self.others.iter().for_each(JoinHandle::abort);
    }
}

/// Waits for `start`. If that takes longer than [`QUIET`], `port` meanwhile serves the client port.
async fn meanwhile<T>(
    port: impl FnOnce() -> Result<Server, ServerError>,
    start: impl Future<Output = T>,
) -> Result<T, ServerError> {
    let mut start = std::pin::pin!(start);
    if let Ok(done) = tokio::time::timeout(QUIET, &mut start).await {
        return Ok(done);
    }
    let server = port()?;
    let handle = server.handle();
    let server = actix_rt::spawn(server);
    let done = start.await;
    handle.stop(false).await;
    // The server has stopped, whatever its result is.
    let _ = server.await;
    Ok(done)
}

/// Tells clients and the service manager why the node waits.
fn on_waiting(starting: Arc<Starting>, manager: Option<Arc<Manager>>) -> WaitHook {
    Arc::new(move |reason| {
        starting.set_reason(reason);
        if let Some(manager) = &manager {
            manager.starting(reason);
        }
    })
}

/// Reads the node's certificates again whenever `reloads` asks for it.
async fn renew(hub: Hub, shown: Option<Arc<Shown>>, mut reloads: mpsc::Receiver<()>) {
    while reloads.recv().await.is_some() {
        if let Some(shown) = &shown {
            shown.look_now().await;
        }
        hub.operations().renew_peer_certificate().await;
    }
}

/// Reports the node's state to the service manager as long as the node runs.
async fn tell(manager: Arc<Manager>, edge: web::Data<Edge>) {
    let state = || {
        let reason = not_ready(&edge);
        let status = edge.hub.health().status();
        let me = status.called(status.node_id);
        let text = match (reason, status.leader) {
            (Some(reason), _) => format!("node {me}: not ready: {reason}"),
            (None, Some(leader)) if leader != status.node_id => {
                format!("node {me}: ready, follows node {}", status.called(leader))
            }
            (None, _) => format!("node {me}: ready, leads"),
        };
        notify::State { ready: reason.is_none(), text }
    };
    manager.follow(state, async || edge.hub.health().answers().await).await;
}

fn open_audit(path: Option<&Path>) -> Result<Arc<AuditLog>, ServerError> {
    let told = |source| ServerError::Audit { path: path.unwrap_or(Path::new("")).to_owned(), source };
    Ok(Arc::new(AuditLog::start(path).map_err(told)?))
}
