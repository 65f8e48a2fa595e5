//! What the map is told of its endpoints, as events: that one is failing, and that it was disabled.

use crate::core::endpoint::Endpoint;
use crate::core::endpoint::progress::Progress;
use crate::core::event::NewEvent;
use crate::core::ids::EndpointId;
use crate::core::json;
use crate::core::time::iso_millis;
use serde_json::json;

/// Told while an endpoint fails, at 50 and 90 percent of the time after which it is disabled.
const FAILING: &str = "webhook.failing";
/// Told when it is disabled.
const DISABLED: &str = "webhook.disabled";

/// The events to tell of an endpoint, with the log lines beside them.
pub(super) fn news(
    endpoint: &Endpoint,
    progress: &Progress,
    failing_percent: Option<u8>,
    disabled: Option<&str>,
) -> Vec<NewEvent> {
    let mut news = Vec::new();
    if let Some(percent) = failing_percent {
        tracing::warn!(webhook = %endpoint.id, host = endpoint.host, percent, "the webhook is failing and will be disabled");
        news.extend(event(endpoint, progress, FAILING, "percent", json!(percent)));
    }
    if let Some(why) = disabled {
        tracing::warn!(webhook = %endpoint.id, host = endpoint.host, why, "the webhook is disabled");
        metrics::counter!(crate::metric::WEBHOOK_DISABLED).increment(1);
        news.extend(event(endpoint, progress, DISABLED, "reason", json!(why)));
    }
    news
}

/// Retention removed events that a webhook of this node still needed. The map is told by the replicated state.
pub(super) fn lost(webhook: EndpointId, events: u64) {
    metrics::counter!(crate::metric::WEBHOOK_LOST).increment(events);
    tracing::warn!(%webhook, events, "the webhook loses events: retention waits for it no longer");
}

fn event(
    endpoint: &Endpoint,
    progress: &Progress,
    kind: &str,
    key: &str,
    value: serde_json::Value,
) -> Option<NewEvent> {
    let mut payload = json!({
        "webhook_id": endpoint.id.to_string(),
        "name": endpoint.name,
        "host": endpoint.host,
        "failing_since": progress.failing_since_ms.map(iso_millis),
        "consecutive_failures": progress.failures,
        "last_error": progress.last_error,
    });
    payload[key] = value;
    let payload = json::normalise(&payload.to_string(), 8).ok()?;
    Some(NewEvent { kind: kind.to_owned(), payload: payload.into_bytes() })
}
