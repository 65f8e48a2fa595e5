//! Gathers proposals into log entries. What waits is bounded in bytes and in number, and flows take turns:
//! `shares` says what may wait, `turns` what goes next.

mod batch;
mod shares;
mod turns;

use std::collections::BTreeMap;
use std::collections::btree_map::OccupiedEntry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use openraft::error::ClientWriteError;
use openraft::impls::ProgressResponder;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep};

use self::batch::{Batch, Group, QUEUED, UNDER_WAY, refuse_forwarded, requeue};
pub(crate) use self::batch::{Outcome, Ticket};
pub(crate) use self::shares::Full;
use self::shares::{Held, Shares};
pub(crate) use self::turns::Line;
use self::turns::{Most, Turns};
use crate::NodeId;
use crate::config::Config;
use crate::disk::{DiskBudget, HEAD};
use crate::engine::Engine;
use crate::late;
use crate::net::{Lane, LinkError, Pending};
use crate::os::here;
use crate::store::Store;
use crate::time::ClusterClock;
use crate::types::Types;
use crate::wire::{Answer, EntryData, Forwarded, Request};

/// Longest that a forwarded batch waits until its own node has applied it too.
const OWN_APPLY: Duration = Duration::from_secs(1);
/// Longest wait for a new leader to know the time. Then the leader is determined again.
const TIMED: Duration = Duration::from_millis(50);
/// Pause before looking again for a leader that takes a batch.
const AGAIN: Duration = Duration::from_millis(10);

/// Hands groups to the gathering task.
#[derive(Clone)]
pub(crate) struct Proposer {
    submitted: mpsc::UnboundedSender<Group>,
    /// The bounds of what is submitted.
    shares: Arc<Shares>,
}

impl Proposer {
    /// A proposer and the queue that its task reads.
    pub(crate) fn new(config: &Config) -> (Self, Queue) {
        let most = Held { bytes: config.max_queued_bytes, groups: config.max_queued_proposals };
        let (shares, answered) = Shares::new(most);
        let (sender, submitted) = mpsc::unbounded_channel();
        (Self { submitted: sender, shares }, Queue { submitted, answered })
    }

    /// Queues commands, which are proposed together.
    pub(crate) fn submit(
        &self,
        line: Line,
        commands: Vec<Bytes>,
        forwarded: bool,
        deadline: Instant,
    ) -> Result<(Arc<Ticket>, oneshot::Receiver<Outcome>), Full> {
        let share = self.shares.take(line, commands.iter().map(Bytes::len).sum())?;
        let (done, outcome) = oneshot::channel();
        let ticket = Arc::new(Ticket::default());
        let group = Group { commands, forwarded, deadline, ticket: ticket.clone(), done, share };
        // If the task has ended, the group is dropped, and `outcome` says so.
        let _ = self.submitted.send(group);
        Ok((ticket, outcome))
    }
}

/// The queue's reading end.
pub(crate) struct Queue {
    submitted: mpsc::UnboundedReceiver<Group>,
    /// Lines whose groups were answered, with the bytes.
    answered: mpsc::UnboundedReceiver<(Line, usize)>,
}

impl Queue {
    /// Moves what came into the lines.
    fn sort_into(&mut self, turns: &mut Turns<Group>) {
        while let Ok((line, bytes)) = self.answered.try_recv() {
            turns.answered(line, bytes);
        }
        while let Ok(group) = self.submitted.try_recv() {
            turns.push(group);
        }
    }
}

/// The task that forms batches from waiting groups and sends them in order. While entries are in flight, the
/// next batch gathers. So batches form by waiting, without a timer. On a follower a whole batch goes to the
/// leader. A batch is repeated only if it certainly was not stored.
pub(crate) struct Gatherer {
    engine: Arc<Engine>,
    store: Arc<Store>,
    disk: Arc<DiskBudget>,
    clock: Arc<ClusterClock>,
    slots: Arc<Semaphore>,
    all: u32,
    /// Batches that certainly were not stored, by their position in the order.
    retries: Mutex<BTreeMap<u64, Batch>>,
    again: Notify,
}

impl Gatherer {
    pub(crate) fn new(
        engine: Arc<Engine>,
        store: Arc<Store>,
        disk: Arc<DiskBudget>,
        clock: Arc<ClusterClock>,
    ) -> Arc<Self> {
        let most = engine.config().max_entries_in_flight;
        let slots = Arc::new(Semaphore::new(most));
        let all = u32::try_from(most).unwrap_or(u32::MAX);
        Arc::new(Self {
            engine,
            store,
            disk,
            clock,
            slots,
            all,
            retries: Mutex::default(),
            again: Notify::new(),
        })
    }

    /// Works as long as a caller can submit.
    pub(crate) async fn run(self: Arc<Self>, mut queue: Queue) {
        let config = self.engine.config();
        let most = Most { bytes: config.max_entry_bytes, commands: config.max_entry_commands };
        let mut position = 0;
        let mut turns = Turns::new();
        loop {
            let Ok(slot) = self.slots.clone().acquire_owned().await else {
                return;
            };
            if self.has_retries() {
                drop(slot);
                self.retry_all().await;
                continue;
            }
            queue.sort_into(&mut turns);
            let groups = turns.take(most);
            if groups.is_empty() {
                tokio::select! {
                    group = queue.submitted.recv() => match group {
                        Some(group) => turns.push(group),
                        None => return,
                    },
                    Some((line, bytes)) = queue.answered.recv() => turns.answered(line, bytes),
                    () = self.again.notified() => {}
                }
                continue;
            }
            position += 1;
            self.send(Batch { position, groups }, slot).await;
        }
    }

    fn retries(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Batch>> {
        self.retries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_retries(&self) -> bool {
        !self.retries().is_empty()
    }

    /// Sends refused batches again, in the old order, once nothing else is in flight.
    async fn retry_all(self: &Arc<Self>) {
        let Ok(quiet) = self.slots.acquire_many(self.all).await else {
            return;
        };
        drop(quiet);
        sleep(AGAIN).await;
        let mut sent = 0;
        while let Some(batch) = self.next_retry(sent) {
            let Ok(slot) = self.slots.clone().acquire_owned().await else {
                return;
            };
            sent = batch.position;
            self.send(batch, slot).await;
        }
    }

    fn next_retry(&self, sent: u64) -> Option<Batch> {
        next_after(sent, &mut self.retries())
    }

    /// Finds the leader and sends the batch there; returns once its position in the order is fixed.
    async fn send(self: &Arc<Self>, mut batch: Batch, slot: OwnedSemaphorePermit) {
        let engine = &self.engine;
        loop {
            batch.prune();
            let leader = engine.leader();
            if leader != Some(engine.id()) {
                refuse_forwarded(&mut batch, leader);
            }
            if batch.groups.is_empty() {
                return;
            }
            let Some(leader) = leader.filter(|_| !engine.is_stopping()) else {
                engine.leader_change(AGAIN).await;
                continue;
            };
            // From here on, a caller that gives up cannot know whether its command is stored.
            batch.groups.retain(|g| g.ticket.swap(QUEUED, UNDER_WAY));
            if batch.groups.is_empty() {
                return;
            }
            if leader == engine.id() {
                return self.write(batch, slot).await;
            }
            match self.forward(leader, batch).await {
                Ok((batch, pending)) => {
                    let this = self.clone();
                    tokio::spawn(here(async move { this.forwarded(batch, pending, slot).await }));
                    return;
                }
                Err(refused) => {
                    batch = refused;
                    engine.leader_change(AGAIN).await;
                }
            }
        }
    }

    /// Appends to this node's own log, as leader.
    async fn write(self: &Arc<Self>, batch: Batch, slot: OwnedSemaphorePermit) {
        let Some(stamp) = self.clock.until_timed(TIMED).await else {
            return self.keep(batch);
        };
        let Ok(data) = EntryData::commands(stamp.into(), &batch.commands()) else {
            return batch.answer(|| Outcome::NotStored { leader: None, overloaded: false });
        };
        if !self.disk.take(batch.bytes() as u64 + HEAD).await {
            return batch.answer(|| Outcome::NotStored { leader: None, overloaded: true });
        }
        let (responder, written) = ProgressResponder::<Types, _>::complete_only();
        if self.engine.raft().client_write_ff(data, Some(responder)).await.is_err() {
            return batch.answer(|| Outcome::Unknown);
        }
        let this = self.clone();
        tokio::spawn(here(async move {
            match late::timeout_at(batch.deadline(), written).await {
                Ok(Ok(Ok(response))) => {
                    batch.done(response.log_id.index, response.data.time_ms, response.data.replies);
                }
                // Refused before the append.
                Ok(Ok(Err(ClientWriteError::ForwardToLeader(_)))) => this.keep(batch),
                _ => batch.answer(|| Outcome::Unknown),
            }
            drop(slot);
        }));
    }

    /// Sends the batch to the leader; returns it if it certainly was not sent.
    async fn forward(&self, leader: NodeId, batch: Batch) -> Result<(Batch, Pending), Batch> {
        let commands = batch.commands().iter().map(|c| c.to_vec().into()).collect();
        let flow = batch.flow().map(|flow| flow.0);
        let request = Request::ForwardV2 { flow, commands };
        let link = self.engine.peers().link(leader, Lane::Work);
        match link.start(self.engine.group(), &request, batch.deadline()).await {
            Ok(pending) => Ok((batch, pending)),
            Err(error) if error.certainly_not_sent() => {
                tracing::debug!(leader = self.engine.called(leader), %error, "cannot reach the leader");
                requeue(&batch);
                Err(batch)
            }
            Err(_) => {
                batch.answer(|| Outcome::Unknown);
                Err(Batch { position: 0, groups: Vec::new() })
            }
        }
    }

    async fn forwarded(&self, mut batch: Batch, pending: Pending, slot: OwnedSemaphorePermit) {
        let answer = pending.answer(batch.deadline()).await;
        match answer {
            Ok(Answer::ForwardV1(Forwarded::Done { index, time_ms, replies })) => {
                drop(slot);
                batch.committed();
                // A caller that proposed on this node must be able to read the result on this node.
                self.store.wait_applied(index, OWN_APPLY).await;
                batch.done(index, time_ms, replies.into_iter().map(serde_bytes::ByteBuf::into_vec).collect());
            }
            // Only a leader itself reports `overloaded` together with a leader, and then names itself.
            Ok(Answer::ForwardV1(Forwarded::NotStored { overloaded: true, leader: 1.. })) => {
                batch.answer(|| Outcome::NoRoom);
            }
            Ok(Answer::ForwardV1(Forwarded::NotStored { overloaded: true, .. })) => {
                batch.answer(|| Outcome::NotStored { leader: None, overloaded: true });
            }
            Ok(Answer::ForwardV1(Forwarded::NotStored { .. })) | Err(LinkError::NoGroup(_)) => {
                self.keep(batch)
            }
            Err(_) if crate::failpoint!("repeat-unknown") => self.keep(batch),
            _ => batch.answer(|| Outcome::Unknown),
        }
    }

    /// Keeps a batch that certainly was not stored for another attempt.
    fn keep(&self, batch: Batch) {
        requeue(&batch);
        self.retries().insert(batch.position, batch);
        self.again.notify_one();
    }
}

/// Takes the first waiting batch, if its position is after `sent`, the last one that was sent. A batch that
/// has to wait again must go before the batches behind it.
fn next_after(sent: u64, retries: &mut BTreeMap<u64, Batch>) -> Option<Batch> {
    retries.first_entry().filter(|first| *first.key() > sent).map(OccupiedEntry::remove)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_waits_again_is_not_overtaken() {
        let batch = |position| Batch { position, groups: Vec::new() };
        let mut retries: BTreeMap<u64, Batch> = [2, 3, 5].map(|position| (position, batch(position))).into();
        let mut next = |sent, kept: Option<u64>| {
            kept.into_iter().for_each(|position| drop(retries.insert(position, batch(position))));
            next_after(sent, &mut retries).map(|batch| batch.position)
        };
        assert_eq!(next(0, None), Some(2));
        assert_eq!(next(2, Some(2)), None, "batches 3 and 5 wait behind batch 2");
        // The next round begins with batch 2.
        assert_eq!(next(0, None), Some(2));
        assert_eq!(next(2, None), Some(3));
        assert_eq!(next(3, Some(2)), None, "batch 2 was refused again while batch 3 was sent");
        assert_eq!((next(0, None), next(2, None), next(5, None)), (Some(2), Some(5), None));
    }
}
