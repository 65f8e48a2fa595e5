//! What goes into the engine and what comes out of it.

use crate::core::consumer::progress::{DeadLetter, DeadLetterChange, EventRef, Progress, Retry};
use crate::core::ids::EventId;

/// An event that is offered for delivery.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// Which.
    pub event: EventRef,
    /// Whether the consumer wants it.
    pub wanted: bool,
    /// Events of the same lane wait for each other.
    pub lane: Option<u64>,
    /// A hash of its type.
    pub kind: u32,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this; then ask again.
    Send(Flight),
    /// Ask again at that time (Unix milliseconds), or when something happens.
    WaitUntil(u64),
    /// Ask again when something happens.
    Wait,
}

/// A request to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flight {
    /// Names it to [`Engine::settle`](super::Engine::settle).
    pub id: u64,
    /// Its events, in order.
    pub events: Vec<EventRef>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The last event before it in its lane that was given up.
    pub gap: Option<EventId>,
}

/// What the cluster must know.
#[derive(Clone, Debug)]
pub struct Snapshot<C> {
    /// All of the progress.
    pub progress: Progress,
    /// Records of what waits, new or changed since the last time.
    pub kept: Vec<(u64, Retry)>,
    /// Records of what waited that are needed no more.
    pub dropped: Vec<u64>,
    /// What became of dead letters since the last time, in order; the types of events are for the caller to fill in.
    pub dead_letters: Vec<DeadLetterChange<C>>,
    /// Disable the consumer, for this reason.
    pub disable: Option<String>,
    /// It has been failing for so much of the time until it is disabled, percent.
    pub announce: Option<u8>,
}

impl<C> Snapshot<C> {
    /// Events given up since the last time.
    pub fn buried(&self) -> impl Iterator<Item = &DeadLetter<C>> {
        self.dead_letters.iter().filter_map(|change| match change {
            DeadLetterChange::Added(dead_letter) => Some(dead_letter),
            DeadLetterChange::Removed(_) => None,
        })
    }

    /// Seqs of dead letters that were delivered since the last time.
    pub fn revived(&self) -> impl Iterator<Item = u64> {
        self.dead_letters.iter().filter_map(|change| match change {
            DeadLetterChange::Added(_) => None,
            DeadLetterChange::Removed(seq) => Some(*seq),
        })
    }
}
