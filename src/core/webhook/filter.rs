//! The filter of a webhook: which events of the chosen types it gets.

use super::Profile;
use crate::core::subject::{CHANNEL_PREFIX, Selector, SelectorError};
use serde::{Deserialize, Serialize};

/// The subjects of a service with sessions: the map's own, and one for each session.
const OF_SESSIONS: [&str; 2] = ["", "session:*"];

/// Which events of the chosen types a webhook gets. An event must meet every condition that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFilter {
    /// Only events of these subjects: exact names, or patterns with `*`. Without this, [`Self::topic_kind`]
    /// and [`Self::topic_prefix`], only events of the map's own subject; besides, the lifecycle events of
    /// channels if the profile has them, and the events of sessions if its receivers expect those.
    pub subjects: Option<Vec<String>>,
    /// Only events of subjects that are channels of this kind, and lifecycle events about such channels.
    pub topic_kind: Option<TopicKind>,
    /// Only events of subjects whose name starts with this, and lifecycle events about such channels.
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
    /// The subjects that it lets through for a webhook of that profile.
    ///
    /// # Errors
    /// If the setting `subjects` has an invalid name or pattern.
    pub fn subjects(&self, profile: Profile) -> Result<SubjectFilter, SelectorError> {
        let selector = match &self.subjects {
            Some(names) => Selector::from_names(names.iter().map(|name| Ok(name.as_str())))?,
            // Kind and prefix choose among all subjects.
            None if self.topic_kind.is_some() || self.topic_prefix.is_some() => Selector::All,
            None if profile.has_sessions() => Selector::from_names(OF_SESSIONS.map(Ok))?,
            None => Selector::default(),
        };
        Ok(SubjectFilter {
            selector,
            has_lifecycle: self.subjects.is_none() && profile.has_lifecycle(),
            kind: self.topic_kind,
            prefix: self.topic_prefix.clone(),
        })
    }
}

/// The subjects that a webhook wants, made once from its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectFilter {
    selector: Selector,
    /// Whether the lifecycle events of channels are wanted, though the selector does not name them.
    has_lifecycle: bool,
    kind: Option<TopicKind>,
    prefix: Option<String>,
}

impl SubjectFilter {
    /// Whether the webhook wants events of this subject. A lifecycle event is about a channel, whose kind and
    /// prefix count.
    pub fn takes(&self, subject: &str) -> bool {
        let channel = subject.strip_prefix(CHANNEL_PREFIX);
        let is_selected = self.selector.matches(subject) || self.has_lifecycle && channel.is_some();
        let channel = channel.unwrap_or(subject);
        is_selected
            && self.kind.is_none_or(|kind| kind == TopicKind::of(channel))
            && self.prefix.as_deref().is_none_or(|prefix| channel.starts_with(prefix))
    }

    /// Whether the webhook may want lifecycle events of some channel.
    pub fn may_take_lifecycle(&self) -> bool {
        let overlaps =
            |prefix: &str| prefix.starts_with(CHANNEL_PREFIX) || CHANNEL_PREFIX.starts_with(prefix);
        let is_selected = match &self.selector {
            Selector::One(subject) => subject.as_str().starts_with(CHANNEL_PREFIX),
            Selector::Several(several) => {
                several.named().iter().any(|subject| subject.as_str().starts_with(CHANNEL_PREFIX))
                    || several
                        .patterns()
                        .iter()
                        .any(|pattern| pattern.as_str().starts_with('$') && overlaps(pattern.prefix()))
            }
            Selector::All => false,
        };
        self.has_lifecycle || is_selected
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn filter(profile: Profile, kind: Option<TopicKind>, prefix: Option<&str>) -> SubjectFilter {
        let topic_prefix = prefix.map(str::to_owned);
        EventFilter { topic_kind: kind, topic_prefix, ..EventFilter::default() }.subjects(profile).unwrap()
    }

    #[test]
    fn kind_and_prefix_apply_to_the_channel_that_an_event_is_about() {
        let all = filter(Profile::Pusher, None, None);
        assert!(all.takes("") && all.takes("$channel/a") && all.takes("$channel/") && !all.takes("a"));
        let presence = filter(Profile::Broadcasting, Some(TopicKind::Presence), Some("presence-admin"));
        for (subject, is_taken) in [
            ("$channel/presence-admin-1", true),
            ("presence-admin-1", true),
            ("$channel/presence-b", false),
            ("$channel/private-a", false),
            ("$channel/", false),
            ("", false),
        ] {
            assert_eq!(presence.takes(subject), is_taken, "{subject}");
        }
        let sessions = filter(Profile::Envelope, None, None);
        assert!(sessions.takes("") && sessions.takes("session:3") && !sessions.takes("orders-7"));
        assert!(!sessions.takes("$channel/session:3") && !sessions.may_take_lifecycle());
        assert!(!filter(Profile::Standard, None, None).takes("session:3"));
        let plain = filter(Profile::Standard, Some(TopicKind::Presence), None);
        assert!(plain.takes("presence-a") && !plain.takes("$channel/presence-a"));
        assert!(!plain.may_take_lifecycle());
    }
}
