//! The bytes of one client connection, between the socket and the HTTP library.
//!
//! It holds the library to what the connection may do ([`crate::edge::clients`]): when it may read and for
//! how long it waits. It ends a connection that gives way, and it writes the errors that the library leaves
//! without a body.

use super::bare::{self, Common};
use crate::delivery::PlainSocket;
use crate::edge::clients::{Admission, Client, Interim, Over, Turn};
use actix_rt::net::TcpStream;
use actix_web::http::StatusCode;
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;

/// Longest time that a client may take to close its connection.
pub(super) const DISCONNECT: Duration = Duration::from_secs(1);
/// Bytes of an unknown sender that are read before the library looks at them.
const AT_A_TIME: usize = 8 * 1024;
/// Bytes that are thrown away at a time.
const SCRAP: usize = 4 * 1024;
/// The interim answer, as the library writes it.
const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The socket, with or without TLS.
pub(super) enum Wire {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

/// A client's connection.
pub(super) struct ClientStream {
    wire: Wire,
    admission: Admission,
    common: Rc<Common>,
    /// Wakes the connection's task when it has waited for long enough.
    timer: Option<Pin<Box<Sleep>>>,
    /// The task that the timer wakes.
    woken: Option<Waker>,
    /// Bytes that were read since the library looked at them.
    unseen: usize,
    /// The origin of the client's page, as far as it was seen, if it may read answers.
    origin: Option<String>,
    /// Bytes of an interim answer of ours that are written, while it is being written.
    of_interim: usize,
    /// An answer of ours that is being written.
    answer: Option<Answer>,
    /// Nothing more is read.
    ended: bool,
    /// The library has let go of the connection.
    is_handed_over: bool,
}

/// An answer that is written in place of the library's.
struct Answer {
    bytes: Vec<u8>,
    written: usize,
    /// Bytes of the library that it stands for.
    replaces: usize,
}

impl ClientStream {
    pub(super) fn new(wire: Wire, admission: Admission, common: Rc<Common>) -> Self {
        Self {
            wire,
            admission,
            common,
            timer: None,
            woken: None,
            unseen: 0,
            origin: None,
            of_interim: 0,
            answer: None,
            ended: false,
            is_handed_over: false,
        }
    }

    /// The TCP connection.
    pub(super) fn tcp(&self) -> &TcpStream {
        match &self.wire {
            Wire::Plain(tcp) => tcp,
            Wire::Tls(tls) => tls.get_ref().0,
        }
    }

    /// Whether bytes go to the socket as they are.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.wire, Wire::Plain(_))
    }

    /// What the connection may do.
    pub(super) fn client(&self) -> &Client {
        self.admission.client()
    }

    /// The library lets go of the connection: no answer of its own follows, and none in its place. A session
    /// may last for long and needs no timer, so it is dropped. The next wait makes another one.
    pub(super) fn hand_over(&mut self) {
        self.timer = None;
        self.answer = None;
        self.is_handed_over = true;
    }

    /// Has the task woken at `until`, or earlier: the timer is set anew only after it has fired, because most
    /// waits end before.
    fn wake_at(&mut self, until: Instant, cx: &mut Context<'_>) {
        let is_known = self.woken.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        // A timer that runs and wakes this task needs no look, which costs more.
        let is_running = |timer: &mut Pin<Box<Sleep>>, cx: &mut Context<'_>| {
            is_known && !timer.is_elapsed() || poll_timer(timer, cx).is_pending()
        };
        let is_soon = self
            .timer
            .as_mut()
            .is_some_and(|timer| timer.deadline().into_std() <= until && is_running(timer, cx));
        if !is_known {
            self.woken = Some(cx.waker().clone());
        }
        if is_soon {
            return;
        }
        self.client().armed(until);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until.into())));
        timer.as_mut().reset(until.into());
        if poll_timer(timer, cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    /// Ends the connection, with a last answer if the client is waiting for one. The library takes the end
    /// for the client's, and closes.
    fn end(&mut self, over: Over) {
        let status = match over {
            Over::Idle | Over::Closing => None,
            Over::Slow => Some(StatusCode::REQUEST_TIMEOUT),
            Over::TooLong => Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        };
        self.ended = true;
        self.answer = status.map(|status| self.answer_for(status, 0));
    }

    fn answer_for(&self, status: StatusCode, replaces: usize) -> Answer {
        Answer { bytes: self.common.answer(status, self.origin.as_deref()), written: 0, replaces }
    }

    /// Writes our own answer, if there is one. Returns how many bytes of the library it stands for.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(answer) = &mut self.answer else { return Poll::Ready(Ok(0)) };
        while answer.written < answer.bytes.len() {
            let rest = &answer.bytes[answer.written..];
            match ready!(Pin::new(&mut self.wire).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => answer.written += written,
            }
        }
        let replaces = answer.replaces;
        self.answer = None;
        Poll::Ready(Ok(replaces))
    }

    /// Tells the client to send the body that it holds back.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.of_interim < INTERIM.len() {
            match ready!(Pin::new(&mut self.wire).poll_write(cx, &INTERIM[self.of_interim..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.of_interim += written,
            }
        }
        ready!(Pin::new(&mut self.wire).poll_flush(cx))?;
        self.of_interim = 0;
        self.client().end_interim();
        Poll::Ready(Ok(()))
    }

    /// What passes of the bytes that the library writes next. Nothing that it writes before an interim answer
    /// contains its text: no head does, and a body of ours has no line break of HTTP.
    fn around_interim(&self, bytes: &[u8]) -> Passing {
        match self.client().interim() {
            Interim::Coming { .. } => {}
            // The answer comes before it.
            Interim::Due => {
                self.client().end_interim();
                return Passing::All;
            }
            Interim::None | Interim::Kept => return Passing::All,
        }
        match bytes.windows(INTERIM.len()).position(|part| part == INTERIM) {
            Some(0) if self.client().pass_interim() => Passing::All,
            Some(0) => Passing::None,
            Some(before) => Passing::Until(before),
            None => Passing::All,
        }
    }

    /// Throws away what the client sends, until it ends the connection.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scrap = [0; SCRAP];
        loop {
            let mut into = ReadBuf::new(&mut scrap);
            ready!(Pin::new(&mut self.wire).poll_read(cx, &mut into))?;
            if into.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Fails if the connection gives way.
    fn stay(&self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.client().poll_evicted(cx) {
            Poll::Ready(()) => Err(gave_way()),
            Poll::Pending => Ok(()),
        }
    }

    fn heard(&mut self, bytes: &[u8], known: bool) {
        let of_head = self.client().heard(bytes.len());
        if of_head > 0
            && let Some(origin) = self.common.origin_in(bytes)
        {
            self.origin = Some(origin.to_owned());
        }
        self.unseen = if known { 0 } else { self.unseen + bytes.len() };
    }
}

/// Polls a timer, however much the task has done in its turn. Otherwise tokio may put the poll off, and the
/// timer would not know whom to wake.
fn poll_timer(timer: &mut Pin<Box<Sleep>>, cx: &mut Context<'_>) -> Poll<()> {
    Pin::new(&mut tokio::task::unconstrained(timer.as_mut())).poll(cx)
}

/// What passes of the bytes that the library writes.
enum Passing {
    /// All of them.
    All,
    /// Those before an interim answer.
    Until(usize),
    /// They begin with an interim answer, which is kept back.
    None,
}

/// The end of a connection that gave way to others.
pub(super) fn gave_way() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the connection gave way to others")
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(Ok(()));
        }
        if this.unseen >= AT_A_TIME {
            this.unseen = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let known = match this.client().turn(cx, this.unseen == 0) {
            Turn::Evicted => return Poll::Ready(Err(gave_way())),
            Turn::Over(over) => {
                this.end(over);
                return Poll::Ready(Ok(()));
            }
            Turn::Discard { until } => {
                this.wake_at(until, cx);
                return this.poll_discard(cx);
            }
            Turn::Hold => {
                this.unseen = 0;
                return Poll::Pending;
            }
            Turn::Read { until, known } => {
                if let Some(until) = until {
                    this.wake_at(until, cx);
                }
                known
            }
        };
        if this.client().interim() == Interim::Due {
            ready!(this.poll_interim(cx))?;
        }
        let before = into.filled().len();
        match Pin::new(&mut this.wire).poll_read(cx, into) {
            Poll::Ready(Ok(())) => {
                this.heard(&into.filled()[before..], known);
                Poll::Ready(Ok(()))
            }
            other => {
                this.unseen = 0;
                other
            }
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.stay(cx)?;
        if this.of_interim > 0 {
            ready!(this.poll_interim(cx))?;
        }
        let bytes = match this.around_interim(bytes) {
            Passing::All => bytes,
            Passing::Until(before) => &bytes[..before],
            Passing::None => return Poll::Ready(Ok(INTERIM.len())),
        };
        // What others write may look like an answer of the library: frames have any bytes.
        if this.ended || this.is_handed_over {
            return Pin::new(&mut this.wire).poll_write(cx, bytes);
        }
        if this.answer.is_none() {
            match bare::find(bytes) {
                Some((0, status)) if !this.client().is_serving() => {
                    this.answer = Some(this.answer_for(status, bytes.len()));
                }
                Some((at, _)) if at > 0 && !this.client().is_serving() => {
                    return Pin::new(&mut this.wire).poll_write(cx, &bytes[..at]);
                }
                _ => return Pin::new(&mut this.wire).poll_write(cx, bytes),
            }
        }
        this.poll_answer(cx)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.stay(cx)?;
        Pin::new(&mut this.wire).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.stay(cx)?;
        ready!(this.poll_answer(cx))?;
        Pin::new(&mut this.wire).poll_shutdown(cx)
    }
}

/// The stream as the dispatcher sees it, between two polls of the connection's task.
impl PlainSocket for RefCell<ClientStream> {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.borrow().wire {
            Wire::Plain(tcp) => tcp.try_write(bytes),
            // The task alone writes through TLS.
            Wire::Tls(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, into),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests;
