//! Measures whether a client takes its waiting bytes fast enough.

/// How far a client is behind the least pace while bytes wait for it. The bytes that the client's machine has
/// acknowledged count, not the writes: one large event may be a single write for minutes.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Milliseconds by which the client is behind.
    behind_ms: u64,
    /// The second of the last look, and the bytes that the client had taken by then.
    last: Option<(u64, u64)>,
}

impl Pace {
    /// Nothing waits for the client: the measurement starts anew.
    pub(super) fn rest(&mut self) {
        *self = Self::default();
    }

    /// Whether bytes wait for the client and its pace is being measured.
    pub(super) fn is_looked_at(&self) -> bool {
        self.last.is_some()
    }

    /// Bytes have waited since the second `since`, and the client has taken `taken` bytes so far. Returns for
    /// how many seconds it has taken less than `least` bytes a second (at least 1).
    pub(super) fn look(&mut self, now: u64, since: u64, taken: u64, least: u64) -> u64 {
        let (before, had) = self.last.replace((now, taken)).unwrap_or((since, taken));
        let paid_ms = taken.saturating_sub(had).saturating_mul(1000) / least.max(1);
        self.behind_ms = (self.behind_ms + now.saturating_sub(before) * 1000).saturating_sub(paid_ms);
        self.behind_ms / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The second at which a client that has taken `taken(second)` bytes is more than 30 s behind.
    fn lasts(least: u64, taken: impl Fn(u64) -> u64) -> Option<u64> {
        let mut pace = Pace::default();
        (1..3600).find(|now| pace.look(*now, 0, taken(*now), least) > 30)
    }

    #[test]
    fn a_client_that_takes_nothing_is_behind_from_the_start() {
        assert_eq!(lasts(1000, |_| 0), Some(31));
        assert_eq!(lasts(1000, |_| 1 << 40), Some(31), "what it took before counts for nothing");
        assert_eq!(lasts(1000, |now| now.min(100) * 5000), Some(131), "and nothing is saved up");
    }

    #[test]
    fn a_client_that_keeps_the_least_pace_is_never_behind() {
        assert_eq!(lasts(1000, |now| now * 1000), None);
        assert_eq!(lasts(1000, |now| now / 16 * 65_536), None, "in pieces, as windows open");
        assert_eq!(lasts(1000, |now| now * 100), Some(35));
    }

    #[test]
    fn a_client_for_which_nothing_waits_begins_anew() {
        let mut pace = Pace::default();
        assert_eq!(pace.look(29, 0, 0, 1000), 29);
        pace.rest();
        assert_eq!(pace.look(40, 38, 0, 1000), 2);
    }
}
