//! A sliding window: limits how many requests pass in any stretch of a given length. A bucket would let a
//! full burst and its refill pass within one such stretch.
//!
//! The window counts in slots, so its size does not depend on the rate. It admits a request at most one slot
//! late and never early.

use super::Rate;

/// Slots of a period. One more slot covers the partial slot at the beginning of the window.
const SLOTS: u64 = 64;
const KEPT: usize = SLOTS as usize + 1;

/// A sliding window: what passed within the last period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    counts: [u32; KEPT],
    /// The slot of the last request that passed, counted from 1970.
    newest: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self { counts: [0; KEPT], newest: 0 }
    }
}

impl Window {
    /// A window in which as many requests as may pass have passed at `now_ms`.
    pub fn used_up(rate: Rate, now_ms: u64) -> Self {
        let newest = slot_at(rate, now_ms);
        let mut counts = [0; KEPT];
        counts[(newest % KEPT as u64) as usize] = rate.permits.max(1);
        Self { counts, newest }
    }

    /// Whether nothing that has passed counts at `now_ms` any more.
    pub fn is_clear(&self, rate: Rate, now_ms: u64) -> bool {
        slot_at(rate, now_ms).saturating_sub(self.newest) >= KEPT as u64
    }

    /// Asks for one permit at `now_ms`; an error is the milliseconds to wait.
    pub fn charge(&mut self, rate: Rate, now_ms: u64) -> Result<(), u64> {
        // A clock that went back counts as the newest slot.
        let slot = slot_at(rate, now_ms).max(self.newest);
        self.forget(slot);
        if self.counts.iter().map(|count| u64::from(*count)).sum::<u64>() < u64::from(rate.permits.max(1)) {
            self.counts[(slot % KEPT as u64) as usize] += 1;
            return Ok(());
        }
        let oldest =
            (slot.saturating_sub(SLOTS)..=slot).find(|at| self.counts[(at % KEPT as u64) as usize] > 0);
        let free_us = oldest.unwrap_or(slot).saturating_add(KEPT as u64).saturating_mul(slot_us(rate));
        Err(free_us.saturating_sub(now_ms.saturating_mul(1000)).div_ceil(1000).max(1))
    }

    /// Clears the slots between the newest one and `slot`: what they counted is older than the window.
    fn forget(&mut self, slot: u64) {
        let passed = (slot - self.newest).min(KEPT as u64);
        for at in slot + 1 - passed..=slot {
            self.counts[(at % KEPT as u64) as usize] = 0;
        }
        self.newest = slot;
    }
}

/// The length of a slot, in microseconds.
fn slot_us(rate: Rate) -> u64 {
    (rate.period_ms.saturating_mul(1000) / SLOTS).max(1)
}

/// The slot of a time, counted from 1970.
fn slot_at(rate: Rate, now_ms: u64) -> u64 {
    now_ms.saturating_mul(1000) / slot_us(rate)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_sixth_request_in_two_seconds_waits() {
        let rate = Rate { permits: 5, period_ms: 2000 };
        let mut window = Window::default();
        let start_ms = 1_750_000_000_000;
        (0..5).for_each(|_| window.charge(rate, start_ms).unwrap());
        let wait_ms = window.charge(rate, start_ms + 10).unwrap_err();
        assert!((1990..2100).contains(&wait_ms), "{wait_ms}");
        assert!(window.charge(rate, start_ms + 1999).is_err());
        (0..5).for_each(|_| window.charge(rate, start_ms + 10 + wait_ms).unwrap());
        assert!(window.charge(rate, start_ms + 10 + wait_ms).is_err());
    }

    #[test]
    fn a_window_that_is_used_up_is_free_after_a_period() {
        let start_ms = 1_750_000_000_000;
        for (permits, period_ms) in [(5, 2000), (1, 1), (100, 3_600_000)] {
            let rate = Rate { permits, period_ms };
            let mut window = Window::used_up(rate, start_ms);
            assert!(!window.is_clear(rate, start_ms + period_ms - 1));
            let wait_ms = window.charge(rate, start_ms).unwrap_err();
            assert!((period_ms..=period_ms + period_ms / SLOTS + 2).contains(&wait_ms), "{wait_ms}");
            assert!(window.is_clear(rate, start_ms + wait_ms));
            (0..permits).for_each(|_| window.charge(rate, start_ms + wait_ms).unwrap());
            assert!(window.charge(rate, start_ms + wait_ms).is_err());
        }
        assert!(Window::default().is_clear(Rate { permits: 1, period_ms: 3_600_000 }, start_ms));
    }

    proptest! {
        #[test]
        fn no_window_has_too_many_and_waiting_always_helps(
            steps in prop::collection::vec(0u64..400, 1..300), permits in 1u32..20, period_ms in 1u64..5000,
        ) {
            let rate = Rate { permits, period_ms };
            let mut window = Window::default();
            let mut now_ms = 1_750_000_000_000u64;
            let mut passed = Vec::new();
            for step in steps {
                now_ms += step;
                match window.charge(rate, now_ms) {
                    Ok(()) => passed.push(now_ms),
                    Err(wait_ms) => {
                        now_ms += wait_ms;
                        prop_assert!(wait_ms <= period_ms + period_ms / SLOTS + 2);
                        prop_assert!(window.charge(rate, now_ms).is_ok(), "waited {wait_ms} in vain");
                        passed.push(now_ms);
                    }
                }
            }
            let burst = passed.windows(permits as usize + 1).find(|w| w[permits as usize] - w[0] < period_ms);
            prop_assert!(burst.is_none(), "{burst:?}");
        }
    }
}
