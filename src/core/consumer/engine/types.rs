//! What goes into the engine and what comes out of it.

use crate::core::consumer::progress::{DeadLetter, DeadLetterChange, EventRef, Progress, Retry};
use crate::core::consumer::schedule::RetryPolicy;
use crate::core::ids::EventId;
use crate::core::rate::Rate;
use crate::core::webhook::{Endpoint, Ordering, Profile};
use serde::{Deserialize, Serialize};

/// Events of lanes with a request under way that are kept beside those that are ready; more become records.
const MAX_PARKED: usize = 2000;

/// Several events in one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// So many at most.
    pub max: u32,
    /// How long an event waits for more; 0 takes what is there.
    pub duration_ms: u64,
}

/// What the rules need of an endpoint's settings.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How bodies look.
    pub profile: Profile,
    /// Requests at most.
    pub rate: Option<Rate>,
    /// Several events in one request.
    pub batch: Option<Batch>,
    /// When a failed delivery is tried again.
    pub retry: RetryPolicy,
    /// Requests under way at most.
    pub window: usize,
    /// Milliseconds of failing after which it is disabled.
    pub auto_disable_ms: Option<u64>,
    /// Events that are kept beside those that are ready while a request of their lane is under way; `usize::MAX` where
    /// there are no lanes to choose from.
    pub parked: usize,
}

impl Plan {
    /// The plan of an endpoint, with at most so many requests under way.
    pub fn new(endpoint: &Endpoint, window: usize) -> Self {
        Self {
            profile: endpoint.profile,
            rate: endpoint.rate.map(Rate::from),
            batch: endpoint.batch,
            retry: endpoint.retry,
            window: window.max(1),
            auto_disable_ms: endpoint.auto_disable_seconds.map(|seconds| seconds.saturating_mul(1000)),
            parked: if matches!(endpoint.ordering, Ordering::Key(_)) { MAX_PARKED } else { usize::MAX },
        }
    }
}

/// An event that is offered for delivery.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// Which.
    pub event: EventRef,
    /// Whether the endpoint wants it.
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
    /// Names it to [`Engine::settle`].
    pub id: u64,
    /// Its events, in order.
    pub events: Vec<EventRef>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The last event before it in its lane that was given up.
    pub gap: Option<EventId>,
}

/// A replay that can take more events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayRead {
    /// Which.
    pub id: u64,
    /// The next seq to read.
    pub from_seq: u64,
    /// One past the last.
    pub until_seq: u64,
    /// Only dead letters.
    pub failed_only: bool,
}

/// What the cluster must know.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// All of the progress.
    pub progress: Progress,
    /// Records of what waits, new or changed since the last time.
    pub kept: Vec<(u64, Retry)>,
    /// Records of what waited that are needed no more.
    pub dropped: Vec<u64>,
    /// What became of dead letters since the last time, in order; the types of events are for the caller to fill in.
    pub letters: Vec<DeadLetterChange>,
    /// Disable the endpoint, for this reason.
    pub disable: Option<String>,
    /// It has been failing for so much of the time until it is disabled, percent.
    pub announce: Option<u8>,
}

impl Snapshot {
    /// Events given up since the last time.
    pub fn buried(&self) -> impl Iterator<Item = &DeadLetter> {
        self.letters.iter().filter_map(|change| match change {
            DeadLetterChange::Added(letter) => Some(letter),
            DeadLetterChange::Removed(_) => None,
        })
    }

    /// Seqs of dead letters that were delivered since the last time.
    pub fn revived(&self) -> impl Iterator<Item = u64> {
        self.letters.iter().filter_map(|change| match change {
            DeadLetterChange::Added(_) => None,
            DeadLetterChange::Removed(seq) => Some(*seq),
        })
    }
}

/// How soon the cluster must know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Nothing to tell.
    #[default]
    None,
    /// Only events that nobody wants were passed.
    Lazy,
    /// With the next batch.
    Soon,
    /// At once: something was given up, or the endpoint is to be disabled.
    Now,
}
