//! The state of Phoenix on a node: its settings, and the sessions of long polls.

use super::longpoll::LongPolls;
use super::settings::Settings;

/// The state that all workers share.
pub(super) struct Phoenix {
    pub(super) settings: Settings,
    /// Open long polls.
    pub(super) longpolls: LongPolls,
}
