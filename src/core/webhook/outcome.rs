//! What became of an attempt, and which verdict on the delivery follows from it.
//!
//! Owns the classes of errors that people see, how far a request came, and the rules by status and profile: no other file
//! makes a [`Verdict`] of them. What may be tried again follows from how far it came and never from the error's class.
//! Pure.

use super::Profile;
use crate::core::consumer::progress::{KEPT_ERROR, clipped};
use crate::core::consumer::verdict::{Blame, Completion, Verdict};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest pause that a receiver may ask for, milliseconds: one day.
const MAX_PAUSE_MS: u64 = 86_400_000;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Class {
    /// Answered 2xx.
    Delivered,
    /// The name could not be resolved.
    Dns,
    /// The address is one that nobody may reach from here.
    Blocked,
    /// No connection.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The deadline passed, at whatever stage.
    Timeout,
    /// The connection ended before the answer.
    Closed,
    /// What came back was no HTTP, or no answer.
    Protocol,
    /// An answer that is not 2xx.
    Status,
    /// A redirect, which is never followed.
    Redirect,
    /// 429, or 503 with `Retry-After`.
    Throttled,
    /// The body could not be made: a template's fault, or too large.
    Render,
    /// The function ran and failed.
    Function,
    /// The event was removed by retention before it could be delivered.
    Expired,
    /// Given up on request.
    Skipped,
    /// Given up so that others can wait: too many did.
    Overflow,
    /// Our own fault.
    Internal,
}

impl Class {
    /// The name, as in answers, logs and labels of metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Dns => "dns",
            Self::Blocked => "blocked",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Protocol => "protocol",
            Self::Status => "status",
            Self::Redirect => "redirect",
            Self::Throttled => "throttled",
            Self::Render => "render",
            Self::Function => "function",
            Self::Expired => "expired",
            Self::Skipped => "skipped",
            Self::Overflow => "overflow",
            Self::Internal => "internal",
        }
    }
}

/// Whether the receiver can have taken the request of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Sent {
    /// No: nothing of the request was handed to a connection.
    Nothing,
    /// Perhaps: something of it was handed to a connection, and no answer came back.
    Maybe,
    /// An answer came back.
    Answered,
}

impl Sent {
    /// The name, as in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Maybe => "maybe",
            Self::Answered => "answered",
        }
    }
}

/// The stages of a request, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stage {
    /// Finding the host's addresses, and checking them.
    Dns,
    /// Opening a TCP connection.
    Connect,
    /// The TLS handshake.
    Tls,
    /// Writing the request.
    Write,
    /// The request was written; waiting for the first byte of an answer.
    Wait,
    /// Reading the answer's head.
    Head,
    /// Reading the answer's body.
    Body,
}

impl Stage {
    /// The name, as in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Write => "write",
            Self::Wait => "wait",
            Self::Head => "head",
            Self::Body => "body",
        }
    }
}

/// An attempt's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub class: Class,
    /// Whether the receiver can have taken it.
    pub sent: Sent,
    /// The answer's status.
    pub status: Option<u16>,
    /// The receiver asked for a pause, milliseconds; without an error too, where its allowance is used up.
    pub pause_ms: Option<u64>,
}

/// What is kept of a failure with what was given up for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// How the last attempt ended.
    pub class: Class,
    /// The last answer's status.
    pub status: Option<u16>,
    /// In words.
    pub error: String,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)
    }
}

impl Outcome {
    /// A failure before anything was sent.
    pub fn failed(class: Class) -> Self {
        Self { class, sent: Sent::Nothing, status: None, pause_ms: None }
    }

    /// A failure after something was sent, without an answer.
    pub fn ambiguous(class: Class) -> Self {
        Self { class, sent: Sent::Maybe, status: None, pause_ms: None }
    }

    /// An answer's outcome.
    pub fn answered(status: u16, pause_ms: Option<u64>) -> Self {
        let class = match status {
            200..=299 => Class::Delivered,
            300..=399 => Class::Redirect,
            429 => Class::Throttled,
            503 if pause_ms.is_some() => Class::Throttled,
            _ => Class::Status,
        };
        Self {
            class,
            sent: Sent::Answered,
            status: Some(status),
            pause_ms: pause_ms.map(|ms| ms.min(MAX_PAUSE_MS)),
        }
    }

    /// What follows for a delivery of `events` events. `ambiguous` says whether one that may have been taken is repeated.
    pub fn verdict(&self, profile: Profile, events: usize, ambiguous: bool) -> Verdict {
        match (self.class, self.status) {
            (Class::Delivered, _) => Verdict::Done,
            (_, Some(410)) => Verdict::Gone,
            (_, Some(404)) if profile.is_chat() => Verdict::Gone,
            (_, Some(400 | 413 | 422)) if events > 1 => Verdict::Halve,
            (Class::Render | Class::Expired, _) if events > 1 => Verdict::Halve,
            (Class::Throttled, _) => Verdict::Later,
            _ if self.sent == Sent::Maybe && !ambiguous => Verdict::GiveUp,
            // The same body would come of it again.
            (Class::Render | Class::Expired | Class::Skipped, _) => Verdict::GiveUp,
            _ => Verdict::Again,
        }
    }

    /// Whose fault it is.
    pub fn blame(&self) -> Blame {
        match (self.class, self.status) {
            (Class::Delivered | Class::Expired, _) => Blame::Nobody,
            (Class::Render | Class::Skipped | Class::Internal, _) | (_, Some(400 | 413 | 422)) => {
                Blame::Delivery
            }
            _ => Blame::Receiver,
        }
    }

    /// The end of a delivery of `events` events, as the engine takes it; see [`Outcome::verdict`].
    pub fn completion(&self, profile: Profile, events: usize, ambiguous: bool) -> Completion {
        let verdict = self.verdict(profile, events, ambiguous);
        Completion { verdict, blame: self.blame(), pause_ms: self.pause_ms }
    }

    /// What is kept of it. `error` says in words what went wrong.
    pub fn cause(&self, error: &str) -> Cause {
        Cause { class: self.class, status: self.status, error: clipped(error, KEPT_ERROR).to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_by_status_and_profile() {
        let verdict =
            |status, pause, profile, events| Outcome::answered(status, pause).verdict(profile, events, true);
        let table = [
            (204, None, Profile::Standard, 1, Verdict::Done),
            (302, None, Profile::Standard, 1, Verdict::Again),
            (400, None, Profile::Standard, 1, Verdict::Again),
            (400, None, Profile::Standard, 2, Verdict::Halve),
            (413, None, Profile::Pusher, 8, Verdict::Halve),
            (404, None, Profile::Wanderer, 1, Verdict::Again),
            (404, None, Profile::Discord, 1, Verdict::Gone),
            (404, None, Profile::Slack, 1, Verdict::Gone),
            (410, None, Profile::Wanderer, 1, Verdict::Gone),
            (429, None, Profile::Wanderer, 1, Verdict::Later),
            (429, Some(100), Profile::Wanderer, 1, Verdict::Later),
            (503, Some(100), Profile::Wanderer, 1, Verdict::Later),
            (503, None, Profile::Wanderer, 1, Verdict::Again),
        ];
        for (status, pause, profile, events, expected) in table {
            assert_eq!(verdict(status, pause, profile, events), expected, "{status} {profile:?}");
        }
    }

    /// Whatever ended it: what was not sent is tried again, and the webhook says what becomes of what may have been taken.
    #[test]
    fn how_far_it_came_decides_and_not_the_class() {
        let classes = [Class::Dns, Class::Blocked, Class::Connect, Class::Tls, Class::Timeout, Class::Closed];
        for class in classes.into_iter().chain([Class::Protocol, Class::Internal]) {
            for profile in [Profile::Discord, Profile::Slack, Profile::Standard, Profile::Pusher] {
                for (events, ambiguous) in [(1, false), (1, true), (7, false), (7, true)] {
                    let unsent = Outcome::failed(class).verdict(profile, events, ambiguous);
                    assert_eq!(unsent, Verdict::Again, "{class:?}");
                    let sent = Outcome::ambiguous(class).verdict(profile, events, ambiguous);
                    let expected = if ambiguous { Verdict::Again } else { Verdict::GiveUp };
                    assert_eq!(sent, expected, "{class:?}");
                }
            }
        }
        for status in [500, 502, 503, 504, 408] {
            assert_eq!(
                Outcome::answered(status, None).verdict(Profile::Slack, 1, false),
                Verdict::Again,
                "an answer"
            );
        }
    }

    /// What the engine is told, for every class and some statuses.
    #[test]
    fn whose_fault_it_is() {
        let fails = |class| Outcome::failed(class).blame();
        for class in [Class::Dns, Class::Blocked, Class::Connect, Class::Tls, Class::Timeout, Class::Closed] {
            assert_eq!((fails(class), Outcome::ambiguous(class).blame()), (Blame::Receiver, Blame::Receiver));
        }
        assert_eq!([Class::Protocol, Class::Function].map(fails), [Blame::Receiver; 2]);
        assert_eq!([Class::Render, Class::Internal].map(fails), [Blame::Delivery; 2]);
        assert_eq!(fails(Class::Expired), Blame::Nobody, "there was nothing to send");
        let answered = |status| Outcome::answered(status, None).blame();
        assert_eq!([400, 413, 422].map(answered), [Blame::Delivery; 3]);
        assert_eq!([302, 401, 404, 410, 429, 500, 503].map(answered), [Blame::Receiver; 7]);
        assert_eq!(answered(204), Blame::Nobody);
    }

    #[test]
    fn a_completion_has_the_pause_that_was_asked_for() {
        let busy = Outcome::answered(429, Some(1500)).completion(Profile::Standard, 3, false);
        assert_eq!(
            busy,
            Completion { verdict: Verdict::Later, blame: Blame::Receiver, pause_ms: Some(1500) }
        );
        let taken = Outcome::answered(200, Some(100)).completion(Profile::Standard, 1, true);
        assert_eq!(taken, Completion { pause_ms: Some(100), ..Completion::DONE }, "its allowance is used up");
        let gone = Outcome::failed(Class::Expired);
        assert_eq!(gone.completion(Profile::Slack, 2, false).verdict, Verdict::Halve);
        assert_eq!(gone.completion(Profile::Slack, 1, true).verdict, Verdict::GiveUp);
        let cause = Outcome::answered(500, None).cause(&"é".repeat(400));
        assert_eq!((cause.class, cause.status, cause.error.len()), (Class::Status, Some(500), KEPT_ERROR));
    }
}
