//! The meters of one worker thread. What is handed to the readers of a map is counted in the map's meter on
//! this thread: no thread changes the numbers of another.

use crate::core::ids::TopicId;
use crate::hub::{Meter, Usage};
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::sync::Arc;

/// Who has a meter that no topic view uses: the node, which reads it, and the thread.
const UNUSED: usize = 2;

/// The meters of the maps that have topic views on this thread.
pub(super) struct Meters {
    usage: Usage,
    of_streams: RefCell<FxHashMap<TopicId, Arc<Meter>>>,
}

impl Meters {
    pub(super) fn new(usage: Usage) -> Self {
        Self { usage, of_streams: RefCell::default() }
    }

    /// The meter of a map on this thread.
    pub(super) fn of(&self, stream: TopicId) -> Arc<Meter> {
        self.of_streams.borrow_mut().entry(stream).or_insert_with(|| self.usage.meter(stream)).clone()
    }

    /// Lets go of the meters that no topic view uses any more.
    pub(super) fn forget_unused(&self) {
        self.of_streams.borrow_mut().retain(|_, meter| Arc::strong_count(meter) > UNUSED);
    }
}
