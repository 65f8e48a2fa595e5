//! Room for what has to wait: where more events wait than may, some are given up.

use super::Engine;
use crate::core::consumer::progress::Reason;

/// Events that may wait. Beyond it the one that has longest to wait is given up for each new one; where that was not tried
/// yet, nothing more is read.
pub(super) const MAX_WAITING: usize = 100_000;
/// Deliveries of one lane that are given up at once where more events wait than may.
const MADE_ROOM: usize = 1_000;

impl<C> Engine<C> {
    /// What may be given up for others that have to wait: what has longest to wait, if it was tried before, or one of its
    /// lane was given up last.
    pub(super) fn makes_room(&self) -> Option<u64> {
        let number = self.retries.last_due()?;
        let retry = self.retries.get(number)?;
        (retry.attempts > 0 || self.lanes.with_gap(&retry.lanes).is_some()).then_some(number)
    }
}

impl<C: Clone> Engine<C> {
    /// Gives up so much that no more wait than may: with the first of a lane those behind it.
    pub(super) fn make_room(&mut self) {
        while self.retries.events() > MAX_WAITING {
            let Some(number) = self.makes_room() else { return };
            let lane = self.retries.get(number).and_then(|retry| retry.lanes.first().copied());
            let behind: Vec<u64> = match lane {
                Some(lane) => {
                    self.lanes.holders(lane).filter(|next| *next != number).take(MADE_ROOM).collect()
                }
                None => Vec::new(),
            };
            for number in std::iter::once(number).chain(behind) {
                self.overflow(number);
            }
        }
    }

    fn overflow(&mut self, number: u64) {
        let Some(retry) = self.retries.get(number).filter(|_| !self.flights.contains(number)).cloned() else {
            return;
        };
        // It may wait for hours still: what is known of now is the last failure.
        let last_ms = self.health.condition().last_failure_ms;
        let now_ms = last_ms.map_or(retry.due_ms, |last_ms| last_ms.min(retry.due_ms));
        self.give_up(number, retry, &Reason::Overflow, now_ms);
    }
}
