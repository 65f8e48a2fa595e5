//! Why a request has no answer: its class, a sentence, how far it came, and whether the receiver may have
//! taken it.

use std::{error::Error, io};

use crate::{
    core::webhook::outcome::{Class, Sent, Stage},
    delivery::webhook::dial::Trip,
};

/// A request without an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", .class.name())]
pub struct Failure {
    /// The class: [`Class::Dns`] to [`Class::Protocol`].
    pub class: Class,
    /// Whether the receiver may have taken the request; never [`Sent::Answered`].
    pub sent: Sent,
    /// The stage at which it ended; `None` if it never began.
    pub stage: Option<Stage>,
    /// The description.
    pub message: String,
    /// The milliseconds from the beginning to the failure.
    pub ms: u32,
}

impl Failure {
    /// The failure of a request that could not be made.
    pub fn unsent(class: Class, message: String) -> Self {
        Self { class, sent: Sent::Nothing, stage: None, message, ms: 0 }
    }

    pub(super) fn of((class, message): Cause, trip: &Trip, ms: u32) -> Self {
        let sent = if trip.sent.get() { Sent::Maybe } else { Sent::Nothing };
        Self { class, sent, stage: Some(trip.stage.get()), message, ms }
    }
}

/// The class and the description of a failure, before its time is known.
pub(super) type Cause = (Class, String);

/// The cause when the deadline passed at this stage.
pub(super) fn timed_out(stage: Stage) -> Cause {
    let during = match stage {
        Stage::Dns => "the name was not resolved",
        Stage::Connect => "no connection was made",
        Stage::Tls => "the TLS handshake did not end",
        Stage::Write => "the receiver did not read the request",
        Stage::Wait => "no answer came",
        Stage::Head => "the answer's head did not end",
        Stage::Body => "the answer's body did not end",
    };
    (Class::Timeout, format!("{during} within the time limit"))
}

/// The cause when no valid answer came back.
pub(super) fn no_answer(error: &hyper::Error, trip: &Trip) -> Cause {
    if let Some(error) = source::<io::Error>(error) {
        return broken(error);
    }
    if error.is_parse() {
        return (Class::Protocol, format!("the answer is not HTTP: {}", innermost(error)));
    }
    if error.is_incomplete_message() {
        let cut_off = trip.heard.get() > 0;
        return closed(if cut_off {
            "the answer was cut off"
        } else {
            "the connection was closed without an answer"
        });
    }
    if error.is_canceled() && !trip.sent.get() {
        // Bytes before a request are an error of the codec; the mere end of the connection is not.
        return match source::<hyper::Error>(error) {
            Some(_) => (Class::Protocol, "the receiver sent bytes before the request was sent".to_owned()),
            None => closed("the connection was closed before the request was sent"),
        };
    }
    closed(&format!("the connection broke: {}", innermost(error)))
}

fn source<E: Error + 'static>(error: &hyper::Error) -> Option<&E> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn innermost(error: &hyper::Error) -> &(dyn Error + 'static) {
    let mut last: &(dyn Error + 'static) = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last
}

fn closed(what: &str) -> Cause {
    (Class::Closed, what.to_owned())
}

fn broken(error: &io::Error) -> Cause {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => closed("the connection was reset"),
        // A reader of frames reports these if the connection ends in the middle of a frame.
        io::ErrorKind::UnexpectedEof | io::ErrorKind::Other => {
            closed("the connection was closed within the answer")
        }
        io::ErrorKind::InvalidData if is_of_tls(error) => (Class::Tls, format!("TLS broke: {error}")),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::FileTooLarge => {
            (Class::Protocol, format!("the answer is not HTTP: {error}"))
        }
        _ => closed(&format!("the connection broke: {error}")),
    }
}

fn is_of_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<tokio_rustls::rustls::Error>())
}
