//! The settings of the Pusher protocol.

use serde::{Deserialize, Serialize};

/// The Pusher protocol.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pusher {
    /// Whether clients may connect at `/app/{key}` and back ends may call `/apps/{id}`.
    pub enabled: bool,
    /// A socket that sent nothing for this long is asked for a sign of life, in seconds.
    pub activity_timeout_seconds: u64,
    /// Largest data of an event, in bytes.
    pub event_bytes: usize,
    /// Events that a client may send in a second.
    pub client_events_per_second: u32,
    /// Time between two messages that tell a channel's subscribers how many they are, in seconds; 0 = none.
    pub subscription_count_seconds: u64,
}

impl Default for Pusher {
    fn default() -> Self {
        Self {
            enabled: true,
            activity_timeout_seconds: 120,
            event_bytes: 10_240,
            client_events_per_second: 10,
            subscription_count_seconds: 0,
        }
    }
}
