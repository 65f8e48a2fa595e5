//! What became of an attempt, and what follows from it.
//!
//! Owns the classes of errors that people see, how far a request came, and the rules by status and profile. What may be
//! tried again follows from how far it came and never from the error's class. Pure.

use super::Profile;
use serde::{Deserialize, Serialize};

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
    /// Finding the host's addresses, and judging them.
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

/// An attempt's end, as the engine needs it.
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

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Delivered.
    Done,
    /// Try again, one attempt used.
    Again,
    /// Try again later, no attempt used: the receiver is busy, not broken.
    Later,
    /// Try halves of the batch.
    Halve,
    /// Never try again.
    GiveUp,
    /// The receiver is gone for good.
    Gone,
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
        Self { class, sent: Sent::Answered, status: Some(status), pause_ms: pause_ms.map(|ms| ms.min(MAX_PAUSE_MS)) }
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

    /// Whether the fault lies with the endpoint as a whole and not with this delivery.
    pub fn blames_endpoint(&self) -> bool {
        match self.class {
            Class::Delivered | Class::Render | Class::Expired | Class::Skipped | Class::Internal => false,
            _ => !matches!(self.status, Some(400 | 413 | 422)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_by_status_and_profile() {
        let verdict = |status, pause, profile, events| Outcome::answered(status, pause).verdict(profile, events, true);
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
            assert_eq!(Outcome::answered(status, None).verdict(Profile::Slack, 1, false), Verdict::Again, "an answer");
        }
    }
}
