//! Tells the peer port of a node from its client port, by a TLS handshake that sends nothing else.

use std::{sync::Arc, time::Duration};

use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use crate::cli::unverified;

/// Longest time for a look.
const LOOK: Duration = Duration::from_secs(2);
/// The name in the certificates that nodes make for each other. Those of an authority have other names.
const NAME: &[u8] = b"peer.waypost.invalid";

/// Whether the port at this address is the peer port of a node. `false` too if that can't be told.
pub(in crate::cli) async fn is_peer_port(host: &str, port: u16) -> bool {
    timeout(LOOK, look(host, port)).await.ok().flatten().unwrap_or(false)
}

async fn look(host: &str, port: u16) -> Option<bool> {
    let tcp = TcpStream::connect((host, port)).await.ok()?;
    let config = unverified::config().ok()?;
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.ok()?;
    let shown = stream.get_ref().1.peer_certificates()?.first()?;
    Some(shown.windows(NAME.len()).any(|part| part == NAME))
}
