//! The servers under test: the raw limit as a process, and Waypost nodes as processes ([`testkit`]) with a
//! directory that is removed. It ends only processes that it started.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use testkit::{Options, cluster::unlimited, pusher::App, wait};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    task::spawn_blocking,
    time::{sleep, timeout},
};

pub(crate) use testkit::cluster::ADMIN;

const START_PATIENCE: Duration = Duration::from_secs(30);
const GLANCE: Duration = Duration::from_millis(20);
/// The shared key of peers that are not on loopback.
const PEER_KEY: &str = "bench-peer-key-0123456789abcdef";
/// How long a node that was asked to end may take.
const END_PATIENCE: Duration = Duration::from_secs(20);

/// The raw limit in a separate process.
pub(crate) struct Limit {
    pub(crate) addr: SocketAddr,
    pub(crate) pid: u32,
    _child: Child,
}

impl Limit {
    /// # Errors
    /// It does not start to listen.
    pub(crate) async fn start(coalesce: usize) -> Result<Self> {
        // This address was free a moment ago.
        let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new(std::env::current_exe()?)
            .args(["limit", "--addr", &addr.to_string(), "--coalesce", &coalesce.to_string()])
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().context("the limit server ended at once")?;
        let listening = async {
            while TcpStream::connect(addr).await.is_err() {
                sleep(GLANCE).await;
            }
        };
        timeout(START_PATIENCE, listening).await.context("the limit server does not listen")?;
        Ok(Self { addr, pid, _child: child })
    }
}

/// The processes of a cluster. An operation on them may take a while; publishers and readers continue
/// meanwhile.
#[derive(Clone)]
struct Processes(Arc<Mutex<testkit::Cluster>>);

impl Processes {
    fn lock(&self) -> MutexGuard<'_, testkit::Cluster> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut testkit::Cluster) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let processes = self.clone();
        spawn_blocking(move || work(&mut processes.lock())).await?
    }
}

/// One Waypost process.
pub(crate) struct Node {
    pub(crate) http: SocketAddr,
    index: usize,
    processes: Processes,
}

impl Node {
    /// Starts the process again and waits until it is ready.
    ///
    /// # Errors
    /// It ends, or is not ready in time; the error has the end of its log.
    pub(crate) async fn restart(&self) -> Result<()> {
        self.with(|cluster, own| {
            cluster.nodes[own].start()?;
            cluster.wait_node(own)
        })
        .await
    }

    /// # Errors
    /// The node does not run.
    pub(crate) fn pid(&self) -> Result<u32> {
        Ok(self.processes.lock().nodes[self.index].pid()?.as_raw_nonzero().get().cast_unsigned())
    }

    /// Suspends the process (SIGSTOP): it hangs, with its connections open.
    ///
    /// # Errors
    /// The node does not run.
    pub(crate) async fn hang(&self) -> Result<()> {
        self.with(|cluster, own| cluster.nodes[own].sigstop()).await
    }

    /// Lets the suspended process continue.
    ///
    /// # Errors
    /// The node does not run.
    pub(crate) async fn resume(&self) -> Result<()> {
        self.with(|cluster, own| cluster.nodes[own].sigcont()).await
    }

    /// Sends SIGKILL, and waits until the process has ended.
    ///
    /// # Errors
    /// The node does not run.
    pub(crate) async fn kill(&self) -> Result<()> {
        self.with(|cluster, own| cluster.nodes[own].kill9()).await
    }

    /// Asks the node to end (SIGTERM), and waits until it has.
    ///
    /// # Errors
    /// The node does not run, or does not end in time.
    pub(crate) async fn terminate(&self) -> Result<()> {
        self.with(|cluster, own| cluster.nodes[own].stop(END_PATIENCE)).await.map(drop)
    }

    /// The node's own status of the cluster (the `data` of its answer).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub(crate) async fn status(&self) -> Result<Value> {
        self.with(|cluster, own| cluster.status(own)).await
    }

    /// Does this with the cluster's processes and the index of this node.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut testkit::Cluster, usize) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let own = self.index;
        self.processes.with(move |cluster| work(cluster, own)).await
    }
}

/// Where a node runs: the command that starts its process there, and its addresses for clients and peers.
pub(crate) struct Place {
    pub(crate) launcher: Vec<String>,
    pub(crate) http: SocketAddr,
    pub(crate) peer: SocketAddr,
}

/// The nodes of one cluster in a temporary directory. Dropping it ends them and removes the directory.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    dir: PathBuf,
    processes: Processes,
}

impl Cluster {
    /// Boots `count` nodes under `parent`.
    ///
    /// # Errors
    /// A node does not become ready.
    pub(crate) async fn start(binary: &Path, parent: &Path, count: usize) -> Result<Self> {
        Self::launch(testkit::Cluster::prepare(&options(binary, parent, count)?)?).await
    }

    /// As [`Self::start`], with a node at each of these places.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub(crate) async fn start_at(binary: &Path, parent: &Path, places: Vec<Place>) -> Result<Self> {
        let mut cluster = testkit::Cluster::prepare(&options(binary, parent, places.len())?)?;
        for (node, Place { launcher, http, peer }) in cluster.nodes.iter_mut().zip(places) {
            for (name, value) in [
                ("WAYPOST_HTTP_ADDR", http.to_string()),
                ("WAYPOST_PEER_ADDR", peer.to_string()),
                ("WAYPOST_PEER_KEY", PEER_KEY.to_owned()),
            ] {
                node.env.insert(name.to_owned(), value);
            }
            node.launcher = launcher;
            node.http = http;
            node.peer = peer;
        }
        Self::launch(cluster).await
    }

    async fn launch(mut cluster: testkit::Cluster) -> Result<Self> {
        let launched = move || cluster.launch().map(|()| cluster);
        let launched = spawn_blocking(launched).await??;
        let dir = launched.dir().to_owned();
        let mut cluster =
            Self { nodes: Vec::new(), dir, processes: Processes(Arc::new(Mutex::new(launched))) };
        cluster.name_nodes();
        Ok(cluster)
    }

    /// Waits until all nodes are ready and agree on a leader.
    ///
    /// # Errors
    /// They do not within the time of a start.
    pub(crate) async fn wait_ready(&self) -> Result<()> {
        self.processes.with(testkit::Cluster::wait_ready).await
    }

    fn name_nodes(&mut self) {
        let addresses: Vec<_> = self.processes.lock().nodes.iter().map(|node| node.http).collect();
        let node = |(index, http)| Node { http, index, processes: self.processes.clone() };
        self.nodes = addresses.into_iter().enumerate().map(node).collect();
    }

    /// Adds a node and waits until it has all data, and therefore a vote.
    ///
    /// # Errors
    /// It does not become ready, or does not catch up `within` that time.
    pub(crate) async fn grow(&mut self, within: Duration) -> Result<()> {
        let grown = self.processes.with(|cluster| {
            cluster.add()?;
            cluster.wait_ready()
        });
        timeout(within, grown).await.context("the new member does not catch up")??;
        self.name_nodes();
        Ok(())
    }

    /// The directory; its disk is measured.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Creates a map without limits and waits until every node knows it. Returns its id and token.
    ///
    /// # Errors
    /// The request is refused, or a node does not know the map in time.
    pub(crate) async fn map(&self, slug: &str) -> Result<(String, String)> {
        self.map_with(slug, json!({"limits": unlimited()})).await
    }

    /// As [`Self::map`], for a map that keeps all events, so that the whole history can be compared.
    ///
    /// # Errors
    /// As [`Self::map`].
    pub(crate) async fn map_that_keeps_all(&self) -> Result<(String, String)> {
        let retention = json!({"events": null, "age_seconds": null, "bytes": null});
        self.map_with("bench", json!({"limits": unlimited(), "retention": retention})).await
    }

    /// As [`Self::map`], with these settings.
    ///
    /// # Errors
    /// As [`Self::map`].
    pub(crate) async fn map_with(&self, slug: &str, body: Value) -> Result<(String, String)> {
        let slug = slug.to_owned();
        let make = move |cluster: &mut testkit::Cluster| {
            let map = cluster.map_with(&slug, body)?;
            for node in 0..cluster.nodes.len() {
                wait::until("the map to be known everywhere", || {
                    cluster.admin(node).get(&format!("/api/maps/{}", map.id))?.expect(200).map(Some)
                })?;
            }
            Ok((map.id, map.token))
        };
        self.processes.with(make).await
    }

    /// Creates a map without limits that clients of the Pusher protocol may use, and waits until every node knows
    /// it. Returns its credentials.
    ///
    /// # Errors
    /// A request is refused, or a node does not know the map in time.
    pub(crate) async fn app(&self, slug: &str) -> Result<Arc<App>> {
        let slug = slug.to_owned();
        let make = move |cluster: &mut testkit::Cluster| {
            let map = cluster.map_with(&slug, json!({"limits": unlimited()}))?;
            let app = App::with(cluster, &map, &json!({}))?;
            cluster.wait_same_applied()?;
            Ok(Arc::new(app))
        };
        self.processes.with(make).await
    }

    /// The index of the leader among the nodes, once a running node reports a leader that runs.
    ///
    /// # Errors
    /// No leader is reported within the time of a start.
    pub(crate) async fn leader(&self) -> Result<usize> {
        self.processes.with(|cluster| cluster.leader()).await
    }
}

fn options(binary: &Path, parent: &Path, count: usize) -> Result<Options> {
    let binary = binary
        .canonicalize()
        .with_context(|| format!("{} is missing: cargo build --profile dist", binary.display()))?;
    std::fs::create_dir_all(parent)?;
    // The receivers listen in this network.
    Ok(Options::new(&binary.display().to_string(), count)
        .set("WAYPOST_LOG", "warn")
        .set("WAYPOST_WEBHOOKS_ALLOW_NETS", "127.0.0.0/8")
        // All members of the benchmark are of one map.
        .set("WAYPOST_LIMITS_CHANNEL_JOINS_PER_MINUTE", "0")
        .below(parent))
}
