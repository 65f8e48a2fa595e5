//! The readers of a topic view that want the same types of events, and what of the topic is not for them.
//!
//! A chunk is looked at once for all of them. If nothing in it is for them, nobody is told, and the stretch
//! of the topic in which nothing is for them grows. A reader whose cursor stands in that stretch skips the
//! rest of it when it reads next.

use crate::core::filter::Filter;
use crate::core::ring::{Chunk, Cursor};
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// A reader of a topic view. It may read several topic views, and one more than once: it knows by a place what it
/// reads for whom.
pub(super) trait Reader {
    /// There may be something to read at that place.
    fn wake(&self, place: usize);
    /// There is something to read at that place, as far as the topic view knows.
    fn offer(self: Rc<Self>, place: usize);
    /// Nothing in `quiet` is for the audience of that place: a cursor that stands there moves to its end.
    fn pass(&self, place: usize, quiet: Quiet);
    /// Events were removed. The reader drops the page that it has read for that place, and reads it anew.
    fn forget_page(&self, place: usize);
    /// Whether the reader has not come to the event at `seq` yet at that place.
    fn waits_for(&self, place: usize, seq: u64) -> bool;
}

/// A stretch of a topic in which nothing is for an audience. It ends where the topic view's ring ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quiet {
    /// The first seq.
    from: u64,
    /// The seq after the last one.
    until: u64,
}

impl Quiet {
    fn at(seq: u64) -> Self {
        Self { from: seq, until: seq }
    }

    /// Moves a cursor that stands in it to its end. Returns whether the cursor stood in it.
    pub(super) fn pass(self, cursor: &mut Cursor) -> bool {
        let stood_in_it = (self.from..self.until).contains(&cursor.next_seq);
        if stood_in_it {
            cursor.next_seq = self.until;
        }
        stood_in_it
    }
}

/// The readers of a topic view that want the same types of events. It lives as long as it has readers.
pub(super) struct Audience {
    filter: Filter,
    /// Each with the place at which it reads.
    readers: RefCell<Slab<(Rc<dyn Reader>, usize)>>,
    quiet: Cell<Quiet>,
    /// Whether the stretch has grown since the readers were offered something.
    has_grown: Cell<bool>,
}

impl Audience {
    /// An audience without readers, of a topic view whose ring ends at `next_seq`.
    pub(super) fn new(filter: Filter, next_seq: u64) -> Self {
        let quiet = Cell::new(Quiet::at(next_seq));
        Self { filter, readers: RefCell::default(), quiet, has_grown: Cell::new(false) }
    }

    /// Which types of events the readers want.
    pub(super) fn filter(&self) -> &Filter {
        &self.filter
    }

    /// The newest stretch of the topic in which nothing is for the readers.
    pub(super) fn quiet(&self) -> Quiet {
        self.quiet.get()
    }

    /// How many readers have not come to the event at `seq` yet.
    pub(super) fn waiting_for(&self, seq: u64) -> u64 {
        let readers = self.readers.borrow();
        readers.iter().filter(|(_, (reader, place))| reader.waits_for(*place, seq)).count() as u64
    }

    /// Adds a reader, which reads at that place. Returns its slot.
    pub(super) fn add(&self, reader: Rc<dyn Reader>, place: usize) -> usize {
        self.readers.borrow_mut().insert((reader, place))
    }

    /// Removes a reader. Returns whether it was the last one.
    pub(super) fn remove(&self, slot: usize) -> bool {
        let mut readers = self.readers.borrow_mut();
        readers.try_remove(slot);
        readers.is_empty()
    }

    /// The topic view's ring has a new chunk at its end. Offers it to the readers if something in it is for
    /// them. If the chunk does not continue what the ring had, they are to learn of the hole.
    pub(super) fn hear(&self, chunk: &Chunk) {
        let quiet = self.quiet.get();
        let wanted = chunk.after_last(&self.filter);
        if wanted.is_none() && quiet.until == chunk.first_seq() {
            self.quiet.set(Quiet { until: chunk.next_seq(), ..quiet });
            self.has_grown.set(true);
            return;
        }
        self.tell_passed();
        self.quiet.set(Quiet { from: wanted.unwrap_or(chunk.first_seq()), until: chunk.next_seq() });
        for (_, (reader, place)) in self.readers.borrow().iter() {
            reader.clone().offer(*place);
        }
    }

    /// The topic view's ring ends at `next_seq` now, and may have no events before that.
    pub(super) fn start(&self, next_seq: u64) {
        if self.quiet.get().until != next_seq {
            self.tell_passed();
            self.quiet.set(Quiet::at(next_seq));
        }
        for (_, (reader, place)) in self.readers.borrow().iter() {
            reader.wake(*place);
        }
    }

    /// Events of the topic were removed.
    pub(super) fn forget_removed(&self) {
        for (_, (reader, place)) in self.readers.borrow().iter() {
            reader.forget_page(*place);
            reader.wake(*place);
        }
    }

    /// Before the stretch is replaced by a newer one: a reader that stands in it must not seem to be behind.
    fn tell_passed(&self) {
        if self.has_grown.take() {
            for (_, (reader, place)) in self.readers.borrow().iter() {
                reader.pass(*place, self.quiet.get());
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
