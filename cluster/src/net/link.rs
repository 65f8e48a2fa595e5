//! The calling side of connections: one to each peer for each lane, which is made anew when it has broken.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout, timeout_at};

use super::caller::Shown;
use super::connection::{Connection, LinkError, Pending};
use super::secure::hung_up;
use super::stream::{Reader, Writer};
use super::{HANDSHAKE, Lane, Peers, Secure, dial};
use crate::os::TcpStream;
use crate::wire::frame::{self, Kind};
use crate::wire::{self, Answer, Hello, Request};
use crate::{GroupId, NodeId};

/// Longest that establishing a connection may take.
const CONNECT: Duration = Duration::from_secs(1);

/// The connection to one peer for one lane, pipelined: requests are sent in the order in which they were
/// started, and answers are matched by id. No request is repeated: the caller learns whether it certainly was
/// not sent.
pub(crate) struct Link {
    peers: Weak<Peers>,
    to: NodeId,
    lane: Lane,
    in_flight: usize,
    connection: tokio::sync::Mutex<Option<Connection>>,
    /// Whether the newest attempt to connect came as far as the handshake.
    shakes: AtomicBool,
}

impl Link {
    pub(super) fn new(peers: &Arc<Peers>, to: NodeId, lane: Lane, in_flight: usize) -> Self {
        let connection = tokio::sync::Mutex::default();
        Self { peers: Arc::downgrade(peers), to, lane, in_flight, connection, shakes: AtomicBool::new(false) }
    }

    /// Sends a request about that group and waits for the answer.
    pub(crate) async fn ask(
        &self,
        group: GroupId,
        request: &Request,
        limit: Duration,
    ) -> Result<Answer, LinkError> {
        let deadline = Instant::now() + limit;
        self.start(group, request, deadline).await?.answer(deadline).await
    }

    /// Sends a request to the node itself and waits for the answer.
    pub(crate) async fn ask_node(&self, request: &Request, limit: Duration) -> Result<Answer, LinkError> {
        self.ask(frame::NODE, request, limit).await
    }

    /// Sends a request. Requests that are started one after another arrive in that order.
    pub(crate) async fn start(
        &self,
        group: GroupId,
        request: &Request,
        deadline: Instant,
    ) -> Result<Pending, LinkError> {
        let body = wire::encode(request).map_err(|e| LinkError::NotSent(e.to_string()))?;
        self.connection(deadline).await?.start(group, &Bytes::from(body), deadline).await
    }

    /// The connection that stands, or a new one.
    pub(crate) async fn connection(&self, deadline: Instant) -> Result<Connection, LinkError> {
        let connected = timeout_at(deadline, self.connected()).await;
        connected.map_err(|_| match self.shakes.load(Ordering::Relaxed) {
            true => LinkError::NoHandshake(format!("node {}", self.to)),
            false => LinkError::NoConnection("not in time".to_owned()),
        })?
    }

    /// Waits until the connection breaks. Connects first if necessary.
    pub(crate) async fn broken(&self) -> Result<(), LinkError> {
        self.connected().await?.broken().await;
        Ok(())
    }

    async fn connected(&self) -> Result<Connection, LinkError> {
        let mut slot = self.connection.lock().await;
        if let Some(connection) = slot.as_ref().filter(|connection| connection.is_alive()) {
            return Ok(connection.clone());
        }
        let connection = self.connect().await?;
        *slot = Some(connection.clone());
        Ok(connection)
    }

    async fn connect(&self) -> Result<Connection, LinkError> {
        let peers = self.peers.upgrade().ok_or_else(|| LinkError::NotSent("stopping".to_owned()))?;
        let to = peers.of(self.to).ok_or_else(|| LinkError::NotSent("address unknown".to_owned()))?;
        let hello = peers.me().hello(self.to, self.lane);
        let accepts = |shown: &Shown| shown.identity == to.identity;
        self.shakes.store(false, Ordering::Relaxed);
        let (read, write) = open(peers.secure(), &to.addr, &hello, accepts, &self.shakes).await?;
        Ok(Connection::new(read, write, self.in_flight))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.get_mut().take() {
            connection.close();
        }
    }
}

/// Connects to a name and performs the handshake. If the name has several addresses, all of them are tried
/// until `accepts` is true for what the node there has shown. `shakes` becomes true when a handshake begins.
async fn open(
    secure: &Secure,
    name: &str,
    hello: &Hello,
    accepts: impl Fn(&Shown) -> bool + Sync,
    shakes: &AtomicBool,
) -> Result<(Reader, Writer), LinkError> {
    let addrs =
        dial::addresses(name).await.map_err(|error| LinkError::NoConnection(format!("{name}: {error}")))?;
    dial::first_of(addrs, |addr| open_at(secure, addr, hello, &accepts, shakes)).await.map_err(|failed| {
        let refused = !failed.is_empty() && failed.iter().all(|error| *error == LinkError::Refused);
        let last = failed.into_iter().rfind(|error| refused || *error != LinkError::Refused);
        last.unwrap_or_else(|| LinkError::NoConnection(format!("{name} has no address")))
    })
}

/// Connects to one address and performs the handshake.
async fn open_at(
    secure: &Secure,
    addr: SocketAddr,
    hello: &Hello,
    accepts: &(impl Fn(&Shown) -> bool + Sync),
    shakes: &AtomicBool,
) -> Result<(Reader, Writer), LinkError> {
    let addr = addr.to_string();
    let failed = |e: io::Error| LinkError::NoConnection(format!("{addr}: {e}"));
    let socket = match timeout(CONNECT, TcpStream::connect(&addr)).await {
        Err(_) => return Err(LinkError::NoConnection(format!("{addr}: not in time"))),
        Ok(Err(e)) if e.kind() == io::ErrorKind::ConnectionRefused => {
            return Err(LinkError::Refused);
        }
        Ok(result) => result.map_err(failed)?,
    };
    socket.set_nodelay(true).map_err(failed)?;
    shakes.store(true, Ordering::Relaxed);
    let called = timeout(HANDSHAKE, secure.call(socket, hello))
        .await
        .map_err(|_| LinkError::NoHandshake(addr.clone()))?;
    let checked = called.and_then(|(read, write, shown)| match accepts(&shown) {
        true => Ok((read, write)),
        false => Err(io::Error::other(wrong_node(hello, &shown))),
    });
    checked.map_err(|error| {
        secure.report(&addr, &error);
        let what = format!("{addr}: {error}");
        if hung_up(&error) { LinkError::NoConnection(what) } else { LinkError::NotAdmitted(what) }
    })
}

/// Says why the node that was called is not the one that was meant.
fn wrong_node(hello: &Hello, shown: &Shown) -> String {
    let identity = shown.identity;
    match (hello.to, shown.admission) {
        (0, Err(why)) => format!("the node there (identity {identity}) is no known member, and {why}"),
        (0, Ok(())) => format!("the node there (identity {identity}) is no known member"),
        (to, _) => format!("the node there has identity {identity}, which is not that of node {to}"),
    }
}

/// Sends one request to whatever node is at `addr`, if `accepts` is true for what it has shown.
pub(crate) async fn ask_at(
    secure: &Secure,
    addr: &str,
    hello: &Hello,
    accepts: impl Fn(&Shown) -> bool + Sync,
    request: &Request,
    limit: Duration,
) -> Result<Answer, LinkError> {
    let exchange = async {
        let (mut read, mut write) = open(secure, addr, hello, accepts, &AtomicBool::new(false)).await?;
        let lost = |_| LinkError::Lost;
        let body = wire::encode(request).map_err(|e| LinkError::NotSent(e.to_string()))?;
        let frame = frame::encode(Kind::Request, frame::NODE, 1, &body)
            .map_err(|e| LinkError::NotSent(e.to_string()))?;
        write.frame(&frame).await.map_err(lost)?;
        write.flush().await.map_err(lost)?;
        let (head, body) = read.frame(wire::MAX_ENCODED).await.map_err(lost)?;
        match (head.kind, wire::decode(&body)) {
            (Kind::Answer, Ok(answer)) => Ok(answer),
            _ => Err(LinkError::Lost),
        }
    };
    timeout(limit, exchange).await.unwrap_or(Err(LinkError::Timeout))
}

/// Performs the handshake with whatever node is at `addr`, if `accepts` is true for what it has shown, and hangs up.
pub(crate) async fn shake_at(
    secure: &Secure,
    addr: &str,
    hello: &Hello,
    accepts: impl Fn(&Shown) -> bool + Sync,
    limit: Duration,
) -> Result<(), LinkError> {
    let shakes = AtomicBool::new(false);
    let shaken = timeout(limit, open(secure, addr, hello, accepts, &shakes)).await;
    shaken.unwrap_or(Err(LinkError::Timeout)).map(drop)
}

#[cfg(all(test, not(feature = "sim")))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::Security;
    use crate::identity_key::IdentityKey;
    use crate::net::{Limits, Me};

    const TO: NodeId = 2;

    fn calling(addr: SocketAddr) -> Arc<Peers> {
        let key = || IdentityKey::random().unwrap();
        let me = Me { cluster_id: [7; 16], node_id: 1, addr: "127.0.0.1:1".to_owned() };
        let secure = Arc::new(Secure::new(&Security::default(), key()).unwrap());
        let peers = Peers::new(me, secure, Limits::new(8, 8));
        peers.learn(TO, &addr.to_string(), key().public());
        peers
    }

    /// The kernel completes connections for a process that hangs, so such a process has a port that accepts.
    #[tokio::test]
    async fn a_process_that_hangs_is_told_from_a_machine_that_is_gone() {
        let hangs = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let peers = calling(hangs.local_addr().unwrap());
        let link = peers.link(TO, Lane::Work);
        let why = link.ask_node(&Request::WhoV1, HANDSHAKE * 10).await.unwrap_err();
        assert!(matches!(why, LinkError::NoHandshake(_)) && why.is_unconnected(), "{why:?}");
        // Whoever gives up before the handshake does learns the same.
        let end = Instant::now() + HANDSHAKE * 10;
        loop {
            let why = link.ask_node(&Request::WhoV1, HANDSHAKE / 3).await.unwrap_err();
            if matches!(why, LinkError::NoHandshake(_)) {
                break;
            }
            assert!(Instant::now() < end, "{why:?}");
        }
        drop(hangs);
        let why = link.ask_node(&Request::WhoV1, HANDSHAKE * 10).await.unwrap_err();
        assert_eq!(why, LinkError::Refused);
    }
}
