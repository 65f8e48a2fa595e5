//! The thread that writes the log's files, and the second copy of the vote. Beginning a file waits for the
//! disk, and so does handing data to the thread of raft-log that syncs, when too much waits there. So nobody
//! else does it.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openraft::storage::IOFlushed;
use raft_log::api::raft_log_writer::RaftLogWriter;
use raft_log::{Callback, RaftLog, Segment};
use tokio::sync::oneshot;

use super::state::Shared;
use crate::types::{Entry, Types};
use crate::wire::{StoredLogId, StoredMark, StoredPayload, StoredVote};

/// Most jobs that are flushed together.
const MOST_JOBS: usize = 256;
/// How long the news that entries are committed waits for a write that takes it along. With a few writes a
/// second the next one does, and the thread is not woken twice more for each.
const NOTE_AFTER: Duration = Duration::from_millis(250);

/// The types that raft-log is instantiated with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LogTypes;

impl raft_log::Types for LogTypes {
    type LogId = StoredLogId;
    type LogPayload = StoredPayload;
    type Vote = StoredVote;
    type Callback = Flushed;
    type UserData = StoredMark;

    fn log_index(id: &StoredLogId) -> u64 {
        id.index
    }

    fn payload_size(payload: &StoredPayload) -> u64 {
        payload.size() as u64 + 64
    }
}

/// A job of the thread.
pub(super) enum Job {
    /// The write of that number.
    Write(u64, Write),
    /// Entries are committed.
    Note,
}

/// One change of the log.
pub(super) enum Write {
    Vote(StoredVote),
    /// The entries, the party that waits for them, and the room that they take.
    Append(Vec<Entry>, IOFlushed<Types>, u32),
    Truncate(u64),
    Purge(StoredLogId),
    /// Everything so far.
    Sync(oneshot::Sender<io::Result<()>>),
}

impl Write {
    /// The index of the last entry with it.
    pub(super) fn last_entry(&self) -> Option<u64> {
        match self {
            Self::Append(entries, ..) => entries.last().map(|entry| entry.log_id.index),
            Self::Vote(_) | Self::Truncate(_) | Self::Purge(_) | Self::Sync(_) => None,
        }
    }
}

/// The party that waits for a flush.
enum Party {
    Append(IOFlushed<Types>),
    Signal(oneshot::Sender<io::Result<()>>),
}

/// The parties that wait for one flush. If the flush never comes, they are told that it failed.
pub(crate) struct Flushed {
    parties: Vec<Party>,
    /// The room of their entries (KiB).
    room: u32,
    /// The last write of the flush, and up to where it makes the files durable.
    upto: u64,
    position: u64,
    shared: Arc<Shared>,
    is_told: bool,
}

impl Flushed {
    fn new(shared: Arc<Shared>) -> Self {
        Self { parties: Vec::new(), room: 0, upto: 0, position: 0, shared, is_told: false }
    }

    /// Writes a change, unless an earlier one failed, and takes the party that waits for it.
    fn write(&mut self, log: &mut RaftLog<LogTypes>, write: Write, may_write: bool) -> io::Result<()> {
        match write {
            Write::Append(entries, callback, room) => {
                self.parties.push(Party::Append(callback));
                self.room += room;
                let new = entries.into_iter().map(|e| ((&e.log_id).into(), StoredPayload(e.payload)));
                if may_write { self.written(log.append(new)) } else { Ok(()) }
            }
            Write::Sync(sender) => {
                self.parties.push(Party::Signal(sender));
                Ok(())
            }
            _ if !may_write => Ok(()),
            Write::Vote(vote) => {
                self.written(log.save_vote(vote))?;
                // Whoever waits for the vote waits for the flush, which comes later. Both copies are on disk
                // then.
                self.shared.votes.write(&vote)
            }
            Write::Truncate(from) => self.written(log.truncate(from)),
            Write::Purge(id) => self.written(log.purge(id)),
        }
    }

    /// Takes note of a record that was written.
    fn written(&self, record: io::Result<Segment>) -> io::Result<()> {
        record.map(|record| self.shared.positions.set_written(record.offset + record.size))
    }

    /// Marks in the log how far it is on disk, if no mark says it yet. Damage before that position is not
    /// taken for what a power cut leaves then.
    fn mark(&self, log: &mut RaftLog<LogTypes>) -> io::Result<()> {
        let positions = &self.shared.positions;
        if let Some(mark) = positions.next_mark() {
            self.written(log.save_user_data(Some(mark)))?;
            positions.set_marked(positions.written());
        }
        Ok(())
    }

    fn tell(&mut self, result: &io::Result<()>) {
        self.is_told = true;
        match result {
            Ok(()) => self.shared.durable(self.upto, self.position),
            Err(error) => self.shared.fail(error),
        }
        for party in std::mem::take(&mut self.parties) {
            let result = match result {
                Ok(()) => Ok(()),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            };
            match party {
                Party::Append(callback) => callback.io_completed(result),
                // If the receiver is gone, nobody waits any more.
                Party::Signal(sender) => drop(sender.send(result)),
            }
        }
        self.shared.leave(std::mem::take(&mut self.room));
    }
}

impl Callback for Flushed {
    fn send(mut self, result: io::Result<()>) {
        self.tell(&result);
    }
}

impl Drop for Flushed {
    fn drop(&mut self) {
        if !self.is_told {
            self.tell(&Err(stopped()));
        }
    }
}

pub(super) fn stopped() -> io::Error {
    io::Error::other("the log's flush thread has stopped")
}

/// The log's files. Locked for as long as a disk takes, so never by a thread that must not wait.
pub(super) type Files = Mutex<RaftLog<LogTypes>>;

pub(super) fn lock(files: &Files) -> MutexGuard<'_, RaftLog<LogTypes>> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Works off the jobs until nobody can send any more.
pub(super) fn run(files: &Files, shared: &Arc<Shared>, jobs: &Receiver<Job>) {
    while let Some(job) = next(shared, jobs) {
        write_out(&mut lock(files), shared, job, jobs);
    }
}

/// Waits for a job; `None` when none can come.
fn next(shared: &Shared, jobs: &Receiver<Job>) -> Option<Job> {
    match jobs.recv_timeout(NOTE_AFTER) {
        Ok(job) => Some(job),
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) if shared.may_sleep() => jobs.recv().ok(),
        Err(RecvTimeoutError::Timeout) => Some(Job::Note),
    }
}

/// Writes the job and those that wait behind it, and hands them to the thread that syncs.
fn write_out(log: &mut RaftLog<LogTypes>, shared: &Arc<Shared>, first: Job, jobs: &Receiver<Job>) {
    let mut flushed = Flushed::new(shared.clone());
    let mut result = shared.check(&shared.now());
    let mut next = Some(first);
    let mut left = MOST_JOBS;
    while let Some(job) = next {
        if let Job::Write(number, write) = job {
            // One mark for all that is flushed together: nothing of it is on disk before.
            if flushed.upto == 0 && result.is_ok() {
                result = flushed.mark(log);
            }
            flushed.upto = number;
            let written = flushed.write(log, write, result.is_ok());
            result = result.and(written);
        }
        left -= 1;
        next = if left > 0 { jobs.try_recv().ok() } else { None };
    }
    let noted = shared.to_note(log.log_state().last().copied()).filter(|_| result.is_ok());
    if let Some(id) = noted {
        result = flushed.written(log.commit(id));
    }
    flushed.position = shared.positions.written();
    shared.written(flushed.upto, log.on_disk_size());
    match result {
        Err(error) => {
            tracing::error!(%error, "cannot write the log");
            flushed.tell(&Err(error));
        }
        // News of what is committed need not be synced: it only shortens the wait of a node that restarts.
        Ok(()) if flushed.upto == 0 => {
            flushed.is_told = true;
            if noted.is_some()
                && let Err(error) = log.flush(false, None)
            {
                shared.fail(&error);
            }
        }
        Ok(()) => {
            if let Err(error) = log.flush(true, Some(flushed)) {
                tracing::error!(%error, "cannot flush the log");
            }
        }
    }
}
