//! The six ports of `waypost dev`.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use anyhow::bail;

/// The number of nodes.
pub(super) const NODES: usize = 3;

/// The ports of all nodes. They follow the first one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    base: u16,
}

impl From<u16> for Ports {
    fn from(base: u16) -> Self {
        Self { base }
    }
}

impl Ports {
    /// The address at which clients connect to a node.
    pub(super) fn http(self, node: usize) -> SocketAddr {
        self.at(node * 2)
    }

    /// The address at which other nodes connect to a node.
    pub(super) fn peer(self, node: usize) -> SocketAddr {
        self.at(node * 2 + 1)
    }

    /// A port for a receiver of webhooks. It is none of the six.
    pub(super) fn receiver(self) -> u16 {
        self.base.checked_add(2 * NODES as u16).unwrap_or(self.base - 1)
    }

    fn at(self, offset: usize) -> SocketAddr {
        let offset = u16::try_from(offset).unwrap_or(u16::MAX);
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.base.saturating_add(offset)))
    }

    /// Checks that all six are free, before any process is started.
    pub(super) fn check(self) -> anyhow::Result<()> {
        let mut taken = Vec::new();
        for node in 0..NODES {
            for (addr, what) in [(self.http(node), "HTTP"), (self.peer(node), "peers")] {
                match TcpListener::bind(addr) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                        taken.push(format!("  port {} is taken (node {}, {what})", addr.port(), node + 1));
                    }
                    Err(error) => {
                        taken.push(format!("  {addr} cannot be used (node {}, {what}): {error}", node + 1))
                    }
                }
            }
        }
        if !taken.is_empty() {
            let other = if self.base < 60_000 { self.base + 1000 } else { 4000 };
            bail!(
                "three nodes need six free ports, {} to {}:\n{}\nchoose others, as in: waypost dev --base-port {other}",
                self.base,
                self.at(2 * NODES - 1).port(),
                taken.join("\n"),
            );
        }
        Ok(())
    }
}
