//! The delays between attempts: exponential, capped, with jitter. The caller supplies the random number.

use serde::{Deserialize, Serialize};

/// When a failed delivery is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// The largest number of attempts. After the last one the event becomes a dead letter.
    pub max_attempts: u32,
    /// The delay before the second attempt, in milliseconds.
    pub delay_ms: u64,
    /// Each further delay is this percentage of the one before.
    pub factor_percent: u32,
    /// The longest delay, in milliseconds.
    pub max_delay_ms: u64,
    /// Delays vary by this percentage in both directions.
    pub jitter_percent: u32,
    /// Whether a request is repeated that the receiver may have processed: some of it was sent, and no answer
    /// came.
    pub ambiguous: bool,
}

impl RetryPolicy {
    /// Returns the milliseconds between attempt number `attempts` and the next one; `None` if there is no
    /// next one. `random` selects the value within the jitter.
    pub fn delay_ms(&self, attempts: u32, random: u32) -> Option<u64> {
        if attempts >= self.max_attempts {
            return None;
        }
        Some(jittered(self.base_ms(attempts), self.jitter_percent, random))
    }

    /// Returns for how long a delivery may be tried, from its first attempt to its last, in milliseconds.
    pub fn longest_ms(&self) -> u64 {
        let delay = |attempts| self.delay_ms(attempts, u32::MAX).unwrap_or(0);
        (1..self.max_attempts).map(delay).fold(0, u64::saturating_add)
    }

    fn base_ms(&self, attempts: u32) -> u64 {
        let mut delay = self.delay_ms.min(self.max_delay_ms);
        for _ in 1..attempts {
            if delay >= self.max_delay_ms || self.factor_percent <= 100 {
                break;
            }
            delay = delay.saturating_mul(self.factor_percent.into()).div_ceil(100).min(self.max_delay_ms);
        }
        delay
    }
}

/// Returns `delay_ms` plus or minus up to this percentage of it.
pub fn jittered(delay_ms: u64, percent: u32, random: u32) -> u64 {
    let span = delay_ms.saturating_mul(percent.min(100).into()) / 100;
    delay_ms - span + (u128::from(span) * 2 * u128::from(random) / u128::from(u32::MAX)) as u64
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PUSHER: RetryPolicy = RetryPolicy {
        max_attempts: 6,
        delay_ms: 1000,
        factor_percent: 200,
        max_delay_ms: 3_600_000,
        jitter_percent: 0,
        ambiguous: true,
    };

    #[test]
    fn delays_double() {
        let delays: Vec<_> = (1..=6).map(|attempts| PUSHER.delay_ms(attempts, 0)).collect();
        assert_eq!(delays, [Some(1000), Some(2000), Some(4000), Some(8000), Some(16_000), None]);
        assert_eq!(PUSHER.longest_ms(), 31_000);
    }

    proptest! {
        #[test]
        fn no_delay_exceeds_the_cap_and_its_jitter(
            attempts in 1u32..200, random: u32, jitter in 0u32..=100, cap in 1u64..100_000_000,
        ) {
            let policy = RetryPolicy { max_attempts: 1000, max_delay_ms: cap, jitter_percent: jitter, ..PUSHER };
            let delay = policy.delay_ms(attempts, random).unwrap();
            prop_assert!(delay <= cap + cap * u64::from(jitter) / 100);
            prop_assert!(delay >= policy.base_ms(attempts) - policy.base_ms(attempts) * u64::from(jitter) / 100);
        }
    }
}
