//! The settings of Phoenix.

use crate::config::Config;
use crate::delivery::WsConfig;
use std::time::Duration;

/// Settings of Phoenix.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Topics that one socket may join.
    pub(super) max_channels: usize,
    /// Settings of WebSockets.
    pub(super) ws: WsConfig,
    /// Settings of long polls.
    pub(super) longpoll: LongPollConfig,
}

/// Settings of long polls.
#[derive(Clone, Copy, Debug)]
pub(super) struct LongPollConfig {
    /// How long a poll waits for messages.
    pub(super) wait: Duration,
    /// Bytes of replies that may wait for a poll. With more, the session ends. A batch adds the events of one
    /// write, or a single larger event.
    pub(super) reply_bytes: usize,
}

impl Settings {
    pub(super) fn of(config: &Config) -> Self {
        let (limits, session) = (&config.limits, &config.session);
        Self {
            max_channels: limits.channels_per_socket,
            ws: WsConfig { max_message_bytes: limits.frame_bytes },
            longpoll: LongPollConfig {
                wait: Duration::from_secs(session.longpoll_seconds),
                // The other half is for a batch that may not have arrived.
                reply_bytes: session.send_buffer_bytes / 2,
            },
        }
    }
}
