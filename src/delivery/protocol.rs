//! The interface between a client protocol over WebSocket and the session that carries it.
//!
//! The session handles the transport (ping, fragments, sizes, idleness). A protocol handles the meaning of
//! whole messages, and of the notes in the session's mailbox. They are handled one after another: while one
//! awaits something, the next one waits.

use super::close::End;
use super::mailbox::Mailbox;
use super::subscriber::Subscriber;
use bytes::Bytes;
use bytestring::ByteString;
use futures_util::future::LocalBoxFuture;
use std::rc::Rc;
use std::time::Duration;

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

    /// What other threads tell the session through its mailbox. `Infallible` for a protocol without one.
    type Note: Send + 'static;

    /// Whether a session that has no subscription for long ends.
    const NEEDS_SUBSCRIPTION: bool = true;

    /// The session begins. What this sends is the first that the client gets.
    fn opened(&mut self, _link: &mut dyn Link) {}

    /// Handles a message. A protocol without binary messages ends the session with 1003 when one arrives.
    fn message(&mut self, message: Incoming, link: &mut dyn Link) -> Next<Self>;

    /// The subscriptions of the session.
    fn subscriber(&self) -> &Rc<Subscriber>;

    /// The session's mailbox. A protocol that has one gives out clones of it.
    fn mailbox(&self) -> Option<&Mailbox<Self::Note>> {
        None
    }

    /// Handles a note from the mailbox. What it sends comes before any event that was not handed over yet.
    fn delivered(&mut self, _note: Self::Note, _link: &mut dyn Link) -> Next<Self> {
        Next::Done
    }

    /// How long a client may be silent before it is sent the text of [`Protocol::idle`]. If it stays silent
    /// for [`IDLE_ANSWER`](super::IDLE_ANSWER) more, its session ends with [`End::Idle`]. With `None` the
    /// node's setting for silent sockets applies.
    fn idle_after(&self) -> Option<Duration> {
        None
    }

    /// The protocol's own ping, which a live client answers.
    fn idle(&mut self) -> Option<String> {
        None
    }

    /// The close code and the reason with which the server ends a session.
    fn close_code(end: End) -> (u16, &'static str) {
        (end.code(), end.reason())
    }
}
