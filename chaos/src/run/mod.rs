//! A cluster under faults: its nodes, their environment, their load, and the actions that break and mend
//! things.
//!
//! Each fault is recorded with its beginning and its end, and is mended here. This module never checks.

pub mod backlog;
pub mod channels;
pub mod clock;
pub mod consumers;
pub mod damage;
pub mod disk;
pub mod founding;
pub mod laggard;
pub mod network;
pub mod operations;
pub mod presence;
pub mod process;
pub mod silence;
pub mod tenants;
pub mod traffic;

use crate::environment::disk::Disk;
use crate::environment::leftovers::Names;
use crate::environment::net::{self, Net};
use crate::environment::proxy::Proxy;
use crate::history::{Journal, Record};
use crate::load::{Load, Size, finish};
use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use testkit::clock::Clock;
use testkit::cluster::{ADMIN, Cluster, own_ports};
use testkit::dice::Dice;
use testkit::http::Api;
use testkit::node::Node;

/// An action: one round of breaking and mending.
pub type Action = fn(&mut Run) -> Result<()>;

/// The most memory a node may use, in bytes.
const MEMORY: u64 = 1 << 30;
/// How often a run looks at its nodes while it waits.
const LOOK: Duration = Duration::from_millis(200);
/// The longest wait for a node to answer who leads.
const ASK: Duration = Duration::from_millis(700);
/// The shared key of the peers.
const PEER_KEY: &str = "chaos-peer-key-0123456789abcdef";
/// The networks in which webhooks are received.
const RECEIVERS: &str = "127.0.0.0/8,10.213.0.0/16";

/// The environment of a run's nodes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Environment {
    /// Each node has its own network namespace.
    pub net: bool,
    /// A relay carries the packets between the namespaces.
    pub relay: bool,
    /// Each node has a small disk of its own.
    pub disk: bool,
    /// Each node has a clock of its own.
    pub clock: bool,
    /// A proxy stands before the nodes, for clients that use it.
    pub proxy: bool,
    /// Users of presence channels come and go, and there is little other load.
    pub users: bool,
    /// Readers share the events of a consumer, and there is little other load.
    pub workers: bool,
    /// The nodes keep few entries in their logs.
    pub short_log: bool,
    /// How many more nodes the network has room for.
    pub spare: usize,
}

/// The settings of a run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The server's executable.
    pub binary: PathBuf,
    /// How long things are broken.
    pub time: Duration,
    /// The seed of all random choices.
    pub seed: u64,
    /// How many nodes the cluster has.
    pub nodes: usize,
    /// The environment of the nodes.
    pub environment: Environment,
    /// A library that the nodes are made to load (`LD_PRELOAD`).
    pub preload: Option<PathBuf>,
    /// The planted defect that is switched on, in a build that has defects.
    pub failpoint: Option<String>,
}

/// A run: a cluster, its environment and its load, from boot until everything is healed.
#[derive(Debug)]
pub struct Run {
    /// The nodes.
    pub cluster: Cluster,
    /// How many nodes the cluster had at first.
    pub founders: usize,
    /// The nodes' network, if the run has one of its own.
    pub net: Option<Net>,
    /// The nodes' disks, if each has one of its own.
    pub disks: Vec<Disk>,
    /// The nodes' clocks, if each has one of its own.
    pub clocks: Vec<Clock>,
    /// The proxy before the nodes, if there is one. It is dropped after the load that uses it.
    _proxy: Option<Proxy>,
    /// The load.
    pub load: Load,
    /// The record of all observations.
    pub journal: Journal,
    /// The source of random choices.
    pub dice: Dice,
    /// The names of what this run makes on the machine.
    pub names: Names,
    binary: PathBuf,
    until: Instant,
    interrupted: Arc<AtomicBool>,
    peaks: Vec<u64>,
    /// The operator's work so far, if the scenario has any.
    desk: Option<operations::Desk>,
}

/// The entries of a short log.
const SHORT_LOG: u64 = 100;
/// The size of a small disk, in megabytes.
const DISK_MB: u64 = 256;

impl Run {
    /// Boots the nodes and starts the load. `interrupted` ends every wait.
    pub fn begin(
        plan: &Plan,
        names: &Names,
        journal: &Journal,
        interrupted: Arc<AtomicBool>,
    ) -> Result<Self> {
        let environment = plan.environment;
        let slots = plan.nodes + environment.spare;
        let net = match environment.net {
            true => Some(Net::make(names, slots, environment.relay, plan.seed)?),
            false => None,
        };
        let dir = tempfile::Builder::new().prefix("nodes-").tempdir_in(names.dir())?;
        let nodes = (0..plan.nodes).map(|n| node(&plan.binary, dir.path(), n, net.as_ref()));
        let mut cluster = Cluster::of(nodes.collect::<Result<_>>()?, dir);
        let mut disks = Vec::new();
        let mut clocks = Vec::new();
        for node in &mut cluster.nodes {
            if let Some(failpoint) = &plan.failpoint {
                node.env.insert("WAYPOST_FAILPOINT".to_owned(), failpoint.clone());
            }
            if let Some(library) = &plan.preload {
                node.env.insert("LD_PRELOAD".to_owned(), library.display().to_string());
            }
            if environment.short_log {
                for setting in ["WAYPOST_RAFT_KEEP_ENTRIES", "WAYPOST_RAFT_SNAPSHOT_ENTRIES"] {
                    node.env.insert(setting.to_owned(), SHORT_LOG.to_string());
                }
            }
            if environment.disk {
                disks.push(Disk::make(&node.data, DISK_MB)?);
            }
            if environment.clock {
                clocks.push(Clock::give(node)?);
            }
        }
        cluster.launch()?;
        let proxy = match environment.proxy {
            true => {
                let nodes: Vec<_> = cluster.nodes.iter().map(|node| node.http).collect();
                Some(Proxy::start(&names.dir().join("proxy"), &nodes)?)
            }
            false => None,
        };
        let hub = if net.is_some() { net::HUB } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
        let size = if environment.users { Size::with_users(plan.time) } else { Size::default() };
        let size = if environment.workers { Size::with_workers() } else { size };
        let size = Size { ages: environment.clock, ..size };
        let proxied = proxy.as_ref().map(|proxy| proxy.address);
        let load = Load::start(&cluster, hub, proxied, journal, plan.seed, size)?;
        Ok(Self {
            cluster,
            founders: plan.nodes,
            net,
            disks,
            clocks,
            _proxy: proxy,
            load,
            journal: journal.clone(),
            dice: Dice::new(plan.seed, 0xf17e),
            names: names.clone(),
            binary: plan.binary.clone(),
            until: Instant::now() + plan.time,
            interrupted,
            peaks: vec![0; slots],
            desk: None,
        })
    }

    /// Breaks and mends until the plan's time is over.
    pub fn inject(&mut self, actions: &[Action]) -> Result<()> {
        self.rest(Duration::from_secs(2))?;
        while Instant::now() < self.until {
            if actions.is_empty() {
                self.rest(LOOK)?;
                continue;
            }
            let action = actions[self.dice.below(actions.len())];
            action(self)?;
            self.rest_between(500, 2500)?;
        }
        Ok(())
    }

    /// Mends everything, waits until all have caught up, and records what the nodes hold.
    pub fn heal(mut self) -> Result<()> {
        self.journal.note(Record::Healed);
        operations::end(&mut self)?;
        if let Some(presence) = self.load.presence.take() {
            presence.finish(&self.load.site, &mut self.cluster)?;
        }
        finish::finish(&mut self.load, &mut self.cluster)?;
        operations::restore(&self)?;
        self.sample()?;
        for (node, peak) in self.peaks.iter().enumerate().filter(|(_, peak)| **peak > 0) {
            self.journal.note(Record::Memory { node, peak: *peak, limit: MEMORY });
        }
        Ok(())
    }

    /// Waits, and watches the nodes meanwhile. Returns an error when the run was interrupted.
    pub fn rest(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        loop {
            if self.interrupted.load(Ordering::Relaxed) {
                bail!("interrupted");
            }
            self.sample()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(LOOK));
        }
    }

    /// Waits for a random time between these two, in milliseconds.
    pub fn rest_between(&mut self, least: u64, most: u64) -> Result<()> {
        let time = self.dice.between(Duration::from_millis(least), Duration::from_millis(most));
        self.rest(time)
    }

    /// Records the memory of the nodes. A node that ended by itself is recorded and started again, as a
    /// supervisor would.
    fn sample(&mut self) -> Result<()> {
        for n in 0..self.cluster.nodes.len() {
            if let Some(status) = self.cluster.nodes[n].ended()? {
                self.journal.note(Record::Ended { node: n, status: status.to_string() });
                self.start(n)?;
            }
            // A process that is about to end has no memory any more.
            let memory = self.cluster.nodes[n].rss().unwrap_or(0);
            self.peaks[n] = self.peaks[n].max(memory);
        }
        Ok(())
    }

    /// Records that something is broken.
    pub fn broken(&self, fault: &str, nodes: &[usize], cut: bool, note: impl Into<String>) {
        let fault = fault.to_owned();
        let nodes = nodes.to_vec();
        let note = note.into();
        self.journal.note(Record::Fault { fault, nodes, cut, note });
    }

    /// Records that it is mended.
    pub fn mended(&self, fault: &str, nodes: &[usize]) {
        self.journal.note(Record::Over { fault: fault.to_owned(), nodes: nodes.to_vec() });
    }

    /// Starts a node that has ended.
    pub fn start(&mut self, node: usize) -> Result<()> {
        self.journal.note(Record::Started { node });
        self.cluster.nodes[node].start()
    }

    /// Sends SIGKILL, unless the node has ended already.
    pub fn kill(&mut self, node: usize) -> Result<()> {
        match self.cluster.nodes[node].ended()? {
            None if self.cluster.nodes[node].is_up() => self.cluster.nodes[node].kill9(),
            _ => Ok(()),
        }
    }

    /// Sends a signal, if the node runs.
    pub fn signal(&self, node: usize, signal: Signal) -> Result<()> {
        if self.cluster.nodes[node].is_up() { self.cluster.nodes[node].signal(signal) } else { Ok(()) }
    }

    /// A random node.
    pub fn any(&mut self) -> usize {
        self.dice.below(self.cluster.nodes.len())
    }

    /// The leader, or a random node while no leader is known.
    pub fn leader(&mut self) -> usize {
        match self.leader_of_all() {
            Some(leader) => leader,
            None => self.any(),
        }
    }

    /// The node that leads in the highest term, if one does.
    pub fn leader_of_all(&self) -> Option<usize> {
        let leads = |n: usize| {
            let api = Api::new(&self.cluster.nodes[n].url(), Some(ADMIN)).timeout(ASK);
            let status = api.get("/api/cluster/status").ok()?.data(200).ok()?;
            (status["role"] == "leader").then(|| (status["term"].as_u64(), n))
        };
        (0..self.cluster.nodes.len()).filter_map(leads).max().map(|(_, leader)| leader)
    }

    /// Waits until all nodes are ready and agree; a failure is recorded. It is called before an action that
    /// takes a replica away: a cluster does not promise to survive the loss of a majority at once.
    pub fn settle(&mut self) -> Result<()> {
        if let Err(error) = self.cluster.wait_ready() {
            let why = format!("{error:#}").chars().take(2000).collect();
            self.journal.note(Record::Behind { whom: "the cluster, between faults".to_owned(), why });
        }
        self.rest(Duration::ZERO)
    }

    /// One more node, which is not started yet; it knows the addresses of the others.
    pub fn one_more(&self) -> Result<Node> {
        let mut more = node(&self.binary, self.cluster.dir(), self.cluster.nodes.len(), self.net.as_ref())?;
        let peers: Vec<String> = self.cluster.nodes.iter().map(|node| node.peer.to_string()).collect();
        more.env.insert("WAYPOST_JOIN".to_owned(), peers.join(","));
        Ok(more)
    }

    /// The run's network.
    pub fn net(&mut self) -> Result<&mut Net> {
        self.net.as_mut().context("this run has no network of its own")
    }
}

/// Makes a node without starting it.
fn node(binary: &Path, dir: &Path, number: usize, net: Option<&Net>) -> Result<Node> {
    let home = dir.join(format!("node{number}"));
    let mut node = match net {
        // The namespace has no other process: any port is free.
        Some(net) => {
            let http = net::client_address(number);
            let peer = net.peer_address(number);
            Node::new(binary, &home, (http, 4000).into(), (peer, 4001).into())
        }
        None => {
            let (http, peer) = own_ports()?;
            Node::new(binary, &home, http, peer)
        }
    };
    if let Some(net) = net {
        node.launcher = net.launcher(number);
    }
    node.env.insert("WAYPOST_ADMIN_TOKEN".to_owned(), ADMIN.to_owned());
    // In namespaces peers are not on loopback.
    node.env.insert("WAYPOST_PEER_KEY".to_owned(), PEER_KEY.to_owned());
    node.env.insert("WAYPOST_WEBHOOKS_ALLOW_NETS".to_owned(), RECEIVERS.to_owned());
    // With this setting the server closes a client that never reads within a scenario's time.
    node.env.insert("WAYPOST_SESSION_STALL_SECONDS".to_owned(), "15".to_owned());
    Ok(node)
}
