//! N nodes as a cluster: boots them, waits until they agree, and does what tests do at any of them.

use crate::http::{Api, text};
use crate::node::Node;
use crate::phoenix::Socket;
use crate::wait;
use anyhow::{Context, Result, anyhow, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// The admin token of every cluster that this module boots.
pub const ADMIN: &str = "chaos-admin-token-0123456789abcdef";

/// The settings of a cluster to boot.
#[derive(Debug, Clone)]
pub struct Options {
    /// The `waypost` executable.
    pub binary: PathBuf,
    /// How many nodes.
    pub nodes: usize,
    /// Further settings of every node, by the names of environment variables.
    pub env: Vec<(String, String)>,
    /// The folder in which the cluster makes a folder for its files.
    pub parent: PathBuf,
}

impl Options {
    /// N nodes of that executable with default settings.
    pub fn new(binary: &str, nodes: usize) -> Self {
        Self { binary: PathBuf::from(binary), nodes, env: Vec::new(), parent: std::env::temp_dir() }
    }

    /// With one more setting.
    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.env.push((name.to_owned(), value.to_string()));
        self
    }

    /// With the files below that folder.
    pub fn below(mut self, parent: &Path) -> Self {
        self.parent = parent.to_owned();
        self
    }
}

/// Running nodes and their temporary directory.
#[derive(Debug)]
pub struct Cluster {
    /// The nodes, in the order in which they were started.
    pub nodes: Vec<Node>,
    // This stands after the nodes: fields drop in order, and the nodes write to the directory.
    _dir: TempDir,
}

/// A map that was created for a test.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Map {
    /// Its id, a UUID.
    pub id: String,
    /// Its slug.
    pub slug: String,
    /// A token with all scopes.
    pub token: String,
}

impl Map {
    /// The Phoenix topic of its events.
    pub fn topic(&self) -> String {
        format!("events:map:{}", self.id)
    }

    /// The path of something below it, such as `/tokens`.
    pub fn path(&self, below: &str) -> String {
        format!("/api/maps/{}{below}", self.id)
    }

    /// The path of its events.
    pub fn events(&self) -> String {
        self.path("/events")
    }
}

/// The `limits` of a map without any limit.
pub fn unlimited() -> Value {
    json!({
        "connections": null,
        "requests_per_minute": null,
        "webhooks": null,
        "publishes_per_second": null,
        "publish_bytes_per_second": null,
        "idempotency_keys": null,
    })
}

/// A key that no other publish has: a publish whose answer was lost can be repeated with it, and is stored
/// once.
pub fn fresh_key() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Cluster {
    /// Boots the nodes and waits until all are ready. The first starts alone and the others join it. For
    /// later starts each node then has the addresses of all.
    pub fn boot(options: &Options) -> Result<Self> {
        let mut cluster = Self::prepare(options)?;
        cluster.launch()?;
        Ok(cluster)
    }

    /// As [`Cluster::boot`], for nodes that [`Cluster::prepare`] made.
    pub fn launch(&mut self) -> Result<()> {
        self.start(0)?;
        let peers: Vec<String> = self.nodes.iter().map(|n| n.peer.to_string()).collect();
        for node in &mut self.nodes {
            node.env.insert("WAYPOST_JOIN".to_owned(), peers.join(","));
        }
        self.start_all()?;
        self.wait_ready().map_err(|e| anyhow!("{e:#}\n{}", self.dump()))
    }

    /// A cluster of nodes that were made elsewhere and are not started yet; their files are below `dir`.
    pub fn of(nodes: Vec<Node>, dir: TempDir) -> Self {
        Self { nodes, _dir: dir }
    }

    /// The nodes with their addresses and directories, not started yet.
    pub fn prepare(options: &Options) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("waypost-test-").tempdir_in(&options.parent)?;
        let mut nodes = Vec::new();
        for i in 0..options.nodes {
            let (http, peer) = own_ports()?;
            let home = dir.path().join(format!("node{i}"));
            let mut node = Node::new(&options.binary, &home, http, peer);
            node.env.insert("WAYPOST_ADMIN_TOKEN".to_owned(), ADMIN.to_owned());
            node.env.extend(options.env.iter().cloned());
            nodes.push(node);
        }
        Ok(Self { nodes, _dir: dir })
    }

    /// Starts a node and waits until it is ready.
    pub fn start(&mut self, node: usize) -> Result<()> {
        self.nodes[node].start()?;
        self.wait_node(node)
    }

    /// Starts a node and waits until all nodes agree.
    pub fn bring_back(&mut self, node: usize) -> Result<()> {
        self.nodes[node].start()?;
        self.wait_ready()
    }

    /// Stops a node with SIGTERM, starts it again, and waits until it is ready.
    pub fn restart(&mut self, node: usize) -> Result<()> {
        let status = self.nodes[node].stop(wait::LIMIT)?;
        ensure!(status.success(), "node {node} ended with {status}");
        self.start(node)
    }

    /// Starts all nodes that do not run.
    pub fn start_all(&mut self) -> Result<()> {
        self.nodes.iter_mut().filter(|node| !node.is_up()).try_for_each(Node::start)
    }

    /// Kills all nodes at once, starts them again, and waits until they agree.
    pub fn restart_all(&mut self) -> Result<()> {
        self.nodes.iter_mut().try_for_each(Node::kill9)?;
        self.start_all()?;
        self.wait_ready()
    }

    /// Starts one more node with the settings of the first; it joins the others.
    pub fn add(&mut self) -> Result<()> {
        let (http, peer) = own_ports()?;
        let first = self.nodes.first().context("no node")?;
        let mut more = first.another(&self.dir().join(format!("node{}", self.nodes.len())), http, peer);
        more.env.insert("WAYPOST_JOIN".to_owned(), first.peer.to_string());
        more.start()?;
        self.nodes.push(more);
        Ok(())
    }

    /// The cluster's temporary directory.
    pub fn dir(&self) -> &Path {
        self._dir.path()
    }

    /// A node's API with the admin token, which repeats requests while there is no leader.
    pub fn admin(&self, node: usize) -> Api {
        Api::new(&self.nodes[node].url(), Some(ADMIN)).patient()
    }

    /// A node's API with a map's token, which repeats requests while there is no leader.
    pub fn api(&self, node: usize, map: &Map) -> Api {
        Api::new(&self.nodes[node].url(), Some(&map.token)).patient()
    }

    /// The base URLs of the nodes, beginning with the URL of `first`.
    pub fn urls_from(&self, first: usize) -> Vec<String> {
        let n = self.nodes.len();
        (0..n).map(|i| self.nodes[(first + i) % n].url()).collect()
    }

    /// Creates a map without limits on connections and requests.
    pub fn map(&self, slug: &str) -> Result<Map> {
        self.map_with(slug, json!({"limits": {"connections": null, "requests_per_minute": null}}))
    }

    /// Creates a map; `body` may hold `limits` and `retention`.
    pub fn map_with(&self, slug: &str, mut body: Value) -> Result<Map> {
        body["slug"] = json!(slug);
        let admin = self.admin(self.up()?);
        let map = match admin.create("/api/maps", &body)? {
            Some(made) => made,
            None => {
                let mut map = admin.get(&format!("/api/maps/{slug}"))?.data(200)?;
                let token =
                    json!({"name": "again", "scopes": ["publish", "subscribe", "presence", "manage"]});
                let made = admin.create(&format!("/api/maps/{slug}/tokens"), &token)?;
                map["token"] =
                    made.context("a lost attempt made the token, and its value is unknown")?["token"].take();
                map
            }
        };
        Ok(Map { id: text(&map, "id")?, slug: text(&map, "slug")?, token: text(&map, "token")? })
    }

    /// The index of the first running node.
    pub fn up(&self) -> Result<usize> {
        self.nodes.iter().position(Node::is_up).context("no node is up")
    }

    /// Creates a token of a map with these scopes. Returns its id, and a copy of the map that carries it.
    pub fn token(&self, map: &Map, scopes: &[&str]) -> Result<(String, Map)> {
        let made = self.admin(0).post(&map.path("/tokens"), &json!({"name": "t", "scopes": scopes}))?;
        let made = made.data(201)?;
        Ok((text(&made, "id")?, Map { token: text(&made, "token")?, ..map.clone() }))
    }

    /// Sets the channel rules of a map, and waits until all nodes know them.
    pub fn set_rules(&self, map: &Map, rules: &Value) -> Result<()> {
        self.admin(0).put(&map.path("/channel-rules"), rules)?.expect(200)?;
        self.wait_same_applied().map(drop)
    }

    /// A socket at a node that has joined the map's topic with these parameters.
    pub fn joined(&self, node: usize, map: &Map, params: Value) -> Result<Socket> {
        let mut socket = Socket::connect(self.nodes[node].http, &map.token)?;
        socket.join_ok(&map.topic(), params)?;
        Ok(socket)
    }

    /// Publishes through a node, under a fresh key. Returns the `data` of the answer.
    pub fn publish(&self, node: usize, map: &Map, body: &Value) -> Result<Value> {
        self.api(node, map).post_once(&map.events(), &fresh_key(), body)?.data(201)
    }

    /// A metric of a node, summed over the series whose labels contain `label`.
    pub fn metric(&self, node: usize, name: &str, label: &str) -> Result<u64> {
        let text = String::from_utf8(self.admin(node).get("/metrics")?.expect(200)?.body)?;
        let lines =
            text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name) && line.contains(label));
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(values.sum::<f64>() as u64)
    }

    /// Waits until one node answers that it is ready.
    pub fn wait_node(&mut self, node: usize) -> Result<()> {
        let url = self.nodes[node].url();
        let ready = wait::until(&format!("node {node} to be ready"), || {
            if let Some(status) = self.nodes[node].ended()? {
                return Ok(Some(Err(anyhow!("node {node} ended by itself: {status}"))));
            }
            let answer = Api::new(&url, None).timeout(Duration::from_secs(5)).get("/readyz")?;
            answer.expect(200).map(|_| Some(Ok(())))
        });
        let ready = ready.and_then(|r| r);
        ready.map_err(|e| anyhow!("{e:#}\n{}", self.dump()))
    }

    /// Waits until every running node is ready and all report the same leader, with as many voters as there
    /// are nodes, all of them reachable.
    pub fn wait_ready(&mut self) -> Result<()> {
        for i in 0..self.nodes.len() {
            if self.nodes[i].is_up() {
                self.wait_node(i)?;
            }
        }
        self.wait_until("all nodes to agree on leader and voters", |c| Ok(c.agree()?.then_some(())))
    }

    /// Waits for a condition; an error says what was awaited, and has the state of all nodes.
    pub fn wait_until<T>(&self, what: &str, mut probe: impl FnMut(&Self) -> Result<Option<T>>) -> Result<T> {
        wait::until(what, || probe(self)).map_err(|e| anyhow!("{e:#}\n{}", self.dump()))
    }

    /// The status and the last log lines of all nodes, for a failed test.
    pub fn dump(&self) -> String {
        let mut text = String::new();
        for (i, node) in self.nodes.iter().enumerate() {
            let status = match node.is_up() {
                false => "down".to_owned(),
                true => self.status(i).map_or_else(|e| format!("{e:#}"), |s| s.to_string()),
            };
            text += &format!("--- node {i} {} peer {}: {status}\n", node.http, node.peer);
            text += &node.log_tail(40);
            text += "\n";
        }
        text
    }
}

/// An address of 127/8 that no other node of this run has. Outgoing connections leave from 127.0.0.1, so none
/// of them can take the port of a stopped node before it is back.
fn own_address() -> IpAddr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let pid = std::process::id();
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let [_, _, high, low] = pid.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, (high & 0x7f) | 0x40, low, (n % 250) as u8 + 2))
}

/// Two ports, for clients and for peers, at an address that no other node of this run has.
pub fn own_ports() -> Result<(SocketAddr, SocketAddr)> {
    let ip = own_address();
    // Both are taken at once: if one were released before the other is asked for, the kernel could give the
    // same port twice.
    let http = TcpListener::bind((ip, 0))?;
    let peer = TcpListener::bind((ip, 0))?;
    Ok((http.local_addr()?, peer.local_addr()?))
}

/// A port that is free, chosen by the kernel.
pub fn free(ip: IpAddr) -> Result<SocketAddr> {
    Ok(TcpListener::bind((ip, 0))?.local_addr()?)
}
