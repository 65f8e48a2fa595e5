//! Why a request has no answer: one class and one sentence, out of all that awc may say.

use std::io;

use actix_http::error::ParseError;
use awc::error::{ConnectError, SendRequestError};

use crate::{
    core::endpoint::class::Class,
    delivery::webhook::dial::{Stage, Trip},
};

/// A request without an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", .class.name())]
pub struct Failure {
    /// Which kind: [`Class::Dns`] to [`Class::Protocol`]. After `Timeout`, `Closed` and `Protocol` the receiver may have
    /// taken the request.
    pub class: Class,
    /// What happened, in words.
    pub message: String,
    /// After how many milliseconds.
    pub ms: u32,
}

/// Class and words, before the time is known.
pub(super) type Cause = (Class, String);

/// The deadline passed at this stage.
pub(super) fn timed_out(stage: Stage) -> Cause {
    let during = match stage {
        Stage::Resolve => "the name was not resolved",
        Stage::Connect => "no connection came about",
        Stage::Handshake => "the TLS handshake did not end",
        Stage::Answer => "no answer came",
        Stage::Body => "the answer's body did not end",
    };
    (Class::Timeout, format!("{during} within the time limit"))
}

/// Why nothing, or nothing sensible, came back.
pub(super) fn not_sent(error: SendRequestError, trip: &Trip) -> Cause {
    if let Some(cause) = trip.failure.borrow_mut().take() {
        return cause;
    }
    match error {
        SendRequestError::Connect(ConnectError::Disconnected) => closed("the connection was closed without an answer"),
        SendRequestError::Send(error) | SendRequestError::Response(ParseError::Io(error)) => broken(&error),
        SendRequestError::Response(ParseError::Incomplete) => closed("the answer's head was cut off"),
        SendRequestError::Response(error) => (Class::Protocol, format!("the answer is not HTTP: {error}")),
        error => (Class::Protocol, error.to_string()),
    }
}

/// Whether a kept connection turned out to have ended: nothing came back on it, and nothing was wrong with the request.
///
/// awc looks at a kept connection before it uses it, so only an end that crosses the request gets here. It says so
/// with `Disconnected` (the end came in order) or an I/O error of the parser (reset). The wire never fails to write.
pub(super) fn was_stale(error: &SendRequestError, trip: &Trip) -> bool {
    let ended = matches!(
        error,
        SendRequestError::Connect(ConnectError::Disconnected) | SendRequestError::Response(ParseError::Io(_))
    );
    ended && !trip.dialled.get() && trip.heard.borrow().is_none()
}

fn closed(what: &str) -> Cause {
    (Class::Closed, what.to_owned())
}

fn broken(error: &io::Error) -> Cause {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => closed("the connection was reset"),
        // What a reader of frames says when the end comes in the middle of one.
        io::ErrorKind::UnexpectedEof | io::ErrorKind::Other => closed("the connection was closed within the answer"),
        io::ErrorKind::InvalidData => (Class::Tls, format!("TLS broke: {error}")),
        _ => closed(&format!("the connection broke: {error}")),
    }
}
