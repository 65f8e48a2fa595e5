//! A connection as awc sees it: plain bytes, with or without TLS below.
//!
//! Tells the request that is being polled that bytes came back. Nothing else is known here.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix_rt::net::{ActixStream, Ready};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use super::TRIP;

/// A connection.
#[derive(Debug)]
pub(in crate::delivery::webhook) struct Wire {
    io: Io,
    /// Set from outside: whoever reads next finds the end, so that no pool uses it again.
    spent: Rc<Cell<bool>>,
    /// The receiver takes nothing any more. Perhaps it has answered all the same, as with 413: what is written is
    /// thrown away, so that awc goes on to read.
    deaf: bool,
}

#[derive(Debug)]
enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    pub(super) fn plain(tcp: TcpStream) -> Self {
        Self { io: Io::Plain(tcp), spent: Rc::default(), deaf: false }
    }

    pub(super) fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self { io: Io::Tls(Box::new(stream)), spent: Rc::default(), deaf: false }
    }

    /// The outcome of writing, or `done` if the receiver takes nothing any more.
    fn unless_deaf<T>(&mut self, outcome: Poll<io::Result<T>>, done: T) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(_)) = outcome {
            self.deaf = true;
            return Poll::Ready(Ok(done));
        }
        outcome
    }

    fn tcp(&self) -> &TcpStream {
        match &self.io {
            Io::Plain(tcp) => tcp,
            Io::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.spent.get() {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = match &mut this.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Io::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        if buf.filled().len() > before {
            let _ = TRIP.try_with(|trip| *trip.heard.borrow_mut() = Some(this.spent.clone()));
        }
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match &mut this.io {
            _ if this.deaf => Poll::Ready(Ok(bytes.len())),
            Io::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Io::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        this.unless_deaf(written, bytes.len())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = match &mut this.io {
            _ if this.deaf => Poll::Ready(Ok(())),
            Io::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Io::Tls(stream) => Pin::new(stream).poll_flush(cx),
        };
        this.unless_deaf(flushed, ())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Io::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl ActixStream for Wire {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(self.tcp(), cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(self.tcp(), cx)
    }
}
