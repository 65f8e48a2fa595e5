//! A cluster under faults: its nodes, what they stand on, its load, and the hand that breaks things and notes it.
//!
//! Never: checks. What is broken here is mended here, and noted with its beginning and its end.

pub mod backlog;
pub mod channels;
pub mod clock;
pub mod damage;
pub mod disk;
pub mod network;
pub mod operations;
pub mod process;
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

/// One round of breaking and mending.
pub type Action = fn(&mut Run) -> Result<()>;

/// The most memory a node may take, in bytes.
const MEMORY: u64 = 1 << 30;
/// How often a run looks at its nodes while it waits.
const LOOK: Duration = Duration::from_millis(200);
/// How long a node may take to tell who leads.
const ASK: Duration = Duration::from_millis(700);
/// What the nodes know each other by.
const PEER_KEY: &str = "chaos-peer-key-0123456789abcdef";
/// Webhooks are received in these nets.
const RECEIVERS: &str = "127.0.0.0/8,10.213.0.0/16";

/// What the nodes of a run stand on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Environment {
    /// Namespaces of their own.
    pub net: bool,
    /// With a relay between them.
    pub relay: bool,
    /// A small disk each.
    pub disk: bool,
    /// A clock each.
    pub clock: bool,
    /// A proxy before them, for clients that go through it.
    pub proxy: bool,
    /// Room for so many more nodes.
    pub spare: usize,
}

/// A run's choices.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The server's executable.
    pub binary: PathBuf,
    /// For how long things are broken.
    pub time: Duration,
    /// Of all chance.
    pub seed: u64,
    /// What the nodes stand on.
    pub environment: Environment,
    /// A library that the nodes are made to load (`LD_PRELOAD`).
    pub preload: Option<PathBuf>,
    /// The planted defect that is switched on in a build that has them.
    pub failpoint: Option<String>,
}

/// A run.
#[derive(Debug)]
pub struct Run {
    /// The nodes.
    pub cluster: Cluster,
    /// Their network, if it is of their own.
    pub net: Option<Net>,
    /// Their disks, if they are of their own.
    pub disks: Vec<Disk>,
    /// Their clocks, if they are of their own.
    pub clocks: Vec<Clock>,
    /// The proxy before them, if there is one. After the load that goes through it.
    _proxy: Option<Proxy>,
    /// The load.
    pub load: Load,
    /// Where all is noted.
    pub journal: Journal,
    /// Chance.
    pub dice: Dice,
    /// The run's names.
    pub names: Names,
    binary: PathBuf,
    until: Instant,
    interrupted: Arc<AtomicBool>,
    peaks: Vec<u64>,
    /// What operators did, if they did.
    desk: Option<operations::Desk>,
}

const NODES: usize = 3;
/// Of a small disk, in megabytes.
const DISK_MB: u64 = 256;

impl Run {
    /// Boots the nodes and starts the load. `interrupted` ends all waiting.
    pub fn begin(
        plan: &Plan,
        names: &Names,
        journal: &Journal,
        interrupted: Arc<AtomicBool>,
    ) -> Result<Self> {
        let environment = plan.environment;
        let slots = NODES + environment.spare;
        let net = match environment.net {
            true => Some(Net::make(names, slots, environment.relay, plan.seed)?),
            false => None,
        };
        let dir = tempfile::Builder::new().prefix("nodes-").tempdir_in(names.dir())?;
        let nodes = (0..NODES).map(|n| node(&plan.binary, dir.path(), n, net.as_ref()));
        let mut cluster = Cluster::of(nodes.collect::<Result<_>>()?, dir);
        let (mut disks, mut clocks) = (Vec::new(), Vec::new());
        for node in &mut cluster.nodes {
            if let Some(failpoint) = &plan.failpoint {
                node.env.insert("WAYPOST_FAILPOINT".to_owned(), failpoint.clone());
            }
            if let Some(library) = &plan.preload {
                node.env.insert("LD_PRELOAD".to_owned(), library.display().to_string());
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
        let size = Size { ages: environment.clock, ..Size::default() };
        let proxied = proxy.as_ref().map(|proxy| proxy.address);
        let load = Load::start(&cluster, hub, proxied, journal, plan.seed, size)?;
        Ok(Self {
            cluster,
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

    /// Breaks and mends until the time is over.
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

    /// Everything is well again; all catch up, and the nodes tell what they hold.
    pub fn heal(mut self) -> Result<()> {
        self.journal.note(Record::Healed);
        operations::end(&mut self)?;
        finish::finish(&mut self.load, &mut self.cluster)?;
        operations::restore(&self)?;
        self.sample()?;
        for (node, peak) in self.peaks.iter().enumerate().filter(|(_, peak)| **peak > 0) {
            self.journal.note(Record::Memory { node, peak: *peak, limit: MEMORY });
        }
        Ok(())
    }

    /// Waits, and looks at the nodes meanwhile. An error when the run was interrupted.
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

    /// Waits for a time between these, in milliseconds.
    pub fn rest_between(&mut self, least: u64, most: u64) -> Result<()> {
        let time = self.dice.between(Duration::from_millis(least), Duration::from_millis(most));
        self.rest(time)
    }

    /// Notes the memory of the nodes; one that ended by itself is noted and started again, as by a supervisor.
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

    /// Notes that something is broken.
    pub fn broken(&self, fault: &str, nodes: &[usize], cut: bool, note: impl Into<String>) {
        let (fault, nodes, note) = (fault.to_owned(), nodes.to_vec(), note.into());
        self.journal.note(Record::Fault { fault, nodes, cut, note });
    }

    /// Notes that it is mended.
    pub fn mended(&self, fault: &str, nodes: &[usize]) {
        self.journal.note(Record::Over { fault: fault.to_owned(), nodes: nodes.to_vec() });
    }

    /// Starts a node that was ended.
    pub fn start(&mut self, node: usize) -> Result<()> {
        self.journal.note(Record::Started { node });
        self.cluster.nodes[node].start()
    }

    /// SIGKILL, unless it has ended already.
    pub fn kill(&mut self, node: usize) -> Result<()> {
        match self.cluster.nodes[node].ended()? {
            None if self.cluster.nodes[node].is_up() => self.cluster.nodes[node].kill9(),
            _ => Ok(()),
        }
    }

    /// Sends a signal, if it runs.
    pub fn signal(&self, node: usize, signal: Signal) -> Result<()> {
        if self.cluster.nodes[node].is_up() { self.cluster.nodes[node].signal(signal) } else { Ok(()) }
    }

    /// Any node.
    pub fn any(&mut self) -> usize {
        self.dice.below(self.cluster.nodes.len())
    }

    /// The leader, or any node while nobody knows of one.
    pub fn leader(&mut self) -> usize {
        let tells = |n: usize| {
            let api = Api::new(&self.cluster.nodes[n].url(), Some(ADMIN)).timeout(ASK);
            let status = api.get("/api/cluster/status").ok()?.data(200).ok()?;
            (status["role"] == "leader").then(|| (status["term"].as_u64(), n))
        };
        match (0..self.cluster.nodes.len()).filter_map(tells).max() {
            Some((_, leader)) => leader,
            None => self.any(),
        }
    }

    /// Waits until all nodes are ready and agree; one that can't is noted. Before what takes a replica away: two at
    /// once would be more than a cluster of three promises to bear.
    pub fn settle(&mut self) -> Result<()> {
        if let Err(error) = self.cluster.wait_ready() {
            let why = format!("{error:#}").chars().take(2000).collect();
            self.journal.note(Record::Behind { whom: "the cluster, between faults".to_owned(), why });
        }
        self.rest(Duration::ZERO)
    }

    /// One more node, not started; it knows the others.
    pub fn one_more(&self) -> Result<Node> {
        let mut more = node(&self.binary, self.cluster.dir(), self.cluster.nodes.len(), self.net.as_ref())?;
        let peers: Vec<String> = self.cluster.nodes.iter().map(|node| node.peer.to_string()).collect();
        more.env.insert("WAYPOST_JOIN".to_owned(), peers.join(","));
        Ok(more)
    }

    /// The network.
    pub fn net(&mut self) -> Result<&mut Net> {
        self.net.as_mut().context("this run has no network of its own")
    }
}

/// A node that isn't started.
fn node(binary: &Path, dir: &Path, number: usize, net: Option<&Net>) -> Result<Node> {
    let home = dir.join(format!("node{number}"));
    let mut node = match net {
        // Nobody else is there: any port is free.
        Some(net) => {
            let (http, peer) = (net::client_address(number), net.peer_address(number));
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
    // Who never reads is closed within a scenario's time.
    node.env.insert("WAYPOST_SESSION_STALL_SECONDS".to_owned(), "15".to_owned());
    Ok(node)
}
