//! A connection with its codec, which is hyper's.
//!
//! The codec stays with the connection from one exchange to the next, and works only while an exchange polls it: no task
//! of its own, and nobody is woken for a connection that waits. Owns the answer to whether it can carry another request.

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

/// A connection with its codec. It moves only while it is polled: dropped, it is closed.
pub(super) struct Line {
    wire: Wire,
    sender: SendRequest<Full<Bytes>>,
    /// Boxed: it is large, and moves with the exchange. `None` once it has ended; who waits for an answer or a body is
    /// told why.
    codec: Option<Box<Connection<TokioIo<Wire>, Full<Bytes>>>>,
}

impl Line {
    /// Gives a connection a codec. Nothing is left on it of what another codec may have read from it.
    pub(super) async fn new(wire: Wire) -> Result<Self, hyper::Error> {
        let (sender, codec) =
            Builder::new().max_buf_size(LONGEST_HEAD).handshake(TokioIo::new(wire.clone())).await?;
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

    /// Whether it can carry another request: the last one was wholly written and its answer wholly read, the receiver
    /// keeps the connection, and not a byte has come behind the answer. The codec ends at such a byte.
    ///
    /// From now on nobody is woken for the connection: the task of the last exchange would stay in memory for it.
    pub(super) fn is_free(&mut self) -> bool {
        self.poll(&mut Context::from_waker(Waker::noop()));
        self.codec.is_some() && self.sender.is_ready() && self.wire.takes()
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        if self.codec.as_mut().is_some_and(|codec| codec.poll_without_shutdown(cx).is_ready()) {
            // A request that it has not begun is given back only by its end.
            self.codec = None;
        }
    }
}
