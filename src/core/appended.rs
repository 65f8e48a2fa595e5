//! What applying commands appended to a stream.

use super::ids::{MapId, TopicId};
use super::touched::Touched;
use bytes::Bytes;

/// Events that a stream got, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The map whose stream it is.
    pub map: MapId,
    /// The stream.
    pub stream: TopicId,
    /// The subjects of the events.
    pub subjects: Touched,
    /// Each event's seq, and its bytes as they are stored. There is at least one.
    pub events: Vec<(u64, Bytes)>,
}

impl Appended {
    /// Returns the seq of the first event.
    pub fn first_seq(&self) -> u64 {
        self.events.first().map_or(0, |(seq, _)| *seq)
    }
}
