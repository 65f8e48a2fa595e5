//! The inputs and outputs of the engine.

use crate::core::consumer::progress::{DeadLetter, DeadLetterChange, EventRef, Progress, Retry};
use crate::core::ids::EventId;

/// An event that is offered for delivery.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// The event's seq and id.
    pub event: EventRef,
    /// Whether the consumer wants it.
    pub wanted: bool,
    /// The lane: events of the same lane wait for each other.
    pub lane: Option<u64>,
    /// A hash of the event's type.
    pub kind: u32,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this request, then ask again.
    Send(Flight),
    /// Ask again at that time (Unix milliseconds), or earlier when something happens.
    WaitUntil(u64),
    /// Ask again when something happens.
    Wait,
}

/// A request to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flight {
    /// Identifies the flight in [`Engine::settle`](super::Engine::settle).
    pub id: u64,
    /// Its events, in order.
    pub events: Vec<EventRef>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The last event before it in its lane that was given up, if no delivery has reported that yet.
    pub gap: Option<EventId>,
    /// Whether its events have waited since they were chosen, so that the choice may be out of date. Not set
    /// for events that somebody named.
    pub has_waited: bool,
    /// Whether somebody asked to have its events delivered again.
    pub is_replay: bool,
}

/// A waiting delivery, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its number.
    pub number: u64,
    /// Its events, in order.
    pub events: Vec<EventRef>,
}

/// A report: what the cluster must know.
#[derive(Clone, Debug)]
pub struct Snapshot<C> {
    /// The complete progress.
    pub progress: Progress,
    /// Waiting records that are new or changed since the last snapshot.
    pub kept: Vec<(u64, Retry)>,
    /// Numbers of waiting records that are no longer needed.
    pub dropped: Vec<u64>,
    /// Changes of dead letters since the last snapshot, in order. The caller fills in the types of the
    /// events.
    pub dead_letters: Vec<DeadLetterChange<C>>,
    /// Set to the reason if the consumer is to be disabled.
    pub disable: Option<String>,
    /// The percentages of the time until it is disabled that are over now and were not reported, ascending.
    pub announce: Vec<u8>,
}

impl<C> Snapshot<C> {
    /// Returns the dead letters since the last snapshot.
    pub fn new_dead_letters(&self) -> impl Iterator<Item = &DeadLetter<C>> {
        self.dead_letters.iter().filter_map(|change| match change {
            DeadLetterChange::Added(dead_letter) => Some(dead_letter),
            DeadLetterChange::Removed(_) => None,
        })
    }

    /// Returns the seqs of dead letters that were delivered since the last snapshot.
    pub fn revived(&self) -> impl Iterator<Item = u64> {
        self.dead_letters.iter().filter_map(|change| match change {
            DeadLetterChange::Added(_) => None,
            DeadLetterChange::Removed(seq) => Some(*seq),
        })
    }
}
