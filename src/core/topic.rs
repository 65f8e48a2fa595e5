//! The name of a topic: some subjects of a stream, as readers want them.

use super::ids::TopicId;
use super::subject::Selector;
use std::fmt;

/// Names what an actor reads, and rings keep: the events of a stream that a selector wants. Cheap to clone, and to hash
/// where it names one subject.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicKey {
    /// The stream.
    pub stream: TopicId,
    /// Which of its subjects.
    pub selector: Selector,
}

impl TopicKey {
    /// The topic of those subjects of the stream.
    pub fn new(stream: TopicId, selector: Selector) -> Self {
        Self { stream, selector }
    }
}

impl fmt::Display for TopicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.stream, self.selector.to_string())
    }
}
