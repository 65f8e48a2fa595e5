//! The settings of a consumer that the rules need.

use super::queue::MAX_READY;
use super::retry_policy::RetryPolicy;
use crate::core::rate::Rate;
use serde::{Deserialize, Serialize};

/// If there are many lanes, this many events whose lanes have a request under way are kept in memory beside
/// the ready ones. More become records.
pub const MAX_PARKED: usize = 2000;

/// Settings for several events in one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The largest number of events in a request.
    pub max: u32,
    /// How long an event waits for others, in milliseconds; 0 takes the events that are ready.
    pub duration_ms: u64,
}

/// A consumer's settings as the rules need them.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The highest rate of requests.
    pub rate: Option<Rate>,
    /// Batching; `None` sends one event in a request.
    pub batch: Option<Batch>,
    /// When a failed delivery is retried.
    pub retry: RetryPolicy,
    /// The largest number of requests under way; never 0.
    pub window: usize,
    /// Milliseconds of failures after which the consumer is disabled; `None` is never.
    pub auto_disable_ms: Option<u64>,
    /// Events that are kept in memory beside the ready ones while a request of their lane is under way
    /// ([`MAX_PARKED`]); `usize::MAX` if there is only one lane, or none.
    pub parked: usize,
}

impl Plan {
    /// Returns whether there are many lanes. With only one, all events would wait for it anyway.
    pub(super) fn has_lanes(&self) -> bool {
        self.parked < usize::MAX
    }

    /// Returns how many events of a source are read and not yet sent: at least one whole batch.
    pub(super) fn ready_max(&self) -> usize {
        MAX_READY.max(self.batch_max())
    }

    /// Returns how many events one request takes at most.
    pub(super) fn batch_max(&self) -> usize {
        self.batch.map_or(1, |batch| batch.max as usize)
    }
}
