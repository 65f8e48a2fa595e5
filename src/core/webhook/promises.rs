//! Warnings about settings of a webhook that contradict the map's retention. A caller gets them when it sets
//! them, before events are lost.

use super::Webhook;
use crate::core::access::WebhookBacklog;

/// The warnings as texts for people. `kept` limits the events that the map's retention keeps for webhooks.
pub fn warnings(webhook: &Webhook, kept: &WebhookBacklog) -> Vec<String> {
    let mut found = Vec::new();
    if kept.bytes == Some(0) {
        found.push(
            "retention.webhook_backlog.bytes is 0: events that retention removes before delivery are lost"
                .to_owned(),
        );
    }
    let Some(kept_seconds) = kept.age_seconds else { return found };
    let tried_seconds = webhook.retry.longest_ms().div_ceil(1000);
    if tried_seconds > kept_seconds {
        found.push(format!(
            "retry: an event is tried for up to {tried_seconds} s, but kept for webhooks for only {kept_seconds} s \
             (retention.webhook_backlog.age_seconds)"
        ));
    }
    if let Some(disabled_seconds) = webhook.auto_disable_seconds.filter(|seconds| *seconds > kept_seconds) {
        found.push(format!(
            "auto_disable_seconds: the webhook is disabled after failing for {disabled_seconds} s, but events are \
             kept for webhooks for only {kept_seconds} s (retention.webhook_backlog.age_seconds): older events \
             are lost"
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ids::{MapId, WebhookId};
    use crate::core::webhook::{Defaults, Origin, Plain, Profile};

    fn warned(kept: WebhookBacklog, auto_disable_seconds: Option<u64>) -> Vec<String> {
        let id = WebhookId::from_bytes([1; 16]);
        let map = MapId::from_bytes([1; 16]);
        let defaults =
            Defaults { timeout_ms: 10_000, retry_attempts: None, retry_delay_ms: None, auto_disable_seconds };
        warnings(&Plain::new(id, map, Origin::Api, Profile::Standard, &defaults).webhook, &kept)
    }

    #[test]
    fn retries_and_disabling_that_outlast_retention_are_warned_of() {
        let kept = |seconds| WebhookBacklog { bytes: Some(1), age_seconds: Some(seconds) };
        assert!(warned(kept(604_800), Some(432_000)).is_empty(), "the defaults fit");
        assert!(warned(WebhookBacklog::default(), Some(u64::MAX)).is_empty(), "without a bound all fits");
        let short = warned(kept(86_400), Some(432_000));
        assert!(short.len() == 1 && short[0].starts_with("auto_disable_seconds"), "{short:?}");
        let shorter = warned(kept(3_600), Some(432_000));
        assert!(shorter.len() == 2 && shorter[0].starts_with("retry"), "{shorter:?}");
        assert_eq!(warned(WebhookBacklog { bytes: Some(0), age_seconds: None }, None).len(), 1);
    }
}
