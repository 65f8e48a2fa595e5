//! One connection to a peer: requests go out in order, and answers are matched by id.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::stream::{Reader, Writer};
use crate::GroupId;
use crate::late;
use crate::os::here;
use crate::wire::frame::{self, Frame, Kind};
use crate::wire::{self, Answer, Request};

/// The number of the newest connection.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LinkError {
    /// Nothing listens at that address. Certainly not sent.
    #[error("connection refused")]
    Refused,
    /// Nothing answered at that address in time, or nothing leads there. Certainly not sent.
    #[error("no connection: {0}")]
    NoConnection(String),
    /// A connection was made at that address, and the process there did not answer the handshake in time.
    /// Certainly not sent.
    #[error("no handshake in time: {0}")]
    NoHandshake(String),
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
    /// Whether there was no connection over which the request could have been sent.
    pub(crate) fn is_unconnected(&self) -> bool {
        matches!(
            self,
            Self::Refused
                | Self::NoConnection(_)
                | Self::NoHandshake(_)
                | Self::NotAdmitted(_)
                | Self::NotSent(_)
        )
    }
}

/// A request that was sent and has no answer yet.
pub(crate) struct Pending {
    answer: oneshot::Receiver<Answer>,
    id: u64,
    connection: Connection,
}

impl Pending {
    /// The connection that the request was sent on.
    pub(crate) fn connection(&self) -> Connection {
        self.connection.clone()
    }

    /// Waits for the answer.
    pub(crate) async fn answer(mut self, deadline: Instant) -> Result<Answer, LinkError> {
        match late::timeout_at(deadline, &mut self.answer).await {
            Ok(Ok(Answer::NoGroupV1 { group })) => Err(LinkError::NoGroup(group)),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(LinkError::Lost),
            Err(_) => {
                self.connection.timed_out();
                Err(LinkError::Timeout)
            }
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.connection.waiting().remove(&self.id);
    }
}

/// An established connection. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Connection {
    inner: Arc<Inner>,
}

struct Inner {
    number: u64,
    frames: mpsc::Sender<Frame>,
    in_flight: usize,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
    next_id: AtomicU64,
    alive: watch::Sender<bool>,
    /// An answer came since the last timeout.
    answered: AtomicBool,
    /// How many answers came.
    answers: AtomicU64,
}

impl Connection {
    /// Starts to send and to receive.
    pub(super) fn new(read: Reader, write: Writer, in_flight: usize) -> Self {
        let (frames, queue) = mpsc::channel(in_flight);
        let inner = Arc::new(Inner {
            number: NUMBER.fetch_add(1, Ordering::Relaxed) + 1,
            frames,
            in_flight,
            waiting: Mutex::default(),
            next_id: AtomicU64::new(1),
            alive: watch::Sender::new(true),
            answered: AtomicBool::new(true),
            answers: AtomicU64::new(0),
        });
        let connection = Self { inner };
        tokio::spawn(here(write_frames(write, queue, connection.clone())));
        tokio::spawn(here(read_answers(read, connection.clone())));
        connection
    }

    /// No other connection of this process has the number, which is not 0.
    pub(crate) fn number(&self) -> u64 {
        self.inner.number
    }

    /// Sends an encoded request. If this is cancelled, the request is not sent.
    pub(crate) async fn start(
        &self,
        group: GroupId,
        body: &Bytes,
        deadline: Instant,
    ) -> Result<Pending, LinkError> {
        let inner = &self.inner;
        let id = inner.next_id.fetch_add(1, Ordering::Relaxed);
        let frame = Frame::new(Kind::Request, group, id, body.clone())
            .map_err(|e| LinkError::NotSent(e.to_string()))?;
        let (sender, answer) = oneshot::channel();
        {
            let mut waiting = self.waiting();
            if waiting.len() >= inner.in_flight {
                return Err(LinkError::Overloaded);
            }
            waiting.insert(id, sender);
        }
        let pending = Pending { answer, id, connection: self.clone() };
        if !self.is_alive() {
            return Err(LinkError::NotSent("connection lost".to_owned()));
        }
        match timeout_at(deadline, inner.frames.send(frame)).await {
            Ok(Ok(())) => Ok(pending),
            Ok(Err(_)) => Err(LinkError::NotSent("connection lost".to_owned())),
            Err(_) => Err(LinkError::Overloaded),
        }
    }

    /// Waits until the connection breaks.
    pub(super) async fn broken(&self) {
        let mut alive = self.inner.alive.subscribe();
        let _ = alive.wait_for(|alive| !alive).await;
    }

    /// Asks the peer for a sign of life after each `pause`. Closes the connection and returns when none came
    /// within `limit`. An answer to another request is a sign too.
    pub(crate) async fn silent(&self, pause: Duration, limit: Duration) {
        loop {
            sleep(pause).await;
            if !self.gives_sign(limit).await {
                self.close();
                return;
            }
        }
    }

    async fn gives_sign(&self, limit: Duration) -> bool {
        let before = self.inner.answers.load(Ordering::Relaxed);
        let deadline = Instant::now() + limit;
        let asked = async {
            let body = wire::encode(&Request::WhoV1).map_err(|e| LinkError::NotSent(e.to_string()))?;
            let mut pending = self.start(frame::NODE, &Bytes::from(body), deadline).await?;
            late::timeout_at(deadline, &mut pending.answer).await.map_err(|_| LinkError::Timeout)
        };
        // Whoever waits on a connection that has broken is told anyway.
        if asked.await.is_ok() || !self.is_alive() {
            return true;
        }
        // It may have been refused at once, because too many requests wait.
        sleep_until(deadline).await;
        self.inner.answers.load(Ordering::Relaxed) != before
    }

    pub(super) fn is_alive(&self) -> bool {
        *self.inner.alive.borrow()
    }

    pub(super) fn close(&self) {
        self.inner.alive.send_replace(false);
        self.waiting().clear();
    }

    /// After two timeouts without an answer between them the peer is considered gone: connect again.
    fn timed_out(&self) {
        if !self.inner.answered.swap(false, Ordering::Relaxed) {
            self.close();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Answer>>> {
        self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write_frames(mut write: Writer, mut queue: mpsc::Receiver<Frame>, connection: Connection) {
    let mut alive = connection.inner.alive.subscribe();
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
    connection.close();
}

/// Writes a frame and all frames in the queue, then flushes.
async fn send_all(write: &mut Writer, frame: Frame, queue: &mut mpsc::Receiver<Frame>) -> io::Result<()> {
    write.send(&frame).await?;
    while let Ok(frame) = queue.try_recv() {
        write.send(&frame).await?;
    }
    write.flush().await
}

async fn read_answers(mut read: Reader, connection: Connection) {
    let mut alive = connection.inner.alive.subscribe();
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
        connection.inner.answered.store(true, Ordering::Relaxed);
        connection.inner.answers.fetch_add(1, Ordering::Relaxed);
        let waiting = connection.waiting().remove(&id);
        if let Some(sender) = waiting {
            // The caller may have given up.
            let _ = sender.send(answer);
        }
    }
    connection.close();
}
