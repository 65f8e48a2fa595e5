//! A connection whose request asks for a WebSocket, from that request to the connection's end.
//!
//! The HTTP library keeps 16 KiB of buffers for each connection that it serves. It hands over those that ask
//! for a WebSocket, and here a connection has a buffer only while bytes wait to be written: the session reads
//! from the socket when it wants to, and what it says is written from where it lies. While the connection's
//! task has nothing to write, the dispatcher writes events to a socket without TLS ([`WriteSide`]).

use super::shared_app::Made;
use super::stream::{ClientStream, DISCONNECT, gave_way};
use crate::delivery::WriteSide;
use actix_codec::{Encoder, Framed};
use actix_http::body::{BodySize, BoxBody, MessageBody};
use actix_http::error::PayloadError;
use actix_http::h1::{Codec, Message};
use actix_http::header::{HeaderName, HeaderValue};
use actix_http::{BoxedPayloadStream, ConnectionType, HttpMessage, Payload, Request, Response};
use actix_service::Service;
use actix_web::Error;
use bytes::{Buf, Bytes, BytesMut};
use futures_util::Stream;
use futures_util::future::LocalBoxFuture;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

/// Bytes that are read at a time.
const AT_A_TIME: usize = 8 * 1024;
/// Longest time that a client may take for the last bytes of a WebSocket. Its session is over, and nobody
/// watches it any more.
const LAST_BYTES: Duration = Duration::from_secs(3);

/// The connection. The session reads from it, and the answer is written to it.
type SharedStream = Rc<RefCell<ClientStream>>;

/// A request, and its connection.
type HandedOver = (Request, Framed<ClientStream, Codec>);

/// Has the worker's app answer a request that the library handed over, until its connection ends. About
/// `most` bytes are gathered before they are written. The future is in a box, so that the tasks of all other
/// connections stay small.
pub(super) fn serve<S, B>(
    app: &Made<S>,
    handed_over: HandedOver,
    most: usize,
) -> LocalBoxFuture<'static, Result<(), Error>>
where
    S: Service<Request> + 'static,
    S::Response: Into<Response<B>>,
    S::Error: Into<Response<BoxBody>>,
    B: MessageBody + 'static,
{
    let answered = app.get().map(|app| Box::pin(answer::<S, B>(app, handed_over, most)));
    Box::pin(async move {
        if let Some(answered) = answered
            && let Err(error) = answered.await
        {
            tracing::debug!(%error, "a connection ended");
        }
        Ok(())
    })
}

fn answer<S, B>(
    app: &S,
    (mut request, connection): HandedOver,
    most: usize,
) -> impl Future<Output = io::Result<()>> + use<S, B>
where
    S: Service<Request>,
    S::Response: Into<Response<B>>,
    S::Error: Into<Response<BoxBody>>,
    B: MessageBody + 'static,
{
    let mut parts = connection.into_parts();
    parts.io.hand_over();
    let stream = Rc::new(RefCell::new(parts.io));
    // Copies: a session may keep the request, and the library's buffer is freed.
    let ahead = Bytes::copy_from_slice(&parts.read_buf);
    copy_headers(&mut request);
    let payload: BoxedPayloadStream = Box::pin(Incoming { ahead, stream: stream.clone() });
    *request.payload() = Payload::Stream { payload };
    let write_side = write_side_of(&stream);
    if let Some(write_side) = &write_side {
        request.extensions_mut().insert(write_side.clone());
    }
    // In a box, which is freed when the app has answered.
    let called = Box::pin(app.call(request));
    let codec = parts.codec;
    let before = parts.write_buf;
    async move {
        let evicted = poll_fn(|cx| stream.borrow().client().poll_evicted(cx));
        let answer = tokio::select! {
            answered = called => match answered {
                Ok(answer) => Response::<B>::map_into_boxed_body(answer.into()),
                Err(error) => error.into(),
            },
            () = evicted => return Err(gave_way()),
        };
        let mut said = Said::begin((stream.clone(), write_side), (codec, before), answer, most)?;
        poll_fn(|cx| said.poll_ended(cx)).await?;
        Box::pin(end(said, stream)).await
    }
}

/// Copies the values of the headers out of the buffer from which the library read them.
fn copy_headers(request: &mut Request) {
    let copied = |(name, value): (HeaderName, HeaderValue)| {
        (name, HeaderValue::from_bytes(value.as_bytes()).unwrap_or(value))
    };
    let headers = std::mem::take(request.headers_mut());
    *request.headers_mut() = headers.into_iter().map(copied).collect();
}

/// The write side of a connection that the dispatcher may write to: one without TLS.
fn write_side_of(stream: &SharedStream) -> Option<Rc<WriteSide>> {
    let socket = Rc::downgrade(stream);
    stream.borrow().is_plain().then(|| WriteSide::new(socket))
}

/// What the client sends after its request.
struct Incoming {
    /// Bytes that were read with the request.
    ahead: Bytes,
    stream: SharedStream,
}

impl Stream for Incoming {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if !this.ahead.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut this.ahead))));
        }
        let mut room = [MaybeUninit::uninit(); AT_A_TIME];
        let mut into = ReadBuf::uninit(&mut room);
        let read = ready!(Pin::new(&mut *this.stream.borrow_mut()).poll_read(cx, &mut into));
        Poll::Ready(match read {
            Ok(()) if into.filled().is_empty() => None,
            Ok(()) => Some(Ok(Bytes::copy_from_slice(into.filled()))),
            Err(error) => Some(Err(PayloadError::Io(error))),
        })
    }
}

/// An answer on its way to the client. The body of one that opens a WebSocket is all that the session says.
struct Said {
    /// `None` when it has ended. It is dropped before the socket that it may name.
    body: Option<BoxBody>,
    /// Writes the body as the head says. `None` if its bytes are written as they are.
    codec: Option<Codec>,
    unsent: Bytes,
    /// Bytes that are gathered at a time, about.
    most: usize,
    /// Shared with the dispatcher, if that may write.
    write_side: Option<Rc<WriteSide>>,
    stream: SharedStream,
}

impl Said {
    /// Begins with the head of the answer. `before` is what the library has yet to write.
    fn begin(
        (stream, write_side): (SharedStream, Option<Rc<WriteSide>>),
        (mut codec, before): (Codec, BytesMut),
        answer: Response<BoxBody>,
        most: usize,
    ) -> io::Result<Self> {
        let (mut head, body) = answer.into_parts();
        let opens = head.upgrade();
        if !opens {
            // Where the request's body would end is not known.
            head.head_mut().set_connection_type(ConnectionType::Close);
            // The library's codec makes no chunks for a request that asks for a WebSocket. Without this, the
            // head would announce them.
            head.head_mut().no_chunking(true);
        }
        let size = body.size();
        let mut unsent = before;
        codec.encode(Message::Item((head, size)), &mut unsent)?;
        let is_empty = matches!(size, BodySize::None | BodySize::Sized(0));
        let body = (!is_empty).then_some(body);
        let codec = (!opens).then_some(codec);
        Ok(Self { body, codec, unsent: unsent.freeze(), most, write_side, stream })
    }

    /// Ready when the answer has ended. Some of it may still have to be written.
    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let written = self.poll_written(cx)?;
        if self.body.is_none() { Poll::Ready(Ok(())) } else { written.map(Ok) }
    }

    /// Ready when the answer has ended, and all of it is written.
    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.take_back()?;
        loop {
            let may_have_more = self.gather(cx)?;
            ready!(self.poll_write(cx))?;
            if self.body.is_none() {
                return Poll::Ready(Ok(()));
            }
            if !may_have_more {
                self.give_over();
                return Poll::Pending;
            }
        }
    }

    /// Takes the write side back, and with it the rest of a frame that the dispatcher has begun.
    fn take_back(&mut self) -> io::Result<()> {
        let rest = self.write_side.as_ref().map(|write_side| write_side.take_back()).unwrap_or_default();
        if rest.is_empty() { Ok(()) } else { self.add(rest) }
    }

    /// Everything is written, and the body has nothing more now: the dispatcher may write. An answer with a
    /// codec is no WebSocket.
    fn give_over(&self) {
        if let (None, Some(write_side)) = (&self.codec, &self.write_side) {
            write_side.give_over();
        }
    }

    /// Takes what the body has now. Returns whether it may have more.
    fn gather(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        while let Some(body) = &mut self.body {
            if self.unsent.len() >= self.most {
                return Ok(true);
            }
            match Pin::new(body).poll_next(cx) {
                Poll::Pending => return Ok(false),
                Poll::Ready(Some(Ok(bytes))) => self.add(bytes)?,
                Poll::Ready(Some(Err(error))) => return Err(io::Error::other(error.to_string())),
                Poll::Ready(None) => {
                    self.body = None;
                    self.add_end()?;
                }
            }
        }
        Ok(false)
    }

    fn add(&mut self, bytes: Bytes) -> io::Result<()> {
        if self.codec.is_none() && self.unsent.is_empty() {
            self.unsent = bytes;
            return Ok(());
        }
        let mut unsent = self.take_unsent();
        match &mut self.codec {
            Some(codec) => codec.encode(Message::Chunk(Some(bytes)), &mut unsent)?,
            None => unsent.extend_from_slice(&bytes),
        }
        self.unsent = unsent.freeze();
        Ok(())
    }

    fn add_end(&mut self) -> io::Result<()> {
        let mut unsent = self.take_unsent();
        if let Some(codec) = &mut self.codec {
            codec.encode(Message::Chunk(None), &mut unsent)?;
        }
        self.unsent = unsent.freeze();
        Ok(())
    }

    fn take_unsent(&mut self) -> BytesMut {
        let unsent = std::mem::take(&mut self.unsent);
        unsent.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]))
    }

    /// Writes all that waits. Fails if the connection gives way.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stream = self.stream.borrow_mut();
        while !self.unsent.is_empty() {
            match ready!(Pin::new(&mut *stream).poll_write(cx, &self.unsent))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.unsent.advance(written),
            }
        }
        // An idle connection keeps no buffer.
        self.unsent = Bytes::new();
        Pin::new(&mut *stream).poll_flush(cx)
    }
}

/// Ends a connection on which all is said. A client that does not take the last bytes of a WebSocket is cut
/// off. Otherwise it learns the end at once. What it still sends is thrown away for a while: if the socket
/// were closed with bytes that nobody has read, the client might lose the end of the answer.
async fn end(mut said: Said, stream: SharedStream) -> io::Result<()> {
    let is_websocket = said.codec.is_none();
    let written = poll_fn(|cx| said.poll_written(cx));
    match is_websocket {
        true => timeout(LAST_BYTES, written).await??,
        false => written.await?,
    }
    drop(said);
    // Nothing more is expected, so the connection is among the first to give way.
    stream.borrow().client().end(true);
    let shutdown = poll_fn(|cx| Pin::new(&mut *stream.borrow_mut()).poll_shutdown(cx));
    timeout(DISCONNECT, shutdown).await??;
    // The client has closed, or its time is over.
    let _ = timeout(DISCONNECT, poll_fn(|cx| poll_discard(&stream, cx))).await;
    Ok(())
}

/// Throws away what the client sends. Ready when it has closed, or is gone.
fn poll_discard(stream: &SharedStream, cx: &mut Context<'_>) -> Poll<()> {
    let mut room = [MaybeUninit::uninit(); AT_A_TIME];
    loop {
        let mut into = ReadBuf::uninit(&mut room);
        let read = ready!(Pin::new(&mut *stream.borrow_mut()).poll_read(cx, &mut into));
        if read.is_err() || into.filled().is_empty() {
            return Poll::Ready(());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
