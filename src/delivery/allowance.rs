//! How many messages one client may send. A client that sends more is slowed down: its next message is taken
//! later. Only a client that sends too much for a minute without a break is closed.

use crate::core::rate::Rate;
use std::time::{Duration, Instant};

/// Bytes of a message that count as one message. A longer message counts once for each piece of this length.
const UNIT_BYTES: usize = 4096;
/// A client that was slowed down for this long without a break floods its session.
pub const FLOOD: Duration = Duration::from_secs(60);

/// The messages that one client may send.
#[derive(Clone, Copy, Debug)]
pub struct MessageRate {
    /// Messages a second.
    pub per_second: u32,
    /// Messages that may come at once.
    pub burst: u32,
}

/// What one client may still send. It lives as long as the session.
#[derive(Debug)]
pub struct Allowance {
    rate: Rate,
    began: Instant,
    /// The number of the rate.
    full_at_us: u64,
    /// Since when the client has been slowed down without a break.
    slowed_since: Option<Instant>,
}

impl Allowance {
    /// The allowance of a new client.
    pub fn new(rate: MessageRate) -> Self {
        let burst = rate.burst.max(1);
        let per_second = rate.per_second.max(1);
        let period_ms = u64::from(burst) * 1000 / u64::from(per_second);
        let rate = Rate { permits: burst, period_ms: period_ms.max(1) };
        Self { rate, began: Instant::now(), full_at_us: 0, slowed_since: None }
    }

    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// Counts a message of that many bytes.
    pub fn count(&mut self, bytes: usize) {
        let cost = u32::try_from(1 + bytes / UNIT_BYTES).unwrap_or(u32::MAX);
        self.full_at_us = self.rate.overdraw(self.full_at_us, cost, self.now_ms());
    }

    /// How long the client's next message must wait. `None` if it need not.
    pub fn wait(&mut self) -> Option<Duration> {
        let wait_ms = self.rate.overdrawn_ms(self.full_at_us, self.now_ms());
        if wait_ms == 0 {
            return None;
        }
        self.slowed_since.get_or_insert_with(Instant::now);
        Some(Duration::from_millis(wait_ms))
    }

    /// No message of the client waits.
    pub fn rest(&mut self) {
        self.slowed_since = None;
    }

    /// Whether the client has been slowed down for so long that its session must end.
    pub fn is_flooded(&self) -> bool {
        self.slowed_since.is_some_and(|since| since.elapsed() > FLOOD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: MessageRate = MessageRate { per_second: 10, burst: 20 };

    #[test]
    fn the_burst_passes_and_what_follows_waits() {
        let mut allowance = Allowance::new(RATE);
        (0..20).for_each(|_| allowance.count(100));
        assert_eq!(allowance.wait(), None);
        (0..10).for_each(|_| allowance.count(100));
        let wait = allowance.wait().unwrap_or_default();
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
    }

    #[test]
    fn a_large_message_counts_by_its_bytes() {
        let mut allowance = Allowance::new(RATE);
        allowance.count(40 * UNIT_BYTES);
        assert!(allowance.wait() > Some(Duration::from_millis(1500)));
    }

    #[test]
    fn a_client_that_is_slowed_down_without_a_break_floods() {
        let mut allowance = Allowance::new(RATE);
        (0..40).for_each(|_| allowance.count(0));
        assert!(allowance.wait().is_some() && !allowance.is_flooded());
        // As if it had begun long ago.
        allowance.slowed_since = Instant::now().checked_sub(2 * FLOOD);
        assert_eq!(allowance.is_flooded(), allowance.slowed_since.is_some());
        allowance.rest();
        assert!(!allowance.is_flooded());
    }
}
