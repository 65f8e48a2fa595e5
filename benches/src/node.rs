//! Owns the servers under test: the limit as a process, Waypost nodes as real processes with a
//! directory that goes away, their start, readiness and end. Ends only what it started.

use std::{
    fs::File,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::http;

/// The administrator of every benchmark node; it lives as long as the temporary directory.
pub(crate) const ADMIN: &str = "benchmark-admin-token-0123456789abcdef";
const START_PATIENCE: Duration = Duration::from_secs(30);
const GLANCE: Duration = Duration::from_millis(20);
/// A node that was asked to end has done so by then.
const END_PATIENCE: Duration = Duration::from_secs(20);

/// A limit server in a process of its own.
pub(crate) struct Limit {
    pub(crate) addr: SocketAddr,
    pub(crate) pid: u32,
    _child: Child,
}

impl Limit {
    /// # Errors
    /// It does not start to listen.
    pub(crate) async fn start(coalesce: usize) -> Result<Self> {
        let addr = free_address()?;
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

/// One Waypost process.
pub(crate) struct Node {
    pub(crate) http: SocketAddr,
    pub(crate) peer: SocketAddr,
    join: Option<SocketAddr>,
    binary: PathBuf,
    dir: PathBuf,
    child: Option<Child>,
}

impl Node {
    /// Starts a node in `dir` and waits until it is ready.
    async fn start(binary: &Path, dir: PathBuf, join: Option<SocketAddr>) -> Result<Self> {
        std::fs::create_dir_all(&dir)?;
        let (http, peer) = (free_address()?, free_address()?);
        let mut node = Self { http, peer, join, binary: binary.to_owned(), dir, child: None };
        node.restart().await?;
        Ok(node)
    }

    /// Starts the process (again) with the same directory and addresses.
    ///
    /// # Errors
    /// It ends, or is not ready in time; with the end of its log.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.dir.join("log"))?;
        let mut command = Command::new(&self.binary);
        command
            .arg("serve")
            .env("WAYPOST_ADMIN_TOKEN", ADMIN)
            .env("WAYPOST_DATA_DIR", self.dir.join("data"))
            .env("WAYPOST_HTTP_ADDR", self.http.to_string())
            .env("WAYPOST_PEER_ADDR", self.peer.to_string())
            .env("WAYPOST_LOG", "warn")
            // The receivers are here.
            .env("WAYPOST_WEBHOOKS_ALLOW_NETS", "127.0.0.0/8")
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        if let Some(join) = self.join {
            command.env("WAYPOST_JOIN", join.to_string());
        }
        let child = command.spawn();
        self.child = Some(child.with_context(|| format!("starting {}", self.binary.display()))?);
        let ready = timeout(START_PATIENCE, self.ready()).await;
        ready.unwrap_or_else(|_| Err(anyhow!("not ready in time"))).with_context(|| self.log_end())
    }

    async fn ready(&mut self) -> Result<()> {
        loop {
            if let Some(status) = self.child.as_mut().and_then(|c| c.try_wait().transpose()) {
                bail!("the node ended: {}", status?);
            }
            if let Ok((200, _)) = http::call(self.http, "GET", "/readyz", "", "").await {
                return Ok(());
            }
            sleep(GLANCE).await;
        }
    }

    fn log_end(&self) -> String {
        let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(8).collect();
        format!("node {}; its last lines:\n{}", self.http, lines.join("\n"))
    }

    /// # Errors
    /// The node does not run.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.child.as_ref().and_then(Child::id).context("the node does not run")
    }

    /// kill -9, and waits until the kernel has taken it.
    ///
    /// # Errors
    /// The node does not run.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the node does not run")?;
        Ok(child.kill().await?)
    }

    /// Asks the node to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// The node does not run, or not end in time.
    pub(crate) async fn terminate(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the node does not run")?;
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).context("the node has ended")?;
        kill_process(pid, Signal::TERM)?;
        timeout(END_PATIENCE, child.wait())
            .await
            .with_context(|| format!("asked to end, still runs: {}", self.log_end()))??;
        Ok(())
    }

    /// The node's own view of the cluster (`data` of the status).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub(crate) async fn status(&self) -> Result<Value> {
        let (status, mut body) = http::call(self.http, "GET", "/api/cluster/status", ADMIN, "").await?;
        if status != 200 {
            bail!("cluster status: {status} {body}");
        }
        Ok(body["data"].take())
    }
}

/// Nodes of one cluster in a temporary directory, ended and removed when dropped.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    dir: TempDir,
}

impl Cluster {
    /// Boots `count` nodes, one after another, under `parent`.
    ///
    /// # Errors
    /// A node does not get ready.
    pub(crate) async fn start(binary: &Path, parent: &Path, count: usize) -> Result<Self> {
        let binary =
            binary.canonicalize().with_context(|| format!("{} is missing: cargo build --release", binary.display()))?;
        std::fs::create_dir_all(parent)?;
        let dir = tempfile::Builder::new().prefix("bench-").tempdir_in(parent)?;
        let mut cluster = Self { nodes: Vec::with_capacity(count), dir };
        for number in 1..=count {
            let join = cluster.nodes.first().map(|n: &Node| n.peer);
            let home = cluster.dir.path().join(format!("node{number}"));
            cluster.nodes.push(Node::start(&binary, home, join).await?);
        }
        timeout(START_PATIENCE, cluster.all_vote()).await.context("the cluster did not form")??;
        Ok(cluster)
    }

    /// Adds a node and waits until it has everything, and therefore a vote.
    ///
    /// # Errors
    /// It does not get ready, or not caught up `within`.
    pub(crate) async fn grow(&mut self, within: Duration) -> Result<()> {
        let first = self.nodes.first().context("no node")?;
        let home = self.dir.path().join(format!("node{}", self.nodes.len() + 1));
        let node = Node::start(&first.binary, home, Some(first.peer)).await?;
        self.nodes.push(node);
        timeout(within, self.all_vote()).await.context("the new member does not catch up")?
    }

    async fn all_vote(&self) -> Result<()> {
        let Some(first) = self.nodes.first() else {
            return Ok(());
        };
        loop {
            let status = first.status().await?;
            let members = status["members"].as_array().map_or(&[][..], Vec::as_slice);
            let voters = members.iter().filter(|m| m["role"] != "learner").count();
            if voters == self.nodes.len() {
                return Ok(());
            }
            sleep(GLANCE).await;
        }
    }

    /// The directory, for measuring its disk.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Creates a map without limits and waits until every node knows it; gives id and token.
    ///
    /// # Errors
    /// Refused, or not known everywhere in time.
    pub(crate) async fn map(&self) -> Result<(String, String)> {
        self.map_with_slug("bench").await
    }

    /// As [`Self::map`], and the map keeps all events: for those who compare the whole history.
    ///
    /// # Errors
    /// As [`Self::map`].
    pub(crate) async fn map_that_keeps_all(&self) -> Result<(String, String)> {
        self.make_map(&json!({"slug": "bench", "name": "bench", "limits": no_limits(), "retention": {
            "events": null, "age_seconds": null, "bytes": null,
        }}))
        .await
    }

    /// As [`Self::map`], for one of several.
    ///
    /// # Errors
    /// As [`Self::map`].
    pub(crate) async fn map_with_slug(&self, slug: &str) -> Result<(String, String)> {
        self.make_map(&json!({"slug": slug, "name": slug, "limits": no_limits()})).await
    }

    /// As [`Self::map_with_slug`], with a limit of sockets if that is wanted.
    ///
    /// # Errors
    /// As [`Self::map`].
    pub(crate) async fn map_with_sockets(&self, slug: &str, sockets: Option<u32>) -> Result<(String, String)> {
        let mut limits = no_limits();
        limits["connections"] = sockets.into();
        self.make_map(&json!({"slug": slug, "name": slug, "limits": limits})).await
    }

    async fn make_map(&self, body: &Value) -> Result<(String, String)> {
        let first = self.nodes.first().context("no node")?;
        let (status, answer) = http::call(first.http, "POST", "/api/maps", ADMIN, &body.to_string()).await?;
        let text = |key: &str| answer["data"][key].as_str().map(str::to_owned);
        let (Some(id), Some(token)) = (text("id"), text("token")) else {
            bail!("creating a map: {status} {answer}");
        };
        let path = format!("/api/maps/{id}");
        let known = async {
            for node in &self.nodes {
                while http::call(node.http, "GET", &path, ADMIN, "").await?.0 != 200 {
                    sleep(GLANCE).await;
                }
            }
            anyhow::Ok(())
        };
        timeout(START_PATIENCE, known).await.context("the map is not known everywhere")??;
        Ok((id, token))
    }

    /// The place of the leader among the nodes, once a running node knows a leader that runs.
    ///
    /// # Errors
    /// None within the time of a start.
    pub(crate) async fn leader(&self) -> Result<usize> {
        let found = async {
            loop {
                for (place, node) in self.nodes.iter().enumerate() {
                    if node.child.is_some()
                        && let Ok(status) = node.status().await
                        && !status["leader_id"].is_null()
                        && status["leader_id"] == status["node_id"]
                    {
                        return place;
                    }
                }
                sleep(GLANCE).await;
            }
        };
        timeout(START_PATIENCE, found).await.context("no leader")
    }
}

fn no_limits() -> Value {
    json!({"connections": null, "webhooks": null, "requests_per_minute": null, "publishes_per_second": null})
}

/// An address that was free a moment ago.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
