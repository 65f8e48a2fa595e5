//! Tells the cluster how far this thread's endpoints are: in batches, soon enough, and again until it is known.
//!
//! Owns what was collected and isn't acknowledged. Never waits for more than the interval, nor at all where something
//! was given up, disabled or ordered.

use super::actor::{Collect, EndpointActor, Reported};
use super::shard::Shard;
use crate::core::codec;
use crate::core::endpoint::progress::{ProgressReport, Update};
use crate::core::ids::EndpointId;
use actix::Addr;
use futures_util::future::join_all;
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

/// Completions that make the next report due at once.
const MANY: u32 = 256;
/// Bytes of one report, about; the log takes a megabyte.
const REPORT_BYTES: usize = 256 * 1024;
/// Pause after the cluster couldn't be told.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Endpoints that have something to tell.
#[derive(Default)]
pub(super) struct Unreported {
    endpoints: RefCell<FxHashMap<EndpointId, Addr<EndpointActor>>>,
    completions: Cell<u32>,
    some: Notify,
    urgent: Notify,
}

impl Unreported {
    /// The endpoint has something to tell, once it is asked.
    pub(super) fn note(&self, endpoint: EndpointId, actor: Addr<EndpointActor>) {
        self.endpoints.borrow_mut().insert(endpoint, actor);
        self.some.notify_one();
    }

    /// A request has ended.
    pub(super) fn completed(&self) {
        self.completions.set(self.completions.get() + 1);
        if self.completions.get() >= MANY {
            self.urgent.notify_one();
        }
    }

    /// The next report is due at once.
    pub(super) fn hurry(&self) {
        self.urgent.notify_one();
    }

    fn take(&self) -> Vec<Addr<EndpointActor>> {
        self.completions.set(0);
        std::mem::take(&mut *self.endpoints.borrow_mut()).into_values().collect()
    }
}

/// Reports as long as the node runs.
pub(super) async fn run(shard: Rc<Shard>, interval: Duration) {
    let mut last = Instant::now();
    loop {
        shard.unreported.some.notified().await;
        tokio::select! {
            () = sleep_until(last + interval) => {}
            () = shard.unreported.urgent.notified() => {}
        }
        last = Instant::now();
        flush(&shard).await;
    }
}

/// Tells all that there is to tell.
pub(super) async fn flush(shard: &Shard) {
    let asked = shard.unreported.take().into_iter().map(|actor| actor.send(Collect));
    let mut updates: Vec<Update> =
        join_all(asked).await.into_iter().filter_map(|update| update.ok().flatten()).collect();
    while !updates.is_empty() {
        let batch = take_batch(&mut updates);
        tell(shard, batch).await;
    }
}

fn take_batch(updates: &mut Vec<Update>) -> Vec<Update> {
    let mut bytes = 0;
    let size = |update: &Update| codec::encode(update).map_or(0, |bytes| bytes.len());
    let fits = updates.iter().take_while(|update| {
        bytes += size(update);
        bytes <= REPORT_BYTES
    });
    let count = fits.count().max(1);
    updates.drain(..count).collect()
}

/// Tells one batch until the cluster has it, or its endpoints are not this node's any more.
async fn tell(shard: &Shard, mut updates: Vec<Update>) {
    loop {
        updates.retain(|update| shard.owns(update.endpoint));
        if updates.is_empty() {
            return;
        }
        let (node, run, epoch) = shard.ownership();
        let report = ProgressReport { node, epoch, run, updates: updates.clone() };
        match shard.hub.report_progress(report).await {
            Ok(Ok(_)) => {
                updates.iter().for_each(|update| shard.tell(update.endpoint, Reported));
                return;
            }
            Ok(Err(epoch)) => tracing::debug!(epoch, "the owners changed meanwhile"),
            Err(error) => tracing::debug!(%error, "the cluster can't be told of deliveries yet"),
        }
        sleep(RETRY_PAUSE).await;
    }
}
