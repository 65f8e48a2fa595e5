//! What Phoenix brings to a node: its settings, and the sessions of long polls.

use super::longpoll::{self, LongPollConfig, LongPolls};
use super::routes;
use crate::config::Config;
use crate::delivery::WsConfig;
use crate::edge::Routes;
use crate::edge::context::Edge;
use actix_web::web::Data;
use std::sync::Arc;
use std::time::Duration;

/// Settings of Phoenix.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Topics that one socket may join.
    pub(super) max_channels: usize,
    /// WebSockets.
    pub(super) ws: WsConfig,
    /// Long polls.
    pub(super) longpoll: LongPollConfig,
}

/// What all workers share.
pub(super) struct Phoenix {
    pub(super) settings: Settings,
    /// Open long polls.
    pub(super) longpolls: LongPolls,
}

fn settings(config: &Config) -> Settings {
    let (limits, session) = (&config.limits, &config.session);
    Settings {
        max_channels: limits.channels_per_socket,
        ws: WsConfig { max_message_bytes: limits.frame_bytes },
        longpoll: LongPollConfig {
            wait: Duration::from_secs(session.longpoll_seconds),
            // The other half is for a batch that may not have arrived.
            reply_bytes: session.send_buffer_bytes / 2,
        },
    }
}

/// Makes Phoenix ready on a node.
pub fn start(config: &Config, edge: &Data<Edge>) -> Routes {
    let phoenix = Data::new(Phoenix { settings: settings(config), longpolls: LongPolls::default() });
    longpoll::serve_relay(edge, &phoenix);
    Arc::new(move |service| routes::add(service.app_data(phoenix.clone())))
}
