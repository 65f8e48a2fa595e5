//! What a client protocol over WebSocket is to the session that carries it.
//!
//! The session owns transport concerns (ping, fragments, sizes, idleness); a protocol owns the meaning of whole
//! messages. Messages are handled one after another: while one awaits something, the next waits.

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

/// Where a protocol's answers go.
pub trait Link {
    /// Sends a text message, before any event that is subscribed afterwards.
    fn text(&mut self, text: String);

    /// Sends a binary message, in the order of the texts.
    fn binary(&mut self, bytes: Bytes);
}

/// What happens after a message.
pub enum Next<P: ?Sized> {
    /// The next message may come.
    Done,
    /// Something must be awaited first.
    Await(LocalBoxFuture<'static, Resume<P>>),
    /// The client's message ends the session, for this reason.
    Close(u16, &'static str),
}

/// Goes on with what was awaited.
pub type Resume<P> = Box<dyn FnOnce(&mut P, &mut dyn Link)>;

/// A client protocol's side of a session.
pub trait Protocol: Unpin + 'static {
    /// For metrics.
    const NAME: &'static str;

    /// A message came. A protocol that knows no binary messages ends the session at one, with 1003.
    fn message(&mut self, message: Incoming, link: &mut dyn Link) -> Next<Self>;

    /// What the session is to be sent.
    fn subscriber(&self) -> &Rc<Subscriber>;
}
