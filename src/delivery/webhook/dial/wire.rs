//! A connection to a receiver: plain bytes, with or without TLS below.
//!
//! Owns what is known of the bytes themselves: whether something of a request was handed over, and how much came back.
//! It notes that with the [`Trip`] of the request that it carries. Never knows what the bytes mean.

use std::{
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

use super::Trip;

/// A connection.
pub(in crate::delivery::webhook) struct Wire {
    io: Io,
    /// The request that it carries, or carried last.
    trip: Rc<Trip>,
    /// Writing has failed. Perhaps the receiver has answered all the same, as with 413: what is written is thrown away,
    /// so that reading goes on.
    deaf: bool,
    born: Instant,
}

enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    pub(super) fn plain(tcp: TcpStream, trip: Rc<Trip>) -> Self {
        Self { io: Io::Plain(tcp), trip, deaf: false, born: Instant::now() }
    }

    pub(super) fn tls(stream: TlsStream<TcpStream>, trip: Rc<Trip>) -> Self {
        Self { io: Io::Tls(Box::new(stream)), trip, deaf: false, born: Instant::now() }
    }

    /// The same connection, to carry another request.
    pub(in crate::delivery::webhook) fn carrying(self, trip: Rc<Trip>) -> Self {
        Self { trip, ..self }
    }

    pub(in crate::delivery::webhook) fn age(&self) -> Duration {
        self.born.elapsed()
    }

    /// Whether all that was written was taken.
    pub(in crate::delivery::webhook) fn takes(&self) -> bool {
        !self.deaf
    }

    /// Whether the connection is open and nothing waits on it to be read, as the kernel knows now. What waits on an idle
    /// connection is its end, or an answer to no request.
    pub(in crate::delivery::webhook) fn is_quiet(&self) -> bool {
        let peeked = SockRef::from(self.tcp()).peek(&mut [MaybeUninit::uninit()]);
        peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    fn tcp(&self) -> &TcpStream {
        match &self.io {
            Io::Plain(tcp) => tcp,
            Io::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Takes in the outcome of writing. An error is no error: see `deaf`.
    fn wrote(&mut self, outcome: Poll<io::Result<usize>>, all: usize) -> Poll<io::Result<usize>> {
        match outcome {
            Poll::Ready(Ok(taken)) if taken > 0 || all == 0 => {
                if taken > 0 {
                    self.trip.sent.set(true);
                }
                outcome
            }
            Poll::Pending => Poll::Pending,
            Poll::Ready(_) => {
                // TLS may have sent a part of what it failed with.
                if matches!(self.io, Io::Tls(_)) {
                    self.trip.sent.set(true);
                }
                self.deaf = true;
                Poll::Ready(Ok(all))
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = match &mut this.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Io::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        let came = buf.filled().len() - before;
        if came > 0 {
            this.trip.hear(came)?;
        }
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match &mut this.io {
            _ if this.deaf => return Poll::Ready(Ok(bytes.len())),
            Io::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Io::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        this.wrote(written, bytes.len())
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let all = slices.iter().map(|slice| slice.len()).sum();
        let written = match &mut this.io {
            _ if this.deaf => return Poll::Ready(Ok(all)),
            Io::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Io::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        };
        this.wrote(written, all)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(tcp) => tcp.is_write_vectored(),
            Io::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = match &mut this.io {
            _ if this.deaf => Poll::Ready(Ok(())),
            Io::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Io::Tls(stream) => Pin::new(stream).poll_flush(cx),
        };
        match flushed {
            Poll::Ready(Ok(())) => this.trip.flushed(),
            Poll::Ready(Err(_)) => this.deaf = true,
            Poll::Pending => return Poll::Pending,
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Io::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
