//! The body that writes to a client: first the session's own messages, then events, and last the farewell.

use super::agent::agent_of;
use super::dispatcher::Dispatcher;
use super::doorbell::Doorbell;
use super::socket::Connection;
use super::subscriber::{Direct, Subscriber};
use super::tally::Tally;
use super::watchdog::Liveness;
use super::write_side::WriteSide;
use actix_web::HttpRequest;
use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use futures_util::Stream;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// The session's own messages: replies, control frames, keep-alives. The body sends them before any event.
/// When this stream ends, the session ends.
pub(super) type Words = Pin<Box<dyn Stream<Item = Bytes>>>;

/// Everything that one session writes. It is dropped with the connection, and that ends the session.
pub struct OutboundBody {
    dispatcher: Rc<Dispatcher>,
    subscriber: Rc<Subscriber>,
    watched: usize,
    words: Option<Words>,
    doorbell: Doorbell,
    ended: bool,
    tally: Rc<Tally>,
    connections: metrics::Gauge,
}

impl OutboundBody {
    /// A body for the session of `subscriber`, which answers `request`. The dispatcher watches the session from
    /// now on until the body is dropped.
    pub fn new(
        dispatcher: &Rc<Dispatcher>,
        subscriber: Rc<Subscriber>,
        request: &HttpRequest,
        words: Words,
        protocol: &'static str,
        must_speak: bool,
    ) -> Self {
        let connections = metrics::gauge!(crate::metric::CONNECTIONS, "protocol" => protocol);
        connections.increment(1.0);
        let liveness = if must_speak { Liveness::ReadAndSpeak } else { Liveness::Read };
        let way = request.conn_data::<Connection>().copied().into();
        let name = (protocol, agent_of(request.headers()));
        Self {
            watched: dispatcher.watch(subscriber.clone(), way, liveness, name),
            dispatcher: dispatcher.clone(),
            subscriber,
            words: Some(words),
            doorbell: Doorbell::new(),
            ended: false,
            tally: dispatcher.tally(protocol),
            connections,
        }
    }

    /// Lets the dispatcher write events to the client's socket, in turns with the task that polls the body.
    pub(super) fn share(&self, write_side: Rc<WriteSide>) {
        let direct = Direct::new(write_side, self.doorbell.bell(), self.tally.clone());
        self.subscriber.set_direct(direct);
    }

    fn end(&mut self) {
        self.ended = true;
        self.words = None;
        self.dispatcher.rest(self.watched);
    }

    fn farewell(&mut self, end: super::End) -> Poll<Option<Result<Bytes, Infallible>>> {
        self.subscriber.finish(end);
        self.end();
        let last = self.subscriber.last_words(end);
        Poll::Ready(if last.is_empty() { None } else { Some(Ok(last)) })
    }
}

impl MessageBody for OutboundBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        if let Some(end) = this.subscriber.ending() {
            return this.farewell(end);
        }
        let Some(words) = &mut this.words else { return Poll::Ready(None) };
        let doorbell = &this.doorbell;
        let said = this.subscriber.in_its_task(|| doorbell.answer(cx, |cx| words.as_mut().poll_next(cx)));
        match said {
            Poll::Ready(Some(bytes)) => {
                this.subscriber.handed_over();
                return Poll::Ready(Some(Ok(bytes)));
            }
            Poll::Ready(None) => {
                this.end();
                return Poll::Ready(None);
            }
            Poll::Pending => {}
        }
        // The session may have ended itself.
        if let Some(end) = this.subscriber.ending() {
            return this.farewell(end);
        }
        match this.subscriber.poll_frames(cx) {
            Poll::Ready(Ok(bytes)) => {
                this.tally.count(bytes.len());
                Poll::Ready(Some(Ok(bytes)))
            }
            Poll::Ready(Err(end)) => this.farewell(end),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for OutboundBody {
    fn drop(&mut self) {
        // The session's actor may hold the subscriber a little longer. Its subscriptions end with the
        // connection.
        self.words = None;
        self.subscriber.clear();
        self.dispatcher.unwatch(self.watched);
        self.connections.decrement(1.0);
    }
}
