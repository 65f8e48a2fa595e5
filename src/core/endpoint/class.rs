//! What became of an attempt, and what follows from it.
//!
//! Owns the classes of errors that people see, and the rules by status and profile. Pure.

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
    /// No whole answer in time: it may have been taken.
    Timeout,
    /// The connection ended before the answer.
    Closed,
    /// The answer was no HTTP.
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

/// An attempt's end, as the engine needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub class: Class,
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
    /// An outcome without an answer.
    pub fn failed(class: Class) -> Self {
        Self { class, status: None, pause_ms: None }
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
        Self { class, status: Some(status), pause_ms: pause_ms.map(|ms| ms.min(MAX_PAUSE_MS)) }
    }

    /// What follows for a delivery of `events` events.
    pub fn verdict(&self, profile: Profile, events: usize, on_timeout: bool) -> Verdict {
        match (self.class, self.status) {
            (Class::Delivered, _) => Verdict::Done,
            (_, Some(410)) => Verdict::Gone,
            (_, Some(404)) if profile.is_chat() => Verdict::Gone,
            (_, Some(400 | 413 | 422)) if events > 1 => Verdict::Halve,
            (Class::Render | Class::Expired, _) if events > 1 => Verdict::Halve,
            (Class::Throttled, _) => Verdict::Later,
            (Class::Timeout, _) if !on_timeout => Verdict::GiveUp,
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
        assert_eq!(Outcome::failed(Class::Timeout).verdict(Profile::Discord, 1, false), Verdict::GiveUp);
        assert_eq!(Outcome::failed(Class::Timeout).verdict(Profile::Discord, 1, true), Verdict::Again);
    }
}
