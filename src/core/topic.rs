//! The name of a topic: some subjects of a stream, as readers want them.

use super::channel_rules::Durability;
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
    /// The stored events of these subjects, or the ephemeral ones.
    pub durability: Durability,
}

impl TopicKey {
    /// The topic of the stored events of those subjects of the stream.
    pub fn new(stream: TopicId, selector: Selector) -> Self {
        Self { stream, selector, durability: Durability::Durable }
    }

    /// The topic of the ephemeral events of those subjects.
    pub fn ephemeral(stream: TopicId, selector: Selector) -> Self {
        Self { stream, selector, durability: Durability::Ephemeral }
    }

    /// Whether its events are in no stream.
    pub fn is_ephemeral(&self) -> bool {
        self.durability == Durability::Ephemeral
    }
}

impl fmt::Display for TopicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ephemeral = if self.is_ephemeral() { " ephemeral" } else { "" };
        write!(f, "{} {:?}{ephemeral}", self.stream, self.selector.to_string())
    }
}
