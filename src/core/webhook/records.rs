//! The replicated records of a webhook's deliveries: attempts, and why events were given up. They have what
//! only deliveries by request have, such as a status and a stage.

use super::outcome::{Cause, Class, Sent, Stage};
use crate::core::consumer::progress::{self, KEPT_ERROR, Reason, clipped};
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
