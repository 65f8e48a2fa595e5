//! Looks at webhooks and consumers: how each stands by what this node has stored of it.

use super::Counted;
use crate::core::access::Map;
use crate::core::ids::{MapId, TopicId};
use crate::core::webhook::Webhook;
use crate::core::webhook::standing::{ConsumerStanding, Facts, Standings, WebhookStanding};
use crate::edge::context::Edge;
use crate::edge::webhooks::{next_seq, obstacle_of, oldest_seq, queue_depth};
use crate::hub::{ArchiveError, WebhookState};
use actix_web::web::Data;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// How long a request waits while everything is counted anew. Then it gets the last counts.
const WAIT: Duration = Duration::from_millis(500);

/// How the webhooks and consumers of all maps stand, counted not long ago. `None` if they were never counted
/// here and that takes longer than a request waits, or fails.
pub async fn counted(edge: &Data<Edge>) -> Option<Arc<Counted>> {
    let kept = &edge.standings;
    if let Some(good) = kept.good(Instant::now()) {
        return Some(good);
    }
    let counting = async {
        let turn = kept.turn().await;
        // Another request may have counted meanwhile.
        if kept.good(Instant::now()).is_none() {
            let counter = edge.clone();
            let count = move || {
                let _turn = turn;
                count_all(&counter);
            };
            // It is kept, also if nobody waits for it any more.
            let _ = spawn_blocking(count).await;
        }
    };
    let _ = timeout(WAIT, counting).await;
    kept.last()
}

/// How the webhooks and consumers of a map stand now. `None` if that can't be read, or if this node stops.
pub async fn of_map(edge: &Data<Edge>, map: &Map) -> Option<Standings> {
    let (id, topic) = (map.id, map.topic);
    let looker = edge.clone();
    let look = move || {
        let webhooks: Vec<Arc<Webhook>> = looker.hub.webhooks().directory().of_map(id).cloned().collect();
        let mut counts = Standings::default();
        webhooks.iter().try_for_each(|webhook| count(&looker, topic, webhook, &mut counts))?;
        Ok::<_, ArchiveError>(counts)
    };
    let looked = spawn_blocking(look).await.ok()?;
    looked.inspect_err(|error| tracing::warn!(map = %id, %error, "how webhooks stand can't be read")).ok()
}

fn count_all(edge: &Edge) {
    let began = Instant::now();
    match of_all(edge) {
        Ok(counted) => edge.standings.keep(counted, began.elapsed(), Instant::now()),
        Err(error) => tracing::warn!(%error, "how webhooks stand can't be counted"),
    }
}

fn of_all(edge: &Edge) -> Result<Counted, ArchiveError> {
    let at_ms = edge.hub.clock().time_ms();
    let webhooks: Vec<Arc<Webhook>> = edge.hub.webhooks().directory().all().cloned().collect();
    let mut of_maps: FxHashMap<MapId, Standings> = FxHashMap::default();
    for webhook in &webhooks {
        let topic = edge.hub.access().known().map(webhook.map).map(|map| map.topic);
        // Without its map it has just been deleted.
        if let Some(topic) = topic {
            count(edge, topic, webhook, of_maps.entry(webhook.map).or_default())?;
        }
    }
    Ok(Counted::new(of_maps, at_ms))
}

/// Counts one webhook or consumer. One that was deleted meanwhile does not count.
fn count(edge: &Edge, topic: TopicId, webhook: &Webhook, counts: &mut Standings) -> Result<(), ArchiveError> {
    let store = edge.hub.webhooks();
    let Some(stored) = store.state(webhook.id)? else { return Ok(()) };
    let progress = stored.progress.shifted(edge.hub.clock().shown_shift());
    let stored = WebhookState { progress, ..stored };
    let head_seq = store.head_seq(topic)?;
    let progress = &stored.progress;
    let waits = if webhook.is_read() { oldest_seq(progress, head_seq) } else { next_seq(progress, head_seq) };
    let waits_since_ms = match waits {
        Some(seq) => store.published_ms(webhook.id, topic, seq)?,
        None => None,
    };
    let now_ms = edge.hub.clock().time_ms();
    let is_losing = stored.backlog.losing.is_some();
    let facts = Facts { progress, is_losing, waits_since_ms, now_ms };
    if webhook.is_read() {
        counts.count_consumer(ConsumerStanding::of(queue_depth(progress, head_seq), &facts));
    } else {
        let is_obstructed = webhook.active && is_obstructed(edge, webhook, &stored, head_seq);
        counts.count_webhook(WebhookStanding::of(webhook, &facts, is_obstructed));
    }
    Ok(())
}

/// Whether the webhook's next attempt cannot begin, or no attempt since its last change succeeded.
fn is_obstructed(edge: &Edge, webhook: &Webhook, stored: &WebhookState, head_seq: u64) -> bool {
    let encryption = edge.hub.vault().encryption();
    let private = encryption.and_then(|encryption| encryption.open(webhook.id, &webhook.encrypted)).ok();
    obstacle_of(edge, webhook, private.as_ref(), stored, head_seq).is_some()
}
