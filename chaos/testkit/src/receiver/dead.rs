//! Addresses at which nothing answers.

use anyhow::{Result, ensure};
use rustix::fd::OwnedFd;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, connect, getsockname, listen, socket, socket_with,
};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

/// A separate address, so that no outgoing connection takes the port or connects to itself.
const HOST: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 9), 0));
/// More connections than any backlog of 1 holds.
const FILLING: usize = 8;

/// A port that refuses every connection, and that no other process can take.
#[derive(Debug)]
pub struct ClosedPort {
    /// The port's address.
    pub addr: SocketAddr,
    _socket: OwnedFd,
}

impl ClosedPort {
    /// Binds a free port and does not listen.
    pub fn new() -> Result<Self> {
        let (addr, socket) = bound()?;
        Ok(Self { addr, _socket: socket })
    }
}

/// A port that listens with a full queue of connections: a further connection gets no answer.
#[derive(Debug)]
pub struct FullBacklog {
    /// The port's address.
    pub addr: SocketAddr,
    _socket: OwnedFd,
    _filling: Vec<OwnedFd>,
}

impl FullBacklog {
    /// Listens, fills the queue, and accepts nothing.
    pub fn new() -> Result<Self> {
        let (addr, listener) = bound()?;
        listen(&listener, 0)?;
        let mut filling = Vec::new();
        for _ in 0..FILLING {
            let fd = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::NONBLOCK, None)?;
            // The connection may be in progress or established: both fill the queue.
            let _ = connect(&fd, &addr);
            filling.push(fd);
        }
        Ok(Self { addr, _socket: listener, _filling: filling })
    }
}

fn bound() -> Result<(SocketAddr, OwnedFd)> {
    let fd = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&fd, &HOST)?;
    let addr = SocketAddr::try_from(getsockname(&fd)?)?;
    ensure!(addr.port() != 0, "no port");
    Ok((addr, fd))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::ErrorKind;
    use std::net::TcpStream;
    use std::time::Duration;

    #[test]
    fn dead_addresses_do_not_answer() {
        let limit = Duration::from_millis(300);
        let closed = ClosedPort::new().unwrap();
        let refused = TcpStream::connect_timeout(&closed.addr, limit).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let full = FullBacklog::new().unwrap();
        let silence = TcpStream::connect_timeout(&full.addr, limit).unwrap_err();
        assert_eq!(silence.kind(), ErrorKind::TimedOut);
    }
}
