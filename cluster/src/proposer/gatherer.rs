//! The task that sends what waits.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openraft::error::ClientWriteError;
use openraft::impls::ProgressResponder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

use super::Queue;
use super::batch::{Batch, Outcome};
use super::numbers::{Numbers, Way};
use super::retries::Retries;
use super::turns::{Most, Turns};
use crate::disk_budget::{DiskBudget, HEAD};
use crate::engine::{Engine, Leadership};
use crate::late;
use crate::net::{Lane, LinkError, Pending};
use crate::os::here;
use crate::store::{AppliedHere, MOST_OPEN, Store, View, ordinal_of};
use crate::time::ClusterClock;
use crate::types::{ProposalReply, Types};
use crate::wire::{Answer, Forwarded, IncarnationV1};

/// Longest that a forwarded batch waits until its own node has applied it too.
const OWN_APPLY: Duration = Duration::from_secs(1);
/// The same while this node's disk is slow: then the leader, which waits for what it sends, sends it late.
const SLOW_APPLY: Duration = Duration::from_millis(20);
/// Longest wait for a new leader to know the time. Then the leader is determined again.
const TIMED: Duration = Duration::from_millis(50);
/// How often the patience with a silent connection is doubled at most.
const MOST_DOUBLED: u32 = 4;
/// Pause before looking again for a leader that takes a batch.
const AGAIN: Duration = Duration::from_millis(10);

/// The task that forms batches from waiting groups and sends them in order. While entries are in flight, the
/// next batch gathers. So batches form by waiting, without a timer. On a follower a whole batch goes to the
/// leader.
///
/// A batch has a name ([`ProposalV1`](crate::wire::ProposalV1)), under which it is applied once. So it is
/// sent again as soon as another leader is known or its connection gives no sign of life, whether it may have
/// been stored or not. Batches are sent again in the old order, and before later ones.
///
/// A batch that was sent is answered when this node has applied it, whatever becomes of the leader's answer.
/// That answer counts while this node has not: the node lags, a snapshot covered the entry, or nothing was
/// applied.
pub(crate) struct Gatherer {
    engine: Arc<Engine>,
    store: Arc<Store>,
    disk: Arc<DiskBudget>,
    clock: Arc<ClusterClock>,
    slots: Arc<Semaphore>,
    all: u32,
    numbers: Arc<Numbers>,
    incarnation: Mutex<IncarnationV1>,
    /// How many connections gave no sign of life since the last answer. Each doubles the patience with the
    /// next one: a leader that is merely slow must not be busy with new connections.
    silences: AtomicU32,
    retries: Retries<Batch>,
}

/// The result of an append to this node's own log.
enum Written {
    Applied(Vec<ProposalReply>),
    /// Refused before the append.
    Refused,
    /// It may be applied or not.
    Lost,
    /// Nobody waits any more.
    TooLate,
}

/// The result of beginning to forward a batch.
enum Begun {
    Sent(Pending),
    /// It was certainly not sent.
    NotSent,
    /// It would overtake another batch, which may have to be sent again.
    MustWait,
}

impl Gatherer {
    pub(crate) fn new(
        engine: Arc<Engine>,
        store: Arc<Store>,
        disk: Arc<DiskBudget>,
        clock: Arc<ClusterClock>,
    ) -> Arc<Self> {
        // As many batches as are under way may also wait to be sent again; all of them have numbers without
        // an answer.
        let most = engine.config().max_entries_in_flight.min(MOST_OPEN / 4);
        let slots = Arc::new(Semaphore::new(most));
        let all = u32::try_from(most).unwrap_or(u32::MAX);
        // If it is not the latest, the answer to the first proposal says so.
        let before = View::of(&store).and_then(|view| ordinal_of(&view, engine.id())).unwrap_or(0);
        let incarnation = IncarnationV1 { ordinal: before.saturating_add(1), process: engine.incarnation() };
        Arc::new(Self {
            engine,
            store,
            disk,
            clock,
            slots,
            all,
            numbers: Arc::default(),
            incarnation: Mutex::new(incarnation),
            silences: AtomicU32::new(0),
            retries: Retries::new(),
        })
    }

    /// Works as long as a caller can submit.
    pub(crate) async fn run(self: Arc<Self>, mut queue: Queue) {
        let config = self.engine.config();
        let most = Most { bytes: config.max_entry_bytes, commands: config.max_entry_commands };
        let mut turns = Turns::new();
        loop {
            let Ok(slot) = self.slots.clone().acquire_owned().await else {
                return;
            };
            if !self.retries.is_empty() {
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
                    () = self.retries.came() => {}
                }
                continue;
            }
            self.send(Batch::new(self.numbers.take_next(), groups), slot).await;
        }
    }

    fn incarnation(&self) -> IncarnationV1 {
        *self.incarnation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends batches again, in the old order, once nothing else is in flight. What went to a leader that
    /// leads no more does not stay in flight.
    async fn retry_all(self: &Arc<Self>) {
        let Ok(quiet) = self.slots.acquire_many(self.all).await else {
            return;
        };
        drop(quiet);
        sleep(AGAIN).await;
        let mut sent = 0;
        while let Some(batch) = self.retries.next_after(sent) {
            let Ok(slot) = self.slots.clone().acquire_owned().await else {
                return;
            };
            sent = batch.number.get();
            self.send(batch, slot).await;
        }
    }

    /// Finds the leader and sends the batch there; returns once its position in the order is fixed.
    async fn send(self: &Arc<Self>, mut batch: Batch, slot: OwnedSemaphorePermit) {
        let engine = &self.engine;
        loop {
            // An earlier sending may have been applied meanwhile.
            if let Some(applied) = batch.take_applied() {
                return done_here(batch, applied, slot);
            }
            let leadership = engine.leadership();
            if leadership.is_none_or(|now| now.leader != engine.id()) {
                batch.refuse_foreign(leadership.map(|now| now.leader));
            }
            if !batch.is_wanted() {
                // A group that is left may be stored.
                return batch.answer(|| Outcome::Unknown);
            }
            let Some(leadership) = leadership.filter(|_| !engine.is_stopping()) else {
                engine.leader_change(AGAIN).await;
                continue;
            };
            if !batch.set_out() {
                return;
            }
            if leadership.leader == engine.id() {
                return self.write(batch, leadership, slot).await;
            }
            match self.begin_forward(&mut batch, leadership).await {
                Begun::Sent(pending) => {
                    let this = self.clone();
                    let forwarded = async move { this.forwarded(batch, pending, leadership, slot).await };
                    tokio::spawn(here(forwarded));
                    return;
                }
                Begun::MustWait => return self.keep(batch),
                Begun::NotSent => {
                    batch.came_back();
                    engine.leader_change(AGAIN).await;
                }
            }
        }
    }

    /// Appends to this node's own log, as leader.
    async fn write(self: &Arc<Self>, mut batch: Batch, leadership: Leadership, slot: OwnedSemaphorePermit) {
        // Until the engine has the entry, the lead is not handed over.
        let Some(_pass) = self.engine.gate().try_pass() else {
            return self.keep(batch);
        };
        let Some(stamp) = self.clock.until_timed(TIMED).await else {
            return self.keep(batch);
        };
        if !self.disk.take(batch.bytes() as u64 + HEAD).await {
            return self.refuse(batch, || Outcome::NotStored { leader: None, overloaded: true });
        }
        let Ok(data) = batch.entry(self.engine.id(), self.incarnation(), stamp.into()) else {
            return self.refuse(batch, || Outcome::NotStored { leader: None, overloaded: false });
        };
        if !batch.number.goes(Way { to: leadership, connection: 0 }) {
            return self.keep(batch);
        }
        let (responder, written) = ProgressResponder::<Types, _>::complete_only();
        if self.engine.raft().client_write_ff(data, Some(responder)).await.is_err() {
            return batch.answer(|| Outcome::Unknown);
        }
        let this = self.clone();
        tokio::spawn(here(async move {
            let result = tokio::select! {
                biased;
                written = late::timeout_at(batch.deadline(), written) => match written {
                    Ok(Ok(Ok(response))) => Written::Applied(response.data.proposals),
                    Ok(Ok(Err(ClientWriteError::ForwardToLeader(_)))) => Written::Refused,
                    Ok(_) => Written::Lost,
                    Err(_) => Written::TooLate,
                },
                () = this.engine.other_leadership(leadership) => Written::Lost,
            };
            this.written(batch, result);
            drop(slot);
        }));
    }

    fn written(&self, mut batch: Batch, result: Written) {
        match result {
            Written::Applied(replies) => match batch.applied(replies) {
                Some(ProposalReply::Applied { index, time_ms, replies }) => {
                    batch.done(index, time_ms, replies);
                }
                Some(ProposalReply::Superseded { ordinal }) => self.superseded(batch, ordinal),
                Some(ProposalReply::Refused) => self.refuse(batch, || ProposalReply::Refused.into()),
                Some(ProposalReply::Forgotten) | None => batch.answer(|| Outcome::Unknown),
            },
            Written::Refused => self.keep(batch),
            Written::Lost => self.doubt(batch),
            Written::TooLate => batch.answer(|| Outcome::Unknown),
        }
    }

    /// Begins to send the batch to the leader.
    async fn begin_forward(&self, batch: &mut Batch, leadership: Leadership) -> Begun {
        let Ok(request) = batch.request(self.incarnation()) else {
            return Begun::NotSent;
        };
        let link = self.engine.peers().link(leadership.leader, Lane::Work);
        let connected = tokio::select! {
            connected = link.connection(batch.deadline()) => connected,
            () = self.engine.other_leadership(leadership) => return Begun::NotSent,
        };
        let connection = match connected {
            Ok(connection) => connection,
            Err(error) => {
                let leader = self.engine.called(leadership.leader);
                tracing::debug!(leader, %error, "cannot reach the leader");
                return Begun::NotSent;
            }
        };
        if !batch.number.goes(Way { to: leadership, connection: connection.number() }) {
            return Begun::MustWait;
        }
        batch.await_here(self.engine.id(), self.store.waiters());
        tokio::select! {
            begun = connection.start(self.engine.group(), &request, batch.deadline()) => match begun {
                Ok(pending) => Begun::Sent(pending),
                Err(_) => Begun::NotSent,
            },
            () = self.engine.other_leadership(leadership) => Begun::NotSent,
        }
    }

    /// Waits for the leader's answer: until another leader is known, or the connection gives no sign of life
    /// for as long as a leader may be silent.
    async fn answer_of_leader(
        &self,
        pending: Pending,
        deadline: Instant,
        leadership: Leadership,
    ) -> Result<Answer, LinkError> {
        let config = self.engine.config();
        let pause = Duration::from_millis(2 * config.heartbeat_ms);
        let doubled = self.silences.load(Ordering::Relaxed).min(MOST_DOUBLED);
        let limit = Duration::from_millis(config.election_min_ms << doubled);
        let connection = pending.connection();
        let answer = tokio::select! {
            biased;
            answer = pending.answer(deadline) => answer,
            () = self.engine.other_leadership(leadership) => Err(LinkError::Lost),
            () = connection.silent(pause, limit) => {
                self.silences.fetch_add(1, Ordering::Relaxed);
                Err(LinkError::Lost)
            }
        };
        if answer.is_ok() {
            self.silences.store(0, Ordering::Relaxed);
        }
        answer
    }

    /// Waits until this node has applied a batch that was sent to a leader, or for the leader's answer, and
    /// answers the batch or keeps it.
    async fn forwarded(
        &self,
        mut batch: Batch,
        pending: Pending,
        leadership: Leadership,
        slot: OwnedSemaphorePermit,
    ) {
        let deadline = batch.deadline();
        let answer = tokio::select! {
            biased;
            applied = batch.applied_here() => {
                // A leader that commits what it is sent is not silent.
                self.silences.store(0, Ordering::Relaxed);
                return done_here(batch, applied, slot);
            }
            answer = self.answer_of_leader(pending, deadline, leadership) => answer,
        };
        match answer {
            Ok(Answer::ForwardV1(Forwarded::Done { index, time_ms, replies })) => {
                batch.committed();
                drop(slot);
                // A caller that proposed on this node must be able to read the result on this node.
                let limit = if self.engine.stands_aside() { SLOW_APPLY } else { OWN_APPLY };
                self.store.wait_applied(index, limit).await;
                batch.done(index, time_ms, replies.into_iter().map(serde_bytes::ByteBuf::into_vec).collect());
            }
            // Only a leader itself reports `overloaded` together with a leader, and then names itself.
            Ok(Answer::ForwardV1(Forwarded::NotStored { overloaded: true, leader: 1.. })) => {
                self.refuse(batch, || Outcome::NoRoom);
            }
            Ok(Answer::ForwardV1(Forwarded::NotStored { overloaded: true, .. })) => {
                self.refuse(batch, || Outcome::NotStored { leader: None, overloaded: true });
            }
            Ok(Answer::ForwardV1(Forwarded::NotStored { .. })) | Err(LinkError::NoGroup(_)) => {
                self.keep(batch)
            }
            Ok(Answer::ForwardV1(Forwarded::Superseded { ordinal })) => self.superseded(batch, ordinal),
            Ok(Answer::ForwardV1(Forwarded::Forgotten)) | Err(LinkError::Timeout) => {
                batch.answer(|| Outcome::Unknown);
            }
            _ => self.doubt(batch),
        }
    }

    /// Keeps a batch for another attempt. The last one certainly had no effect.
    fn keep(&self, mut batch: Batch) {
        if batch.is_empty() {
            return;
        }
        batch.came_back();
        self.retries.put(batch.number.get(), batch);
    }

    /// Keeps a batch for another attempt. The last one may have an effect.
    fn doubt(&self, mut batch: Batch) {
        batch.doubt();
        self.keep(batch);
    }

    /// Answers that the last attempt had no effect. If an earlier one may have had, only another attempt can
    /// tell.
    fn refuse(&self, batch: Batch, outcome: impl Fn() -> Outcome) {
        if batch.is_in_doubt() {
            self.keep(batch);
        } else {
            batch.answer(outcome);
        }
    }

    /// Another incarnation of this node, with that ordinal, is in force, although its process has ended: its
    /// last proposals arrived late, or this node had not applied them when it began. This one goes on with a
    /// higher ordinal.
    fn superseded(&self, mut batch: Batch, ordinal: u64) {
        {
            let mut own = self.incarnation.lock().unwrap_or_else(PoisonError::into_inner);
            own.ordinal = own.ordinal.max(ordinal.saturating_add(1));
        }
        if batch.superseded(ordinal) {
            self.keep(batch);
        } else {
            batch.answer(|| Outcome::Unknown);
        }
    }
}

/// Answers a batch that this node has applied. Its readers see it.
fn done_here(mut batch: Batch, applied: AppliedHere, slot: OwnedSemaphorePermit) {
    let AppliedHere { index, time_ms, replies } = applied;
    batch.committed();
    drop(slot);
    batch.done(index, time_ms, replies);
}
