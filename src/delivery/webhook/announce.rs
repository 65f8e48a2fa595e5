//! What the map and the cluster are told about webhooks: one is failing, was disabled, loses events, or can't
//! be delivered to by its owner.

use crate::core::command::Command;
use crate::core::consumer::progress::{Disable, Progress};
use crate::core::event::NewEvent;
use crate::core::ids::WebhookId;
use crate::core::json;
use crate::core::webhook::Webhook;
use crate::core::webhook::records::Attempt;
use crate::hub::Hub;
use serde_json::json;
use std::time::Duration;

/// Published while a webhook fails, at 50 and 90 percent of the time after which it is disabled.
const FAILING: &str = "webhook.failing";
/// Published when a webhook is disabled.
const DISABLED: &str = "webhook.disabled";

/// How often the cluster is told that a webhook can't be delivered to, until it has taken that in.
const TELLS: u32 = 10;
const TELL_PAUSE: Duration = Duration::from_secs(1);

/// Logs that a webhook is failing, and returns the event for it. `percent` is the elapsed part of the time
/// after which the webhook is disabled. `since` is the time since which it has been failing.
pub(super) fn failing(
    webhook: &Webhook,
    progress: &Progress,
    since: Option<&str>,
    percent: u8,
) -> Option<NewEvent> {
    tracing::warn!(webhook = %webhook.id, host = webhook.host, percent, "the webhook is failing and will be disabled");
    event(webhook, progress, since, FAILING, "percent", json!(percent))
}

/// Logs that a webhook is to be disabled. Returns the change, with the event that is published when it is
/// applied.
pub(super) fn disable(webhook: &Webhook, progress: &Progress, since: Option<&str>, why: String) -> Disable {
    tracing::warn!(webhook = %webhook.id, host = webhook.host, why, "the webhook is disabled");
    metrics::counter!(crate::metric::WEBHOOK_DISABLED).increment(1);
    Disable { news: event(webhook, progress, since, DISABLED, "reason", json!(why)), why }
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

fn event(
    webhook: &Webhook,
    progress: &Progress,
    since: Option<&str>,
    kind: &str,
    key: &str,
    value: serde_json::Value,
) -> Option<NewEvent> {
    let mut payload = json!({
        "webhook_id": webhook.id.to_string(),
        "name": webhook.name,
        "host": webhook.host,
        "failing_since": since,
        "consecutive_failures": progress.failures,
        "last_error": progress.last_error,
    });
    payload[key] = value;
    let payload = json::normalise(&payload.to_string(), 8).ok()?;
    Some(NewEvent::new(Default::default(), kind, payload))
}
