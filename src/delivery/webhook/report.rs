//! Tells the cluster how far this thread's webhooks are: in batches, soon enough, and again until it is
//! known.
//!
//! Owns what was collected and isn't acknowledged. Never waits for more than the interval, nor at all where
//! something was given up, disabled or ordered.

use super::actor::{Collect, Reported, TooMuch, WebhookActor};
use super::shard::Shard;
use crate::core::codec;
use crate::core::webhook::records::{ProgressReport, Update};
use crate::hub::HubError;
use actix::Addr;
use futures_util::future::join_all;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// Bytes of one report, about; the log takes a megabyte.
const REPORT_BYTES: usize = 256 * 1024;
/// Pause after a change of owners that this thread may not have seen yet.
const STALE_PAUSE: Duration = Duration::from_millis(25);
/// Pause after the cluster couldn't be told.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// A part of what one actor has to tell. Parts of one actor are told in order.
pub(super) struct Piece {
    actor: Addr<WebhookActor>,
    update: Update,
    /// After it the cluster knows all that the actor was asked for.
    last: bool,
}

impl Piece {
    pub(super) fn new(actor: Addr<WebhookActor>, update: Update, last: bool) -> Self {
        Self { actor, update, last }
    }
}

/// Reports as long as the node runs. `again`: what was collected is lost, so all goes on from what the
/// cluster knows.
pub(super) async fn run(shard: Rc<Shard>, interval: Duration, again: bool) {
    if again {
        shard.start_over().await;
    }
    let mut last = Instant::now();
    loop {
        let queue = &shard.shared.report_queue;
        queue.some().await;
        tokio::select! {
            () = sleep_until(last + interval) => {}
            () = queue.urgent() => {}
        }
        last = Instant::now();
        flush(&shard).await;
    }
}

/// Tells all that there is to tell.
pub(super) async fn flush(shard: &Shard) {
    let queued = shard.shared.report_queue.take();
    let actors = queued.into_iter().filter_map(|id| shard.actor(id));
    let asked = actors.map(|actor| async { (actor.send(Collect).await, actor) });
    let mut pieces = VecDeque::new();
    for (updates, actor) in join_all(asked).await {
        let updates = updates.unwrap_or_default();
        let count = updates.len();
        let piece = |(place, update)| Piece::new(actor.clone(), update, place + 1 == count);
        pieces.extend(updates.into_iter().enumerate().map(piece));
    }
    tell_all(shard, pieces).await;
}

pub(super) async fn tell_all(shard: &Shard, mut pieces: VecDeque<Piece>) {
    while !pieces.is_empty() {
        let batch = take_batch(&mut pieces);
        let Some(refused) = tell(shard, batch).await else { continue };
        // Who has more to tell than the log takes keeps nobody else from being heard.
        for piece in refused {
            let Some(piece) = tell(shard, vec![piece]).await.and_then(|refused| refused.into_iter().next())
            else {
                continue;
            };
            give_back(piece, &mut pieces);
        }
    }
}

fn take_batch(pieces: &mut VecDeque<Piece>) -> Vec<Piece> {
    let mut bytes = 0;
    let size = |update: &Update| codec::encode(update).map_or(0, |bytes| bytes.len());
    let fits = pieces.iter().take_while(|piece| {
        bytes += size(&piece.update);
        bytes <= REPORT_BYTES
    });
    let count = fits.count().max(1);
    pieces.drain(..count).collect()
}

/// Tells one batch until the cluster has it, or its webhooks are not this node's any more. Answers what is
/// too large.
async fn tell(shard: &Shard, mut pieces: Vec<Piece>) -> Option<Vec<Piece>> {
    loop {
        // Who lost a webhook meanwhile has another actor, should it have it again: what the first one knew
        // is old.
        pieces.retain(|piece| shard.is_its_actor(piece.update.consumer, &piece.actor));
        if pieces.is_empty() {
            return None;
        }
        #[cfg(feature = "failpoints")]
        for piece in pieces.iter_mut().filter(|piece| !shard.shared.is_mine(piece.update.consumer)) {
            crate::failpoints::repeat_old_word(&mut piece.update);
        }
        let (node, run, epoch) = shard.shared.ownership();
        let updates = pieces.iter().map(|piece| piece.update.clone()).collect();
        let report = ProgressReport { node, epoch, incarnation: run, updates };
        match shard.shared.hub.webhooks().report_progress(report).await {
            Ok(Ok(_)) => {
                pieces.iter().filter(|piece| piece.last).for_each(|piece| piece.actor.do_send(Reported));
                return None;
            }
            Ok(Err(epoch)) => {
                tracing::debug!(epoch, "the owners changed meanwhile");
                sleep(STALE_PAUSE).await;
                continue;
            }
            Err(HubError::TooLarge(_)) => return Some(pieces),
            Err(error) => tracing::debug!(%error, "the cluster can't be told of deliveries yet"),
        }
        sleep(RETRY_PAUSE).await;
    }
}

/// Gives a piece that is too large back to its actor, with those that would have followed.
fn give_back(piece: Piece, pieces: &mut VecDeque<Piece>) {
    let Piece { actor, update, .. } = piece;
    tracing::error!(webhook = %update.consumer, "what the cluster must know of the webhook is too large for the log");
    let (its, others): (VecDeque<Piece>, _) =
        std::mem::take(pieces).into_iter().partition(|other| other.actor == actor);
    *pieces = others;
    let updates = std::iter::once(update).chain(its.into_iter().map(|piece| piece.update)).collect();
    actor.do_send(TooMuch(updates));
}
