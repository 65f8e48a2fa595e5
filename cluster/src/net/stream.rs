//! The two ends of one connection: frames over an encrypted stream, buffered.

use std::io;
use std::time::Duration;

use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader, BufWriter, ReadHalf, WriteHalf, copy, sink, split,
};
use tokio::time::timeout;

use crate::os::PeerStream;
use crate::wire::frame::{self, Frame, HEAD, Head};

/// Size of the buffer in each direction (bytes).
const BUFFER: usize = 64 * 1024;
/// Most bytes in a record of TLS.
const RECORD: usize = 16 * 1024;
/// Most bytes that are read from a caller that is turned away, for at most [`LEAVE`]. With unread bytes the
/// system would discard the answer too.
const LEFT_OVER: u64 = 64 * 1024;
/// Longest wait for a caller that is turned away to hang up.
const LEAVE: Duration = Duration::from_millis(500);

/// The end that receives frames.
pub(crate) struct Reader(BufReader<ReadHalf<PeerStream>>);

/// The end that sends frames.
pub(crate) struct Writer(BufWriter<WriteHalf<PeerStream>>);

/// A connection that reads as much as has come with one call, for TLS to take what it needs.
#[cfg(not(feature = "sim"))]
pub(super) fn buffered(socket: crate::os::TcpStream) -> BufReader<crate::os::TcpStream> {
    BufReader::with_capacity(BUFFER, socket)
}

/// The ends of a connection.
pub(super) fn ends(stream: PeerStream) -> (Reader, Writer) {
    let (read, write) = split(stream);
    (Reader(BufReader::with_capacity(BUFFER, read)), Writer(BufWriter::with_capacity(BUFFER, write)))
}

impl Reader {
    /// The next frame. A body longer than `limit` is refused before memory is allocated for it.
    pub(super) async fn frame(&mut self, limit: usize) -> io::Result<(Head, Vec<u8>)> {
        let mut head_bytes = [0; HEAD];
        self.0.read_exact(&mut head_bytes).await?;
        let head = frame::head(&head_bytes)?;
        if head.length > limit {
            return Err(io::Error::other("a frame that is too long"));
        }
        let mut body = Vec::with_capacity(head.length);
        let mut rest = (&mut self.0).take(head.length as u64);
        while body.len() < head.length {
            if rest.read_buf(&mut body).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        frame::check(&head_bytes, &head, &body)?;
        Ok((head, body))
    }
}

impl Writer {
    /// Writes a frame, which may stay in the buffer until a flush.
    pub(super) async fn frame(&mut self, frame: &[u8]) -> io::Result<()> {
        self.0.write_all(frame).await
    }

    /// The same for a frame in two parts. Most of a long body goes past the buffer. The head and the body's
    /// beginning are one record of TLS, so that the other side is not woken for the head alone.
    pub(super) async fn send(&mut self, frame: &Frame) -> io::Result<()> {
        let (first, rest) = frame.body.split_at(frame.body.len().min(RECORD - HEAD));
        self.0.write_all(&frame.head).await?;
        self.0.write_all(first).await?;
        self.0.write_all(rest).await
    }

    /// Sends the buffered frames.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        self.0.flush().await
    }
}

/// Sends a last message to a caller and waits, for a bounded time, until it has hung up.
pub(super) async fn part(mut read: Reader, mut write: Writer, last: &[u8]) {
    let leave = async {
        write.frame(last).await?;
        write.0.shutdown().await?;
        drain(&mut read.0).await
    };
    // The caller may have hung up already.
    let _ = timeout(LEAVE, leave).await;
}

/// Reads what a caller that is turned away still sends, up to a bound.
async fn drain(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<u64> {
    copy(&mut stream.take(LEFT_OVER), &mut sink()).await
}

/// Tells a caller without TLS something last and waits, for a bounded time, until it has hung up; what was written
/// to it is sent before.
#[cfg(not(feature = "sim"))]
pub(super) async fn leave(mut socket: crate::os::TcpStream, last: &[u8]) {
    let leave = async {
        socket.write_all(last).await?;
        socket.shutdown().await?;
        drain(&mut socket).await
    };
    let _ = timeout(LEAVE, leave).await;
}
