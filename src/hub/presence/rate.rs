//! How fast the clients of a map join channels on this node, where a join is written to the log.
//!
//! A join that is too fast is refused. What was let in is told, and so is its end: there are no more ends than
//! there were joins.

use crate::core::ids::MapId;
use crate::core::rate::Rate;
use crate::core::text::counted;
use crate::hub::quota::rates::change;
use rustc_hash::FxHashMap;
use std::sync::Mutex;
use std::time::Instant;

/// The clients of a map join more channels than they may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "clients join {} of the map in a minute on this node, as many as they may",
    counted(*.limit, "channel", "channels")
)]
pub struct TooManyChannelJoins {
    /// The joins of a minute.
    pub limit: u32,
    /// Milliseconds until the next one.
    pub wait_ms: u64,
}

/// The joins of this node, by map. Time is measured by the process's monotonic clock.
pub(super) struct JoinRate {
    /// The joins of a minute, and at once. `None`: there is no limit.
    per_minute: Option<u32>,
    /// The milliseconds in which they refill: a minute, and more in tests.
    period_ms: u64,
    began: Instant,
    full_at_us: Mutex<FxHashMap<MapId, u64>>,
}

impl JoinRate {
    /// With 0 there is no limit.
    pub(super) fn new(per_minute: u32) -> Self {
        let per_minute = Some(per_minute).filter(|limit| *limit > 0);
        Self { per_minute, period_ms: 60_000, began: Instant::now(), full_at_us: Mutex::default() }
    }

    /// A rate that refills nothing while a test runs.
    #[cfg(test)]
    pub(super) fn slow(limit: u32) -> Self {
        Self { period_ms: 86_400_000, ..Self::new(limit) }
    }

    /// Charges joins of the map. Nothing is charged if they are too many.
    pub(super) fn charge(&self, map: MapId, joins: u32) -> Result<(), TooManyChannelJoins> {
        let Some(limit) = self.per_minute.filter(|_| joins > 0) else { return Ok(()) };
        let rate = Rate { permits: limit, period_ms: self.period_ms };
        let now_ms = self.began.elapsed().as_millis() as u64;
        let idle = |full_at_us: &u64| *full_at_us <= now_ms * 1000;
        change(&self.full_at_us, map, idle, |full_at_us| rate.charge(full_at_us, joins, now_ms))
            .map_err(|wait_ms| TooManyChannelJoins { limit, wait_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_map_has_a_rate_of_its_own_and_a_refusal_charges_nothing() {
        let [one, other] = [1, 2].map(|id| MapId::from_bytes([id; 16]));
        let rate = JoinRate::slow(10);
        assert_eq!(rate.charge(one, 6), Ok(()));
        let refused = rate.charge(one, 10);
        assert!(matches!(refused, Err(TooManyChannelJoins { limit: 10, wait_ms }) if wait_ms > 0));
        assert_eq!(rate.charge(one, 4), Ok(()), "the refused ones cost nothing");
        assert!(rate.charge(one, 10).is_err());
        assert_eq!(rate.charge(other, 10), Ok(()));
        let none = JoinRate::new(0);
        assert!((0..100).all(|_| none.charge(one, 1_000_000).is_ok()));
    }
}
