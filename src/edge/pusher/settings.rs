//! The settings of the Pusher protocol.

use crate::config::Config;
use crate::core::rate::Rate;
use crate::delivery::{MessageRate, WsConfig};
use crate::edge::joins::JoinLimit;
use std::time::Duration;

/// Settings of the Pusher protocol.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Channels that one socket may subscribe to.
    pub(super) max_channels: usize,
    /// A socket that sent nothing for this long is asked for a sign of life.
    pub(super) activity_timeout: Duration,
    /// Largest data of an event (bytes).
    pub(super) event_bytes: usize,
    /// Channels that a client may join in a second.
    pub(super) joins: JoinLimit,
    /// Events that a client may send.
    pub(super) client_events: Rate,
    /// Time between two messages about the number of a channel's subscriptions. `None`: there are none.
    pub(super) subscription_count: Option<Duration>,
    /// Settings of WebSockets.
    pub(super) ws: WsConfig,
}

impl Settings {
    pub(super) fn of(config: &Config) -> Self {
        let limits = &config.limits;
        let pusher = &config.pusher;
        let per_second = config.session.messages_per_second;
        // A client that comes back subscribes to all its channels at once.
        let subscribes = u32::try_from(limits.channels_per_socket).unwrap_or(u32::MAX);
        let rate = MessageRate { per_second, burst: per_second.saturating_add(subscribes) };
        let count = Some(pusher.subscription_count_seconds).filter(|seconds| *seconds > 0);
        Self {
            max_channels: limits.channels_per_socket,
            activity_timeout: Duration::from_secs(pusher.activity_timeout_seconds),
            event_bytes: pusher.event_bytes,
            joins: JoinLimit::of(config),
            client_events: Rate { permits: pusher.client_events_per_second, period_ms: 1000 },
            subscription_count: count.map(Duration::from_secs),
            ws: WsConfig { max_message_bytes: limits.frame_bytes, rate, deflate: config.session.compression },
        }
    }
}
