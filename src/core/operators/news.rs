//! What is told about a webhook: to its map under `$webhook/{webhook}`, and to the operators.

use crate::core::access::Map;
use crate::core::consumer::progress::Progress;
use crate::core::event::NewEvent;
use crate::core::ids::WebhookId;
use crate::core::json;
use crate::core::subject::Subject;
use crate::core::webhook::Webhook;
use serde_json::{Value, json};

/// The type of the events that tell how long a webhook has been failing.
pub const FAILING: &str = "webhook.failing";
/// The type of the event that tells that a webhook was disabled.
pub const WEBHOOK_DISABLED: &str = "webhook.disabled";
/// The type of the event that tells that a webhook loses events.
pub const LOSING: &str = "webhook.losing";

/// The beginning of the subjects under which maps are told about their webhooks.
pub const WEBHOOK_PREFIX: &str = "$webhook/";

/// The deepest nesting of a payload.
const MAX_DEPTH: usize = 8;

/// Returns the subject under which a map is told about one of its webhooks.
pub fn webhook_subject(webhook: WebhookId) -> Subject {
    Subject::parse_any(&format!("{WEBHOOK_PREFIX}{webhook}")).unwrap_or_default()
}

/// Makes the event of that type about a webhook of the map. `since` is the time since which every attempt has
/// failed; `more` are the members that only this type has.
pub fn about_webhook(
    kind: &str,
    map: &Map,
    webhook: &Webhook,
    progress: &Progress,
    since: Option<&str>,
    more: &[(&str, Value)],
) -> Option<NewEvent> {
    let mut payload = json!({
        "map": {"id": map.id.to_string(), "slug": map.slug, "name": map.name},
        "webhook": {"id": webhook.id.to_string(), "name": webhook.name, "host": webhook.host},
        "failing_since": since,
        "consecutive_failures": progress.failures,
        "last_error": progress.last_error,
    });
    for (name, value) in more {
        payload[*name] = value.clone();
    }
    let payload = json::normalise(&payload.to_string(), MAX_DEPTH).ok()?;
    Some(NewEvent::new(webhook_subject(webhook.id), kind, payload))
}
