//! Tells the log of clients that were closed because they read too slowly. Many clients may be slow at once, so
//! one line stands for all of a thread within some seconds.

use super::close::End;
use super::watchdog::Watched;
use crate::core::ids::MapId;
use std::cell::Cell;
use std::collections::BTreeSet;

/// Seconds between two lines of one thread.
const EVERY: u64 = 10;
/// Frames that are looked at to find out how far a client was behind.
const MOST_FRAMES: usize = 1 << 16;

/// The slow clients of one thread.
#[derive(Default)]
pub(super) struct SlowClients {
    /// The second of the last line.
    told_at: Cell<Option<u64>>,
    /// Clients that no line has told of.
    unreported: Cell<u64>,
}

impl SlowClients {
    /// A client was closed because of its pace. `map` is the one that it used, if that is known.
    pub(super) fn closed(&self, now: u64, end: End, client: &Watched, map: Option<MapId>) {
        let Some(others) = self.turn(now) else { return };
        let session = client.session();
        let mut frames = MOST_FRAMES;
        let lag = map.map(|map| session.lag(map, &mut BTreeSet::new(), &mut frames)).unwrap_or_default();
        let (address, unsent) = client.client();
        tracing::info!(
            map = map.map(tracing::field::display),
            token = session.token().map(tracing::field::display),
            address = address.map(tracing::field::display),
            protocol = client.name().protocol,
            lag_events = lag.events,
            lag_bytes = lag.bytes.saturating_add(unsent),
            reason = end.label(),
            others,
            "a client was closed: it read too slowly"
        );
    }

    /// Whether a line may be written now; if so, how many clients were closed since the last one without a line.
    fn turn(&self, now: u64) -> Option<u64> {
        if self.told_at.get().is_some_and(|at| now.saturating_sub(at) < EVERY) {
            self.unreported.set(self.unreported.get() + 1);
            return None;
        }
        self.told_at.set(Some(now));
        Some(self.unreported.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_some_seconds_counts_the_others() {
        let slow = SlowClients::default();
        let turns: Vec<_> = [5, 5, 6, 5 + EVERY, 6 + EVERY, 5 + 3 * EVERY].map(|now| slow.turn(now)).into();
        assert_eq!(turns, [Some(0), None, None, Some(2), None, Some(1)]);
    }
}
