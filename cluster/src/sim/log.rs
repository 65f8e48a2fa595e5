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
use crate::dir::sync_dir;
use crate::identity::Layout;
use crate::os::here;
use crate::syncs::Syncs;
use crate::types::{Entry, LogId, Types, Vote};
use crate::votes::{Kept, Votes};
use crate::wire::{StoredLogId, StoredPayload, StoredVote};

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
    /// The record number of the last vote, and the highest vote that other nodes may know.
    vote: u64,
    told: Option<StoredVote>,
    /// Votes of which the second copy is not written.
    votes: Vec<StoredVote>,
    /// The record numbers of the appends that are not on disk, each with the index of its first entry.
    appends: Vec<(u64, u64)>,
}

/// The log; clones share it.
#[derive(Clone)]
pub(crate) struct Log {
    journal: Arc<Mutex<Journal>>,
    flusher: Arc<Mutex<Flusher>>,
    votes: Arc<Votes>,
    syncs: Arc<Syncs>,
    append_bytes: usize,
}

impl Log {
    pub(crate) fn open(dir: &Path, config: &Config) -> io::Result<Self> {
        let journal = fs::journal(dir)?;
        let votes = Arc::new(Votes::open(&Layout::new(dir.parent().unwrap_or(Path::new(""))))?);
        let kept = votes.read()?.highest;
        {
            let mut journal = lock(&journal);
            journal.open()?;
            journal.check()?;
            if !crate::failpoint!("start-without-sync") {
                let all = journal.written;
                journal.sync(all);
            }
            let unsynced = journal.written - journal.flushed;
            // A log that is being repaired has an extension, and is empty at first.
            if dir.extension().is_none() {
                let copies = (journal.now.vote.as_ref().map(StoredVote::from), kept);
                World::try_with(|world| {
                    lock(&world.witness).opened(world.elapsed_ms(), journal.serial, copies, unsynced);
                });
            }
        }
        sync_dir(dir.parent())?;
        let append_bytes = config.max_append_bytes;
        let syncs = Arc::new(Syncs::new());
        Ok(Self { journal, flusher: Arc::default(), votes, syncs, append_bytes })
    }

    /// What the second copy of the vote says. Everything written is on disk before this is called.
    pub(crate) fn kept_vote(&self) -> io::Result<Kept> {
        self.votes.read()
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

    pub(crate) fn syncs(&self) -> &Syncs {
        &self.syncs
    }

    /// Waits until the last vote is on disk. Before that, no other node may learn that this node gave it.
    pub(crate) async fn vote_on_disk(&self) -> io::Result<()> {
        let serial = self.lock().serial;
        let vote = self.lock().now.vote.as_ref().map(StoredVote::from);
        let vote = vote.map(|vote| StoredVote { committed: false, ..vote });
        let is_open = lock(&self.flusher).vote > self.lock().flushed;
        if is_open && !crate::failpoint!("vote-without-fsync") {
            self.sync().await?;
        }
        // Two that wait may go on in any order.
        let told = {
            let mut flusher = lock(&self.flusher);
            flusher.told = flusher.told.max(vote);
            flusher.told
        };
        if let Some(vote) = told.map(Vote::from) {
            World::try_with(|world| lock(&world.witness).voted(world.elapsed_ms(), serial, &vote));
        }
        Ok(())
    }

    /// Waits until the entry at `index` is on disk, and all before it.
    pub(crate) async fn on_disk(&self, index: u64) -> io::Result<()> {
        let is_open = lock(&self.flusher).appends.iter().any(|(_, first)| *first <= index);
        if is_open && !crate::failpoint!("answer-before-fsync") { self.sync().await } else { Ok(()) }
    }

    fn flush(&self, flushed: Flushed) {
        let mut flusher = lock(&self.flusher);
        let number = self.lock().written;
        let last = matches!(flushed, Flushed::Append(_)).then(|| self.last().map_or(0, |id| id.index));
        self.syncs.begun(number, last);
        flusher.waiting.push((number, flushed));
        if !std::mem::replace(&mut flusher.runs, true) {
            tokio::spawn(here(self.clone().flush_all()));
        }
    }

    /// Writes the second copy of the votes, which takes its own time on the disk.
    async fn keep_votes(&self, host: Option<usize>) {
        let votes = std::mem::take(&mut lock(&self.flusher).votes);
        for vote in votes {
            World::flush(host).await;
            if let Err(error) = self.votes.write(&vote) {
                World::try_with(|world| world.violation(format!("no second copy of {vote:?}: {error}")));
            }
        }
    }

    /// Flushes until no party waits.
    async fn flush_all(self) {
        loop {
            let upto = self.lock().written;
            let host = Process::current().map(|p| p.host());
            self.keep_votes(host).await;
            World::flush(host).await;
            self.lock().sync(upto);
            self.syncs.finished(upto);
            let done: Vec<_> = {
                let mut flusher = lock(&self.flusher);
                let done = flusher.waiting.extract_if(.., |(at, _)| *at <= upto).collect();
                flusher.appends.retain(|(at, _)| *at > upto);
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
        let before = self.lock().now.vote.as_ref().map(StoredVote::from);
        if before > Some(vote.into()) {
            World::try_with(|world| world.violation(format!("voted {vote} after {before:?}")));
        }
        // Before the record: a flush of the record includes the second copy.
        if !crate::failpoint!("vote-without-fsync") {
            lock(&self.flusher).votes.push(vote.into());
        }
        let number = {
            let mut journal = self.lock();
            journal.write(Record::Vote(*vote));
            journal.written
        };
        // That the vote has won the election need not be on disk.
        let now = StoredVote::from(vote);
        if before.is_none_or(|before| (before.term, before.node) != (now.term, now.node)) {
            lock(&self.flusher).vote = number;
        }
        if !crate::failpoint!("vote-without-fsync") {
            self.flush(Flushed::Nobody);
        }
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
        let (first, number) = {
            let mut journal = self.lock();
            let serial = journal.serial;
            let mut first = u64::MAX;
            for entry in entries {
                first = first.min(entry.log_id.index);
                World::try_with(|world| lock(&world.witness).appended(world.elapsed_ms(), serial, &entry));
                journal.write(Record::Append(entry));
            }
            (first, journal.written)
        };
        lock(&self.flusher).appends.push((number, first));
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
        self.flush(Flushed::Nobody);
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        self.lock().write(Record::Purge(upto));
        self.flush(Flushed::Nobody);
        Ok(())
    }
}
