//! The outcome of an attempt, and the verdict on the delivery that follows from it.
//!
//! This file has the classes of errors that people see, how much of a request was sent, and the rules by
//! status and profile. No other file makes a [`Verdict`] of them. Whether a request without an answer is
//! tried again depends on how much of it was sent, not on the class of its error.

use super::Profile;
use crate::core::consumer::progress::{KEPT_ERROR, clipped};
use crate::core::consumer::shares::Speed;
use crate::core::consumer::verdict::{Blame, Completion, Verdict};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest pause that a receiver may ask for, milliseconds: one day.
const MAX_PAUSE_MS: u64 = 86_400_000;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Class {
    /// The receiver answered 2xx.
    Delivered,
    /// The name could not be resolved.
    Dns,
    /// The address policy forbids the address.
    Blocked,
    /// No connection could be opened.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The deadline passed, at any stage.
    Timeout,
    /// The connection ended before the answer.
    Closed,
    /// The receiver sent something that is not a valid HTTP answer.
    Protocol,
    /// An answer that is not 2xx.
    Status,
    /// A redirect, which is never followed.
    Redirect,
    /// 429, or 503 with `Retry-After`.
    Throttled,
    /// The request's body could not be made: its template failed, or it is too large.
    Render,
    /// The AWS Lambda function ran and failed.
    Function,
    /// Retention removed the event before it could be delivered.
    Expired,
    /// The event was given up on request.
    Skipped,
    /// The event was given up because too many events of the webhook waited to be tried again.
    Overflow,
    /// The server failed.
    Internal,
    /// A reader refused the event.
    Refused,
    /// No reader acknowledged the event in time.
    Unacknowledged,
}

impl Class {
    /// All classes, in the order of their numbers.
    pub const ALL: [Self; 19] = [
        Self::Delivered,
        Self::Dns,
        Self::Blocked,
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::Closed,
        Self::Protocol,
        Self::Status,
        Self::Redirect,
        Self::Throttled,
        Self::Render,
        Self::Function,
        Self::Expired,
        Self::Skipped,
        Self::Overflow,
        Self::Internal,
        Self::Refused,
        Self::Unacknowledged,
    ];

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
            Self::Refused => "refused",
            Self::Unacknowledged => "unacknowledged",
        }
    }
}

/// How much of an attempt's request was sent, and so whether the receiver can have taken it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Sent {
    /// Nothing was handed to a connection: the receiver has not taken it.
    Nothing,
    /// Something was handed to a connection, and no answer came: the receiver may have taken it.
    Maybe,
    /// The receiver answered.
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
    /// Resolving the host's name, and checking the addresses.
    Dns,
    /// Opening a TCP connection.
    Connect,
    /// The TLS handshake.
    Tls,
    /// Writing the request.
    Write,
    /// Waiting for the first byte of the answer, after the request was written.
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

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The class of the error, or [`Class::Delivered`].
    pub class: Class,
    /// Whether the receiver can have taken the request.
    pub sent: Sent,
    /// The answer's status.
    pub status: Option<u16>,
    /// The pause that the receiver asked for, milliseconds. An answer 2xx has one too if the receiver's
    /// allowance is used up.
    pub pause_ms: Option<u64>,
}

/// Why an event was given up, as its dead letter keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// How the last attempt ended.
    pub class: Class,
    /// The last answer's status.
    pub status: Option<u16>,
    /// The error as a text.
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

    /// The outcome of an answer with that status. The pause is limited to one day.
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

    /// The verdict on a delivery of `events` events. `ambiguous` says whether a request is sent again that
    /// the receiver may have taken.
    pub fn verdict(&self, profile: Profile, events: usize, ambiguous: bool) -> Verdict {
        match (self.class, self.status) {
            (Class::Delivered, _) => Verdict::Done,
            (_, Some(410)) => Verdict::Gone,
            (_, Some(404)) if profile.is_chat() => Verdict::Gone,
            (_, Some(400 | 413 | 422)) if events > 1 => Verdict::Halve,
            (Class::Render | Class::Expired, _) if events > 1 => Verdict::Halve,
            (Class::Throttled, _) => Verdict::Later,
            _ if self.sent == Sent::Maybe && !ambiguous => Verdict::GiveUp,
            // Another attempt would end in the same way.
            (Class::Render | Class::Expired | Class::Skipped, _) => Verdict::GiveUp,
            _ => Verdict::Again,
        }
    }

    /// Whose fault the outcome is: the receiver's, the delivery's or nobody's.
    pub fn blame(&self) -> Blame {
        match (self.class, self.status) {
            (Class::Delivered | Class::Expired, _) => Blame::Nobody,
            (Class::Render | Class::Skipped | Class::Internal, _) | (_, Some(400 | 413 | 422)) => {
                Blame::Delivery
            }
            _ => Blame::Receiver,
        }
    }

    /// What the attempt shows of the receiver's speed; `None` if only the delivery is to blame, or nobody.
    /// `was_slow` says that it took long.
    pub fn speed(&self, was_slow: bool) -> Option<Speed> {
        match (self.class, self.blame()) {
            _ if was_slow => Some(Speed::Slow),
            (Class::Delivered, _) => Some(Speed::Quick),
            (_, Blame::Receiver) => Some(Speed::Slow),
            (_, Blame::Delivery | Blame::Nobody) => None,
        }
    }

    /// The completion of a delivery of `events` events, for the engine. [`Outcome::verdict`] describes
    /// `ambiguous`.
    pub fn completion(&self, profile: Profile, events: usize, ambiguous: bool) -> Completion {
        let verdict = self.verdict(profile, events, ambiguous);
        Completion { verdict, blame: self.blame(), pause_ms: self.pause_ms }
    }

    /// The cause that a dead letter keeps. `error` is the error as a text; it is cut to [`KEPT_ERROR`] bytes.
    pub fn cause(&self, error: &str) -> Cause {
        Cause { class: self.class, status: self.status, error: clipped(error, KEPT_ERROR).to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_stands_at_its_number() {
        let numbers: Vec<usize> = Class::ALL.iter().map(|class| *class as usize).collect();
        assert_eq!(numbers, (0..Class::ALL.len()).collect::<Vec<_>>());
        assert_eq!(Class::ALL.last(), Some(&Class::Unacknowledged), "the last one of the type");
    }

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

    /// A request that was not sent is tried again, whatever the class of its error. For one that the receiver
    /// may have taken, the webhook's setting decides.
    #[test]
    fn what_was_sent_decides_about_another_attempt_and_not_the_class() {
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

    #[test]
    fn blame_by_class_and_status() {
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
    fn an_attempt_shows_how_fast_the_receiver_is() {
        let answered = |status| Outcome::answered(status, None);
        for (outcome, was_slow, expected) in [
            (answered(200), false, Some(Speed::Quick)),
            (answered(200), true, Some(Speed::Slow)),
            (answered(500), false, Some(Speed::Slow)),
            (answered(429), false, Some(Speed::Slow)),
            (answered(400), false, None),
            (answered(400), true, Some(Speed::Slow)),
            (Outcome::ambiguous(Class::Timeout), false, Some(Speed::Slow)),
            (Outcome::failed(Class::Connect), false, Some(Speed::Slow)),
            (Outcome::failed(Class::Render), false, None),
            (Outcome::failed(Class::Expired), false, None),
        ] {
            assert_eq!(outcome.speed(was_slow), expected, "{outcome:?}");
        }
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
