//! The replicated records of a webhook's deliveries: attempts, and why events were given up. They have what
//! only deliveries by request have, such as a status and a stage.

use super::outcome::{Cause, Class, Sent, Stage};
use crate::core::consumer::progress::{self, KEPT_ERROR, Progress, Reason, clipped};
use crate::core::ids::NodeId;
use serde::{Deserialize, Serialize};

/// The progress of its webhooks that an owner reports to the cluster.
pub type ProgressReport = progress::ProgressReport<Attempt, Cause>;
/// The progress of one webhook.
pub type Update = progress::Update<Attempt, Cause>;
/// An event that was given up.
pub type DeadLetter = progress::DeadLetter<Cause>;
/// A change of the dead letters.
pub type DeadLetterChange = progress::DeadLetterChange<Cause>;

impl DeadLetter {
    /// How the last attempt ended, or why there was none.
    pub fn class(&self) -> Class {
        match &self.reason {
            Reason::Failed(cause) => cause.class,
            Reason::Skipped => Class::Skipped,
            Reason::Overflow => Class::Overflow,
        }
    }

    /// The last answer's status.
    pub fn status(&self) -> Option<u16> {
        match &self.reason {
            Reason::Failed(cause) => cause.status,
            Reason::Skipped | Reason::Overflow => None,
        }
    }

    /// Why it was given up, as a text.
    pub fn error(&self) -> &str {
        match &self.reason {
            Reason::Failed(cause) => &cause.error,
            Reason::Skipped => "skipped on request",
            Reason::Overflow => "too many events of the webhook wait to be tried again",
        }
    }
}

/// A webhook fails if attempts were made and none succeeded for so long, whatever the receiver answered.
pub(super) const FAILING_MS: u64 = 300_000;

/// Whether a webhook fails, by its progress alone: the last attempt failed by the fault of the receiver, or none has
/// succeeded for minutes. One event that can't be delivered doesn't make a webhook bad. `now_ms` is by the clock of
/// the progress.
pub fn is_failing(progress: &Progress, now_ms: u64) -> bool {
    let failing_ms = progress.failing_since_ms.map_or(0, |since| now_ms.saturating_sub(since));
    progress.failures > 0 || failing_ms > FAILING_MS
}

/// Attempts that are remembered of a webhook.
pub const KEPT_ATTEMPTS: usize = 20;
/// Bytes of an answer's body that are remembered with an attempt.
pub const KEPT_ANSWER: usize = 512;
/// Longest type or id that is remembered with an attempt, bytes.
const KEPT_NAME: usize = 256;

/// One attempt, as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Counts the webhook's attempts; 0 for a test.
    pub number: u64,
    /// The position of its first event; `None` for a test.
    pub seq: Option<u64>,
    /// The message's id, as in `webhook-id`.
    pub message_id: String,
    /// Number of events in it.
    pub events: u32,
    /// The type of its first event.
    pub kind: String,
    /// The number of the attempt in this delivery, from 1.
    pub attempt: u32,
    /// When it began, Unix milliseconds.
    pub at_ms: u64,
    /// How long it took, milliseconds.
    pub took_ms: u32,
    /// How it ended.
    pub class: Class,
    /// Whether the receiver can have taken the request.
    pub sent: Sent,
    /// The stage at which it ended. `None` if it never began, or if the whole answer was read.
    pub stage: Option<Stage>,
    /// The answer's status.
    pub status: Option<u16>,
    /// The error as a text; `None` if it succeeded.
    pub error: Option<String>,
    /// The beginning of the answer's body.
    pub answer: String,
    /// The node that made it.
    pub node: NodeId,
}

impl Attempt {
    /// The record that the owner could begin no attempt, and why.
    pub fn not_begun(why: &str, at_ms: u64, node: NodeId) -> Self {
        let mut attempt = Self {
            number: 0,
            seq: None,
            message_id: String::new(),
            events: 0,
            kind: String::new(),
            attempt: 0,
            at_ms,
            took_ms: 0,
            class: Class::Internal,
            sent: Sent::Nothing,
            stage: None,
            status: None,
            error: Some(format!("node {node} can't deliver to the webhook: {why}")),
            answer: String::new(),
            node,
        };
        attempt.clip();
        attempt
    }

    /// Whether it was a test that somebody asked for.
    fn is_test(&self) -> bool {
        self.number == 0 && self.events > 0
    }

    /// Whether it is no attempt, but the record that none could begin.
    fn is_not_begun(&self) -> bool {
        self.events == 0
    }

    /// Cuts the texts that others chose, so that an attempt is bounded whatever a receiver answers.
    pub fn clip(&mut self) {
        let error = self.error.iter_mut().map(|error| (error, KEPT_ERROR));
        let names =
            [(&mut self.message_id, KEPT_NAME), (&mut self.kind, KEPT_NAME), (&mut self.answer, KEPT_ANSWER)];
        for (text, max) in error.chain(names) {
            text.truncate(clipped(text, max).len());
        }
    }
}

/// The part of a webhook's history that is replicated beside its progress. Every node has it, not only the
/// owner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptHistory {
    /// The last attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// Number of dead letters.
    pub dead: u32,
    /// Number of dead letters that were removed to make room for newer ones.
    pub dropped: u64,
}

impl AttemptHistory {
    /// The last attempt, if the webhook can't deliver as far as the attempts since `since_ms` show: its owner
    /// could begin none, or all that are remembered failed, whoever is to blame. Tests don't count, nor does an
    /// answer that only asks for a pause.
    pub fn failure_since(&self, since_ms: u64) -> Option<&Attempt> {
        let counts = |attempt: &&Attempt| {
            !attempt.is_test() && attempt.class != Class::Throttled && attempt.at_ms >= since_ms
        };
        let last = self.attempts.iter().rfind(counts)?;
        let delivered = |attempt: &Attempt| attempt.class == Class::Delivered;
        let fails = last.is_not_begun() || !self.attempts.iter().filter(counts).any(delivered);
        fails.then_some(last)
    }

    /// How long its requests took on average (milliseconds), as far as the attempts that are remembered show.
    /// Tests don't count, nor do attempts of which nothing was sent. `None` if there was no request.
    pub fn request_ms(&self) -> Option<u64> {
        let counts = |attempt: &&Attempt| {
            !attempt.is_test() && !attempt.is_not_begun() && attempt.sent != Sent::Nothing
        };
        let took: Vec<u64> =
            self.attempts.iter().filter(counts).map(|attempt| attempt.took_ms.into()).collect();
        took.iter().sum::<u64>().checked_div(took.len() as u64)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn attempt(number: u64, class: Class, at_ms: u64) -> Attempt {
        Attempt { number, events: 1, class, ..Attempt::not_begun("", at_ms, 1) }
    }

    #[test]
    fn failures_in_a_row_or_a_long_time_without_success_make_a_webhook_fail() {
        let progress =
            |failures, failing_since_ms| Progress { failures, failing_since_ms, ..Progress::new(1) };
        assert!(!is_failing(&progress(0, None), u64::MAX));
        assert!(is_failing(&progress(1, Some(9)), 9));
        assert!(!is_failing(&progress(0, Some(9)), 9 + FAILING_MS));
        assert!(is_failing(&progress(0, Some(9)), 10 + FAILING_MS));
    }

    #[test]
    fn a_webhook_fails_if_nothing_began_or_nothing_succeeded() {
        let not_begun = Attempt::not_begun("no key", 30, 1);
        let good = |at_ms| attempt(1, Class::Delivered, at_ms);
        let bad = |at_ms| attempt(2, Class::Render, at_ms);
        let test = |class| attempt(0, class, 40);
        for (attempts, since_ms, fails) in [
            (vec![], 0, false),
            (vec![good(10)], 0, false),
            (vec![bad(10)], 0, true),
            (vec![bad(10), bad(20)], 0, true),
            (vec![good(10), bad(20)], 0, false),
            (vec![good(10), bad(20)], 15, true),
            (vec![attempt(1, Class::Throttled, 10)], 0, false),
            (vec![good(10), not_begun.clone()], 0, true),
            (vec![not_begun.clone()], 31, false),
            (vec![not_begun.clone(), good(40)], 0, false),
            (vec![not_begun.clone(), test(Class::Delivered)], 0, true),
            (vec![good(10), test(Class::Status)], 0, false),
            (vec![test(Class::Status)], 0, false),
        ] {
            let history = AttemptHistory { attempts, ..AttemptHistory::default() };
            assert_eq!(history.failure_since(since_ms).is_some(), fails, "{history:?} since {since_ms}");
        }
        assert!(not_begun.error.unwrap().contains("no key"));
    }

    #[test]
    fn requests_take_as_long_as_those_that_were_sent() {
        let took = |number, sent, took_ms| Attempt { sent, took_ms, ..attempt(number, Class::Delivered, 10) };
        let history = |attempts| AttemptHistory { attempts, ..AttemptHistory::default() };
        assert_eq!(history(vec![]).request_ms(), None);
        let none =
            vec![Attempt::not_begun("no key", 1, 1), took(0, Sent::Answered, 9), took(1, Sent::Nothing, 9)];
        assert_eq!(history(none.clone()).request_ms(), None, "a test, and what was not sent");
        let sent = [none, vec![took(2, Sent::Answered, 3000), took(3, Sent::Answered, 5001)]].concat();
        assert_eq!(history(sent).request_ms(), Some(4000));
    }
}
