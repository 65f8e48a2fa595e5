//! How fast a map may publish: events a second and bytes a second. The replicated state, the leader's count of
//! ephemeral events and each node's own count use this one rule.

use super::Rate;
use crate::core::event::NewEvent;
use serde::{Deserialize, Serialize};

/// The rates of a map; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishRates {
    /// Events a second.
    pub events: Option<u32>,
    /// Bytes of events a second.
    pub bytes: Option<u32>,
}

/// What is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// How many events.
    pub events: u32,
    /// Their bytes: subjects, types, payloads and texts.
    pub bytes: u32,
}

/// What was charged (see [`Rate::charge`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charged {
    /// For the events.
    events_full_at_us: u64,
    /// For the bytes.
    bytes_full_at_us: u64,
}

/// The rate that is exceeded, and the milliseconds to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exceeded {
    /// Events a second.
    Events(u64),
    /// Bytes a second.
    Bytes(u64),
}

impl Amount {
    /// The amount of these events.
    pub fn of(events: &[NewEvent]) -> Self {
        let bytes: usize = events.iter().map(NewEvent::len_bytes).sum();
        let most = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self { events: most(events.len()), bytes: most(bytes) }
    }
}

impl PublishRates {
    /// Whether there is a rate at all.
    pub fn limit_something(&self) -> bool {
        self.events.or(self.bytes).is_some()
    }

    /// Charges an amount at `now_ms`. Returns what is charged then. Nothing is charged if one of the rates is
    /// exceeded.
    pub fn charge(&self, charged: Charged, amount: Amount, now_ms: u64) -> Result<Charged, Exceeded> {
        let one = |permits: Option<u32>, full_at_us, cost| match permits {
            Some(permits) => a_second(permits).charge(full_at_us, cost, now_ms),
            None => Ok(full_at_us),
        };
        let events = one(self.events, charged.events_full_at_us, amount.events).map_err(Exceeded::Events)?;
        let bytes = one(self.bytes, charged.bytes_full_at_us, amount.bytes).map_err(Exceeded::Bytes)?;
        Ok(Charged { events_full_at_us: events, bytes_full_at_us: bytes })
    }

    /// What must be assumed to be charged after an amount was refused elsewhere at `now_ms`.
    pub fn refused(&self, charged: Charged, amount: Amount, why: Exceeded, now_ms: u64) -> Charged {
        let one = |permits: Option<u32>, full_at_us, cost, wait_ms| match permits {
            Some(permits) => a_second(permits).refused(full_at_us, cost, wait_ms, now_ms),
            None => full_at_us,
        };
        match why {
            Exceeded::Events(wait_ms) => Charged {
                events_full_at_us: one(self.events, charged.events_full_at_us, amount.events, wait_ms),
                ..charged
            },
            Exceeded::Bytes(wait_ms) => Charged {
                bytes_full_at_us: one(self.bytes, charged.bytes_full_at_us, amount.bytes, wait_ms),
                ..charged
            },
        }
    }

    /// Gives back what was charged for an amount that was not published.
    pub fn refund(&self, charged: Charged, amount: Amount) -> Charged {
        let one = |permits: Option<u32>, full_at_us, cost| match permits {
            Some(permits) => a_second(permits).refund(full_at_us, cost),
            None => full_at_us,
        };
        Charged {
            events_full_at_us: one(self.events, charged.events_full_at_us, amount.events),
            bytes_full_at_us: one(self.bytes, charged.bytes_full_at_us, amount.bytes),
        }
    }
}

impl Charged {
    /// Whether what was charged has refilled by `now_ms`, so that nothing need be remembered.
    pub fn is_full(&self, now_ms: u64) -> bool {
        self.events_full_at_us.max(self.bytes_full_at_us) <= now_ms.saturating_mul(1000)
    }
}

fn a_second(permits: u32) -> Rate {
    Rate { permits, period_ms: 1000 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn both_rates_count_and_a_refusal_charges_neither() {
        let rates = PublishRates { events: Some(10), bytes: Some(1000) };
        let amount = |events, bytes| Amount { events, bytes };
        let charged = rates.charge(Charged::default(), amount(1, 1000), 5_000).unwrap();
        assert_eq!(rates.charge(charged, amount(1, 100), 5_000), Err(Exceeded::Bytes(100)));
        assert_eq!(rates.charge(charged, amount(10, 0), 5_000), Err(Exceeded::Events(100)));
        assert!(rates.charge(rates.refund(charged, amount(0, 100)), amount(9, 100), 5_000).is_ok());
        assert!(!charged.is_full(5_999) && charged.is_full(6_000));
        let none = PublishRates::default();
        assert_eq!(none.charge(Charged::default(), amount(9, 9), 5_000), Ok(Charged::default()));
    }
}
