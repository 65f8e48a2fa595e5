//! The state of Phoenix on a node: its settings, and the sessions of long polls.

use super::longpoll::{LongPolls, Relays};
use super::settings::Settings;

/// The state that all workers share.
pub(super) struct Phoenix {
    pub(super) settings: Settings,
    /// Open long polls.
    pub(super) longpolls: LongPolls,
    /// Requests of long polls that other nodes are asked for.
    pub(super) relays: Relays,
}
