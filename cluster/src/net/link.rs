//! The calling side of a connection.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::caller::Shown;
use super::secure::hung_up;
use super::stream::{Reader, Writer};
use super::{HANDSHAKE, Lane, Peers, Secure, dial};
use crate::late;
use crate::os::{TcpStream, here};
use crate::wire::frame::{self, Kind};
use crate::wire::{self, Answer, Hello, Request};
use crate::{GroupId, NodeId};

/// Longest that establishing a connection may take.
const CONNECT: Duration = Duration::from_secs(1);

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LinkError {
    /// Nothing listens at that address. Certainly not sent.
    #[error("connection refused")]
    Refused,
    /// Nothing answered at that address in time, or nothing leads there. Certainly not sent.
    #[error("no connection: {0}")]
    NoConnection(String),
    /// The other side was reached, and one of the two does not accept the other. Certainly not sent.
    #[error("not admitted: {0}")]
    NotAdmitted(String),
    /// The request could not be handed to a connection. Certainly not sent.
    #[error("not connected: {0}")]
    NotSent(String),
    /// Too many requests are in flight, or this one is too large. Certainly not sent.
    #[error("too many requests under way")]
    Overloaded,
    /// The connection broke after the request was sent.
    #[error("connection lost")]
    Lost,
    /// The other side has no such group. Certainly nothing was done.
    #[error("the peer has no group {0}")]
    NoGroup(GroupId),
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
}

impl LinkError {
    /// Whether the other side has certainly not seen the request.
    pub(crate) fn certainly_not_sent(&self) -> bool {
        self.is_unconnected() || matches!(self, Self::Overloaded)
    }

    /// Whether there was no connection over which the request could have been sent.
    pub(crate) fn is_unconnected(&self) -> bool {
        matches!(self, Self::Refused | Self::NoConnection(_) | Self::NotAdmitted(_) | Self::NotSent(_))
    }
}

/// A request that was sent and has no answer yet.
pub(crate) struct Pending {
    answer: oneshot::Receiver<Answer>,
    id: u64,
    conn: Arc<Conn>,
}

impl Pending {
    /// Waits for the answer.
    pub(crate) async fn answer(mut self, deadline: Instant) -> Result<Answer, LinkError> {
        match late::timeout_at(deadline, &mut self.answer).await {
            Ok(Ok(Answer::NoGroupV1 { group })) => Err(LinkError::NoGroup(group)),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(LinkError::Lost),
            Err(_) => {
                self.conn.timed_out();
                Err(LinkError::Timeout)
            }
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.conn.waiting().remove(&self.id);
    }
}

/// An established connection.
struct Conn {
    frames: mpsc::Sender<Vec<u8>>,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
    next_id: AtomicU64,
    alive: watch::Sender<bool>,
    /// An answer came since the last timeout.
    answered: AtomicBool,
}

impl Conn {
    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<u64, oneshot::Sender<Answer>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_alive(&self) -> bool {
        *self.alive.borrow()
    }

    fn close(&self) {
        self.alive.send_replace(false);
        self.waiting().clear();
    }

    /// After two timeouts without an answer between them the peer is considered gone: connect again.
    fn timed_out(&self) {
        if !self.answered.swap(false, Ordering::Relaxed) {
            self.close();
        }
    }
}

/// The connection to one peer for one lane, pipelined: requests are sent in the order in which they were
/// started, and answers are matched by id. No request is repeated: the caller learns whether it certainly was
/// not sent.
pub(crate) struct Link {
    peers: Weak<Peers>,
    to: NodeId,
    lane: Lane,
    in_flight: usize,
    conn: tokio::sync::Mutex<Option<Arc<Conn>>>,
}

impl Link {
    pub(super) fn new(peers: &Arc<Peers>, to: NodeId, lane: Lane, in_flight: usize) -> Self {
        Self { peers: Arc::downgrade(peers), to, lane, in_flight, conn: tokio::sync::Mutex::default() }
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
        let conn = timeout_at(deadline, self.connected())
            .await
            .map_err(|_| LinkError::NoConnection("not in time".to_owned()))??;
        let id = conn.next_id.fetch_add(1, Ordering::Relaxed);
        let frame =
            frame::encode(Kind::Request, group, id, &body).map_err(|e| LinkError::NotSent(e.to_string()))?;
        let (sender, answer) = oneshot::channel();
        {
            let mut waiting = conn.waiting();
            if waiting.len() >= self.in_flight {
                return Err(LinkError::Overloaded);
            }
            waiting.insert(id, sender);
        }
        let pending = Pending { answer, id, conn: conn.clone() };
        if !conn.is_alive() {
            return Err(LinkError::NotSent("connection lost".to_owned()));
        }
        match timeout_at(deadline, conn.frames.send(frame)).await {
            Ok(Ok(())) => Ok(pending),
            Ok(Err(_)) => Err(LinkError::NotSent("connection lost".to_owned())),
            Err(_) => Err(LinkError::Overloaded),
        }
    }

    /// Waits until the connection breaks. Connects first if necessary.
    pub(crate) async fn broken(&self) -> Result<(), LinkError> {
        let mut alive = self.connected().await?.alive.subscribe();
        let _ = alive.wait_for(|alive| !alive).await;
        Ok(())
    }

    async fn connected(&self) -> Result<Arc<Conn>, LinkError> {
        let mut slot = self.conn.lock().await;
        if let Some(conn) = slot.as_ref().filter(|conn| conn.is_alive()) {
            return Ok(conn.clone());
        }
        let conn = self.connect().await?;
        *slot = Some(conn.clone());
        Ok(conn)
    }

    async fn connect(&self) -> Result<Arc<Conn>, LinkError> {
        let peers = self.peers.upgrade().ok_or_else(|| LinkError::NotSent("stopping".to_owned()))?;
        let to = peers.of(self.to).ok_or_else(|| LinkError::NotSent("address unknown".to_owned()))?;
        let hello = peers.me().hello(self.to, self.lane);
        let accepts = |shown: &Shown| shown.identity == to.identity;
        let (read, write) = open(peers.secure(), &to.addr, &hello, accepts).await?;
        let (frames, queue) = mpsc::channel(self.in_flight);
        let conn = Arc::new(Conn {
            frames,
            waiting: Mutex::default(),
            next_id: AtomicU64::new(1),
            alive: watch::Sender::new(true),
            answered: AtomicBool::new(true),
        });
        tokio::spawn(here(write_frames(write, queue, conn.clone())));
        tokio::spawn(here(read_answers(read, conn.clone())));
        Ok(conn)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.get_mut().take() {
            conn.close();
        }
    }
}

/// Connects to a name and performs the handshake. If the name has several addresses, all of them are tried
/// until `accepts` is true for what the node there has shown.
async fn open(
    secure: &Secure,
    name: &str,
    hello: &Hello,
    accepts: impl Fn(&Shown) -> bool + Sync,
) -> Result<(Reader, Writer), LinkError> {
    let addrs =
        dial::addresses(name).await.map_err(|error| LinkError::NoConnection(format!("{name}: {error}")))?;
    dial::first_of(addrs, |addr| open_at(secure, addr, hello, &accepts)).await.map_err(|failed| {
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
    let called = timeout(HANDSHAKE, secure.call(socket, hello))
        .await
        .map_err(|_| LinkError::NoConnection(format!("{addr}: no handshake in time")))?;
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

async fn write_frames(mut write: Writer, mut queue: mpsc::Receiver<Vec<u8>>, conn: Arc<Conn>) {
    let mut alive = conn.alive.subscribe();
    loop {
        let frame = tokio::select! {
            _ = alive.wait_for(|alive| !alive) => break,
            frame = queue.recv() => frame,
        };
        let Some(frame) = frame else { break };
        let sent = tokio::select! {
            _ = alive.wait_for(|alive| !alive) => break,
            sent = send_all(&mut write, frame, &mut queue) => sent,
        };
        if sent.is_err() {
            break;
        }
    }
    conn.close();
}

/// Writes a frame and all frames in the queue, then flushes.
async fn send_all(write: &mut Writer, frame: Vec<u8>, queue: &mut mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
    write.frame(&frame).await?;
    while let Ok(frame) = queue.try_recv() {
        write.frame(&frame).await?;
    }
    write.flush().await
}

async fn read_answers(mut read: Reader, conn: Arc<Conn>) {
    let mut alive = conn.alive.subscribe();
    loop {
        let frame = tokio::select! {
            _ = alive.wait_for(|alive| !alive) => break,
            frame = read.frame(wire::MAX_ENCODED) => frame,
        };
        let answer = match frame {
            Ok((head, body)) if head.kind == Kind::Answer => {
                wire::decode(&body).map(|answer| (head.id, answer))
            }
            Ok(_) | Err(_) => break,
        };
        let Ok((id, answer)) = answer else { break };
        conn.answered.store(true, Ordering::Relaxed);
        let waiting = conn.waiting().remove(&id);
        if let Some(sender) = waiting {
            // The caller may have given up.
            let _ = sender.send(answer);
        }
    }
    conn.close();
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
        let (mut read, mut write) = open(secure, addr, hello, accepts).await?;
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
