//! The profiles of webhooks.

use serde::{Deserialize, Serialize};

/// The format of a webhook's bodies and signatures (docs/WEBHOOKS.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Profile {
    /// Wanderer's envelope, with Wanderer's signature.
    Wanderer,
    /// `{event, timestamp, data}`.
    Envelope,
    /// `{event, timestamp, data, signature}`.
    Broadcasting,
    /// `{time_ms, events}`.
    Pusher,
    /// Standard Webhooks.
    Standard,
    /// A message for a Discord channel.
    Discord,
    /// A message for a Slack channel.
    Slack,
    /// A body that the webhook's own template makes.
    Template,
}

impl Profile {
    /// All profiles with their names.
    pub const NAMES: [(&'static str, Profile); 8] = [
        ("wanderer", Self::Wanderer),
        ("envelope", Self::Envelope),
        ("broadcasting", Self::Broadcasting),
        ("pusher", Self::Pusher),
        ("standard", Self::Standard),
        ("discord", Self::Discord),
        ("slack", Self::Slack),
        ("template", Self::Template),
    ];

    /// The profile of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, profile)| *profile)
    }

    /// The name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, profile)| *profile == self).map_or("", |(name, _)| name)
    }

    /// Whether one request can carry several events.
    pub fn batches(self) -> bool {
        !matches!(self, Self::Envelope | Self::Broadcasting)
    }

    /// Whether its receivers expect the lifecycle events of channels.
    pub fn has_lifecycle(self) -> bool {
        matches!(self, Self::Broadcasting | Self::Pusher)
    }

    /// Whether its receivers expect the events of sessions beside those of the map's own subject.
    pub fn has_sessions(self) -> bool {
        self == Self::Envelope
    }

    /// Whether its requests name a key, which tells receivers whose secret they are signed with.
    pub fn names_key(self) -> bool {
        self == Self::Pusher
    }

    /// Whether the target is the incoming URL of a chat. The URL is the secret, and requests are not signed.
    pub fn is_chat(self) -> bool {
        matches!(self, Self::Discord | Self::Slack)
    }
}
