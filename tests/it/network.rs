//! A network between the nodes of a cluster that tests can cut: the peers of each node reach it through a
//! relay. A node can be cut off from all others while clients still reach it. A relay finds out which node
//! calls by the process that holds the caller's socket.

use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use testkit::Cluster;

/// The relays of a cluster. A relay's threads end with their connections.
pub(crate) struct Network(Arc<Shared>);

/// What no byte passes.
#[derive(Default)]
struct Cut {
    /// Nodes that are cut off from all others.
    nodes: BTreeSet<usize>,
    /// Connections that the first node opens to the second.
    ways: BTreeSet<(usize, usize)>,
}

impl Cut {
    /// Whether a connection that `from` opened to `to` is cut.
    fn has(&self, from: usize, to: usize) -> bool {
        self.nodes.contains(&from) || self.nodes.contains(&to) || self.ways.contains(&(from, to))
    }
}

#[derive(Default)]
struct Shared {
    /// What is cut.
    cut: Mutex<Cut>,
    healed: Condvar,
    /// Where the nodes listen for peers.
    nodes: Vec<SocketAddr>,
}

impl Network {
    /// Puts relays between nodes that are prepared and not yet started.
    pub(crate) fn of(cluster: &mut Cluster) -> Result<Self> {
        let nodes = cluster.nodes.iter().map(|node| node.peer).collect();
        let shared = Arc::new(Shared { nodes, ..Shared::default() });
        for (to, node) in cluster.nodes.iter_mut().enumerate() {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            node.peer = listener.local_addr()?;
            node.env.insert("WAYPOST_ADVERTISE_PEER_ADDR".to_owned(), node.peer.to_string());
            let shared = shared.clone();
            std::thread::spawn(move || shared.relay_to(to, &listener));
        }
        Ok(Self(shared))
    }

    /// Cuts a node off: from now on nothing passes from it to another node or back. The relay holds bytes
    /// under way, as TCP does when packets are lost, and closes new connections.
    pub(crate) fn cut(&self, node: usize) {
        self.0.lock().nodes.insert(node);
    }

    /// Cuts the connections that node `from` opens to node `to`, as a firewall does that lets the other
    /// direction pass.
    pub(crate) fn cut_way(&self, from: usize, to: usize) {
        self.0.lock().ways.insert((from, to));
    }

    /// Reconnects all nodes and delivers the held bytes first.
    pub(crate) fn heal(&self) {
        *self.0.lock() = Cut::default();
        self.0.healed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Cut> {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn relay_to(self: &Arc<Self>, to: usize, listener: &TcpListener) {
        for peer in listener.incoming().map_while(Result::ok) {
            let shared = self.clone();
            // The thread is not joined: an error in it is a broken connection.
            std::thread::spawn(move || shared.carry(peer, to));
        }
    }

    fn carry(self: &Arc<Self>, peer: TcpStream, to: usize) -> Result<()> {
        let from = self.caller(&peer)?;
        if self.is_cut(from, to) {
            return Ok(());
        }
        let node = TcpStream::connect(self.nodes[to])?;
        for stream in [&peer, &node] {
            stream.set_nodelay(true)?;
        }
        let peer_copy = peer.try_clone()?;
        let node_copy = node.try_clone()?;
        let shared = self.clone();
        std::thread::spawn(move || shared.pass(node_copy, peer_copy, (from, to)));
        self.pass(peer, node, (from, to));
        Ok(())
    }

    fn is_cut(&self, from: usize, to: usize) -> bool {
        self.lock().has(from, to)
    }

    fn pass(&self, mut from: TcpStream, mut to: TcpStream, (one, other): (usize, usize)) {
        let mut bytes = [0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut bytes) {
            let cut = self.lock();
            drop(self.healed.wait_while(cut, |cut| cut.has(one, other)));
            if to.write_all(&bytes[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }

    /// Returns the node that opened this connection.
    fn caller(&self, peer: &TcpStream) -> Result<usize> {
        let far = peer.peer_addr()?;
        let near = peer.local_addr()?;
        let socket = format!("socket:[{}]", inode(far, near).with_context(|| format!("no socket of {far}"))?);
        for process in fs::read_dir("/proc")?.filter_map(Result::ok).map(|entry| entry.path()) {
            if let Some(node) = self.node_of(&process)
                && holds(&process, &socket)
            {
                return Ok(node);
            }
        }
        anyhow::bail!("{far} belongs to none of the nodes")
    }

    /// Returns which of the nodes a process is, if any.
    fn node_of(&self, process: &Path) -> Option<usize> {
        let environment = fs::read(process.join("environ")).ok()?;
        let mut settings =
            environment.split(|byte| *byte == 0).filter_map(|entry| std::str::from_utf8(entry).ok());
        let address = settings.find_map(|entry| entry.strip_prefix("WAYPOST_PEER_ADDR="))?;
        self.nodes.iter().position(|node| node.to_string() == address)
    }
}

/// Looks up the inode of the socket with these addresses in the kernel's table.
fn inode(local: SocketAddr, remote: SocketAddr) -> Option<String> {
    let addresses = [table_address(local)?, table_address(remote)?];
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row.get(1..3).is_some_and(|of| of == addresses))?;
    row.get(9).map(|inode| (*inode).to_owned())
}

fn table_address(address: SocketAddr) -> Option<String> {
    let SocketAddr::V4(address) = address else { return None };
    Some(format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port()))
}

fn holds(process: &Path, socket: &str) -> bool {
    let files = fs::read_dir(process.join("fd")).into_iter().flatten().filter_map(Result::ok);
    files.filter_map(|file| fs::read_link(file.path()).ok()).any(|file| file.as_os_str() == socket)
}
