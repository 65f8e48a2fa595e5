//! The name of a topic.

use super::channel_rules::Durability;
use super::ids::TopicId;
use super::subject::Selector;
use std::fmt;

/// The name of a topic: the events of a stream that a selector selects. It is cheap to clone, and to hash if
/// it names one subject.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicKey {
    /// The stream.
    pub stream: TopicId,
    /// The subjects of the topic.
    pub selector: Selector,
    /// Whether the topic has the durable or the ephemeral events of these subjects.
    pub durability: Durability,
}

impl TopicKey {
    /// Returns the topic of the subjects' durable events.
    pub fn new(stream: TopicId, selector: Selector) -> Self {
        Self { stream, selector, durability: Durability::Durable }
    }

    /// Returns the topic of the subjects' ephemeral events.
    pub fn ephemeral(stream: TopicId, selector: Selector) -> Self {
        Self { stream, selector, durability: Durability::Ephemeral }
    }

    /// Returns whether its events are ephemeral.
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
