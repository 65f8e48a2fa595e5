//! The interface between a client protocol over WebSocket and the session that carries it.
//!
//! The session handles the transport (ping, fragments, sizes, idleness). A protocol handles the meaning of
//! whole messages. Messages are handled one after another: while one awaits something, the next one waits.

use super::subscriber::Subscriber;
use bytes::Bytes;
use bytestring::ByteString;
use futures_util::future::LocalBoxFuture;
use std::rc::Rc;

/// A whole message of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// Text.
    Text(ByteString),
    /// Binary.
    Binary(Bytes),
}

/// Sends a protocol's answers to the client.
pub trait Link {
    /// Sends a text message, before any event of a subscription that is opened afterwards.
    fn text(&mut self, text: String);

    /// Sends a binary message, in order with the texts.
    fn binary(&mut self, bytes: Bytes);
}

/// What the session does after a message.
pub enum Next<P: ?Sized> {
    /// It takes the next message.
    Done,
    /// It awaits this first.
    Await(LocalBoxFuture<'static, Resume<P>>),
    /// It ends, with this close code and reason.
    Close(u16, &'static str),
}

/// Continues with the result of what was awaited.
pub type Resume<P> = Box<dyn FnOnce(&mut P, &mut dyn Link)>;

/// A client protocol's side of a session.
pub trait Protocol: Unpin + 'static {
    /// The name of the protocol in metrics.
    const NAME: &'static str;

    /// Handles a message. A protocol without binary messages ends the session with 1003 when one arrives.
    fn message(&mut self, message: Incoming, link: &mut dyn Link) -> Next<Self>;

    /// The subscriptions of the session.
    fn subscriber(&self) -> &Rc<Subscriber>;
}
