//! What the rules need of a consumer's settings.

use super::schedule::RetryPolicy;
use crate::core::rate::Rate;
use serde::{Deserialize, Serialize};

/// Events of lanes with a request under way that are kept beside those that are ready, where there are many lanes; more
/// become records.
pub const MAX_PARKED: usize = 2000;

/// Several events in one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// So many at most.
    pub max: u32,
    /// How long an event waits for more; 0 takes what is there.
    pub duration_ms: u64,
}

/// The settings as the rules take them.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Requests at most.
    pub rate: Option<Rate>,
    /// Several events in one request.
    pub batch: Option<Batch>,
    /// When a failed delivery is tried again.
    pub retry: RetryPolicy,
    /// Requests under way at most; never 0.
    pub window: usize,
    /// Milliseconds of failing after which it is disabled.
    pub auto_disable_ms: Option<u64>,
    /// Events that are kept beside those that are ready while a request of their lane is under way ([`MAX_PARKED`]);
    /// `usize::MAX` where there are no lanes to choose from.
    pub parked: usize,
}

impl Plan {
    /// Whether there are many lanes: with one, all would wait for it anyway.
    pub(super) fn has_lanes(&self) -> bool {
        self.parked < usize::MAX
    }

    /// Events that one request takes at most.
    pub(super) fn batch_max(&self) -> usize {
        self.batch.map_or(1, |batch| batch.max as usize)
    }
}
