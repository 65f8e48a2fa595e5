//! What is shown of queues: depth, age and success of the endpoints that have something to do.
//!
//! Owns the bound on labels: the first endpoints that have a queue are shown by name, all others together.

use super::actor::Look;
use super::shard::Shard;
use crate::clock::now_ms;
use crate::core::ids::EndpointId;
use crate::metric;
use futures_util::future::join_all;
use rustc_hash::FxHashSet;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Endpoints shown by name, in the life of a node.
const MAX_NAMED: usize = 100;
const ROUND: Duration = Duration::from_secs(5);
const OTHERS: &str = "other";

static NAMED: Mutex<Vec<EndpointId>> = Mutex::new(Vec::new());

/// What an actor tells of its queue.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    pub(super) endpoint: EndpointId,
    pub(super) events: u64,
    /// When the oldest was published, Unix milliseconds.
    pub(super) oldest_ms: Option<u64>,
    pub(super) failing: bool,
    pub(super) delivered: u64,
    pub(super) given_up: u64,
}

/// Shows the thread's queues as long as the node runs.
pub(super) async fn run(shard: Rc<Shard>) {
    let mut shown: FxHashSet<String> = FxHashSet::default();
    loop {
        tokio::time::sleep(ROUND).await;
        let asked = shard.actors().into_iter().map(|actor| actor.send(Look));
        let queues: Vec<Queue> = join_all(asked).await.into_iter().flatten().collect();
        let before = std::mem::take(&mut shown);
        show_all(&shard, &queues, &mut shown);
        for gone in before.difference(&shown) {
            show(gone, 0, 0.0);
        }
        shard.client.tidy();
    }
}

fn show_all(shard: &Shard, queues: &[Queue], shown: &mut FxHashSet<String>) {
    let now_ms = now_ms();
    let age = |queue: &Queue| queue.oldest_ms.map_or(0.0, |oldest| now_ms.saturating_sub(oldest) as f64 / 1000.0);
    let (mut others, mut oldest, mut unnamed) = (0, 0.0f64, false);
    for queue in queues {
        if !is_named(queue.endpoint) {
            unnamed = true;
            others += queue.events;
            oldest = oldest.max(age(queue));
            continue;
        }
        let name = queue.endpoint.to_string();
        show(&name, queue.events, age(queue));
        let settled = queue.delivered + queue.given_up;
        if settled > 0 {
            metrics::gauge!(metric::WEBHOOK_SUCCESS, "webhook" => name.clone())
                .set(queue.delivered as f64 / settled as f64);
        }
        shown.insert(name);
    }
    if unnamed {
        show(OTHERS, others, oldest);
        shown.insert(OTHERS.to_owned());
    }
    let failing = queues.iter().filter(|queue| queue.failing).count();
    let number = shard.number().to_string();
    let active = |state: &'static str, count: usize| {
        metrics::gauge!(metric::WEBHOOK_ACTIVE, "state" => state, "shard" => number.clone()).set(count as f64);
    };
    active("failing", failing);
    active("working", queues.len() - failing);
}

fn show(name: &str, events: u64, age_seconds: f64) {
    metrics::gauge!(metric::WEBHOOK_QUEUE, "webhook" => name.to_owned()).set(events as f64);
    metrics::gauge!(metric::WEBHOOK_QUEUE_SECONDS, "webhook" => name.to_owned()).set(age_seconds);
}

/// Whether the endpoint is one of those shown by name; it becomes one while there is room.
fn is_named(endpoint: EndpointId) -> bool {
    let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
    if !named.contains(&endpoint) && named.len() < MAX_NAMED {
        named.push(endpoint);
    }
    named.contains(&endpoint)
}
