//! How a webhook's bodies and signatures look, by name.

use serde::{Deserialize, Serialize};

/// How bodies and signatures look (contracts/webhooks.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Profile {
    /// The envelope, signed as Wanderer does.
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
    /// What a template makes of it.
    Template,
}

impl Profile {
    /// All, by name.
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

    /// A chat's incoming URL: the URL is the secret, and nothing is signed.
    pub fn is_chat(self) -> bool {
        matches!(self, Self::Discord | Self::Slack)
    }
}
