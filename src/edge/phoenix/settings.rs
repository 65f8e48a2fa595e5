//! The settings of Phoenix.

use crate::config::Config;
use crate::delivery::{MessageRate, WsConfig};
use crate::edge::joins::JoinLimit;
use std::time::Duration;

/// Settings of Phoenix.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Topics that one socket may join.
    pub(super) max_channels: usize,
    /// Topics that one client may join in a second.
    pub(super) joins: JoinLimit,
    /// Settings of WebSockets.
    pub(super) ws: WsConfig,
    /// Settings of long polls.
    pub(super) longpoll: LongPollConfig,
    /// The bounds of events that clients publish.
    pub(super) events: EventLimits,
}

/// The bounds of events that clients publish.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventLimits {
    /// Most bytes of a payload.
    pub(super) bytes: usize,
    /// Deepest nesting of a payload.
    pub(super) depth: usize,
}

/// Settings of long polls.
#[derive(Clone, Copy, Debug)]
pub(super) struct LongPollConfig {
    /// How long a poll waits for messages.
    pub(super) wait: Duration,
    /// Bytes of replies that may wait for a poll. With more, the session ends. A batch adds the events of one
    /// write, or a single larger event.
    pub(super) reply_bytes: usize,
    /// How many messages the client may push.
    pub(super) rate: MessageRate,
}

impl Settings {
    pub(super) fn of(config: &Config) -> Self {
        let limits = &config.limits;
        let session = &config.session;
        let per_second = session.messages_per_second;
        // A client that comes back joins all its topics at once.
        let joins = u32::try_from(limits.channels_per_socket).unwrap_or(u32::MAX);
        let rate = MessageRate { per_second, burst: per_second.saturating_add(joins) };
        Self {
            max_channels: limits.channels_per_socket,
            joins: JoinLimit::of(config),
            ws: WsConfig { max_message_bytes: limits.frame_bytes, rate, deflate: config.session.compression },
            longpoll: LongPollConfig {
                wait: Duration::from_secs(session.longpoll_seconds),
                // The other half is for a batch that may not have arrived.
                reply_bytes: session.send_buffer_bytes / 2,
                rate,
            },
            events: EventLimits { bytes: limits.event_bytes, depth: limits.json_depth },
        }
    }
}
