//! The answering side of connections.

mod callers;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::task::coop::unconstrained;
use tokio::time::timeout;

use self::callers::{Callers, Known, Slots};
use super::caller::{Asker, Caller, Shown, Standing};
use super::secure::{Answering, hung_up, is_time};
use super::stream::Writer;
use super::{HANDSHAKE, Lane, Limits, Secure};
use crate::GroupId;
use crate::os::{TcpListener, TcpStream, here};
use crate::wire::frame::{self, Frame, Head, Kind};
use crate::wire::{self, Answer, Request};

/// A connection without a frame for this long is closed; a peer that still needs it connects again.
const IDLE: Duration = Duration::from_secs(600);
/// Most connections of guests at a time. They have slots of their own, so that they keep no member out.
const GUESTS: usize = 16;
/// Longest that a guest may stay connected; joining takes less.
const GUEST_STAY: Duration = Duration::from_secs(30);
/// Invalid connections are reported at most once in this time (milliseconds).
const REPORT_MS: u64 = 10_000;

/// The part that answers the requests.
pub(crate) trait Service: Send + Sync + 'static {
    /// What a connection remembers from one request to the next.
    type Session: Send + 'static;

    /// Admits a caller, or returns why not.
    fn admit(&self, caller: &Caller) -> Result<Self::Session, String>;

    /// What a peer that has shown this is at this moment.
    fn standing(&self, shown: &Shown) -> Standing;

    /// Waits until a peer that has shown this is no longer a member.
    fn expelled(&self, shown: &Shown) -> impl Future<Output = ()> + Send;

    /// Whether this node keeps the log of that group.
    fn has_group(&self, group: GroupId) -> bool;

    /// Begins to answer. The next request of the connection begins after this has ended, so whatever takes
    /// time and must happen in order is awaited here. The future that it returns waits for the answer. What
    /// that one does before it first waits happens in order too.
    fn begin(
        self: &Arc<Self>,
        asker: Asker,
        request: Request,
    ) -> impl Future<Output = BoxFuture<'static, Answer>> + Send;

    /// Takes the requests that belong together (a snapshot); `None` if `request` is not one of them.
    fn in_session(
        self: &Arc<Self>,
        session: &mut Self::Session,
        request: Request,
    ) -> impl Future<Output = Result<Answer, Request>> + Send;
}

/// The listening socket. Requests of one connection begin in the order in which they came, and are answered
/// when they finish. Every request is checked against what the caller is at that moment, and the connections
/// of a member that was removed are closed at once. Invalid data closes its connection and has no other
/// effect. Callers that send nothing cannot keep others out: when too many callers have not finished the
/// handshake, the oldest of them is closed for the newest.
///
/// A clone listens on the same socket.
#[derive(Clone)]
pub(crate) struct Listener {
    socket: Arc<TcpListener>,
    max_connections: usize,
    limits: Limits,
}

impl Listener {
    /// Listens on `addr`. At most `max_connections` callers may be in the handshake at a time.
    pub(crate) async fn bind(addr: SocketAddr, max_connections: usize, limits: Limits) -> io::Result<Self> {
        let socket = Arc::new(TcpListener::bind(addr).await?);
        Ok(Self { socket, max_connections, limits })
    }

    /// The address as bound.
    pub(crate) fn addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Admits callers until dropped; dropping also closes their connections.
    pub(crate) async fn run<S: Service>(self, secure: Arc<Secure>, service: Arc<S>) {
        let slots = Slots::new(self.max_connections);
        let reported = Arc::new(AtomicU64::new(0));
        let mut open = JoinSet::new();
        let mut callers = Callers::default();
        loop {
            while open.try_join_next().is_some() {}
            let accepted = tokio::select! {
                biased;
                Some(shaken) = callers.shaking.join_next() => {
                    // A caller that was closed for a newer one has no result.
                    match shaken {
                        Ok(Ok(known)) => {
                            let service = service.clone();
                            let reported = reported.clone();
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
                    let secure = secure.clone();
                    let service = service.clone();
                    let slots = slots.clone();
                    callers.add(async move {
                        let shaken = timeout(HANDSHAKE, shake(socket, from, &secure, &*service, slots)).await;
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
    let shown = known.caller.shown.clone();
    let is_guest = service.standing(&shown).id().is_none();
    let answered = answer_requests(known, service.clone(), limits);
    let served = tokio::select! {
        answered = answered => answered,
        () = service.expelled(&shown), if !is_guest => Err(io::Error::other("the caller was removed")),
        () = tokio::time::sleep(GUEST_STAY), if is_guest => Ok(()),
    };
    if let Err(error) = served {
        report(&reported, from, &error);
    }
}

async fn answer_requests<S: Service>(
    known: Known<S::Session>,
    service: Arc<S>,
    limits: Limits,
) -> io::Result<()> {
    let Known { mut read, write, caller, lane, mut session, _slot, .. } = known;
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
        let request = read_request(&head, &Bytes::from(body))?;
        let standing = service.standing(&caller.shown);
        may_ask((&caller, standing), lane, &head, &request)?;
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
        let asker = Asker { standing, identity: caller.shown.identity };
        let mut answer = service.begin(asker, request).await;
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

fn read_request(head: &Head, body: &Bytes) -> io::Result<Request> {
    if head.kind != Kind::Request {
        return Err(io::Error::other("a frame that is not a request"));
    }
    Ok(Request::of_frame(body)?)
}

/// Refuses requests that this caller may not send now on this connection.
fn may_ask(
    (caller, standing): (&Caller, Standing),
    lane: Lane,
    head: &Head,
    request: &Request,
) -> io::Result<()> {
    // A caller that does not know whom it called may ask only what concerns any node.
    if !standing.may_ask(request) || (caller.hello.to == 0 && !request.is_for_any_node()) {
        let refusal = match standing {
            Standing::Member(id) => format!("node {id} asked for what it may not ask on this connection"),
            Standing::Introduced(id) => format!("node {id} is not known here yet, and may only replicate"),
            Standing::Guest | Standing::Stranger => "who is no member may only ask to join".to_owned(),
        };
        return Err(io::Error::other(refusal));
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

/// Polls a future once; it is awaited elsewhere. The runtime's limit for one task does not count: after a
/// connection has read much, that limit would make the future wait for a lock or a queue that is free.
async fn poll_once<T>(future: &mut BoxFuture<'static, T>) -> Poll<T> {
    let polled = std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context)));
    unconstrained(polled).await
}

async fn shake<S: Service>(
    socket: TcpStream,
    from: SocketAddr,
    secure: &Secure,
    service: &S,
    slots: Slots,
) -> io::Result<Known<S::Session>> {
    socket.set_nodelay(true)?;
    let mut answering = secure.answer(socket).await?;
    let (lane, session, _slot) = match admit(&answering.caller, service, &slots) {
        Ok(admitted) => admitted,
        Err(reason) => {
            let refusal = format!("refused node {}: {reason}", answering.caller.hello.from);
            answering.refuse(&reason).await;
            return Err(io::Error::other(refusal));
        }
    };
    secure.welcome(&mut answering).await?;
    let Answering { read, write, caller, .. } = answering;
    Ok(Known { from, read, write, caller, lane, session, _slot })
}

/// Admits a caller, or returns why not.
fn admit<S: Service>(
    caller: &Caller,
    service: &S,
    slots: &Slots,
) -> Result<(Lane, S::Session, OwnedSemaphorePermit), String> {
    let session = service.admit(caller)?;
    let number = caller.hello.lane;
    let lane = Lane::from_number(number)
        .ok_or_else(|| format!("this release does not know lane {number}: the caller is newer"))?;
    Ok((lane, session, slots.take(service.standing(&caller.shown))?))
}

async fn write_answers(mut write: Writer, mut queue: mpsc::Receiver<(Reply, Answer)>) {
    while let Some(first) = queue.recv().await {
        let mut next = Some(first);
        while let Some((to, answer)) = next {
            let frame =
                wire::encode(&answer).and_then(|body| Frame::new(Kind::Answer, to.group, to.id, body.into()));
            let Ok(frame) = frame else {
                tracing::warn!("an answer is too large to send");
                return;
            };
            if write.send(&frame).await.is_err() {
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
