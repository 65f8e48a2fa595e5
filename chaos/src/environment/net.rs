//! The namespaces, the bridge and the virtual cables of a run, and partitions between its nodes by nftables.
//! Needs root.
//!
//! The run itself moves into a namespace, the hub, so that nothing it sends leaves this network. Each node
//! has a namespace with a cable to the hub's bridge. Clients use that cable; peers use it too, unless a relay
//! stands between the nodes.

use super::leftovers::Names;
use super::relay::Relay;
use super::tool;
use anyhow::{Context, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::collections::BTreeSet;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use tun_rs::{DeviceBuilder, SyncDevice};

/// The hub's address on the bridge, where receivers listen.
pub const HUB: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 213, 0, 254));
/// The addresses of all nodes and of the hub.
pub const NETS: &str = "10.213.0.0/16";

/// The network of a run.
#[derive(Debug)]
pub struct Net {
    names: Names,
    nodes: usize,
    relay: Option<Relay>,
    rules: Rules,
}

/// The pairs of nodes (from, to) whose packets are dropped.
#[derive(Debug, Default, Clone)]
struct Rules {
    blocked: BTreeSet<(usize, usize)>,
    /// The packets that are lost, in percent.
    loss: u32,
}

/// A node's address for clients.
pub fn client_address(node: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 213, 0, node as u8 + 1)
}

fn relayed_address(node: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 213, 1, node as u8 + 1)
}

impl Net {
    /// Makes a network for `nodes` nodes and moves this thread, and everything that it starts from now on,
    /// into the hub.
    pub fn make(names: &Names, nodes: usize, relayed: bool, seed: u64) -> Result<Self> {
        let hub = names.of("hub");
        ip(&["netns", "add", &hub])?;
        in_net(&hub, &["link", "set", "lo", "up"])?;
        in_net(&hub, &["link", "add", "bridge", "type", "bridge", "forward_delay", "0"])?;
        in_net(&hub, &["addr", "add", &format!("{HUB}/24"), "dev", "bridge"])?;
        in_net(&hub, &["link", "set", "bridge", "up"])?;
        let mut devices = Vec::new();
        for node in 0..nodes {
            let own = names.of(&format!("n{node}"));
            let cable = format!("n{node}");
            ip(&["netns", "add", &own])?;
            in_net(&own, &["link", "set", "lo", "up"])?;
            in_net(&hub, &["link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns", &own])?;
            in_net(&hub, &["link", "set", &cable, "master", "bridge", "up"])?;
            in_net(&own, &["addr", "add", &format!("{}/24", client_address(node)), "dev", "eth0"])?;
            in_net(&own, &["link", "set", "eth0", "up"])?;
            if relayed {
                let device = tun_in(&own)?;
                in_net(&own, &["addr", "add", &format!("{}/24", relayed_address(node)), "dev", "peers"])?;
                in_net(&own, &["link", "set", "peers", "mtu", "1400", "up"])?;
                devices.push((relayed_address(node), device));
            }
        }
        enter(&hub)?;
        let relay = relayed.then(|| Relay::start(devices, seed)).transpose()?;
        Ok(Self { names: names.clone(), nodes, relay, rules: Rules::default() })
    }

    /// The command that starts a node's process in its namespace.
    pub fn launcher(&self, node: usize) -> Vec<String> {
        ["ip", "netns", "exec", &self.of(node)].map(str::to_owned).to_vec()
    }

    /// A node's address for its peers.
    pub fn peer_address(&self, node: usize) -> Ipv4Addr {
        if self.relay.is_some() { relayed_address(node) } else { client_address(node) }
    }

    /// The relay between the nodes, if there is one.
    pub fn relay(&self) -> Result<&Relay> {
        self.relay.as_ref().context("this network has no relay")
    }

    /// How many nodes the network has room for.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    fn of(&self, node: usize) -> String {
        self.names.of(&format!("n{node}"))
    }

    /// From now on no packet gets from the first to the second node of these pairs; all other packets do.
    pub fn block(&mut self, pairs: impl IntoIterator<Item = (usize, usize)>) -> Result<()> {
        self.rules = Rules { blocked: pairs.into_iter().collect(), loss: 0 };
        self.apply()
    }

    /// From now on `percent` percent of the packets between nodes are lost.
    pub fn lose(&mut self, percent: u32) -> Result<()> {
        self.rules = Rules { blocked: BTreeSet::new(), loss: percent };
        self.apply()
    }

    /// Ends all partitions and losses.
    pub fn heal(&mut self) -> Result<()> {
        self.block([])
    }

    fn apply(&self) -> Result<()> {
        for node in 0..self.nodes {
            let ruleset = self.ruleset(node);
            tool::run_with("ip", &["netns", "exec", &self.of(node), "nft", "-f", "-"], &ruleset)?;
        }
        Ok(())
    }

    /// Sets which incoming packets a node drops, in one transaction.
    fn ruleset(&self, node: usize) -> String {
        let mut rules = String::new();
        for other in (0..self.nodes).filter(|other| *other != node) {
            for address in [client_address(other), relayed_address(other)] {
                if self.rules.blocked.contains(&(other, node)) {
                    rules += &format!("ip saddr {address} drop\n");
                } else if self.rules.loss > 0 {
                    rules +=
                        &format!("ip saddr {address} numgen random mod 100 < {} drop\n", self.rules.loss);
                }
            }
        }
        let chain = format!("chain input {{\ntype filter hook input priority 0; policy accept;\n{rules}}}\n");
        format!("table inet chaos\ndelete table inet chaos\ntable inet chaos {{\n{chain}}}\n")
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.relay = None;
        let own = (0..self.nodes).map(|node| self.of(node));
        for name in own.chain([self.names.of("hub")]) {
            // The run's clean-up tries again what fails here.
            let _ = ip(&["netns", "del", &name]);
        }
    }
}

fn ip(args: &[&str]) -> Result<()> {
    tool::run("ip", args).map(drop)
}

fn in_net(name: &str, args: &[&str]) -> Result<()> {
    ip(&[&["-n", name], args].concat())
}

/// Moves the calling thread into a namespace.
fn enter(name: &str) -> Result<()> {
    let file = File::open(format!("/run/netns/{name}"))?;
    Ok(move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?)
}

/// Makes a TUN device in that namespace; the process that holds it may be in another namespace.
fn tun_in(name: &str) -> Result<SyncDevice> {
    let name = name.to_owned();
    // A separate thread enters the namespace and ends, so that this thread stays where it is.
    let making = std::thread::spawn(move || -> Result<SyncDevice> {
        enter(&name)?;
        Ok(DeviceBuilder::new().name("peers").inherit_enable_state().build_sync()?)
    });
    making.join().map_err(|_| anyhow!("the thread that makes a TUN device panicked"))?
}
