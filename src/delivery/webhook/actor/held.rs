//! Events that an actor keeps in memory until they are sent.
//!
//! Owns the bound on their bytes. An event for which there is no room is read again when it is sent. So is an
//! event that was read before stored events were removed, since it may be among those.

use crate::core::consumer::engine::Engine;
use crate::core::consumer::progress::EventRef;
use crate::core::event::Event;
use crate::core::webhook::outcome::Cause;
use crate::delivery::webhook::source::weight;
use rustc_hash::FxHashMap;
use std::cell::Cell;
use std::rc::Rc;

/// The most bytes of events that are kept for one webhook.
const MAX_BYTES: usize = 4 << 20;

/// The kept events, by seq.
#[derive(Default)]
pub(super) struct Held {
    events: FxHashMap<u64, Event>,
    bytes: usize,
    /// How often stored events of the stream were removed.
    removals: Rc<Cell<u64>>,
}

/// The point in time of a read, counted in removals of stored events.
#[derive(Clone)]
pub(super) struct AsRead {
    removals: Rc<Cell<u64>>,
    before: u64,
}

impl AsRead {
    /// Whether no stored event was removed since the read.
    pub(super) fn is_current(&self) -> bool {
        self.removals.get() == self.before
    }
}

impl Held {
    /// Marks the time of a read. The mark tells later whether the events of the read can still be sent.
    pub(super) fn as_read(&self) -> AsRead {
        AsRead { removals: self.removals.clone(), before: self.removals.get() }
    }

    /// Keeps an event, if there is room.
    pub(super) fn keep(&mut self, event: Event) {
        let bytes = weight(&event);
        if self.bytes + bytes <= MAX_BYTES && !self.events.contains_key(&event.seq) {
            self.bytes += bytes;
            self.events.insert(event.seq, event);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// All of these events, if all are kept.
    pub(super) fn all(&self, wanted: &[EventRef]) -> Option<Vec<Event>> {
        wanted.iter().map(|event| self.events.get(&event.seq).cloned()).collect()
    }

    /// Releases these events: they are not needed any more.
    pub(super) fn release(&mut self, events: &[EventRef]) {
        for event in events {
            self.bytes -= self.events.remove(&event.seq).map_or(0, |event| weight(&event));
        }
    }

    /// Stored events were removed, perhaps some of these. Releases all of them.
    pub(super) fn forget_removed(&mut self) {
        self.removals.set(self.removals.get() + 1);
        self.events.clear();
        self.bytes = 0;
    }

    #[cfg(test)]
    pub(super) fn removals(&self) -> u64 {
        self.removals.get()
    }

    /// Releases the events that the engine has forgotten.
    pub(super) fn sweep(&mut self, engine: &Engine<Cause>) {
        self.events.retain(|seq, _| engine.state().holds(*seq));
        self.bytes = self.events.values().map(weight).sum();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::event::NewEvent;
    use crate::core::ids::EventId;

    fn event(seq: u64, bytes: usize) -> Event {
        NewEvent::new(Default::default(), "x", vec![b' '; bytes]).placed(EventId::new(1, seq, 0), seq, 1)
    }

    fn names(seqs: std::ops::Range<u64>) -> Vec<EventRef> {
        seqs.map(|seq| EventRef { seq, id: EventId::new(1, seq, 0) }).collect()
    }

    #[test]
    fn the_bytes_of_kept_events_are_bounded() {
        let mut held = Held::default();
        (0..100).for_each(|seq| held.keep(event(seq, 256 * 1024)));
        assert!(held.bytes <= MAX_BYTES && held.events.len() == 15);
        assert_eq!(held.all(&names(0..15)).unwrap().len(), 15);
        assert_eq!(held.all(&names(0..16)), None, "an event without room is read again");
        held.release(&names(0..15));
        held.keep(event(1, 10));
        held.keep(event(1, 10));
        assert_eq!(held.bytes, weight(&event(1, 10)));
    }

    #[test]
    fn a_read_before_a_removal_is_not_current() {
        let mut held = Held::default();
        held.keep(event(1, 10));
        let as_read = held.as_read();
        assert!(as_read.is_current());
        held.forget_removed();
        assert!(!as_read.is_current() && held.as_read().is_current());
        assert_eq!((held.bytes, held.all(&names(1..2))), (0, None));
    }
}
