//! What the two machines say to each other.

use crate::core::access::AccessChange;
use crate::core::consumer::progress::Order;
use crate::core::ids::WebhookId;
use crate::core::webhook::directory::WebhookChange;

/// What the streams must know of a change of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Maps or tokens.
    Access(AccessChange),
    /// Webhooks, or who owns them.
    Webhook(WebhookChange),
    /// A webhook's owner is to begin anew, as that order says.
    Begin(WebhookId, Order),
}

/// What the streams want of the directory, which decides it as of its own order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A webhook's owner gave it up.
    Disable {
        /// The webhook.
        webhook: WebhookId,
        /// Its revision as the streams knew it: one that was changed since is not disabled.
        revision: u64,
        /// In words.
        why: String,
    },
    /// Nothing is left of a deleted webhook: its id is free.
    Free(WebhookId),
}
