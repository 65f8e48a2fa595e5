//! Lines of the log that one cause may write very often: one of them stands for all within some seconds.

use std::cell::Cell;

/// Seconds between two lines.
const EVERY: u64 = 10;

/// When the last line of one kind was written on a thread.
#[derive(Default)]
pub(super) struct Seldom {
    /// The second of the last line.
    told_at: Cell<Option<u64>>,
    /// What happened since without a line.
    unreported: Cell<u64>,
}

impl Seldom {
    /// Whether a line may be written now, in that second of any clock; if so, how often the same has happened since
    /// the last line without one.
    pub(super) fn turn(&self, now: u64) -> Option<u64> {
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
        let lines = Seldom::default();
        let turns: Vec<_> = [5, 5, 6, 5 + EVERY, 6 + EVERY, 5 + 3 * EVERY].map(|now| lines.turn(now)).into();
        assert_eq!(turns, [Some(0), None, None, Some(2), None, Some(1)]);
    }
}
