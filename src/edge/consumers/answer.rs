//! The form of consumers in answers: settings and state.

use super::Consumers;
use crate::core::history::Start;
use crate::core::ids::WebhookId;
use crate::core::time::iso_millis;
use crate::core::webhook::standing::{ConsumerStanding, Facts};
use crate::core::webhook::{Ordering, TopicKind, Webhook};
use crate::edge::context::Edge;
use crate::edge::node_names::NodeNames;
use crate::edge::webhooks::{Problem, event_for, oldest_seq, published_from, queue_depth, state_of};
use crate::hub::Grant;
use rustc_hash::FxHashMap;
use serde_json::{Value, json};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Consumers whose rate is remembered, at most.
const MAX_RATES: usize = 1000;
/// The shortest time over which a rate is measured.
const RATE_OVER: Duration = Duration::from_secs(1);

/// A consumer with its state.
pub(super) async fn shown(
    edge: &Edge,
    consumers: &Consumers,
    grant: &Grant,
    consumer: &Webhook,
) -> Result<Value, Problem> {
    let topic = grant.map.topic;
    let stored = state_of(edge, consumer)?;
    let progress = &stored.progress;
    let head_seq = edge.hub.archive().locate(topic, Start::Live).await?.head_seq;
    let oldest_seq = oldest_seq(progress, head_seq);
    let oldest = match oldest_seq {
        Some(seq) => event_for(edge, consumer.id, topic, seq).await?.map(|event| event.time_ms),
        None => None,
    };
    let waits_since_ms = match (oldest, oldest_seq) {
        // That event is gone; those after it still wait.
        (None, Some(seq)) => published_from(edge, topic, seq).await?,
        (oldest, _) => oldest,
    };
    let facts = Facts {
        progress,
        is_losing: stored.backlog.losing.is_some(),
        waits_since_ms,
        now_ms: edge.hub.clock().time_ms(),
    };
    let lag = queue_depth(progress, head_seq);
    let losing = stored.backlog.losing.map(|losing| iso_millis(edge.hub.clock().shown_ms(losing.since_ms)));
    let owner = edge.hub.webhooks().directory().owners().owner_of(consumer.id);
    let names = NodeNames::seen_by(edge, &grant.who);
    let missed = stored.missed(edge.hub.webhooks().stored_seq(topic)?);
    let rate = consumers.rates.of(consumer.id, progress.delivered, Instant::now());
    let mut shown = settings(consumer);
    shown["state"] = json!({
        "state": ConsumerStanding::of(lag, &facts).name(),
        "owner": owner,
        "owner_name": owner.and_then(|owner| names.of(owner)),
        "lag": lag,
        "oldest_at": oldest.map(iso_millis),
        "next_seq": progress.track.next,
        "retrying": progress.waiting.retrying,
        "acknowledged": progress.delivered,
        "rate": rate,
        "returned": progress.failed_attempts,
        "dead_letters": stored.attempt_history.dead,
        "given_up": progress.given_up,
        "missed": missed,
        "losing_since": losing,
        "last_ack_at": progress.last_delivery_ms.map(iso_millis),
    });
    Ok(shown)
}

fn settings(consumer: &Webhook) -> Value {
    let (ordering, key) = match &consumer.ordering {
        Ordering::None => ("none", None),
        Ordering::Key(key) => ("key", Some(key)),
        Ordering::Strict => ("strict", None),
    };
    let filter = &consumer.filter;
    let retry = &consumer.retry;
    let is_kind = |(_, kind): &&(&str, TopicKind)| Some(*kind) == filter.topic_kind;
    let channel_type = TopicKind::NAMES.iter().find(is_kind).map(|(name, _)| *name);
    json!({
        "id": consumer.id.to_string(),
        "map_id": consumer.map.to_string(),
        "name": consumer.name,
        "events": consumer.events,
        "filter": {
            "subjects": filter.subjects,
            "channel_type": channel_type,
            "channel_prefix": filter.topic_prefix,
            "expression": filter.expression,
        },
        "ordering": ordering,
        "ordering_key": key,
        "visibility_ms": consumer.timeout_ms,
        "max_retries": retry.max_attempts.saturating_sub(1),
        "initial_delay_ms": retry.delay_ms,
        "backoff_multiplier": f64::from(retry.factor_percent) / 100.0,
        "max_delay_ms": retry.max_delay_ms,
        "max_in_flight": consumer.in_flight,
        "inserted_at": iso_millis(consumer.inserted_ms),
        "updated_at": iso_millis(consumer.updated_ms),
    })
}

/// A count of acknowledged events, and the rate before it.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    count: u64,
    rate: Option<f64>,
}

/// How fast consumers are read, measured from one look at a consumer on this node to the next.
#[derive(Default)]
pub(super) struct Rates(Mutex<FxHashMap<WebhookId, Sample>>);

impl Rates {
    /// Events acknowledged a second since an earlier look; `None` at the first one.
    fn of(&self, consumer: WebhookId, count: u64, now: Instant) -> Option<f64> {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(before) = samples.get_mut(&consumer) else {
            if samples.len() >= MAX_RATES {
                samples.clear();
            }
            samples.insert(consumer, Sample { at: now, count, rate: None });
            return None;
        };
        let passed = now.saturating_duration_since(before.at);
        if passed >= RATE_OVER {
            let rate = count.saturating_sub(before.count) as f64 / passed.as_secs_f64();
            *before = Sample { at: now, count, rate: Some((rate * 10.0).round() / 10.0) };
        }
        before.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_measured_between_two_looks() {
        let rates = Rates::default();
        let id = WebhookId::from_bytes([1; 16]);
        let now = Instant::now();
        assert_eq!(rates.of(id, 10, now), None);
        assert_eq!(rates.of(id, 500, now + RATE_OVER / 2), None, "too soon");
        assert_eq!(rates.of(id, 210, now + 2 * RATE_OVER), Some(100.0));
        assert_eq!(rates.of(id, 999, now + 2 * RATE_OVER), Some(100.0));
    }
}
