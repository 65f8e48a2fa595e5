//! Settings that are valid each by itself, but of which one breaks the promise of another. A node starts with
//! them; its start and `waypost config check` report them. Settings that can never work are refused (see
//! [`super::validate`]).

use super::Config;
use crate::core::access::WebhookBacklog;
use crate::core::ids::{MapId, WebhookId};
use crate::core::webhook::{Origin, Plain, Profile, promises};
use std::collections::BTreeSet;

/// Phoenix clients send a heartbeat every 30 s.
const HEARTBEAT_SECONDS: u64 = 30;

impl Config {
    /// Warnings for people; empty if all settings fit together.
    pub fn warnings(&self) -> Vec<String> {
        let limits = &self.limits;
        let session = &self.session;
        let retention = &self.retention;
        let mut found: BTreeSet<String> = BTreeSet::new();
        let mut warn = |is: bool, what: &str| {
            if is {
                found.insert(what.to_owned());
            }
        };
        warn(
            retention.events < limits.batch_events as u64,
            "retention.events is less than limits.batch_events: part of a request is removed as soon as it is stored",
        );
        warn(
            retention.bytes < limits.body_bytes as u64,
            "retention.bytes is less than limits.body_bytes: part of a request is removed as soon as it is stored",
        );
        warn(
            session.ring_bytes < limits.event_bytes,
            "session.ring_bytes is less than limits.event_bytes: after one large event all readers use the disk",
        );
        warn(
            session.idle_timeout_seconds <= HEARTBEAT_SECONDS,
            "session.idle_timeout_seconds is no longer than the 30 s between heartbeats of Phoenix clients",
        );
        warn(
            self.publish.timeout_ms <= self.raft.election_max_ms,
            "publish.timeout_ms is no longer than raft.election_max_ms: publishers get 503 at every change of leader",
        );
        let backlog = &retention.webhook_backlog;
        let kept = WebhookBacklog { bytes: Some(backlog.bytes), age_seconds: Some(backlog.age_seconds) };
        for (whose, plain) in self.webhooks_to_be() {
            found.extend(
                promises::warnings(&plain.webhook, &kept).into_iter().map(|what| format!("{whose}: {what}")),
            );
        }
        found.into_iter().collect()
    }

    /// The settings of new webhooks, and the webhooks of the file.
    fn webhooks_to_be(&self) -> impl Iterator<Item = (String, Plain)> {
        let defaults = self.webhooks.defaults();
        let nobody = (WebhookId::from_bytes([0; 16]), MapId::from_bytes([0; 16]));
        let new = Plain::new(nobody.0, nobody.1, Origin::Api, Profile::Standard, &defaults);
        let configured = self.webhooks.listed.iter().map(move |webhook| {
            let name = webhook.patch.name().unwrap_or_default();
            (format!("webhook {name:?} of map {:?}", webhook.map), webhook.read(&defaults).0)
        });
        std::iter::once(("new webhooks".to_owned(), new)).chain(configured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut Config);

    fn warned(change: impl Fn(&mut Config)) -> Vec<String> {
        let mut config = Config::default();
        change(&mut config);
        config.warnings()
    }

    #[test]
    fn the_defaults_keep_their_promises_and_a_broken_promise_is_reported() {
        assert!(warned(|_| {}).is_empty());
        let cases: [(Change, &str); 7] = [
            (|c| c.retention.events = 10, "retention.events"),
            (|c| c.retention.bytes = 1 << 20, "retention.bytes"),
            (|c| c.session.ring_bytes = 65_536, "session.ring_bytes"),
            (|c| c.session.idle_timeout_seconds = 25, "session.idle_timeout_seconds"),
            (|c| c.publish.timeout_ms = 1000, "publish.timeout_ms"),
            (|c| c.retention.webhook_backlog.age_seconds = 100_000, "new webhooks: auto_disable_seconds"),
            (|c| c.retention.webhook_backlog.bytes = 0, "new webhooks: retention.webhook_backlog.bytes"),
        ];
        for (change, begins) in &cases {
            let said = warned(change);
            assert!(said.len() == 1 && said[0].starts_with(begins), "{begins}: {said:?}");
        }
        let longest = warned(|c| {
            c.webhooks.retry_attempts = 100;
            c.retention.webhook_backlog.age_seconds = 300_000;
            c.webhooks.auto_disable_seconds = 200_000;
        });
        assert!(longest.len() == 1 && longest[0].starts_with("new webhooks: retry"), "{longest:?}");
    }
}
