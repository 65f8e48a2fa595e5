//! The filter of a webhook: which events of the chosen types it gets.

use crate::core::subject::{Selector, SelectorError};
use serde::{Deserialize, Serialize};

/// Which events of the chosen types a webhook gets. An event must meet every condition that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFilter {
    /// Only events of these subjects: exact names, or patterns with `*`. Without this, [`Self::topic_kind`]
    /// and [`Self::topic_prefix`], only events of the map's own subject.
    pub subjects: Option<Vec<String>>,
    /// Only events of subjects that are channels of this kind.
    pub topic_kind: Option<TopicKind>,
    /// Only events of subjects whose name starts with this.
    pub topic_prefix: Option<String>,
    /// Only events for which this condition is true (see [`crate::core::expression`]).
    pub expression: Option<String>,
}

/// The kind of a channel, which follows from the prefix of its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TopicKind {
    /// The map's own subject.
    Map,
    /// A public Pusher channel: a subject without one of the two prefixes.
    Public,
    /// A subject `private-…`.
    Private,
    /// A subject `presence-…`.
    Presence,
}

impl TopicKind {
    /// All kinds with their names.
    pub const NAMES: [(&'static str, TopicKind); 4] = [
        ("map", Self::Map),
        ("public", Self::Public),
        ("private", Self::Private),
        ("presence", Self::Presence),
    ];

    /// The kind of the channel with this subject.
    pub fn of(subject: &str) -> Self {
        match subject {
            "" => Self::Map,
            subject if subject.starts_with("private-") => Self::Private,
            subject if subject.starts_with("presence-") => Self::Presence,
            _ => Self::Public,
        }
    }
}

impl EventFilter {
    /// The subjects that it lets through.
    ///
    /// # Errors
    /// If the setting `subjects` has an invalid name or pattern.
    pub fn subjects(&self) -> Result<SubjectFilter, SelectorError> {
        let selector = match &self.subjects {
            Some(names) => Selector::from_names(names.iter().map(|name| Ok(name.as_str())))?,
            // Kind and prefix choose among all subjects.
            None if self.topic_kind.is_some() || self.topic_prefix.is_some() => Selector::All,
            None => Selector::default(),
        };
        Ok(SubjectFilter { selector, kind: self.topic_kind, prefix: self.topic_prefix.clone() })
    }
}

/// The subjects that a webhook wants, made once from its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectFilter {
    selector: Selector,
    kind: Option<TopicKind>,
    prefix: Option<String>,
}

impl SubjectFilter {
    /// Whether the webhook wants events of this subject.
    pub fn takes(&self, subject: &str) -> bool {
        self.selector.matches(subject)
            && self.kind.is_none_or(|kind| kind == TopicKind::of(subject))
            && self.prefix.as_deref().is_none_or(|prefix| subject.starts_with(prefix))
    }
}
