//! What other threads tell a socket.

use super::close::Close;
use crate::hub::PresenceNews;
use std::sync::Arc;

/// What other threads tell a socket.
pub(super) enum Note {
    /// A member of a presence channel came or went.
    Member {
        /// The channel.
        channel: Arc<str>,
        /// The number of the subscription that wants to know.
        subscription: u64,
        /// Who came or went.
        news: PresenceNews,
    },
    /// A user whom the client watches came or went.
    Watched {
        /// The user.
        user: Arc<str>,
        /// Whether the user is there.
        is_online: bool,
    },
    /// The number of a channel's subscriptions has changed.
    Count {
        /// The channel.
        channel: Arc<str>,
        /// The number on all nodes.
        count: u64,
    },
    /// The connection ends.
    End(Close),
}
