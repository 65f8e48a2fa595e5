//! The answering side of connections.
//!
//! Owns the listening socket and who is let in. Requests of one connection begin in the order they came and are answered
//! as they finish; garbage closes the connection and nothing else.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::secure::{hung_up, is_time};
use super::stream::{Reader, Writer};
use super::{HANDSHAKE, Secure};
use crate::NodeId;
use crate::os::{TcpListener, TcpStream, here};
use crate::wire::frame::{self, Kind};
use crate::wire::{self, Answer, Hello, Request, Welcome};

/// A connection on which nothing comes for so long is closed; whoever still wants it connects again.
const IDLE: Duration = Duration::from_secs(600);
/// Garbage is reported once in so many milliseconds.
const REPORT_MS: u64 = 10_000;

/// Who answers.
pub(crate) trait Service: Send + Sync + 'static {
    /// What a connection remembers from request to request.
    type Session: Send + 'static;

    /// Lets a caller in or says why not.
    fn admit(&self, hello: &Hello) -> Result<Self::Session, String>;

    /// Begins answering; what must happen in order happens before the future first waits.
    fn answer(self: &Arc<Self>, from: NodeId, request: Request) -> BoxFuture<'static, Answer>;

    /// Takes the requests that belong together (a snapshot); `None` if `request` is not one of them.
    fn in_session(
        self: &Arc<Self>,
        session: &mut Self::Session,
        request: Request,
    ) -> impl Future<Output = Result<Answer, Request>> + Send;
}

/// The listening socket.
pub(crate) struct Listener {
    socket: TcpListener,
    connections: Arc<Semaphore>,
    in_flight: usize,
}

impl Listener {
    /// Listens on `addr`.
    pub(crate) async fn bind(addr: SocketAddr, max_connections: usize, in_flight: usize) -> io::Result<Self> {
        let socket = TcpListener::bind(addr).await?;
        Ok(Self { socket, connections: Arc::new(Semaphore::new(max_connections)), in_flight })
    }

    /// The address as bound.
    pub(crate) fn addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Lets callers in until dropped; dropping closes their connections too.
    pub(crate) async fn run<S: Service>(self, secure: Arc<Secure>, service: Arc<S>) {
        let mut open = JoinSet::new();
        let reported = Arc::new(AtomicU64::new(0));
        loop {
            while open.try_join_next().is_some() {}
            let Ok(permit) = self.connections.clone().acquire_owned().await else {
                return;
            };
            let (socket, from) = match self.socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a peer");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let (service, reported, in_flight) = (service.clone(), reported.clone(), self.in_flight);
            let secure = secure.clone();
            open.spawn(here(async move {
                if let Err(error) = serve(socket, &secure, service, in_flight, permit).await {
                    report(&reported, from, &error);
                }
            }));
        }
    }
}

/// Says what was wrong with a connection, but not more often than is useful.
fn report(reported: &AtomicU64, from: SocketAddr, error: &io::Error) {
    if hung_up(error) {
        return tracing::debug!(%from, %error, "a peer hung up");
    }
    if is_time(reported, REPORT_MS) {
        tracing::warn!(%from, %error, "closed a connection to the peer port");
    }
}

async fn serve<S: Service>(
    socket: TcpStream,
    secure: &Secure,
    service: Arc<S>,
    in_flight: usize,
    _permit: OwnedSemaphorePermit,
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let (mut read, write, hello, mut session) = timeout(HANDSHAKE, shake(socket, secure, &*service))
        .await
        .map_err(|_| io::Error::other("no handshake in time"))??;
    let (answers, queue) = mpsc::channel(in_flight);
    let mut tasks = JoinSet::new();
    tasks.spawn(here(write_answers(write, queue)));
    let slots = Arc::new(Semaphore::new(in_flight));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else {
            return Ok(());
        };
        let (head, body) = match timeout(IDLE, read.frame(wire::MAX_ENCODED)).await {
            Err(_) => return Ok(()),
            Ok(frame) => frame?,
        };
        if head.kind != Kind::Request {
            return Err(io::Error::other("a frame that is not a request"));
        }
        let request: Request = wire::decode(&body)?;
        drop(body);
        if hello.to == 0 && !matches!(request, Request::NewIdV1 { .. } | Request::AnnounceV1(_)) {
            return Err(io::Error::other("a guest may only ask to join"));
        }
        let request = match service.in_session(&mut session, request).await {
            Ok(answer) => {
                if answers.send((head.id, answer)).await.is_err() {
                    return Ok(());
                }
                continue;
            }
            Err(request) => request,
        };
        let mut answer = service.answer(hello.from, request);
        while tasks.try_join_next().is_some() {}
        match poll_once(&mut answer).await {
            Poll::Ready(answer) => {
                if answers.send((head.id, answer)).await.is_err() {
                    return Ok(());
                }
            }
            Poll::Pending => {
                let answers = answers.clone();
                tasks.spawn(here(async move {
                    let answer = answer.await;
                    // The caller may have hung up.
                    let _ = answers.send((head.id, answer)).await;
                    drop(slot);
                }));
            }
        }
    }
}

/// Begins a future here and now, so that order is kept; it is awaited elsewhere.
async fn poll_once<T>(future: &mut BoxFuture<'static, T>) -> Poll<T> {
    std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context))).await
}

async fn shake<S: Service>(
    socket: TcpStream,
    secure: &Secure,
    service: &S,
) -> io::Result<(Reader, Writer, Hello, S::Session)> {
    let (read, mut write, hello) = secure.answer(socket).await?;
    let (welcome, session) = match service.admit(&hello) {
        Ok(session) => (Welcome::OkV1, Ok(session)),
        Err(reason) => {
            let refusal = io::Error::other(format!("refused node {}: {reason}", hello.from));
            (Welcome::RefusedV1 { reason }, Err(refusal))
        }
    };
    write.frame(&frame::encode(Kind::Welcome, 0, &wire::encode(&welcome)?)?).await?;
    write.flush().await?;
    Ok((read, write, hello, session?))
}

async fn write_answers(mut write: Writer, mut queue: mpsc::Receiver<(u64, Answer)>) {
    while let Some(first) = queue.recv().await {
        let mut next = Some(first);
        while let Some((id, answer)) = next {
            let Ok(frame) = wire::encode(&answer).and_then(|body| frame::encode(Kind::Answer, id, &body)) else {
                tracing::warn!("an answer is too large to send");
                return;
            };
            if write.frame(&frame).await.is_err() {
                return;
            }
            next = queue.try_recv().ok();
        }
        if write.flush().await.is_err() {
            return;
        }
    }
}
