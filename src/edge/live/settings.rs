//! The settings of live sessions.

use crate::config::Config;
use crate::core::filter::{Filter, Kinds};
use crate::delivery::{MessageRate, WsConfig};
use crate::edge::joins::JoinLimit;

/// Settings of live sessions.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Sessions that one socket may subscribe to.
    pub(super) max_sessions: usize,
    /// Sessions that a client may subscribe to in a second.
    pub(super) joins: JoinLimit,
    /// The types of events of the map's own subject that every client gets.
    pub(super) for_all: Filter,
    /// Settings of WebSockets.
    pub(super) ws: WsConfig,
}

impl Settings {
    pub(super) fn of(config: &Config) -> Self {
        let limits = &config.limits;
        let per_second = config.session.messages_per_second;
        // A client that comes back subscribes to all its sessions at once.
        let subscribes = u32::try_from(limits.channels_per_socket).unwrap_or(u32::MAX);
        let rate = MessageRate { per_second, burst: per_second.saturating_add(subscribes) };
        Self {
            max_sessions: limits.channels_per_socket,
            joins: JoinLimit::of(config),
            // The setting was checked. A list that is none would let nothing through.
            for_all: Filter::from_list(&config.live.for_all).unwrap_or(Filter::Kinds(Kinds::default())),
            ws: WsConfig { max_message_bytes: limits.frame_bytes, rate, deflate: config.session.compression },
        }
    }
}
