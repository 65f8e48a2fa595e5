//! A token bucket in one number (GCRA): the time at which the bucket will be full again.
//!
//! The caller supplies the time and stores the number, so the same rule serves the replicated state
//! (publishes a second) and a node's memory (requests a minute).

mod publishing;
mod window;

pub use publishing::{Amount, Charged, Exceeded, PublishRates};
pub use window::Window;

/// A rate: how many permits refill in which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Permits that refill within `period_ms`; also the size of a burst.
    pub permits: u32,
    /// The milliseconds in which `permits` refill.
    pub period_ms: u64,
}

impl Rate {
    /// Asks for `cost` permits at `now_ms`. `full_at_us` is the number from the last call, in microseconds,
    /// and 0 at first.
    ///
    /// Returns the new number, or as an error the milliseconds to wait. A cost larger than a burst passes
    /// when the bucket is full and is paid for afterwards, so a large batch is delayed and not impossible.
    pub fn charge(&self, full_at_us: u64, cost: u32, now_ms: u64) -> Result<u64, u64> {
        let now = now_ms.saturating_mul(1000);
        let period = self.period_ms.saturating_mul(1000);
        let full_at = full_at_us.max(now);
        let price = self.price_us(cost);
        let allowed_from = full_at.saturating_add(price.min(period)).saturating_sub(period);
        if allowed_from <= now {
            Ok(full_at.saturating_add(price))
        } else {
            Err((allowed_from - now).div_ceil(1000))
        }
    }

    /// Takes `cost` permits at `now_ms` even if they are not there. `full_at_us` is the number from the last
    /// call, as in [`Rate::charge`].
    pub fn overdraw(&self, full_at_us: u64, cost: u32, now_ms: u64) -> u64 {
        full_at_us.max(now_ms.saturating_mul(1000)).saturating_add(self.price_us(cost))
    }

    /// The milliseconds from `now_ms` until no permit is overdrawn; 0 if none is.
    pub fn overdrawn_ms(&self, full_at_us: u64, now_ms: u64) -> u64 {
        let covered = now_ms.saturating_add(self.period_ms).saturating_mul(1000);
        full_at_us.saturating_sub(covered).div_ceil(1000)
    }

    /// The number that a caller must assume who was told to wait `wait_ms` for `cost` permits at `now_ms`.
    pub fn refused(&self, full_at_us: u64, cost: u32, wait_ms: u64, now_ms: u64) -> u64 {
        let period = self.period_ms.saturating_mul(1000);
        let allowed_from = now_ms.saturating_add(wait_ms).saturating_mul(1000);
        full_at_us.max(allowed_from.saturating_add(period) - self.price_us(cost).min(period))
    }

    /// Gives `cost` permits back that were charged and not used. Returns the new number.
    pub fn refund(&self, full_at_us: u64, cost: u32) -> u64 {
        full_at_us.saturating_sub(self.price_us(cost))
    }

    /// The microseconds in which `cost` permits refill.
    fn price_us(&self, cost: u32) -> u64 {
        let period = self.period_ms.saturating_mul(1000);
        period.saturating_mul(cost.into()) / u64::from(self.permits.max(1))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_hundred_and_first_request_of_a_minute_waits() {
        let rate = Rate { permits: 100, period_ms: 60_000 };
        let mut kept = 0;
        for _ in 0..100 {
            kept = rate.charge(kept, 1, 1_000_000).unwrap();
        }
        assert_eq!(rate.charge(kept, 1, 1_000_000), Err(600));
        assert!(rate.charge(kept, 1, 1_000_600).is_ok());
    }

    #[test]
    fn a_batch_larger_than_the_burst_passes_once_and_is_paid_for() {
        let rate = Rate { permits: 10, period_ms: 1000 };
        let kept = rate.charge(0, 50, 100_000).unwrap();
        assert_eq!(rate.charge(kept, 1, 100_000), Err(4100));
    }

    #[test]
    fn who_was_refused_elsewhere_waits_as_long_here() {
        let rate = Rate { permits: 10, period_ms: 1000 };
        for cost in [1, 7, 10, 30] {
            let kept = rate.refused(0, cost, 700, 100_000);
            assert_eq!(rate.charge(kept, cost, 100_000), Err(700));
            assert!(rate.charge(kept, cost, 100_700).is_ok());
        }
        assert_eq!(rate.refused(200_000_000, 1, 700, 100_000), 200_000_000, "what is known here counts too");
    }

    #[test]
    fn what_is_overdrawn_is_paid_back_at_the_rate() {
        let rate = Rate { permits: 200, period_ms: 2000 };
        let kept = rate.overdraw(0, 200, 1_000_000);
        assert_eq!(rate.overdrawn_ms(kept, 1_000_000), 0, "the burst is free");
        let kept = rate.overdraw(kept, 50, 1_000_000);
        assert_eq!(rate.overdrawn_ms(kept, 1_000_000), 500);
        assert_eq!(rate.overdrawn_ms(kept, 1_000_499), 1);
        assert_eq!(rate.overdrawn_ms(kept, 1_000_500), 0);
    }

    #[test]
    fn a_rate_of_many_permits_is_exact() {
        // 0.1 microseconds for each permit.
        let rate = Rate { permits: 10_000_000, period_ms: 1000 };
        let kept = rate.charge(0, 10_000_000, 100_000).unwrap();
        assert_eq!(rate.charge(kept, 5_000_000, 100_000), Err(500));
        assert!(rate.charge(rate.refund(kept, 5_000_000), 5_000_000, 100_000).is_ok());
    }

    proptest! {
        #[test]
        fn no_more_pass_than_the_burst_and_the_refill(
            steps in prop::collection::vec((0u64..500, 1u32..4), 1..200), permits in 1u32..50,
        ) {
            let rate = Rate { permits, period_ms: 1000 };
            let mut kept = 0;
            let mut now = 1_000_000;
            let mut passed = 0u64;
            for (wait, cost) in steps {
                now += wait;
                if cost <= permits && let Ok(next) = rate.charge(kept, cost, now) {
                    kept = next;
                    passed += u64::from(cost);
                }
            }
            let refill = (now - 1_000_000) * u64::from(permits) / 1000;
            prop_assert!(passed <= u64::from(permits) + refill + 1 + refill / 100);
        }
    }
}
