//! The bound on waiting events: beyond it, some are given up.

use super::Engine;
use crate::core::consumer::progress::Reason;

/// The largest number of waiting events. Beyond it, each further one makes the event with the longest wait a
/// dead letter. If that one was not tried yet, nothing more is read.
pub(super) const MAX_WAITING: usize = 100_000;
/// Deliveries of one lane that are given up together when too many events wait.
const MADE_ROOM: usize = 1_000;

impl<C> Engine<C> {
    /// Returns the delivery that may be given up to make room: the one with the longest wait, if it was tried
    /// before or the last given-up delivery was of its lane.
    pub(super) fn makes_room(&self) -> Option<u64> {
        let number = self.retries.last_due()?;
        let retry = self.retries.get(number)?;
        (retry.attempts > 0 || self.lanes.with_gap(&retry.lanes).is_some()).then_some(number)
    }
}

impl<C: Clone> Engine<C> {
    /// Gives up deliveries until no more events wait than may: with the first of a lane those behind it.
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
        // The delivery may still have hours to wait, so the time of the last failure stands in for the
        // present.
        let last_ms = self.health.condition().last_failure_ms;
        let now_ms = last_ms.map_or(retry.due_ms, |last_ms| last_ms.min(retry.due_ms));
        self.give_up(number, retry, &Reason::Overflow, now_ms);
    }
}
