//! Metrics of queues: depth, age and success of the webhooks that have had something to do lately.
//!
//! Owns the bound on labels. The first webhooks that have a queue are shown by name, all others together. A
//! name is free for another webhook when its webhook is deleted.

use super::actor::{Look, Queue};
use super::shard::Shard;
use super::shared::Shared;
use crate::core::ids::WebhookId;
use crate::metric;
use futures_util::future::join_all;
use rustc_hash::FxHashSet;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The most webhooks that are shown by name at a time.
const MAX_NAMED: usize = 100;
/// The most names in the life of a node: the metrics recorder forgets no name.
const MAX_NAMES: usize = 1000;
const ROUND: Duration = Duration::from_secs(5);
const OTHERS: &str = "other";

static NAMED: Mutex<Named> = Mutex::new(Named { now: Vec::new(), ever: 0 });

/// Shows the thread's queues as long as the node runs.
pub(super) async fn run(shard: Rc<Shard>) {
    let mut shown: FxHashSet<String> = FxHashSet::default();
    loop {
        tokio::time::sleep(ROUND).await;
        let asked = shard.actors().into_iter().map(|actor| actor.send(Look));
        let queues: Vec<Queue> = join_all(asked).await.into_iter().flatten().collect();
        let before = std::mem::take(&mut shown);
        show_all(&shard.shared, &queues, &mut shown);
        for gone in before.difference(&shown) {
            show(gone, 0, 0.0);
        }
        shard.shared.client.tidy();
    }
}

fn show_all(shared: &Shared, queues: &[Queue], shown: &mut FxHashSet<String>) {
    let now_ms = shared.hub.clock().time_ms();
    let age =
        |queue: &Queue| queue.oldest_ms.map_or(0.0, |oldest| now_ms.saturating_sub(oldest) as f64 / 1000.0);
    let mut others = 0;
    let mut oldest = 0.0f64;
    let mut unnamed = false;
    let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
    {
        let webhooks = shared.hub.webhooks().directory();
        named.tidy(|webhook| webhooks.get(webhook).is_some());
    }
    for queue in queues {
        if !named.has_place(queue.webhook) {
            unnamed = true;
            others += queue.events;
            oldest = oldest.max(age(queue));
            continue;
        }
        let name = queue.webhook.to_string();
        show(&name, queue.events, age(queue));
        let settled = queue.delivered + queue.given_up;
        if settled > 0 {
            metrics::gauge!(metric::WEBHOOK_SUCCESS, "webhook" => name.clone())
                .set(queue.delivered as f64 / settled as f64);
        }
        shown.insert(name);
    }
    drop(named);
    if unnamed {
        show(OTHERS, others, oldest);
        shown.insert(OTHERS.to_owned());
    }
    let failing = queues.iter().filter(|queue| queue.failing).count();
    let number = shared.number().to_string();
    let active = |state: &'static str, count: usize| {
        metrics::gauge!(metric::WEBHOOK_ACTIVE, "state" => state, "shard" => number.clone())
            .set(count as f64);
    };
    active("failing", failing);
    active("working", queues.len() - failing);
}

fn show(name: &str, events: u64, age_seconds: f64) {
    metrics::gauge!(metric::WEBHOOK_QUEUE, "webhook" => name.to_owned()).set(events as f64);
    metrics::gauge!(metric::WEBHOOK_QUEUE_SECONDS, "webhook" => name.to_owned()).set(age_seconds);
}

/// The webhooks shown by name.
struct Named {
    now: Vec<WebhookId>,
    ever: usize,
}

impl Named {
    /// Frees the names of webhooks that are gone.
    fn tidy(&mut self, is_there: impl Fn(WebhookId) -> bool) {
        self.now.retain(|webhook| is_there(*webhook));
    }

    /// Whether the webhook is shown by name. It gets a name while any is free.
    fn has_place(&mut self, webhook: WebhookId) -> bool {
        let known = self.now.contains(&webhook);
        let room = !known && self.now.len() < MAX_NAMED && self.ever < MAX_NAMES;
        if room {
            self.now.push(webhook);
            self.ever += 1;
        }
        known || room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_deleted_webhooks_are_free_again() {
        let webhook = |n: usize| WebhookId::new(uuid::Uuid::from_u128(n as u128));
        let mut named = Named { now: Vec::new(), ever: 0 };
        assert!((0..MAX_NAMED).all(|n| named.has_place(webhook(n))));
        assert!(!named.has_place(webhook(200)) && named.has_place(webhook(7)));
        named.tidy(|there| there != webhook(7));
        assert!(named.has_place(webhook(200)) && !named.has_place(webhook(7)));
        let churn = (1000..5000).filter(|n| {
            named.tidy(|_| false);
            named.has_place(webhook(*n))
        });
        assert_eq!(churn.count(), MAX_NAMES - MAX_NAMED - 1, "labels are bounded, however many come and go");
    }
}
