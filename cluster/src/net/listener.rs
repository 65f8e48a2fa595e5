//! The answering side of connections.

use std::collections::VecDeque;
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
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::secure::{hung_up, is_time};
use super::stream::{Reader, Writer};
use super::{HANDSHAKE, Lane, Limits, Secure};
use crate::os::{TcpListener, TcpStream, here};
use crate::wire::frame::{self, Head, Kind};
use crate::wire::{self, Answer, Hello, Request, Welcome};
use crate::{GroupId, NodeId};

/// A connection without a frame for this long is closed; a peer that still needs it connects again.
const IDLE: Duration = Duration::from_secs(600);
/// Invalid connections are reported at most once in this time (milliseconds).
const REPORT_MS: u64 = 10_000;

/// The part that answers the requests.
pub(crate) trait Service: Send + Sync + 'static {
    /// What a connection remembers from one request to the next.
    type Session: Send + 'static;

    /// Admits a caller, or returns why not.
    fn admit(&self, hello: &Hello) -> Result<Self::Session, String>;

    /// Whether this node keeps the log of that group.
    fn has_group(&self, group: GroupId) -> bool;

    /// Begins to answer. Whatever must happen in order happens before the future first waits.
    fn answer(self: &Arc<Self>, from: NodeId, request: Request) -> BoxFuture<'static, Answer>;

    /// Takes the requests that belong together (a snapshot); `None` if `request` is not one of them.
    fn in_session(
        self: &Arc<Self>,
        session: &mut Self::Session,
        request: Request,
    ) -> impl Future<Output = Result<Answer, Request>> + Send;
}

/// The listening socket. Requests of one connection begin in the order in which they came, and are answered
/// when they finish. Invalid data closes its connection and has no other effect. Callers that send nothing
/// cannot keep others out: when too many callers have not finished the handshake, the oldest of them is
/// closed for the newest.
pub(crate) struct Listener {
    socket: TcpListener,
    max_connections: usize,
    limits: Limits,
}

impl Listener {
    /// Listens on `addr`. At most `max_connections` callers may be in the handshake at a time.
    pub(crate) async fn bind(addr: SocketAddr, max_connections: usize, limits: Limits) -> io::Result<Self> {
        let socket = TcpListener::bind(addr).await?;
        Ok(Self { socket, max_connections, limits })
    }

    /// The address as bound.
    pub(crate) fn addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Admits callers until dropped; dropping also closes their connections.
    pub(crate) async fn run<S: Service>(self, secure: Arc<Secure>, service: Arc<S>) {
        let places = Arc::new(Semaphore::new(self.max_connections));
        let reported = Arc::new(AtomicU64::new(0));
        let (mut open, mut callers) = (JoinSet::new(), Callers::default());
        loop {
            while open.try_join_next().is_some() {}
            let accepted = tokio::select! {
                biased;
                Some(shaken) = callers.shaking.join_next() => {
                    // A caller that was closed for a newer one has no result.
                    match shaken {
                        Ok(Ok(known)) => {
                            let (service, reported) = (service.clone(), reported.clone());
                            open.spawn(here(serve(known, service, self.limits, reported)));
                        }
                        Ok(Err((from, error))) => report(&reported, from, &error),
                        Err(_) => {}
                    }
                    continue;
                }
                // A closed caller must be gone before the next is accepted, because each holds a file
                // descriptor.
                accepted = self.socket.accept(), if callers.shaking.len() <= self.max_connections => accepted,
            };
            match accepted {
                Ok((socket, from)) => {
                    if callers.make_room(self.max_connections) && is_time(&reported, REPORT_MS) {
                        tracing::warn!(
                            "many callers at the peer port have not identified themselves; closing the oldest"
                        );
                    }
                    let (secure, service, places) = (secure.clone(), service.clone(), places.clone());
                    callers.add(async move {
                        let shaken =
                            timeout(HANDSHAKE, shake(socket, from, &secure, &*service, places)).await;
                        shaken
                            .unwrap_or_else(|_| Err(io::Error::other("no handshake in time")))
                            .map_err(|error| (from, error))
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a peer");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

/// A caller that was admitted, and its permit.
struct Known<T> {
    from: SocketAddr,
    read: Reader,
    write: Writer,
    hello: Hello,
    lane: Lane,
    session: T,
    _place: OwnedSemaphorePermit,
}

/// Callers that have not identified themselves yet.
struct Callers<T> {
    shaking: JoinSet<Result<Known<T>, (SocketAddr, io::Error)>>,
    /// The oldest is first.
    order: VecDeque<AbortHandle>,
}

impl<T> Default for Callers<T> {
    fn default() -> Self {
        Self { shaking: JoinSet::new(), order: VecDeque::new() }
    }
}

impl<T: Send + 'static> Callers<T> {
    fn add(
        &mut self,
        shake: impl Future<Output = Result<Known<T>, (SocketAddr, io::Error)>> + Send + 'static,
    ) {
        self.order.push_back(self.shaking.spawn(here(shake)));
    }

    /// Closes the oldest callers until there are fewer than `most`; returns whether that was necessary.
    fn make_room(&mut self, most: usize) -> bool {
        self.order.retain(|caller| !caller.is_finished());
        let room = self.order.len() < most;
        while self.order.len() >= most
            && let Some(oldest) = self.order.pop_front()
        {
            oldest.abort();
        }
        !room
    }
}

/// Logs what was wrong with a connection, at a limited rate.
fn report(reported: &AtomicU64, from: SocketAddr, error: &io::Error) {
    if hung_up(error) {
        return tracing::debug!(%from, %error, "a peer hung up");
    }
    if is_time(reported, REPORT_MS) {
        tracing::warn!(%from, %error, "closed a connection to the peer port");
    }
}

async fn serve<S: Service>(
    known: Known<S::Session>,
    service: Arc<S>,
    limits: Limits,
    reported: Arc<AtomicU64>,
) {
    let from = known.from;
    if let Err(error) = answer_requests(known, service, limits).await {
        report(&reported, from, &error);
    }
}

async fn answer_requests<S: Service>(
    known: Known<S::Session>,
    service: Arc<S>,
    limits: Limits,
) -> io::Result<()> {
    let Known { mut read, write, hello, lane, mut session, _place, .. } = known;
    let in_flight = limits.of(lane);
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
        let request = read_request(&head, &body)?;
        drop(body);
        may_ask(&hello, lane, &head, &request)?;
        let reply = Reply { group: head.group, id: head.id };
        if request.is_of_a_group() && !service.has_group(head.group) {
            if answers.send((reply, Answer::NoGroupV1 { group: head.group })).await.is_err() {
                return Ok(());
            }
            continue;
        }
        let request = match service.in_session(&mut session, request).await {
            Ok(answer) => {
                if answers.send((reply, answer)).await.is_err() {
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
                if answers.send((reply, answer)).await.is_err() {
                    return Ok(());
                }
            }
            Poll::Pending => {
                let answers = answers.clone();
                tasks.spawn(here(async move {
                    let answer = answer.await;
                    // The caller may have hung up.
                    let _ = answers.send((reply, answer)).await;
                    drop(slot);
                }));
            }
        }
    }
}

fn read_request(head: &Head, body: &[u8]) -> io::Result<Request> {
    if head.kind != Kind::Request {
        return Err(io::Error::other("a frame that is not a request"));
    }
    Ok(wire::decode(body)?)
}

/// Refuses requests that this caller may not send on this connection.
fn may_ask(hello: &Hello, lane: Lane, head: &Head, request: &Request) -> io::Result<()> {
    if hello.to == 0 && !matches!(request, Request::NewIdV1 { .. } | Request::AnnounceV1(_)) {
        return Err(io::Error::other("a guest may only ask to join"));
    }
    if !lane.carries(request) {
        return Err(io::Error::other(format!("a request on the wrong connection ({lane:?})")));
    }
    if request.is_of_a_group() == (head.group == frame::NODE) {
        return Err(io::Error::other(
            "a frame that names a group although it must not, or none although it must",
        ));
    }
    Ok(())
}

/// The parts of a request that its answer repeats.
#[derive(Clone, Copy)]
struct Reply {
    group: GroupId,
    id: u64,
}

/// Polls a future once, so that requests begin in order; it is awaited elsewhere.
async fn poll_once<T>(future: &mut BoxFuture<'static, T>) -> Poll<T> {
    std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context))).await
}

async fn shake<S: Service>(
    socket: TcpStream,
    from: SocketAddr,
    secure: &Secure,
    service: &S,
    places: Arc<Semaphore>,
) -> io::Result<Known<S::Session>> {
    socket.set_nodelay(true)?;
    let (read, mut write, hello) = secure.answer(socket).await?;
    let lane = Lane::from_number(hello.lane)
        .ok_or_else(|| format!("this release does not know lane {}: the caller is newer", hello.lane));
    let admitted = lane.and_then(|lane| {
        let session = service.admit(&hello)?;
        match places.try_acquire_owned() {
            Ok(place) => Ok((lane, session, place)),
            Err(_) => Err("this node has as many connections of peers as it may have".to_owned()),
        }
    });
    let (welcome, admitted) = match admitted {
        Ok(admitted) => (Welcome::OkV1, Ok(admitted)),
        Err(reason) => {
            let refusal = io::Error::other(format!("refused node {}: {reason}", hello.from));
            (Welcome::RefusedV1 { reason }, Err(refusal))
        }
    };
    write.frame(&frame::encode(Kind::Welcome, frame::NODE, 0, &wire::encode(&welcome)?)?).await?;
    write.flush().await?;
    let (lane, session, _place) = admitted?;
    Ok(Known { from, read, write, hello, lane, session, _place })
}

async fn write_answers(mut write: Writer, mut queue: mpsc::Receiver<(Reply, Answer)>) {
    while let Some(first) = queue.recv().await {
        let mut next = Some(first);
        while let Some((to, answer)) = next {
            let Ok(frame) =
                wire::encode(&answer).and_then(|body| frame::encode(Kind::Answer, to.group, to.id, &body))
            else {
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

#[cfg(all(test, not(feature = "sim")))]
mod tests;
