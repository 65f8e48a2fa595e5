//! A connection to a receiver: plain bytes, with or without TLS below.
//!
//! Owns two facts about the bytes: whether any part of a request was handed over, and how much came back. It
//! records both in the [`Trip`] of the request that it carries. It does not interpret the bytes.

use std::{
    cell::{Cell, RefCell},
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use crate::delivery::webhook::guard::{Host, Target};

use super::Trip;

/// Pieces of up to this many bytes together are written as one: the copy costs less than the kernel's work
/// for each piece.
const JOINED: usize = 2048;

/// A connection. Its clones share it: the codec writes and reads, and the owner checks its state. It is
/// closed with the last clone.
#[derive(Clone)]
pub(in crate::delivery::webhook) struct Wire(Rc<Inner>);

struct Inner {
    io: RefCell<Io>,
    /// The host that it leads to.
    host: Host,
    port: u16,
    /// The request that it carries, or carried last.
    trip: RefCell<Rc<Trip>>,
    /// Whether writing has failed. The receiver may have answered all the same, for example with 413. So
    /// further writes are discarded, and reading goes on.
    deaf: Cell<bool>,
    born: Instant,
}

enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    pub(super) fn plain(tcp: TcpStream, to: &Target, trip: &Rc<Trip>) -> Self {
        Self::new(Io::Plain(tcp), to, trip)
    }

    pub(super) fn tls(stream: TlsStream<TcpStream>, to: &Target, trip: &Rc<Trip>) -> Self {
        Self::new(Io::Tls(Box::new(stream)), to, trip)
    }

    fn new(io: Io, to: &Target, trip: &Rc<Trip>) -> Self {
        Self(Rc::new(Inner {
            io: RefCell::new(io),
            host: to.host().clone(),
            port: to.port(),
            trip: RefCell::new(trip.clone()),
            deaf: Cell::new(false),
            born: Instant::now(),
        }))
    }

    /// It carries another request from now on.
    pub(in crate::delivery::webhook) fn carry(&self, trip: &Rc<Trip>) {
        *self.0.trip.borrow_mut() = trip.clone();
    }

    /// Whether requests to this target can go over it.
    pub(in crate::delivery::webhook) fn leads_to(&self, to: &Target) -> bool {
        let is_tls = matches!(*self.0.io.borrow(), Io::Tls(_));
        is_tls == to.tls() && self.0.port == to.port() && self.0.host == *to.host()
    }

    pub(in crate::delivery::webhook) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.0.born)
    }

    /// Whether everything that was written was taken.
    pub(in crate::delivery::webhook) fn takes(&self) -> bool {
        !self.0.deaf.get()
    }

    /// Whether the connection is open and the kernel has nothing to read on it now. On an idle connection
    /// anything to read is either its end or an answer without a request.
    pub(in crate::delivery::webhook) fn is_quiet(&self) -> bool {
        let io = self.0.io.borrow();
        let tcp = match &*io {
            Io::Plain(tcp) => tcp,
            Io::Tls(stream) => stream.get_ref().0,
        };
        let peeked = SockRef::from(tcp).peek(&mut [MaybeUninit::uninit()]);
        peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl Inner {
    /// Takes in the result of a write. An error is not returned: see `deaf`.
    fn wrote(&self, outcome: Poll<io::Result<usize>>, all: usize) -> Poll<io::Result<usize>> {
        match outcome {
            Poll::Ready(Ok(taken)) if taken > 0 || all == 0 => {
                if taken > 0 {
                    self.trip.borrow().sent.set(true);
                }
                outcome
            }
            Poll::Pending => Poll::Pending,
            Poll::Ready(_) => {
                // TLS may have sent a part of the bytes before it failed.
                if matches!(*self.io.borrow(), Io::Tls(_)) {
                    self.trip.borrow().sent.set(true);
                }
                self.deaf.set(true);
                Poll::Ready(Ok(all))
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let inner = &*self.0;
        let before = buf.filled().len();
        let read = match &mut *inner.io.borrow_mut() {
            Io::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Io::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        let came = buf.filled().len() - before;
        if came > 0 {
            inner.trip.borrow().hear(came)?;
        }
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let inner = &*self.0;
        if inner.deaf.get() {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = match &mut *inner.io.borrow_mut() {
            Io::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Io::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        inner.wrote(written, bytes.len())
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let inner = &*self.0;
        let all = slices.iter().map(|slice| slice.len()).sum();
        if inner.deaf.get() {
            return Poll::Ready(Ok(all));
        }
        let written = match &mut *inner.io.borrow_mut() {
            Io::Plain(tcp) if all <= JOINED => Pin::new(tcp).poll_write(cx, joined(slices, &mut [0; JOINED])),
            Io::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Io::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        };
        inner.wrote(written, all)
    }

    fn is_write_vectored(&self) -> bool {
        match &*self.0.io.borrow() {
            Io::Plain(tcp) => tcp.is_write_vectored(),
            Io::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let inner = &*self.0;
        let flushed = match &mut *inner.io.borrow_mut() {
            _ if inner.deaf.get() => Poll::Ready(Ok(())),
            Io::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Io::Tls(stream) => Pin::new(stream).poll_flush(cx),
        };
        match flushed {
            Poll::Ready(Ok(())) => inner.trip.borrow().flushed(),
            Poll::Ready(Err(_)) => inner.deaf.set(true),
            Poll::Pending => return Poll::Pending,
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self.0.io.borrow_mut() {
            Io::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Io::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Joins the slices in `into`, which has room for them.
fn joined<'a>(slices: &[IoSlice<'_>], into: &'a mut [u8]) -> &'a [u8] {
    let mut end = 0;
    for slice in slices {
        into[end..end + slice.len()].copy_from_slice(slice);
        end += slice.len();
    }
    &into[..end]
}
