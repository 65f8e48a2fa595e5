//! What waits, under a changed choice of events.

use super::{Engine, Urgency, Waiting};
use crate::core::consumer::progress::{EventRef, Retry};

impl<C: Clone> Engine<C> {
    /// Forgets events of a waiting delivery: the consumer does not want them any more, and nothing is lost.
    /// A delivery that is under way is left as it is.
    pub fn forget_waiting(&mut self, unwanted: &Waiting, now_ms: u64) {
        let number = unwanted.number;
        let waits = self.retries.get(number).filter(|_| !self.flights.contains(number));
        let Some(delivery) = waits.cloned() else { return };
        let rest = without(&delivery, &unwanted.events);
        if rest.events.len() == delivery.events.len() {
            return;
        }
        self.retries.remove(number);
        if !rest.events.is_empty() {
            let next = self.retries.next_number();
            // The rest keeps its lanes without a moment in which another delivery could take them.
            self.lanes.hold(next, &rest);
            self.retries.put(next, rest);
            self.look_at(next);
        }
        self.release(number, &delivery);
        self.reports.note(Urgency::Soon);
        self.end_replay_if_done(now_ms);
    }
}

/// The delivery without these events.
fn without(delivery: &Retry, events: &[EventRef]) -> Retry {
    let stays = |index: &usize| !events.contains(&delivery.events[*index]);
    let indexes: Vec<usize> = (0..delivery.events.len()).filter(stays).collect();
    Retry {
        events: indexes.iter().map(|index| delivery.events[*index]).collect(),
        lanes: indexes.iter().filter_map(|index| delivery.lanes.get(*index).copied()).collect(),
        ..delivery.clone()
    }
}
