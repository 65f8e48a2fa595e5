//! How often operators are told of one thing: often at first, then rarely.

use serde::{Deserialize, Serialize};

/// The time within which what is told is counted (milliseconds).
const PERIOD_MS: u64 = 3_600_000;

/// How much is told of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Often {
    /// So many times at once within an hour.
    most: u32,
    /// The pause between two times beyond that (milliseconds).
    pause_ms: u64,
}

impl Often {
    /// For one state of one node, or for the leader.
    pub(super) const OF_NODE: Self = Self { most: 6, pause_ms: 600_000 };
    /// For all webhooks of one map.
    pub const OF_MAP: Self = Self { most: 60, pause_ms: 60_000 };
}

/// How often something was told lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// Since when it is counted (milliseconds of the expiry clock).
    since_ms: u64,
    count: u32,
    /// When it was told last (milliseconds of the expiry clock).
    last_ms: u64,
}

impl Pace {
    /// Takes the right to tell once more now, if there is one. `now_ms` is the expiry clock.
    pub fn take(&mut self, often: Often, now_ms: u64) -> bool {
        if now_ms.saturating_sub(self.since_ms) >= PERIOD_MS {
            *self = Self { since_ms: now_ms, ..Self::default() };
        }
        let may = self.count < often.most || now_ms.saturating_sub(self.last_ms) >= often.pause_ms;
        if may {
            self.count = self.count.saturating_add(1);
            self.last_ms = now_ms;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_often_at_first_and_then_rarely() {
        let mut pace = Pace::default();
        let often = Often { most: 3, pause_ms: 1_000 };
        let mut told = |times: Vec<u64>| -> Vec<u64> {
            times.into_iter().filter(|now_ms| pace.take(often, *now_ms)).collect()
        };
        assert_eq!(told((0..35).map(|n| n * 100).collect()), [0, 100, 200, 1200, 2200, 3200]);
        let later = (0..5).map(|n| PERIOD_MS + n).collect();
        assert_eq!(told(later), [PERIOD_MS, PERIOD_MS + 1, PERIOD_MS + 2]);
    }
}
