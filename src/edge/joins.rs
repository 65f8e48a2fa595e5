//! How fast one client may join, over every protocol with connections. A leave costs nothing: each ends a join.

use crate::config::Config;
use crate::core::rate::Rate;
use crate::core::text::counted;
use std::time::Instant;

/// What one client may do at a rate.
pub struct ClientRate {
    rate: Rate,
    began: Instant,
    /// The number of the rate.
    full_at_us: u64,
}

impl ClientRate {
    /// The allowance of a new client.
    pub fn new(rate: Rate) -> Self {
        Self { rate, began: Instant::now(), full_at_us: 0 }
    }

    /// Counts one act. `Err` is the wait in milliseconds until the client may do it.
    pub fn take(&mut self) -> Result<(), u64> {
        let now_ms = self.began.elapsed().as_millis() as u64;
        self.full_at_us = self.rate.charge(self.full_at_us, 1, now_ms)?;
        Ok(())
    }
}

/// A client joins more than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a client joins at most {} in a second", counted(*.limit, "topic", "topics"))]
pub struct TooManyClientJoins {
    /// The joins of a second.
    pub limit: u32,
    /// Milliseconds until the next one.
    pub wait_ms: u64,
}

/// How many topics a client may join in a second, and at once.
#[derive(Clone, Copy, Debug)]
pub struct JoinLimit {
    per_second: u32,
    rate: Rate,
}

impl JoinLimit {
    /// The limit in the settings. A client that comes back joins all its topics at once.
    pub fn of(config: &Config) -> Self {
        let most = u32::try_from(config.limits.channels_per_socket).unwrap_or(u32::MAX);
        Self::new(config.session.joins_per_second, most)
    }

    fn new(per_second: u32, most: u32) -> Self {
        let per_second = per_second.max(1);
        let at_once = per_second.saturating_add(most);
        let period_ms = u64::from(at_once) * 1000 / u64::from(per_second);
        Self { per_second, rate: Rate { permits: at_once, period_ms } }
    }
}

/// The joins of one client. They live as long as its session.
pub struct Joins {
    limit: u32,
    rate: ClientRate,
}

impl Joins {
    /// Those of a new client.
    pub fn new(limit: JoinLimit) -> Self {
        Self { limit: limit.per_second, rate: ClientRate::new(limit.rate) }
    }

    /// Counts one join.
    ///
    /// # Errors
    /// The client must not join now.
    pub fn take(&mut self) -> Result<(), TooManyClientJoins> {
        let limit = self.limit;
        self.rate.take().map_err(|wait_ms| TooManyClientJoins { limit, wait_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_may_act_a_few_times_at_once_and_then_waits() {
        let mut rate = ClientRate::new(Rate { permits: 10, period_ms: 3_600_000 });
        let taken: Vec<bool> = (0..12).map(|_| rate.take().is_ok()).collect();
        assert_eq!(taken.iter().filter(|taken| **taken).count(), 10);
        assert!(taken[..10].iter().all(|taken| *taken));
    }

    #[test]
    fn a_client_joins_all_its_topics_at_once_and_no_more_than_the_rate() {
        // So slow that the time of the test does not matter.
        let JoinLimit { per_second, rate } = JoinLimit::new(50, 100);
        let rate = Rate { period_ms: 86_400_000, ..rate };
        let mut joins = Joins::new(JoinLimit { per_second, rate });
        assert_eq!((0..1000).filter(|_| joins.take().is_ok()).count(), 150);
        let refused = joins.take();
        assert!(
            matches!(refused, Err(TooManyClientJoins { limit: 50, wait_ms }) if wait_ms > 0),
            "{refused:?}"
        );
    }

    #[test]
    fn the_joins_of_a_second_refill_in_a_second() {
        let JoinLimit { rate, .. } = JoinLimit::new(50, 100);
        let mut kept = 0;
        (0..150).for_each(|_| kept = rate.charge(kept, 1, 1_000_000).unwrap_or_default());
        assert!(rate.charge(kept, 50, 1_000_999).is_err());
        assert!(rate.charge(kept, 50, 1_001_000).is_ok());
    }
}
