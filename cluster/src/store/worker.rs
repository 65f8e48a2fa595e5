//! The one thread that applies entries.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use openraft::EntryPayload;
use openraft::storage::ApplyResponder;
use redb::Durability;
use tokio::sync::{Mutex, oneshot};

use super::{DATA, Incoming, Received, SnapshotData, Store, Txn, View, begin, failed, guarded, write_state};
use crate::error::StoreError;
use crate::fatal::Fatal;
use crate::log::Log;
use crate::machine::{ApplyContext, Load, StateMachine};
use crate::os;
use crate::types::{Applied, Data, Entry, Types};
use crate::wire::{AwaitedV1, EntryData, MembershipV1, StampV1, SystemV1};

/// Most nodes that got an id and have not joined. The oldest makes room, and must begin anew.
const MOST_AWAITED: usize = 16;

type Done<T> = oneshot::Sender<Result<T, StoreError>>;
/// An entry to apply, and the responder for its answer.
pub(super) type Item = (Entry, Option<ApplyResponder<Types>>);

/// The jobs of the thread.
pub(super) enum Job {
    Load { done: Done<()> },
    Apply { items: Vec<Item>, done: Done<()> },
    Checkpoint { done: Done<SystemV1> },
    Install { data: SnapshotData, done: Done<()> },
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
    /// Held while entries are applied, and while the store is made durable.
    turn: Arc<Mutex<()>>,
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
        let mut thread = Some(Thread { store: store.clone(), machine, incoming_dir, bytes: 0 });
        os::work_off("cluster-apply", queue, move |job| {
            let Some(present) = thread.take() else { return false };
            match catch_unwind(AssertUnwindSafe(|| present.take(job))) {
                Ok(Ok(next)) => thread = next,
                Ok(Err(error)) => fatal.raise(&format!("applying failed: {error}")),
                Err(panic) => fatal.raise(&format!("applying panicked: {}", said(&*panic))),
            }
            thread.is_some()
        })?;
        let worker = Self { jobs, log, store, after, turn: Arc::default() };
        worker.ask(|done| Job::Load { done }).await?;
        Ok(worker)
    }

    pub(super) async fn ask<T>(&self, job: impl FnOnce(Done<T>) -> Job) -> Result<T, StoreError> {
        let (done, answer) = oneshot::channel();
        self.jobs.send(job(done)).map_err(|_| stopped())?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Applies a chunk of entries, and makes the store durable when enough has accumulated.
    pub(super) async fn apply(&self, items: Vec<Item>) -> Result<(), StoreError> {
        let turn = self.turn.lock().await;
        self.ask(|done| Job::Apply { items, done }).await?;
        drop(turn);
        if self.store.unwritten() >= self.after.bytes {
            self.checkpoint().await?;
        }
        Ok(())
    }

    /// Makes everything durable and ends the thread.
    pub(crate) async fn stop(&self) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        self.log.sync().await?;
        self.ask(|done| Job::Stop { done }).await
    }

    /// Makes everything applied so far durable, in the log first. A node whose store is ahead of its log
    /// would seem to have lost entries that it acknowledged, and would have to join again.
    pub(crate) async fn checkpoint(&self) -> Result<SystemV1, StoreError> {
        let _turn = self.turn.lock().await;
        if !crate::failpoint!("checkpoint-before-log") {
            self.log.sync().await?;
        }
        self.ask(|done| Job::Checkpoint { done }).await
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
    incoming_dir: PathBuf,
    /// Bytes applied since the last checkpoint.
    bytes: u64,
}

impl Thread {
    /// Does a job; returns `None` after the last one.
    fn take(mut self, job: Job) -> Result<Option<Self>, StoreError> {
        match job {
            Job::Load { done } => {
                let load = View::of(&self.store).and_then(|view| self.machine.load(&view, Load::Start));
                let failed = load.is_err();
                let _ = done.send(load);
                if failed {
                    return Ok(None);
                }
                self.machine.committed(*self.store.applied().borrow());
            }
            Job::Apply { items, done } => answer(done, self.apply(items))?,
            Job::Checkpoint { done } => answer(done, self.checkpoint())?,
            Job::Install { data, done } => answer(done, self.install(data))?,
            Job::Stop { done } => {
                let result = self.checkpoint().map(drop);
                drop(self);
                let _ = done.send(result);
                return Ok(None);
            }
        }
        Ok(Some(self))
    }

    fn checkpoint(&mut self) -> Result<SystemV1, StoreError> {
        let state = self.store.checkpoint()?;
        self.count(0);
        Ok(state)
    }

    fn count(&mut self, bytes: u64) {
        self.bytes = bytes;
        self.store.unwritten.store(bytes, Ordering::Relaxed);
    }

    /// Applies a chunk of entries in one transaction, then answers their proposers.
    fn apply(&mut self, items: Vec<Item>) -> Result<(), StoreError> {
        let mut state = self.store.state();
        let size: usize = items.iter().map(|(entry, _)| weight(entry)).sum();
        self.count(self.bytes + size as u64);
        let db = self.store.database();
        let txn = guarded(|| begin(&db, Durability::None))?;
        let mut answers = Vec::with_capacity(items.len());
        {
            let mut data = Txn::new(txn.open_table(DATA).map_err(failed)?);
            for (entry, responder) in items {
                let applied = apply_entry(&mut *self.machine, &mut state, entry, &mut data)?;
                answers.extend(responder.map(|responder| (responder, applied)));
            }
            self.machine.flush(&mut data)?;
        }
        guarded(|| {
            write_state(&txn, &state)?;
            txn.commit().map_err(failed)
        })?;
        self.publish(state);
        for (responder, applied) in answers {
            responder.send(applied);
        }
        Ok(())
    }

    fn install(&mut self, data: SnapshotData) -> Result<(), StoreError> {
        let received: Received = match data {
            SnapshotData::Received(received) => received,
            SnapshotData::Live(view) => Incoming::copy(&self.incoming_dir, &view)?,
        };
        let state = self.store.replace(&received.path)?;
        self.count(0);
        self.machine.load(&View::of(&self.store)?, Load::Snapshot)?;
        tracing::info!(applied = state.applied.map_or(0, |id| id.index), "installed a snapshot");
        self.publish(state);
        Ok(())
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

fn apply_entry(
    machine: &mut dyn StateMachine,
    state: &mut SystemV1,
    entry: Entry,
    txn: &mut Txn<'_>,
) -> Result<Applied, StoreError> {
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
        }
        EntryPayload::Normal(Data(bytes)) => match EntryData::decode(bytes).map_err(StoreError::corrupt)? {
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
                state.stamp = StampV1 { expiry_ms: state.stamp.expiry_ms.max(stamp.expiry_ms), ..stamp };
                state.id_ms = state.id_ms.max(stamp.time_ms);
                let mut context = ApplyContext::at(entry.log_id.index, state.stamp, state.id_ms);
                applied.replies.reserve(commands.len());
                for command in commands {
                    applied.replies.push(machine.apply(&mut context, command, txn)?);
                }
            }
        },
    }
    applied.time_ms = state.stamp.time_ms;
    Ok(applied)
}
