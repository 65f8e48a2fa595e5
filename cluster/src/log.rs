//! The Raft log on disk: openraft's log storage over raft-log.
//!
//! `state`: the log as its readers see it. `recent`: its newest entries in memory. `writer`: the thread that
//! writes the files. `positions`: how far the files are on disk, of which they keep marks. `torn`: the end
//! that a power cut leaves. Nothing here waits for the disk except what says so.

mod positions;
mod recent;
mod state;
mod torn;
mod writer;

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use futures_util::{Stream, stream};
use openraft::storage::IOFlushed;
use openraft::{LogState, OptionalSend};
use tokio::sync::oneshot;

use self::positions::Positions;
use self::recent::{Limit, Portion, Recent, weight};
use self::state::{Now, Shared};
use self::writer::{Files, Job, Write, stopped};
use crate::config::Config;
use crate::dir::sync_dir;
use crate::identity::Layout;
use crate::os::spawn_blocking;
use crate::syncs::Syncs;
use crate::types::{Entry, LogId, Types, Vote};
use crate::votes::{Kept, Votes};
use crate::wire::{StoredLogId, StoredVote};

pub(crate) use self::writer::LogTypes;

/// Entries to be applied are read in portions of at most this many …
const READ_ENTRIES: usize = 256;
/// … and this many bytes.
const READ_BYTES: usize = 4 * 1024 * 1024;
/// No limit of a reading.
const ALL: Limit = Limit { bytes: usize::MAX, entries: usize::MAX };

/// One ordered, checksummed stream that contains votes and entries. What is written is readable at once, and
/// in the order of the calls: whoever needs it on disk waits for that. An append is answered when it is on
/// disk; appends that wait meanwhile are flushed together. Clones share the log.
#[derive(Clone)]
pub(crate) struct Log {
    handle: Arc<Handle>,
    append_bytes: usize,
}

/// What the clones share. Dropping it writes everything out and closes the files.
struct Handle {
    shared: Arc<Shared>,
    files: Arc<Files>,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Without a sender the thread ends. The files must be closed when this returns, because their folder
        // is locked until then.
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes the log panicked");
        }
    }
}

impl Handle {
    /// Changes the log and hands the change to the thread that writes. The order of calls is the order on
    /// disk.
    fn write(&self, change: impl FnOnce(&mut Now) -> Write) -> io::Result<()> {
        let mut now = self.shared.now();
        self.shared.check(&now)?;
        now.handed += 1;
        let number = now.handed;
        let write = change(&mut now);
        now.sleeps = false;
        self.shared.syncs.begun(number, write.last_entry());
        self.send(Job::Write(number, write))
    }

    fn send(&self, job: Job) -> io::Result<()> {
        let sent = self.jobs.as_ref().map(|jobs| jobs.send(job));
        if let Some(Ok(())) = sent { Ok(()) } else { Err(stopped()) }
    }

    /// Adds the entries that the files have from `start` to `end` (exclusive). Blocks.
    fn read_files(&self, start: u64, end: u64, mut portion: Portion) -> io::Result<Portion> {
        let log = writer::lock(&self.files);
        for item in log.read(start, end) {
            let (id, payload) = item?;
            if !portion.add(Entry { log_id: id.into(), payload: payload.0 }) {
                break;
            }
        }
        Ok(portion)
    }
}

/// Makes durable what was read. A process that was killed may have left it in memory alone, and votes and
/// answers of this one rest on it.
fn sync_files(dir: &Path) -> io::Result<()> {
    if crate::failpoint!("start-without-sync") {
        return Ok(());
    }
    for entry in std::fs::read_dir(dir)? {
        std::fs::File::open(entry?.path())?.sync_all()?;
    }
    Ok(())
}

impl Log {
    /// Opens or creates the log in `dir`; everything in it is on disk when this returns. An end that a power
    /// cut tore is cut off; any other inconsistency is an error.
    pub(crate) fn open(dir: &Path, config: &Config) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let mut settings = raft_log::Config::new(dir.display());
        settings.wal.chunk_max_size = Some(config.log_chunk_bytes);
        settings.wal.read_buffer_size = Some(1024 * 1024);
        settings.wal.flush_batch_wait = Some(config.log_flush_wait);
        // `Recent` keeps the newest entries, so the files' own cache would keep them twice.
        settings.log_cache_capacity = Some(0);
        let log = torn::open(Arc::new(settings), dir)?;
        sync_files(dir)?;
        // New files are in their directories for good, before anything in them counts as on disk.
        sync_dir(Some(dir))?;
        sync_dir(dir.parent())?;
        let state = log.log_state();
        let ids = (state.committed().copied(), state.purged().copied(), state.last().copied());
        let recent = Recent::new(config.log_cache_bytes);
        let positions = Positions::new(log.stat().open_chunk.global_end);
        let files = (positions, log.on_disk_size());
        let votes = Votes::open(&Layout::new(dir.parent().unwrap_or(Path::new(""))))?;
        let shared = Arc::new(Shared::new((state.vote().copied(), votes), ids, recent, files));
        let files = Arc::new(Mutex::new(log));
        let (jobs, queue) = channel();
        let work = {
            let files = files.clone();
            let shared = shared.clone();
            move || writer::run(&files, &shared, &queue)
        };
        let thread = std::thread::Builder::new().name("cluster-log".to_owned()).spawn(work)?;
        let handle = Arc::new(Handle { shared, files, jobs: Some(jobs), thread: Some(thread) });
        Ok(Self { handle, append_bytes: config.max_append_bytes })
    }

    /// What the second copy of the vote says. Everything written is on disk before this is called.
    pub(crate) fn kept_vote(&self) -> io::Result<Kept> {
        self.handle.shared.votes.read()
    }

    /// Whether neither a vote nor an entry was ever written.
    pub(crate) fn is_pristine(&self) -> bool {
        let now = self.handle.shared.now();
        now.vote.is_none() && now.last.is_none() && now.purged.is_none()
    }

    /// Makes an empty log continue after `id`, as if everything up to it was purged; on disk when this
    /// returns. `node` is the node that will continue from there.
    pub(crate) fn begin_after(&self, id: StoredLogId, node: u64) -> io::Result<()> {
        // The next election must have a later term than any entry.
        let vote = StoredVote { term: id.term, node, committed: false };
        self.handle.write(|now| {
            now.save_vote(vote);
            Write::Vote(vote)
        })?;
        self.purge_upto(id)?;
        self.begin_sync()?.blocking_recv().unwrap_or_else(|_| Err(stopped()))
    }

    /// Purges all entries, which end before `id`, because the store already contains their effects and more.
    /// On disk when this returns.
    pub(crate) async fn go_on_after(&self, id: StoredLogId) -> io::Result<()> {
        self.purge_upto(id)?;
        self.sync().await
    }

    fn purge_upto(&self, id: StoredLogId) -> io::Result<()> {
        self.handle.write(|now| {
            now.purge(id);
            Write::Purge(id)
        })
    }

    /// Size on disk (bytes).
    pub(crate) fn bytes(&self) -> u64 {
        self.handle.shared.bytes()
    }

    /// Bytes of entries that the files may not have yet.
    pub(crate) fn waiting(&self) -> u64 {
        self.handle.shared.waiting()
    }

    /// The last purged entry.
    pub(crate) fn purged(&self) -> Option<StoredLogId> {
        self.handle.shared.now().purged
    }

    /// The last entry.
    pub(crate) fn last(&self) -> Option<StoredLogId> {
        self.handle.shared.now().last
    }

    /// How long the disk takes.
    pub(crate) fn syncs(&self) -> &Syncs {
        &self.handle.shared.syncs
    }

    /// Waits until everything written so far is on disk.
    pub(crate) async fn sync(&self) -> io::Result<()> {
        self.begin_sync()?.await.unwrap_or_else(|_| Err(stopped()))
    }

    fn begin_sync(&self) -> io::Result<oneshot::Receiver<io::Result<()>>> {
        let (sender, receiver) = oneshot::channel();
        self.handle.write(|_| Write::Sync(sender))?;
        Ok(receiver)
    }

    /// Waits until the last vote is on disk. Before that, no other node may learn that this node gave it.
    pub(crate) async fn vote_on_disk(&self) -> io::Result<()> {
        let is_durable = self.handle.shared.now().vote_is_durable();
        if is_durable { Ok(()) } else { self.sync().await }
    }

    /// Waits until the entry at `index` is on disk, and all before it. openraft takes what came before a vote
    /// for durable once the vote is saved, so its word for an append is not enough.
    pub(crate) async fn on_disk(&self, index: u64) -> io::Result<()> {
        let is_durable = self.handle.shared.now().has_on_disk(index);
        if is_durable { Ok(()) } else { self.sync().await }
    }

    /// Entries from `start` to `end` (exclusive): at least one, if there is one, and no more than the limit.
    /// Those that are not in memory any more are read on a thread that may block.
    async fn read(&self, start: u64, end: u64, limit: Limit) -> io::Result<Vec<Entry>> {
        let mut portion = Portion::new(limit);
        let mut next = start;
        loop {
            let before = portion.entries.len();
            let (from, to) = {
                let now = self.handle.shared.now();
                if next < now.begin() && before > 0 {
                    return Ok(portion.entries);
                }
                let from = next.max(now.begin());
                let to = end.min(now.end());
                let here = now.recent.first().unwrap_or(u64::MAX);
                if from >= to || from >= here {
                    now.recent.read(from, to, &mut portion);
                    return Ok(portion.entries);
                }
                (from, to.min(here))
            };
            let handle = self.handle.clone();
            let read = spawn_blocking(move || handle.read_files(from, to, portion)).await;
            portion = read.map_err(io::Error::other)??;
            if portion.is_full() {
                return Ok(portion.entries);
            }
            // The files may have nothing there: a log need not begin with the entry 0.
            let found = portion.entries.len() > before;
            next = portion.entries.last().filter(|_| found).map_or(to, |entry| entry.log_id.index + 1);
        }
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
        // In portions, so that replaying a long log does not hold all of it in memory.
        let (start, end) = limits(&range);
        let state = (self.clone(), start, end, Vec::new().into_iter());
        stream::unfold(
            state,
            |(log, mut next, end, mut piece): (Self, u64, u64, std::vec::IntoIter<Entry>)| async move {
                if let Some(entry) = piece.next() {
                    return Some((Ok(entry), (log, next, end, piece)));
                }
                if next >= end {
                    return None;
                }
                match log.read(next, end, Limit { bytes: READ_BYTES, entries: READ_ENTRIES }).await {
                    Err(error) => Some((Err(error), (log, end, end, piece))),
                    Ok(entries) => {
                        piece = entries.into_iter();
                        let entry = piece.next()?;
                        next = piece.as_slice().last().unwrap_or(&entry).log_id.index + 1;
                        Some((Ok(entry), (log, next, end, piece)))
                    }
                }
            },
        )
    }

    async fn try_get_log_entries<R>(&mut self, range: R) -> Result<Vec<Entry>, io::Error>
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (start, end) = limits(&range);
        self.read(start, end, ALL).await
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        self.read(start, end, Limit { bytes: self.append_bytes, ..ALL }).await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.handle.shared.now().vote.map(Into::into))
    }
}

impl openraft::storage::RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let now = self.handle.shared.now();
        let last_purged_log_id = now.purged.map(Into::into);
        Ok(LogState { last_purged_log_id, last_log_id: now.last.map(Into::into).or(last_purged_log_id) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    // openraft's task does nothing else until this returns. So it does not wait for the disk: whoever tells
    // another node of the vote, or of entries, waits: see `Log::vote_on_disk` and `Log::on_disk`.
    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let vote = StoredVote::from(vote);
        self.handle.write(|now| {
            now.save_vote(vote);
            Write::Vote(vote)
        })
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        // Not flushed to disk on its own: the value only shortens the wait of a node that restarts.
        let wakes = {
            let mut now = self.handle.shared.now();
            self.handle.shared.check(&now)?;
            now.committed = now.committed.max(committed.as_ref().map(Into::into));
            std::mem::take(&mut now.sleeps)
        };
        if wakes { self.handle.send(Job::Note) } else { Ok(()) }
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.handle.shared.now().committed.map(Into::into))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let room = self.handle.shared.enter(entries.iter().map(weight).sum()).await;
        self.handle.write(|now| {
            now.append(&entries);
            Write::Append(entries, callback, room)
        })
    }

    // A record of the same stream: whatever is appended later is on disk after it.
    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let from = last.as_ref().map_or(0, |id| id.index + 1);
        if self.handle.shared.now().end() <= from {
            return Ok(());
        }
        self.handle.write(|now| {
            now.truncate(last.as_ref().map(Into::into));
            Write::Truncate(from)
        })
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        self.purge_upto((&upto).into())
    }
}

#[cfg(test)]
mod tests;
