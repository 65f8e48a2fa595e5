//! The Raft log over a simulated journal, with the names and the contract of the real `log`.
//!
//! Appends are answered in order when they are flushed; appends that wait meanwhile are flushed together.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::{Stream, stream};
use openraft::storage::IOFlushed;
use openraft::{LogState, OptionalSend};
use tokio::sync::oneshot;

use super::sim::journal::{Journal, Record};
use super::sim::{Process, World, fs, lock};
use crate::config::Config;
use crate::os::here;
use crate::types::{Entry, LogId, Types, Vote};
use crate::wire::{StoredLogId, StoredPayload};

/// The party that waits for a flush.
enum Flushed {
    Append(IOFlushed<Types>),
    Signal(oneshot::Sender<io::Result<()>>),
    Nobody,
}

impl Flushed {
    fn report(self) {
        match self {
            Self::Append(callback) => callback.io_completed(Ok(())),
            // If the receiver is gone, nobody waits any more.
            Self::Signal(sender) => drop(sender.send(Ok(()))),
            Self::Nobody => {}
        }
    }
}

/// The waiting parties and the record numbers that they wait for, and whether a flush is running.
#[derive(Default)]
struct Flusher {
    waiting: Vec<(u64, Flushed)>,
    runs: bool,
}

/// The log; clones share it.
#[derive(Clone)]
pub(crate) struct Log {
    journal: Arc<Mutex<Journal>>,
    flusher: Arc<Mutex<Flusher>>,
    append_bytes: usize,
}

impl Log {
    pub(crate) fn open(dir: &Path, config: &Config) -> io::Result<Self> {
        let journal = fs::journal(dir)?;
        World::try_with(|world| {
            let journal = lock(&journal);
            lock(&world.witness).opened(world.elapsed_ms(), journal.serial, journal.now.vote.as_ref());
        });
        Ok(Self { journal, flusher: Arc::default(), append_bytes: config.max_append_bytes })
    }

    fn lock(&self) -> MutexGuard<'_, Journal> {
        lock(&self.journal)
    }

    pub(crate) fn is_pristine(&self) -> bool {
        let journal = self.lock();
        journal.now.vote.is_none() && journal.now.last().is_none()
    }

    pub(crate) async fn go_on_after(&self, id: StoredLogId) -> io::Result<()> {
        self.lock().write(Record::Purge(id.into()));
        self.sync().await
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.lock().now.entries.len() as u64 * 128
    }

    pub(crate) fn purged(&self) -> Option<StoredLogId> {
        self.lock().now.purged.as_ref().map(Into::into)
    }

    pub(crate) fn last(&self) -> Option<StoredLogId> {
        self.lock().now.entries.back().map(|e| (&e.log_id).into())
    }

    /// Waits until everything written so far is on disk.
    pub(crate) async fn sync(&self) -> io::Result<()> {
        let (sender, receiver) = oneshot::channel();
        self.flush(Flushed::Signal(sender));
        receiver.await.unwrap_or_else(|_| Err(io::Error::other("the log is closed")))
    }

    fn flush(&self, flushed: Flushed) {
        let mut flusher = lock(&self.flusher);
        flusher.waiting.push((self.lock().written, flushed));
        if !std::mem::replace(&mut flusher.runs, true) {
            tokio::spawn(here(self.clone().flush_all()));
        }
    }

    /// Flushes until no party waits.
    async fn flush_all(self) {
        loop {
            let upto = self.lock().written;
            let host = Process::current().map(|p| p.host());
            let time = World::try_with(|world| world.flush_time(host)).unwrap_or_default();
            if !time.is_zero() {
                tokio::time::sleep(time).await;
            }
            self.lock().sync(upto);
            let done: Vec<_> = {
                let mut flusher = lock(&self.flusher);
                let done = flusher.waiting.extract_if(.., |(at, _)| *at <= upto).collect();
                flusher.runs = !flusher.waiting.is_empty();
                done
            };
            let more = lock(&self.flusher).runs;
            done.into_iter().for_each(|(_, flushed)| flushed.report());
            if !more {
                return;
            }
        }
    }

    /// Entries from `start` to `end` (exclusive). Stops after `bytes`, but returns at least one.
    fn read(&self, start: u64, end: u64, bytes: usize) -> Vec<Entry> {
        let journal = self.lock();
        let entries = &journal.now.entries;
        let first = entries.front().map_or(0, |e| e.log_id.index);
        let skip = usize::try_from(start.saturating_sub(first)).unwrap_or(usize::MAX);
        let mut size = 0;
        let wanted = entries.iter().skip(skip).take_while(|entry| {
            let before = size;
            size += StoredPayload(entry.payload.clone()).size() + 64;
            entry.log_id.index < end && (before == 0 || size <= bytes)
        });
        wanted.cloned().collect()
    }
}

/// `range` as start and exclusive end.
fn limits(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(i) => *i,
        Bound::Excluded(i) => i.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(i) => i.saturating_add(1),
        Bound::Excluded(i) => *i,
        Bound::Unbounded => u64::MAX,
    };
    (start, end.max(start))
}

impl openraft::RaftLogReader<Types> for Log {
    async fn entries_stream<R>(&mut self, range: R) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (start, end) = limits(&range);
        stream::iter(self.read(start, end, usize::MAX).into_iter().map(Ok))
    }

    async fn try_get_log_entries<R>(&mut self, range: R) -> Result<Vec<Entry>, io::Error>
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (start, end) = limits(&range);
        Ok(self.read(start, end, usize::MAX))
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        Ok(self.read(start, end, self.append_bytes))
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.lock().now.vote)
    }
}

impl openraft::storage::RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let journal = self.lock();
        Ok(LogState { last_purged_log_id: journal.now.purged, last_log_id: journal.now.last() })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let serial = {
            let mut journal = self.lock();
            journal.write(Record::Vote(*vote));
            journal.serial
        };
        if !crate::failpoint!("vote-without-fsync") {
            self.sync().await?;
        }
        World::try_with(|world| lock(&world.witness).voted(world.elapsed_ms(), serial, vote));
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        if let Some(id) = committed {
            self.lock().write(Record::Commit(id));
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.lock().now.committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        {
            let mut journal = self.lock();
            let serial = journal.serial;
            for entry in entries {
                World::try_with(|world| lock(&world.witness).appended(world.elapsed_ms(), serial, &entry));
                journal.write(Record::Append(entry));
            }
        }
        if crate::failpoint!("answer-before-fsync") {
            self.flush(Flushed::Nobody);
            callback.io_completed(Ok(()));
        } else {
            self.flush(Flushed::Append(callback));
        }
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let from = last.map_or(0, |id| id.index + 1);
        {
            let mut journal = self.lock();
            if journal.now.last().is_none_or(|id| id.index < from) {
                return Ok(());
            }
            journal.write(Record::Truncate(from));
        }
        self.sync().await
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        self.lock().write(Record::Purge(upto));
        self.flush(Flushed::Nobody);
        Ok(())
    }
}
