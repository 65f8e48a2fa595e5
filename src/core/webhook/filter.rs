//! Which events of the wanted types a webhook gets.

use crate::core::subject::{Selector, SelectorError};
use serde::{Deserialize, Serialize};

/// Which events of the wanted types.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFilter {
    /// Only of these subjects, exact or with `*`. Where neither this nor another choice of subjects is given, only of the
    /// map's own.
    pub subjects: Option<Vec<String>>,
    /// Only of subjects that are channels of that kind.
    pub topic_kind: Option<TopicKind>,
    /// Only of subjects whose name starts so.
    pub topic_prefix: Option<String>,
    /// Only events for which this holds (see [`crate::core::expression`]).
    pub expression: Option<String>,
}

/// Kinds of channels, by the first part of their subjects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TopicKind {
    /// The map's own subject.
    Map,
    /// A Pusher channel for everybody.
    Public,
    /// `private-…`.
    Private,
    /// `presence-…`.
    Presence,
}

impl TopicKind {
    /// All, by name.
    pub const NAMES: [(&'static str, TopicKind); 4] = [
        ("map", Self::Map),
        ("public", Self::Public),
        ("private", Self::Private),
        ("presence", Self::Presence),
    ];

    /// The kind of the channel that has that subject.
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
    /// Which subjects it lets through.
    pub fn subjects(&self) -> Result<SubjectFilter, SelectorError> {
        let selector = match &self.subjects {
            Some(names) => Selector::from_names(names.iter().map(|name| Ok(name.as_str())))?,
            // They choose among all.
            None if self.topic_kind.is_some() || self.topic_prefix.is_some() => Selector::All,
            None => Selector::default(),
        };
        Ok(SubjectFilter { selector, kind: self.topic_kind, prefix: self.topic_prefix.clone() })
    }
}

/// Which subjects a webhook wants, made once from its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectFilter {
    selector: Selector,
    kind: Option<TopicKind>,
    prefix: Option<String>,
}

impl SubjectFilter {
    /// Whether events of that subject are wanted.
    pub fn takes(&self, subject: &str) -> bool {
        self.selector.matches(subject)
            && self.kind.is_none_or(|kind| kind == TopicKind::of(subject))
            && self.prefix.as_deref().is_none_or(|prefix| subject.starts_with(prefix))
    }
}
