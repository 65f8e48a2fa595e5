//! The one thread that applies entries.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use openraft::EntryPayload;
use openraft::storage::ApplyResponder;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;

use super::proposals::{AppliedAt, Due, Proposals};
use super::{Checkpoint, Incoming, News, Received, SnapshotData, Store, Txn, View};
use crate::error::StoreError;
use crate::fatal::Fatal;
use crate::log::Log;
use crate::machine::{ApplyContext, Load, ProposalName, StateMachine};
use crate::os;
use crate::types::{Applied, Data, Entry, ProposalReply, Types};
use crate::wire::{AwaitedV1, EntryData, MembershipV1, PartV1, StampV1, StoredLogId, SystemV1};

/// Applying waits for the disk when this many times the bytes of a checkpoint have accumulated.
const BEHIND: u64 = 4;
/// Most nodes that got an id and have not joined. The oldest makes room, and must begin anew.
const MOST_AWAITED: usize = 16;

type Done<T> = oneshot::Sender<Result<T, StoreError>>;
/// An entry to apply, and the responder for its answer.
pub(super) type Item = (Entry, Option<ApplyResponder<Types>>);

/// The jobs of the thread.
pub(super) enum Job {
    Load { done: Done<()> },
    Apply { items: Vec<Item>, done: Done<()> },
    Checkpoint { done: Done<Checkpoint> },
    Install { data: SnapshotData, done: Done<SystemV1> },
    Settle { done: Done<Checkpoint> },
    Stop { done: Done<()> },
}

/// Hands jobs to the thread, which is the only one that writes to the store. It never makes an entry durable
/// in the store that the log may not have on disk: entries are applied once a majority has them, and this
/// node's own disk may be slower than the others.
#[derive(Clone)]
pub(crate) struct Worker {
    jobs: os::Jobs<Job>,
    log: Log,
    store: Arc<Store>,
    after: CheckpointAfter,
    /// Held while the store is made durable.
    turn: Arc<Mutex<()>>,
    /// The node's own runtime.
    runtime: Handle,
}

/// When the store is made durable without a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CheckpointAfter {
    pub(crate) bytes: u64,
}

impl Worker {
    /// Loads the machine and starts the thread. `log` is the log that the entries come from.
    pub(crate) async fn start(
        store: Arc<Store>,
        log: Log,
        machine: Box<dyn StateMachine>,
        incoming_dir: PathBuf,
        after: CheckpointAfter,
        fatal: Arc<Fatal>,
    ) -> Result<Self, StoreError> {
        let (jobs, queue) = os::jobs();
        let proposals = Proposals::default();
        let last_before = log.last().unwrap_or_default();
        let mut thread =
            Some(Thread { store: store.clone(), machine, proposals, incoming_dir, last_before, bytes: 0 });
        os::work_off("cluster-apply", queue, move |job| {
            let Some(present) = thread.take() else { return false };
            match catch_unwind(AssertUnwindSafe(|| present.take(job))) {
                Ok(Ok(next)) => thread = next,
                Ok(Err(error)) => fatal.raise(&format!("applying failed: {error}")),
                Err(panic) => fatal.raise(&format!("applying panicked: {}", said(&*panic))),
            }
            thread.is_some()
        })?;
        let worker = Self { jobs, log, store, after, turn: Arc::default(), runtime: Handle::current() };
        worker.ask(|done| Job::Load { done }).await?;
        Ok(worker)
    }

    pub(super) async fn ask<T>(&self, job: impl FnOnce(Done<T>) -> Job) -> Result<T, StoreError> {
        let (done, answer) = oneshot::channel();
        self.jobs.send(job(done)).map_err(|_| stopped())?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Applies a chunk of entries, and makes the store durable when enough has accumulated. It waits for that
    /// only when too much has.
    pub(super) async fn apply(&self, items: Vec<Item>) -> Result<(), StoreError> {
        self.ask(|done| Job::Apply { items, done }).await?;
        let unwritten = self.store.unwritten();
        if unwritten >= self.after.bytes.saturating_mul(BEHIND) {
            self.checkpoint().await?;
        } else if unwritten >= self.after.bytes && self.turn.try_lock().is_ok() {
            self.begin_checkpoint();
        }
        Ok(())
    }

    /// Puts a snapshot in place, and lets the log begin after it. The snapshot loses its mark only then, and
    /// before the log takes entries that follow it. So a log that ends before the snapshot has lost entries.
    pub(super) async fn install(&self, data: SnapshotData) -> Result<(), StoreError> {
        // The vote for the leader that sent it is on disk first, and so are the entries that the snapshot
        // covers. The engine waits for neither.
        self.log.sync().await?;
        let state = self.ask(|done| Job::Install { data, done }).await?;
        if let Some(at) = state.applied.filter(|at| Some(*at) > self.log.last().max(self.log.purged())) {
            self.log.go_on_after(at).await?;
        }
        self.ask(|done| Job::Settle { done }).await?.finish().await.map(drop)
    }

    /// Makes everything durable and ends the thread. Nothing may be applied meanwhile.
    pub(crate) async fn stop(&self) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        self.checkpoint_in_turn().await?;
        self.ask(|done| Job::Stop { done }).await
    }

    /// Makes everything applied so far durable, in the log first. Entries are applied meanwhile.
    pub(crate) async fn checkpoint(&self) -> Result<SystemV1, StoreError> {
        self.begin_checkpoint().await.unwrap_or_else(|_| Err(stopped()))
    }

    /// A checkpoint that goes on when nobody waits for it any more.
    fn begin_checkpoint(&self) -> JoinHandle<Result<SystemV1, StoreError>> {
        let worker = self.clone();
        self.runtime.spawn(os::here(async move { worker.make_durable().await }))
    }

    async fn make_durable(&self) -> Result<SystemV1, StoreError> {
        let _turn = self.turn.lock().await;
        self.checkpoint_in_turn().await
    }

    async fn checkpoint_in_turn(&self) -> Result<SystemV1, StoreError> {
        let checkpoint = self.ask(|done| Job::Checkpoint { done }).await?;
        // An entry is handed to the log before it is applied.
        if !crate::failpoint!("checkpoint-before-log") {
            self.log.sync().await?;
        }
        let state = checkpoint.finish().await?;
        self.store.underway.store(0, Ordering::Relaxed);
        Ok(state)
    }
}

fn stopped() -> StoreError {
    StoreError::Io("the applying thread has stopped".to_owned())
}

fn said(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// Owns the machine; may block. A panic or an error here ends the process, because a state in doubt must not
/// be served.
struct Thread {
    store: Arc<Store>,
    machine: Box<dyn StateMachine>,
    proposals: Proposals,
    incoming_dir: PathBuf,
    /// The last entry that the log had when the process started.
    last_before: StoredLogId,
    /// Bytes applied since the last checkpoint.
    bytes: u64,
}

impl Thread {
    /// Does a job; returns `None` after the last one.
    fn take(mut self, job: Job) -> Result<Option<Self>, StoreError> {
        match job {
            Job::Load { done } => {
                let load = self.load(Load::Start);
                let failed = load.is_err();
                let _ = done.send(load);
                if failed {
                    return Ok(None);
                }
                self.machine.committed(*self.store.applied().borrow());
            }
            Job::Apply { items, done } => answer(done, self.apply(items))?,
            Job::Checkpoint { done } => answer(done, self.begin_checkpoint())?,
            Job::Install { data, done } => answer(done, self.install(data))?,
            Job::Settle { done } => answer(done, self.store.begin_settling())?,
            Job::Stop { done } => {
                drop(self);
                let _ = done.send(Ok(()));
                return Ok(None);
            }
        }
        Ok(Some(self))
    }

    /// Builds what is in memory from the store.
    fn load(&mut self, why: Load) -> Result<(), StoreError> {
        let view = View::of(&self.store)?;
        self.proposals = Proposals::load(&view)?;
        self.machine.load(&view, why)
    }

    fn begin_checkpoint(&mut self) -> Result<Checkpoint, StoreError> {
        let checkpoint = self.store.begin_checkpoint()?;
        self.store.underway.store(self.bytes, Ordering::Relaxed);
        self.count(0);
        Ok(checkpoint)
    }

    fn count(&mut self, bytes: u64) {
        self.bytes = bytes;
        self.store.unwritten.store(bytes, Ordering::Relaxed);
    }

    /// Applies a chunk of entries. When readers see it, answers their proposers, and tells who waits at this
    /// node for the entries of others.
    fn apply(&mut self, items: Vec<Item>) -> Result<(), StoreError> {
        let mut state = self.store.state();
        let size: usize = items.iter().map(|(entry, _)| weight(entry)).sum();
        self.count(self.bytes + size as u64);
        let mut answers = Vec::with_capacity(items.len());
        let mut news = News::new(self.store.waiters());
        let writes = {
            let view = View::of(&self.store)?;
            let mut data = Txn::new(&view);
            for (entry, responder) in items {
                let mut applying = Applying {
                    machine: &mut *self.machine,
                    proposals: &mut self.proposals,
                    state: &mut state,
                    last_before: self.last_before,
                    bytes: bytes_of(&entry),
                    txn: &mut data,
                    news: responder.is_none().then_some(&mut news),
                };
                let applied = applying.entry(entry)?;
                answers.extend(responder.map(|responder| (responder, applied)));
            }
            self.machine.flush(&mut data)?;
            self.proposals.write(&mut |key, value| match value {
                Some(value) => data.put(key, value),
                None => {
                    data.delete(key);
                    Ok(())
                }
            })?;
            data.into_writes()
        };
        let is_full = self.store.add(writes, state.clone());
        self.publish(state);
        for (responder, applied) in answers {
            responder.send(applied);
        }
        news.tell();
        // Nobody waits for this but the next chunk.
        if is_full { self.store.write_group() } else { Ok(()) }
    }

    fn install(&mut self, data: SnapshotData) -> Result<SystemV1, StoreError> {
        let received: Received = match data {
            SnapshotData::Received(received) => received,
            SnapshotData::Live(view) => Incoming::copy(&self.incoming_dir, &view)?,
        };
        let state = self.store.replace(&received.path)?;
        self.count(0);
        self.load(Load::Snapshot)?;
        tracing::info!(applied = state.applied.map_or(0, |id| id.index), "installed a snapshot");
        self.publish(state.clone());
        Ok(state)
    }

    fn publish(&mut self, state: SystemV1) {
        let applied = state.applied.map_or(0, |id| id.index);
        *self.store.state_mut() = state;
        self.machine.committed(applied);
        self.store.applied().send_replace(applied);
    }
}

fn answer<T>(done: Done<T>, result: Result<T, StoreError>) -> Result<(), StoreError> {
    let failure = result.as_ref().err().map(|e| match e {
        StoreError::Corrupt(what) => StoreError::Corrupt(what.clone()),
        other => StoreError::Io(other.to_string()),
    });
    let _ = done.send(result);
    failure.map_or(Ok(()), Err)
}

fn weight(entry: &Entry) -> usize {
    match &entry.payload {
        EntryPayload::Normal(Data(bytes)) => bytes.len(),
        _ => 64,
    }
}

fn bytes_of(entry: &Entry) -> Bytes {
    match &entry.payload {
        EntryPayload::Normal(Data(bytes)) => bytes.clone(),
        _ => Bytes::new(),
    }
}

/// The parts that applying an entry changes.
struct Applying<'a, 't> {
    machine: &'a mut dyn StateMachine,
    proposals: &'a mut Proposals,
    state: &'a mut SystemV1,
    last_before: StoredLogId,
    /// The data of the entry, which its commands are parts of.
    bytes: Bytes,
    txn: &'a mut Txn<'t>,
    /// Takes the replies of an entry that has no responder.
    news: Option<&'a mut News>,
}

impl Applying<'_, '_> {
    fn entry(&mut self, entry: Entry) -> Result<Applied, StoreError> {
        let Self { proposals, state, .. } = self;
        state.applied = Some((&entry.log_id).into());
        let mut applied = Applied::default();
        match &entry.payload {
            EntryPayload::Blank => {}
            EntryPayload::Membership(membership) => {
                let voters = membership.nodes().map(|(id, _)| *id).max().unwrap_or(0);
                state.last_node_id = state.last_node_id.max(voters);
                state.awaited.retain(|awaited| membership.get_node(&awaited.id).is_none());
                state.membership =
                    MembershipV1 { log_id: Some((&entry.log_id).into()), ..MembershipV1::from(membership) };
                proposals.retain(|node| membership.get_node(&node).is_some());
            }
            EntryPayload::Normal(Data(bytes)) => {
                match EntryData::decode(bytes).map_err(StoreError::corrupt)? {
                    EntryData::AllocateV1 { identity } => {
                        if crate::failpoint!("id-given-twice") {
                            state.last_node_id = state.membership.nodes.len() as u64;
                        }
                        state.last_node_id += 1;
                        applied.new_id = Some(state.last_node_id);
                        state.awaited.push(AwaitedV1 { id: state.last_node_id, identity });
                        let excess = state.awaited.len().saturating_sub(MOST_AWAITED);
                        state.awaited.drain(..excess);
                    }
                    EntryData::CommandsV1 { stamp, commands } => {
                        let mut context = self.context((&entry.log_id).into(), stamp);
                        self.commands(&mut context, &commands)?;
                    }
                    EntryData::CommandsV2 { stamp, parts } => {
                        let mut context = self.context((&entry.log_id).into(), stamp);
                        for part in &parts {
                            let reply = self.proposal(&mut context, part)?;
                            match &mut self.news {
                                Some(news) => news.note(part, reply),
                                None => applied.proposals.push(reply),
                            }
                        }
                    }
                }
            }
        }
        Ok(applied)
    }

    /// Takes over the stamp of an entry with commands.
    fn context(&mut self, at: StoredLogId, stamp: StampV1) -> ApplyContext {
        let state = &mut *self.state;
        state.stamp = StampV1 { expiry_ms: state.stamp.expiry_ms.max(stamp.expiry_ms), ..stamp };
        state.id_ms = state.id_ms.max(stamp.time_ms);
        ApplyContext::at(at, self.last_before, state.stamp, state.id_ms)
    }

    /// Applies a proposal, unless that was done before.
    fn proposal(
        &mut self,
        context: &mut ApplyContext,
        part: &PartV1<'_>,
    ) -> Result<ProposalReply, StoreError> {
        let PartV1 { node, proposal, commands } = part;
        if !self.state.membership.nodes.iter().any(|(id, _)| id == node) {
            return Ok(ProposalReply::Refused);
        }
        let incarnation = proposal.incarnation.ordinal;
        context.enter(ProposalName { node: *node, incarnation, number: proposal.number });
        let due = self.proposals.admit(*node, proposal);
        match due {
            Due::Answer(ProposalReply::Applied { index, time_ms, .. })
                if crate::failpoint!("landed-twice") =>
            {
                let replies = self.commands(context, commands)?;
                return Ok(ProposalReply::Applied { index, time_ms, replies });
            }
            Due::Answer(reply) => {
                #[cfg(feature = "sim")]
                crate::sim::World::not_applied(matches!(reply, ProposalReply::Applied { .. }));
                return Ok(reply);
            }
            Due::Apply => {}
        }
        let replies = self.commands(context, commands)?;
        let at = AppliedAt { index: context.index(), time_ms: context.time_ms() };
        self.proposals.remember(*node, proposal.number, at, &replies);
        Ok(ProposalReply::Applied { index: at.index, time_ms: at.time_ms, replies })
    }

    fn commands(
        &mut self,
        context: &mut ApplyContext,
        commands: &[&serde_bytes::Bytes],
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        commands
            .iter()
            .map(|command| self.machine.apply(context, &self.bytes.slice_ref(command), self.txn))
            .collect()
    }
}

#[cfg(all(test, not(feature = "sim")))]
mod tests;
