//! What the map is told of its webhooks, as events: that one is failing, and that it was disabled.

use crate::core::consumer::progress::{Disable, Progress};
use crate::core::event::NewEvent;
use crate::core::ids::WebhookId;
use crate::core::json;
use crate::core::webhook::Webhook;
use serde_json::json;

/// Told while a webhook fails, at 50 and 90 percent of the time after which it is disabled.
const FAILING: &str = "webhook.failing";
/// Told when it is disabled.
const DISABLED: &str = "webhook.disabled";

/// The event that tells that a webhook has been failing for so much of the time until it is disabled, with the log
/// line beside it. `since`: from when on it has been failing.
pub(super) fn failing(
    webhook: &Webhook,
    progress: &Progress,
    since: Option<&str>,
    percent: u8,
) -> Option<NewEvent> {
    tracing::warn!(webhook = %webhook.id, host = webhook.host, percent, "the webhook is failing and will be disabled");
    event(webhook, progress, since, FAILING, "percent", json!(percent))
}

/// Has a webhook disabled, and the map told of it once that is so.
pub(super) fn disable(webhook: &Webhook, progress: &Progress, since: Option<&str>, why: String) -> Disable {
    tracing::warn!(webhook = %webhook.id, host = webhook.host, why, "the webhook is disabled");
    metrics::counter!(crate::metric::WEBHOOK_DISABLED).increment(1);
    Disable { news: event(webhook, progress, since, DISABLED, "reason", json!(why)), why }
}

/// Retention removed events that a webhook of this node still needed. The map is told by the replicated state.
pub(super) fn lost(webhook: WebhookId, events: u64) {
    metrics::counter!(crate::metric::WEBHOOK_LOST).increment(events);
    tracing::warn!(%webhook, events, "the webhook loses events: retention waits for it no longer");
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
    Some(NewEvent { subject: Default::default(), kind: kind.to_owned(), payload: payload.into_bytes() })
}
