//! The two ends of one connection: frames over TCP or TLS, buffered, and tagged if peers share a key.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::os::TcpStream;
use crate::os::{OwnedReadHalf, OwnedWriteHalf};
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter, ReadBuf,
    ReadHalf, WriteHalf,
};
use tokio::time::timeout;
use tokio_rustls::TlsStream;

use super::secure::frame_tag::{FrameTag, TAG};
use crate::wire::frame::{self, HEAD, Head};

/// Size of the buffer in each direction (bytes).
const BUFFER: usize = 64 * 1024;
/// Most bytes that are read from a caller that is turned away, for at most [`LEAVE`]. With unread bytes the
/// system would discard the answer too.
const LEFT_OVER: u64 = 64 * 1024;
/// Longest wait for a caller that is turned away to hang up.
const LEAVE: Duration = Duration::from_millis(500);

enum ReadEnd {
    Plain(OwnedReadHalf),
    Tls(ReadHalf<TlsStream<TcpStream>>),
}

enum WriteEnd {
    Plain(OwnedWriteHalf),
    Tls(WriteHalf<TlsStream<TcpStream>>),
}

/// The end that receives frames.
pub(crate) struct Reader {
    bytes: BufReader<ReadEnd>,
    frame_tag: Option<FrameTag>,
}

/// The end that sends frames.
pub(crate) struct Writer {
    bytes: BufWriter<WriteEnd>,
    frame_tag: Option<FrameTag>,
}

/// The ends of a connection without TLS.
pub(super) fn plain(socket: TcpStream) -> (Reader, Writer) {
    let (read, write) = socket.into_split();
    ends(ReadEnd::Plain(read), WriteEnd::Plain(write))
}

/// The ends of a connection with TLS.
pub(super) fn tls(socket: TlsStream<TcpStream>) -> (Reader, Writer) {
    let (read, write) = tokio::io::split(socket);
    ends(ReadEnd::Tls(read), WriteEnd::Tls(write))
}

fn ends(read: ReadEnd, write: WriteEnd) -> (Reader, Writer) {
    let reader = Reader { bytes: BufReader::with_capacity(BUFFER, read), frame_tag: None };
    (reader, Writer { bytes: BufWriter::with_capacity(BUFFER, write), frame_tag: None })
}

impl Reader {
    /// The next frame. A body longer than `limit` is refused before memory is allocated for it.
    pub(super) async fn frame(&mut self, limit: usize) -> io::Result<(Head, Vec<u8>)> {
        read_frame(&mut self.bytes, limit, self.frame_tag.as_mut()).await
    }

    /// The next byte, without taking it; `None` at the end.
    pub(super) async fn first_byte(&mut self) -> io::Result<Option<u8>> {
        Ok(self.bytes.fill_buf().await?.first().copied())
    }

    /// From here on every frame must be tagged.
    pub(super) fn tagged(&mut self, frame_tag: FrameTag) {
        self.frame_tag = Some(frame_tag);
    }
}

impl Writer {
    /// Writes a frame, which may stay in the buffer until a flush.
    pub(super) async fn frame(&mut self, frame: &[u8]) -> io::Result<()> {
        self.bytes.write_all(frame).await?;
        match &mut self.frame_tag {
            Some(frame_tag) => self.bytes.write_all(&frame_tag.tag(&[frame])).await,
            None => Ok(()),
        }
    }

    /// Sends the buffered frames.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        self.bytes.flush().await
    }

    /// From here on every frame is tagged.
    pub(super) fn tagged(&mut self, frame_tag: FrameTag) {
        self.frame_tag = Some(frame_tag);
    }
}

/// Sends a last message to a caller and waits, for a bounded time, until it has hung up.
pub(super) async fn part(mut read: Reader, mut write: Writer, last: &[u8]) {
    let leave = async {
        write.frame(last).await?;
        write.bytes.shutdown().await?;
        tokio::io::copy(&mut (&mut read.bytes).take(LEFT_OVER), &mut tokio::io::sink()).await
    };
    // The caller may have hung up already.
    let _ = timeout(LEAVE, leave).await;
}

async fn read_frame(
    bytes: &mut (impl AsyncRead + Unpin),
    limit: usize,
    frame_tag: Option<&mut FrameTag>,
) -> io::Result<(Head, Vec<u8>)> {
    let mut head_bytes = [0; HEAD];
    bytes.read_exact(&mut head_bytes).await?;
    let head = frame::head(&head_bytes)?;
    if head.length > limit {
        return Err(io::Error::other("a frame that is too long"));
    }
    let mut body = vec![0; head.length];
    bytes.read_exact(&mut body).await?;
    frame::check(&head_bytes, &head, &body)?;
    if let Some(frame_tag) = frame_tag {
        let mut tag = [0; TAG];
        bytes.read_exact(&mut tag).await?;
        frame_tag.check(&[&head_bytes, &body], &tag)?;
    }
    Ok((head, body))
}

impl AsyncRead for ReadEnd {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(end) => Pin::new(end).poll_read(cx, into),
            Self::Tls(end) => Pin::new(end).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for WriteEnd {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(end) => Pin::new(end).poll_write(cx, bytes),
            Self::Tls(end) => Pin::new(end).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(end) => Pin::new(end).poll_flush(cx),
            Self::Tls(end) => Pin::new(end).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(end) => Pin::new(end).poll_shutdown(cx),
            Self::Tls(end) => Pin::new(end).poll_shutdown(cx),
        }
    }
}

#[cfg(all(test, not(feature = "sim")))]
mod tests;
