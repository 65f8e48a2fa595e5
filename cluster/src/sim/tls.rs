//! Stands for TLS on the simulated network, where nobody listens and nobody forges. Everything above it is
//! the production code: identities are proved and checked as on a real network.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::config::Security;
use crate::error::StartError;
use crate::identity_key::IdentityKey;
use crate::net::stream::{self, Reader, Writer};
use crate::os::{TcpStream, random};

/// Begins and accepts connections.
pub(super) struct Tls;

/// A connection. What the exporter is for TLS, random bytes of the caller are here.
pub(super) struct Channel {
    pub(super) read: Reader,
    pub(super) write: Writer,
    pub(super) exporter: [u8; 32],
    /// No simulated node has a certificate.
    pub(super) certified: bool,
}

impl Tls {
    pub(super) fn new(_security: &Security, _identity: &IdentityKey) -> Result<Self, StartError> {
        Ok(Self)
    }

    pub(super) fn certificate_until(&self) -> Option<u64> {
        None
    }

    pub(super) async fn keep_fresh(&self) {}

    pub(super) async fn renew(&self) {}

    pub(super) async fn connect(&self, mut socket: TcpStream) -> io::Result<Channel> {
        let mut exporter = [0; 32];
        random(&mut exporter)?;
        socket.write_all(&exporter).await?;
        Ok(channel(socket, exporter))
    }

    pub(super) async fn accept(&self, mut socket: TcpStream, _without_tls: &[u8]) -> io::Result<Channel> {
        let mut exporter = [0; 32];
        socket.read_exact(&mut exporter).await?;
        Ok(channel(socket, exporter))
    }
}

fn channel(socket: TcpStream, exporter: [u8; 32]) -> Channel {
    let (read, write) = stream::ends(socket);
    Channel { read, write, exporter, certified: false }
}

/// The error of a connection.
pub(super) fn explained(error: io::Error) -> io::Error {
    error
}
