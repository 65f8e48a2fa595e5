//! A connection with its codec, which is hyper's.
//!
//! The codec stays with the connection from one exchange to the next. It works only while an exchange polls
//! it: an idle connection has no task of its own, and wakes none. This module owns the decision whether the
//! connection can carry another request.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http1::{Builder, Connection, SendRequest},
};
use hyper_util::rt::TokioIo;

use crate::delivery::webhook::dial::{LONGEST_HEAD, Trip, Wire};

/// The most headers of an answer. Their bytes are limited by [`LONGEST_HEAD`].
const MOST_HEADERS: usize = 1000;

/// A connection with its codec. It makes progress only while it is polled. Dropping it closes the connection.
pub(super) struct Line {
    wire: Wire,
    sender: SendRequest<Full<Bytes>>,
    /// Boxed, since it is large and moves with the exchange. `None` once the connection has ended; the error
    /// went to the waiting reader of the answer or the body.
    codec: Option<Box<Connection<TokioIo<Wire>, Full<Bytes>>>>,
}

impl Line {
    /// Gives a connection a new codec. An earlier codec must have left no unread bytes.
    pub(super) async fn new(wire: Wire) -> Result<Self, hyper::Error> {
        let (sender, codec) = Builder::new()
            .max_buf_size(LONGEST_HEAD)
            .max_headers(MOST_HEADERS)
            // A header may go on in the next line: old servers and proxies write such headers.
            .allow_obsolete_multiline_headers_in_responses(true)
            .handshake(TokioIo::new(wire.clone()))
            .await?;
        Ok(Self { wire, sender, codec: Some(Box::new(codec)) })
    }

    pub(super) fn wire(&self) -> &Wire {
        &self.wire
    }

    /// Hands a request to the codec, which sends it while it is polled.
    pub(super) fn send(
        &mut self,
        request: Request<Full<Bytes>>,
        trip: &Rc<Trip>,
    ) -> impl Future<Output = Result<Response<Incoming>, hyper::Error>> + use<> {
        self.wire.carry(trip);
        self.sender.send_request(request)
    }

    /// Moves bytes until the work is done.
    pub(super) async fn meanwhile<T>(&mut self, mut work: Pin<&mut impl Future<Output = T>>) -> T {
        poll_fn(|cx| {
            self.poll(cx);
            work.as_mut().poll(cx)
        })
        .await
    }

    /// Whether it can carry another request. It can if the last request was wholly written, its answer was
    /// wholly read, the receiver keeps the connection, and no byte came after the answer. The codec ends at
    /// such a byte.
    ///
    /// From now on the connection wakes no task: it would keep the task of the last exchange in memory.
    pub(super) fn is_free(&mut self) -> bool {
        self.poll(&mut Context::from_waker(Waker::noop()));
        self.codec.is_some() && self.sender.is_ready() && self.wire.takes()
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        if self.codec.as_mut().is_some_and(|codec| codec.poll_without_shutdown(cx).is_ready()) {
            // The codec returns a request that it has not begun only when it ends.
            self.codec = None;
        }
    }
}
