//! What the two machines say to each other.

use crate::core::access::AccessChange;
use crate::core::consumer::progress::OwnerCommand;
use crate::core::event::NewEvent;
use crate::core::ids::{MapId, WebhookId};
use crate::core::webhook::directory::WebhookChange;

/// A change of the directory that the streams must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A map or a token changed.
    Access(AccessChange),
    /// A webhook or its owner changed.
    Webhook(WebhookChange),
    /// A webhook's owner must start over, as this owner command says.
    Begin(WebhookId, OwnerCommand),
    /// Facts that the directory decided become events of the map's stream.
    Append(MapId, Vec<NewEvent>),
    /// A new webhook begins with the event of this seq, or with the stream's first one after it.
    Start(WebhookId, u64),
}

impl Step {
    /// The most events of one [`Step::Append`].
    pub(super) const MOST_EVENTS: usize = 1000;
}

/// A request of the streams to the directory, which decides it in its own order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Disable a webhook, as its owner decided.
    Disable {
        /// The webhook.
        webhook: WebhookId,
        /// The webhook's revision as the streams knew it. A webhook that was changed since is not disabled.
        revision: u64,
        /// The reason, as text.
        why: String,
    },
    /// Free the id of a deleted webhook, of which nothing is stored any more.
    Free(WebhookId),
}
