//! Lifecycle events as webhooks see them: which ones somebody wants, and what each profile calls them.

use super::{Profile, Webhook};
use crate::core::access::Map;
use crate::core::filter::Filter;
use crate::core::lifecycle::LifecycleKind;
use crate::core::operators::SYSTEM_MAP;
use crate::core::subject::CHANNEL_PREFIX;
use std::sync::Arc;

/// The kinds of lifecycle events that somebody wants of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants(u16);

impl Wants {
    /// Nothing.
    pub const NOTHING: Self = Self(0);

    /// Returns what the map's webhooks and channel rules want. Webhooks that are not active count too: what
    /// happens meanwhile waits for them. A channel rule for the subjects of lifecycle events wants all.
    pub fn of<'w>(map: Option<&Map>, webhooks: impl Iterator<Item = &'w Arc<Webhook>>) -> Self {
        // The system map has operator events alone.
        let Some(map) = map.filter(|map| map.id != SYSTEM_MAP) else { return Self::NOTHING };
        let is_of_channels =
            map.rules.all().iter().any(|rule| rule.matches.prefix().starts_with(CHANNEL_PREFIX));
        if is_of_channels {
            return LifecycleKind::NAMES.iter().fold(Self::NOTHING, |wants, (_, kind)| wants.with(*kind));
        }
        webhooks.fold(Self::NOTHING, |wants, webhook| Self(wants.0 | Self::of_webhook(webhook).0))
    }

    fn of_webhook(webhook: &Webhook) -> Self {
        let subjects = webhook.filter.subjects(webhook.profile);
        // The settings were checked when they were stored. A filter that is not valid takes nothing.
        let (Ok(subjects), Ok(kinds)) = (subjects, Filter::from_list(&webhook.events)) else {
            return Self::NOTHING;
        };
        if !subjects.may_take_lifecycle() {
            return Self::NOTHING;
        }
        let takes = |name: &str| shown_as(webhook.profile, name).is_some_and(|name| kinds.matches(name));
        LifecycleKind::NAMES
            .iter()
            .filter(|(name, _)| takes(name))
            .fold(Self::NOTHING, |wants, (_, kind)| wants.with(*kind))
    }

    /// Adds a kind.
    const fn with(self, kind: LifecycleKind) -> Self {
        Self(self.0 | 1 << kind as u16)
    }

    /// Returns whether somebody wants this kind.
    pub const fn has(self, kind: LifecycleKind) -> bool {
        self.0 & (1 << kind as u16) != 0
    }

    /// Returns whether somebody wants a kind that follows from the numbers of subscriptions.
    pub const fn counts(self) -> bool {
        self.has(LifecycleKind::ChannelOccupied)
            || self.has(LifecycleKind::ChannelVacated)
            || self.has(LifecycleKind::SubscriptionCount)
    }
}

/// Returns the name under which the profile shows a lifecycle event of that type; `None` if it has no such
/// event. Types that are not of the server's own lifecycle events keep their names.
pub fn shown_as(profile: Profile, kind: &str) -> Option<&str> {
    let Some(known) = LifecycleKind::from_name(kind) else { return Some(kind) };
    match (profile, known) {
        (Profile::Broadcasting, LifecycleKind::ConnectionEstablished) => Some("connection"),
        (Profile::Broadcasting, LifecycleKind::ConnectionTerminated) => Some("disconnection"),
        (Profile::Broadcasting, LifecycleKind::MemberAdded) => Some("presence_join"),
        (Profile::Broadcasting, LifecycleKind::MemberRemoved) => Some("presence_leave"),
        (
            Profile::Broadcasting,
            LifecycleKind::ChannelOccupied
            | LifecycleKind::ChannelVacated
            | LifecycleKind::SubscriptionCount
            | LifecycleKind::CacheMiss,
        ) => None,
        (
            Profile::Pusher,
            LifecycleKind::Subscribe | LifecycleKind::Unsubscribe | LifecycleKind::Broadcast,
        ) => None,
        _ => Some(kind),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::ids::{MapId, WebhookId};
    use crate::core::webhook::{Defaults, EventFilter, Origin, Plain};

    fn wants(profile: Profile, events: &[&str], subjects: Option<&[&str]>) -> Vec<&'static str> {
        let defaults = Defaults {
            timeout_ms: 1,
            retry_attempts: None,
            retry_delay_ms: None,
            auto_disable_seconds: None,
        };
        let (id, map) = (WebhookId::from_bytes([1; 16]), MapId::from_bytes([1; 16]));
        let mut webhook = Plain::new(id, map, Origin::Api, profile, &defaults).webhook;
        webhook.events = events.iter().map(|kind| (*kind).to_owned()).collect();
        let subjects = subjects.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        webhook.filter = EventFilter { subjects, ..EventFilter::default() };
        let wants = Wants::of_webhook(&webhook);
        LifecycleKind::NAMES.iter().filter(|(_, kind)| wants.has(*kind)).map(|(name, _)| *name).collect()
    }

    #[test]
    fn a_profile_wants_the_events_that_it_has() {
        assert_eq!(
            wants(Profile::Pusher, &["*"], None),
            [
                "channel_occupied",
                "channel_vacated",
                "member_added",
                "member_removed",
                "subscription_count",
                "client_event",
                "cache_miss",
                "connection_established",
                "connection_terminated"
            ]
        );
        assert_eq!(
            wants(Profile::Broadcasting, &["connection", "presence_*", "client_event"], None),
            ["member_added", "member_removed", "client_event", "connection_established"]
        );
        assert!(wants(Profile::Wanderer, &["*"], None).is_empty());
        assert!(wants(Profile::Pusher, &["*"], Some(&["", "orders-*"])).is_empty());
        assert_eq!(wants(Profile::Standard, &["*"], Some(&["$channel/*"])).len(), LifecycleKind::NAMES.len());
        assert_eq!(wants(Profile::Standard, &["cache_*"], Some(&["$channel/chat-1"])), ["cache_miss"]);
    }
}
