//! What the other side of a connection speaks, as the first bytes that it sends show.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are looked at.
const LOOKED_AT: usize = 5;

/// A protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoken {
    /// HTTP/1, without TLS.
    Http,
    /// TLS.
    Tls,
    /// Something else.
    Other,
}

/// The first bytes that a connection has received. A clone sees the same connection.
#[derive(Debug, Clone, Default)]
pub(super) struct First(Rc<Cell<([u8; LOOKED_AT], usize)>>);

impl First {
    /// What they show; `None` if nothing came.
    pub(super) fn spoken(&self) -> Option<Spoken> {
        let (bytes, count) = self.0.get();
        match bytes.get(..count)? {
            [] => None,
            // The four kinds of records, and the major version of them all.
            [20..=23] | [20..=23, 3, ..] => Some(Spoken::Tls),
            came if b"HTTP/".starts_with(came) => Some(Spoken::Http),
            _ => Some(Spoken::Other),
        }
    }

    fn note(&self, bytes: &[u8]) {
        let (mut first, count) = self.0.get();
        let room = first.get_mut(count..).unwrap_or_default();
        let taken = room.len().min(bytes.len());
        for (into, byte) in room.iter_mut().zip(bytes) {
            *into = *byte;
        }
        self.0.set((first, count + taken));
    }
}

/// A stream of which the first bytes are noted.
pub(super) struct Heard<S> {
    stream: S,
    first: First,
}

impl<S> Heard<S> {
    pub(super) fn new(stream: S, first: First) -> Self {
        Self { stream, first }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, into);
        this.first.note(into.filled().get(before..).unwrap_or_default());
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_show_the_protocol() {
        let spoken = |pieces: &[&[u8]]| {
            let first = First::default();
            pieces.iter().for_each(|piece| first.note(piece));
            first.spoken()
        };
        assert_eq!(spoken(&[]), None);
        assert_eq!(spoken(&[b"HTTP/1.1 400 Bad Request\r\n"]), Some(Spoken::Http));
        assert_eq!(spoken(&[b"H", b"TT", b"P/1.1 200"]), Some(Spoken::Http));
        assert_eq!(spoken(&[&[21, 3, 3, 0, 2, 2, 50]]), Some(Spoken::Tls));
        assert_eq!(spoken(&[&[22, 3], &[3]]), Some(Spoken::Tls));
        assert_eq!(spoken(&[b"SSH-2.0-OpenSSH"]), Some(Spoken::Other));
        assert_eq!(spoken(&[&[21, 9, 0]]), Some(Spoken::Other));
    }
}
