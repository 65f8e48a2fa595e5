use super::*;
use crate::core::ids::{MapId, WebhookId};
use crate::core::webhook::records::FAILING_MS;
use crate::core::webhook::{Defaults, Disabled, Origin, Plain, Profile};
use serde_json::json;

const NOW_MS: u64 = 10_000_000;

fn webhook(active: bool, is_disabled: bool) -> Webhook {
    let defaults = Defaults {
        timeout_ms: 10_000,
        retry_attempts: None,
        retry_delay_ms: None,
        auto_disable_seconds: None,
    };
    let (id, map) = (WebhookId::from_bytes([1; 16]), MapId::from_bytes([2; 16]));
    let plain = Plain::new(id, map, Origin::Api, Profile::Standard, &defaults);
    let disabled = is_disabled.then(|| Disabled { why: "410".to_owned(), at_ms: 1 });
    Webhook { active, disabled, ..plain.webhook }
}

fn facts(progress: &Progress, waits_for_ms: Option<u64>) -> Facts<'_> {
    let waits_since_ms = waits_for_ms.map(|ms| NOW_MS - ms);
    Facts { progress, is_losing: false, waits_since_ms, now_ms: NOW_MS }
}

#[test]
fn a_webhook_is_named_by_what_is_worst() {
    let progress = Progress::new(1);
    let of = |progress: &Progress, waits_for_ms| {
        WebhookStanding::of(&webhook(true, false), &facts(progress, waits_for_ms), false)
    };
    assert_eq!(of(&progress, None), WebhookStanding::Healthy);
    assert_eq!(of(&progress, Some(BEHIND_MS)), WebhookStanding::Healthy, "it is not late yet");
    assert_eq!(of(&progress, Some(BEHIND_MS + 1)), WebhookStanding::Behind);
    let held = Progress { hold_until_ms: NOW_MS + 1, ..progress.clone() };
    assert_eq!(of(&held, Some(BEHIND_MS + 1)), WebhookStanding::Throttled);
    assert_eq!(of(&Progress { hold_until_ms: NOW_MS, ..held.clone() }, None), WebhookStanding::Healthy);
    let failed = Progress { failures: 1, ..held };
    assert_eq!(of(&failed, None), WebhookStanding::Failing);
    let since = |ms: u64| Progress { failing_since_ms: Some(NOW_MS - ms), ..progress.clone() };
    assert_eq!(of(&since(FAILING_MS), None), WebhookStanding::Healthy, "single events fail");
    assert_eq!(of(&since(FAILING_MS + 1), None), WebhookStanding::Failing);
    let losing = Facts { is_losing: true, ..facts(&failed, None) };
    assert_eq!(WebhookStanding::of(&webhook(true, false), &losing, true), WebhookStanding::Losing);
    assert_eq!(WebhookStanding::of(&webhook(false, true), &losing, true), WebhookStanding::Disabled);
    assert_eq!(WebhookStanding::of(&webhook(false, false), &losing, true), WebhookStanding::Paused);
}

#[test]
fn a_webhook_that_can_not_begin_is_failing() {
    let progress = Progress::new(1);
    let standing = WebhookStanding::of(&webhook(true, false), &facts(&progress, None), true);
    assert_eq!(standing, WebhookStanding::Failing);
}

#[test]
fn a_consumer_is_unread_if_nobody_takes_its_events_for_minutes() {
    let never = Progress::new(1);
    let acknowledged = |ms: u64| Progress { last_delivery_ms: Some(NOW_MS - ms), ..never.clone() };
    for (lag, progress, waits_for_ms, expected) in [
        (0, never.clone(), None, ConsumerStanding::UpToDate),
        (1, never.clone(), None, ConsumerStanding::Reading),
        (1, never.clone(), Some(BEHIND_MS), ConsumerStanding::Reading),
        (1, never.clone(), Some(BEHIND_MS + 1), ConsumerStanding::Behind),
        (1, never.clone(), Some(UNREAD_MS), ConsumerStanding::Behind),
        (1, never.clone(), Some(UNREAD_MS + 1), ConsumerStanding::Unread),
        (1, acknowledged(UNREAD_MS), Some(UNREAD_MS + 1), ConsumerStanding::Behind),
        (1, acknowledged(UNREAD_MS + 1), Some(UNREAD_MS + 1), ConsumerStanding::Unread),
    ] {
        let found = ConsumerStanding::of(lag, &facts(&progress, waits_for_ms));
        assert_eq!(found, expected, "{lag} {waits_for_ms:?} {progress:?}");
    }
    let losing = Facts { is_losing: true, ..facts(&never, None) };
    assert_eq!(ConsumerStanding::of(0, &losing), ConsumerStanding::Losing);
}

#[test]
fn standings_are_counted_by_their_names() {
    let mut counts = Standings::default();
    for (place, standing) in WebhookStanding::ALL.into_iter().enumerate() {
        assert_eq!(standing as usize, place, "{standing:?} is counted in another's place");
        (0..=place).for_each(|_| counts.count_webhook(standing));
    }
    for (place, standing) in ConsumerStanding::ALL.into_iter().enumerate() {
        assert_eq!(standing as usize, place, "{standing:?} is counted in another's place");
        (0..=place).for_each(|_| counts.count_consumer(standing));
    }
    let webhooks = json!({"total": 28, "losing": 1, "disabled": 2, "failing": 3, "throttled": 4, "behind": 5,
        "paused": 6, "healthy": 7});
    let consumers =
        json!({"total": 15, "losing": 1, "unread": 2, "behind": 3, "reading": 4, "up_to_date": 5});
    assert_eq!((counts.webhooks_json(), counts.consumers_json()), (webhooks, consumers));
    assert_eq!(counts.troubles(), (1 + 2 + 3 + 1 + 2, 4 + 5 + 3));
    let mut twice = counts;
    twice.add(&counts);
    assert_eq!((twice.webhooks_json()["failing"].clone(), twice.troubles().0), (json!(6), 18));
}
