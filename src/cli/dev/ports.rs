//! The six ports of `waypost dev`.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use anyhow::bail;

/// The number of nodes.
pub(super) const NODES: usize = 3;

/// The lowest first port: an ordinary user may not listen at lower ones.
pub(super) const FIRST_BASE: u16 = 1024;

/// The highest first port.
pub(super) const LAST_BASE: u16 = 65_530;

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
        let taken: Vec<String> = self.taken().collect();
        if taken.is_empty() {
            return Ok(());
        }
        let others = match self.free_ones() {
            Some(free) => format!("these are free: waypost dev --base-port {}", free.base),
            None => "choose others with --base-port".to_owned(),
        };
        bail!(
            "three nodes need six free ports, {} to {}:\n{}\n{others}",
            self.base,
            self.at(2 * NODES - 1).port(),
            taken.join("\n"),
        );
    }

    /// A line for each of the six that cannot be used.
    fn taken(self) -> impl Iterator<Item = String> {
        let all = (0..NODES).flat_map(move |node| {
            [(node, self.http(node), "HTTP"), (node, self.peer(node), "peers")].into_iter()
        });
        all.filter_map(|(node, addr, what)| match TcpListener::bind(addr) {
            Ok(_) => None,
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Some(format!("  port {} is taken (node {}, {what})", addr.port(), node + 1))
            }
            Err(error) => Some(format!("  {addr} cannot be used (node {}, {what}): {error}", node + 1)),
        })
    }

    /// Other ports of which all six are free: the next ones, else the lowest.
    fn free_ones(self) -> Option<Self> {
        let next = (self.base..=LAST_BASE).step_by(10).skip(1);
        let lowest = (FIRST_BASE..self.base).step_by(10);
        next.chain(lowest).map(Self::from).find(|ports| ports.taken().next().is_none())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_that_the_error_suggests_are_free() {
        // A port that stays taken for the whole test.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken = Ports::from(listener.local_addr().unwrap().port().clamp(FIRST_BASE, LAST_BASE));
        let error = taken.check().unwrap_err().to_string();
        assert!(error.contains("is taken"), "{error}");
        let (_, free) = error.split_once("these are free: waypost dev --base-port ").unwrap();
        let free: u16 = free.parse().unwrap();
        assert!(free.abs_diff(taken.base) >= 6, "{error}");
    }
}
