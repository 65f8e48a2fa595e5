//! Reports the progress of this thread's webhooks to the cluster: in batches, within the configured interval,
//! and again until the cluster has the report.
//!
//! Owns reports that were collected and are not acknowledged. A report waits at most for the interval. It
//! does not wait at all if an event was given up, a webhook was disabled or an owner command was carried out.

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

/// About the most bytes of one report. The log takes a megabyte.
const REPORT_BYTES: usize = 256 * 1024;
/// The pause after the owners changed, since this thread may not have seen the change yet.
const STALE_PAUSE: Duration = Duration::from_millis(25);
/// The pause after the report could not be stored in the log.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// A part of one actor's report. The parts of one actor are reported in order.
pub(super) struct Piece {
    actor: Addr<WebhookActor>,
    update: Update,
    /// Whether this is the last part: after it the cluster has all that the actor was asked for.
    last: bool,
}

impl Piece {
    pub(super) fn new(actor: Addr<WebhookActor>, update: Update, last: bool) -> Self {
        Self { actor, update, last }
    }
}

/// Reports as long as the node runs. `again`: an earlier run of this task panicked and lost what it had
/// collected, so all actors start again from the state that the cluster has.
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

/// Reports everything that there is to report now.
pub(super) async fn flush(shard: &Shard) {
    let queued = shard.shared.report_queue.take();
    let actors = queued.into_iter().filter_map(|id| shard.actor(id));
    let asked = actors.map(|actor| async { (actor.send(Collect).await, actor) });
    let mut pieces = VecDeque::new();
    for (updates, actor) in join_all(asked).await {
        let updates = updates.unwrap_or_default();
        let count = updates.len();
        let piece = |(index, update)| Piece::new(actor.clone(), update, index + 1 == count);
        pieces.extend(updates.into_iter().enumerate().map(piece));
    }
    report_all(shard, pieces).await;
}

pub(super) async fn report_all(shard: &Shard, mut pieces: VecDeque<Piece>) {
    while !pieces.is_empty() {
        let batch = take_batch(&mut pieces);
        let Some(refused) = report_batch(shard, batch).await else { continue };
        // A report that is too large for the log does not hold up the reports of other webhooks.
        for piece in refused {
            let Some(piece) =
                report_batch(shard, vec![piece]).await.and_then(|refused| refused.into_iter().next())
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

/// Reports one batch, until the cluster has it or this node does not own its webhooks any more. Returns the
/// pieces if they are too large for the log.
async fn report_batch(shard: &Shard, mut pieces: Vec<Piece>) -> Option<Vec<Piece>> {
    loop {
        // If this node lost a webhook meanwhile and owns it again, the webhook has another actor, and the
        // report of the earlier actor is out of date.
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
            Err(error) => tracing::debug!(%error, "deliveries can't be reported yet; trying again"),
        }
        sleep(RETRY_PAUSE).await;
    }
}

/// Gives a piece that is too large back to its actor, with the pieces that would have followed it.
fn give_back(piece: Piece, pieces: &mut VecDeque<Piece>) {
    let Piece { actor, update, .. } = piece;
    tracing::error!(webhook = %update.consumer, "the webhook's report is too large for the log");
    let (its, others): (VecDeque<Piece>, _) =
        std::mem::take(pieces).into_iter().partition(|other| other.actor == actor);
    *pieces = others;
    let updates = std::iter::once(update).chain(its.into_iter().map(|piece| piece.update)).collect();
    actor.do_send(TooMuch(updates));
}
