//! What the map and the cluster are told about webhooks: one is failing, was disabled, loses events, or can't
//! be delivered to by its owner.

use crate::core::access::Map;
use crate::core::command::Command;
use crate::core::consumer::progress::{Disable, Progress};
use crate::core::event::NewEvent;
use crate::core::ids::WebhookId;
use crate::core::operators::{FAILING, WEBHOOK_DISABLED, about_webhook};
use crate::core::webhook::Webhook;
use crate::core::webhook::records::Attempt;
use crate::hub::Hub;
use serde_json::{Value, json};
use std::time::Duration;

/// How often the cluster is told that a webhook can't be delivered to, until it has taken that in.
const TELLS: u32 = 10;
const TELL_PAUSE: Duration = Duration::from_secs(1);

/// What is known of a webhook when its map is told about it.
pub(super) struct About<'a> {
    /// The map; a map that is gone is told nothing.
    pub(super) map: Option<&'a Map>,
    pub(super) webhook: &'a Webhook,
    pub(super) progress: &'a Progress,
    /// The time since which it has been failing.
    pub(super) since: Option<&'a str>,
}

impl About<'_> {
    /// Logs that the webhook is failing, and returns the event for it. `percent` is the elapsed part of the
    /// time after which it is disabled.
    pub(super) fn failing(&self, percent: u8) -> Option<NewEvent> {
        let Webhook { id, host, .. } = self.webhook;
        tracing::warn!(webhook = %id, host, percent, "the webhook is failing and will be disabled");
        self.event(FAILING, "percent", json!(percent))
    }

    /// Logs that the webhook is to be disabled. Returns the change, with the event that is published when it
    /// is applied.
    pub(super) fn disable(&self, why: String) -> Disable {
        let Webhook { id, host, .. } = self.webhook;
        tracing::warn!(webhook = %id, host, why, "the webhook is disabled");
        metrics::counter!(crate::metric::WEBHOOK_DISABLED).increment(1);
        Disable { news: self.event(WEBHOOK_DISABLED, "reason", json!(why)), why }
    }

    fn event(&self, kind: &str, key: &str, value: Value) -> Option<NewEvent> {
        about_webhook(kind, self.map?, self.webhook, self.progress, self.since, &[(key, value)])
    }
}

/// Logs that retention removed events that a webhook of this node still needed. The replicated state
/// publishes the event for the map.
pub(super) fn lost(webhook: WebhookId, events: u64) {
    metrics::counter!(crate::metric::WEBHOOK_LOST).increment(events);
    tracing::warn!(%webhook, events, "the webhook loses events: retention no longer waits for it");
}

/// Records in the cluster that this node, the webhook's owner, can't deliver to it. So every node shows it as
/// failing, although there is no attempt.
pub(super) async fn unusable(hub: Hub, webhook: WebhookId, why: String) {
    let attempt = Attempt::not_begun(&why, hub.clock().time_ms(), hub.node_id());
    for _ in 0..TELLS {
        match hub.log().propose(&Command::NoteAttempt(webhook, Box::new(attempt.clone()))).await {
            Ok(_) => return,
            Err(error) => tracing::debug!(%webhook, %error, "an unusable webhook can't be recorded yet"),
        }
        tokio::time::sleep(TELL_PAUSE).await;
    }
}
