//! The Raft log on disk: openraft's log storage over raft-log.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{Stream, stream};
use openraft::storage::IOFlushed;
use openraft::{LogState, OptionalSend};
use raft_log::api::raft_log_writer::RaftLogWriter;
use raft_log::{Callback, RaftLog};
use tokio::sync::oneshot;

use crate::config::Config;
use crate::dir::sync_dir;
use crate::types::{Entry, LogId, Types, Vote};
use crate::wire::{StoredLogId, StoredPayload, StoredVote};

/// Entries to be applied are read in portions of at most this many …
const READ_ENTRIES: usize = 256;
/// … and this many bytes.
const READ_BYTES: usize = 4 * 1024 * 1024;

/// The types that raft-log is instantiated with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct LogTypes;

impl raft_log::Types for LogTypes {
    type LogId = StoredLogId;
    type LogPayload = StoredPayload;
    type Vote = StoredVote;
    type Callback = Flushed;
    type UserData = String;

    fn log_index(id: &StoredLogId) -> u64 {
        id.index
    }

    fn payload_size(payload: &StoredPayload) -> u64 {
        payload.size() as u64 + 64
    }
}

/// The party that waits for a flush.
enum Flushed {
    Append(IOFlushed<Types>),
    Signal(oneshot::Sender<io::Result<()>>),
}

impl Callback for Flushed {
    fn send(self, result: io::Result<()>) {
        match self {
            Self::Append(callback) => callback.io_completed(result),
            // If the receiver is gone, nobody waits any more.
            Self::Signal(sender) => drop(sender.send(result)),
        }
    }
}

/// One ordered, checksummed stream that contains votes and entries. An append is answered when it is on disk;
/// appends that wait meanwhile are flushed together. Clones share the log.
#[derive(Clone)]
pub(crate) struct Log {
    inner: Arc<Mutex<RaftLog<LogTypes>>>,
    append_bytes: usize,
}

impl Log {
    /// Opens or creates the log in `dir`. An incomplete record at the end is cut off; any other inconsistency
    /// is an error.
    pub(crate) fn open(dir: &Path, config: &Config) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let mut settings = raft_log::Config::new(dir.display());
        settings.wal.chunk_max_size = Some(config.log_chunk_bytes);
        settings.wal.read_buffer_size = Some(1024 * 1024);
        settings.wal.flush_batch_wait = Some(config.log_flush_wait);
        settings.log_cache_capacity = Some(config.log_cache_bytes);
        let log = RaftLog::open(Arc::new(settings))?;
        // New files are in their directories for good, before anything in them counts as on disk.
        sync_dir(Some(dir))?;
        sync_dir(dir.parent())?;
        Ok(Self { inner: Arc::new(Mutex::new(log)), append_bytes: config.max_append_bytes })
    }

    fn lock(&self) -> MutexGuard<'_, RaftLog<LogTypes>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether neither a vote nor an entry was ever written.
    pub(crate) fn is_pristine(&self) -> bool {
        let log = self.lock();
        let state = log.log_state();
        state.vote().is_none() && state.last().is_none() && state.purged().is_none()
    }

    /// Makes an empty log continue after `id`, as if everything up to it was purged; on disk when this
    /// returns. `node` is the node that will continue from there.
    pub(crate) fn begin_after(&self, id: StoredLogId, node: u64) -> io::Result<()> {
        let flushed = {
            let mut log = self.lock();
            // The next election must have a later term than any entry.
            log.save_vote(StoredVote { term: id.term, node, committed: false })?;
            log.purge(id)?;
            self.flush(&mut log)?
        };
        flushed
            .blocking_recv()
            .unwrap_or_else(|_| Err(io::Error::other("the log's flush thread has stopped")))
    }

    /// Purges all entries, which end before `id`, because the store already contains their effects and more.
    /// On disk when this returns.
    pub(crate) async fn go_on_after(&self, id: StoredLogId) -> io::Result<()> {
        self.lock().purge(id)?;
        self.sync().await
    }

    /// Size on disk (bytes).
    pub(crate) fn bytes(&self) -> u64 {
        self.lock().on_disk_size()
    }

    /// The last purged entry.
    pub(crate) fn purged(&self) -> Option<StoredLogId> {
        self.lock().log_state().purged().copied()
    }

    /// The last entry.
    pub(crate) fn last(&self) -> Option<StoredLogId> {
        self.lock().log_state().last().copied()
    }

    /// Waits until everything written so far is on disk.
    pub(crate) async fn sync(&self) -> io::Result<()> {
        let flushed = self.flush(&mut self.lock());
        flushed?.await.unwrap_or_else(|_| Err(io::Error::other("the log's flush thread has stopped")))
    }

    fn flush(&self, log: &mut RaftLog<LogTypes>) -> io::Result<oneshot::Receiver<io::Result<()>>> {
        let (sender, receiver) = oneshot::channel();
        log.flush(true, Some(Flushed::Signal(sender)))?;
        Ok(receiver)
    }

    /// Entries from `start` to `end` (exclusive). Stops after `bytes` or `entries`, but returns at least one.
    fn read(&self, start: u64, end: u64, bytes: usize, entries: usize) -> io::Result<Vec<Entry>> {
        let log = self.lock();
        let mut found = Vec::new();
        let mut size = 0;
        for item in log.read(start, end) {
            let (id, payload) = item?;
            let next = payload.size() + 64;
            if !found.is_empty() && (size + next > bytes || found.len() >= entries) {
                break;
            }
            size += next;
            found.push(Entry { log_id: id.into(), payload: payload.0 });
        }
        Ok(found)
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
                match log.read(next, end, READ_BYTES, READ_ENTRIES) {
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
        self.read(start, end, usize::MAX, usize::MAX)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        self.read(start, end, self.append_bytes, usize::MAX)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.lock().log_state().vote().copied().map(Into::into))
    }
}

impl openraft::storage::RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let log = self.lock();
        let state = log.log_state();
        let last_purged_log_id = state.purged().copied().map(Into::into);
        Ok(LogState {
            last_purged_log_id,
            last_log_id: state.last().copied().map(Into::into).or(last_purged_log_id),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        self.lock().save_vote(vote.into())?;
        self.sync().await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        // Not flushed to disk on its own: the value only shortens the wait of a node that restarts.
        if let Some(id) = committed {
            let mut log = self.lock();
            log.commit((&id).into())?;
            log.flush(false, None)?;
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.lock().log_state().committed().copied().map(Into::into))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut log = self.lock();
        log.append(entries.into_iter().map(|e| ((&e.log_id).into(), StoredPayload(e.payload))))?;
        log.flush(true, Some(Flushed::Append(callback)))
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let from = last.map_or(0, |id| id.index + 1);
        {
            let mut log = self.lock();
            if log.log_state().last().is_none_or(|id| id.index < from) {
                return Ok(());
            }
            log.truncate(from)?;
        }
        self.sync().await
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        let mut log = self.lock();
        log.purge((&upto).into())?;
        log.flush(true, None)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::types::{Data, Payload};
    use openraft::storage::RaftLogStorage;

    fn open(dir: &Path) -> io::Result<Log> {
        let config = Config { log_flush_wait: std::time::Duration::ZERO, ..Config::default() };
        Log::open(dir, &config)
    }

    fn told(log: &Log) -> String {
        let state = log.lock().log_state().clone();
        format!("{:?} {:?} {:?}", state.vote(), state.last(), log.read(0, u64::MAX, usize::MAX, usize::MAX))
    }

    /// Whichever single bit of the log's file is flipped: either the log does not open, or it has all its
    /// data.
    #[tokio::test]
    async fn no_flipped_bit_cuts_off_synced_records() {
        let dir = tempfile::tempdir().unwrap();
        let good = dir.path().join("good");
        let trial = dir.path().join("trial");
        let mut log = open(&good).unwrap();
        let term = 1;
        let node = 1;
        log.save_vote(&Vote::from(StoredVote { term, node, committed: true })).await.unwrap();
        for index in 0..6 {
            let log_id = StoredLogId { term, node, index }.into();
            let payload = Payload::Normal(Data(vec![index as u8; 40].into()));
            log.append([Entry { log_id, payload }], IOFlushed::noop()).await.unwrap();
        }
        log.sync().await.unwrap();
        let expected = told(&log);
        drop(log);
        let name = std::fs::read_dir(&good).unwrap().flatten().map(|e| e.file_name()).max().unwrap();
        let whole = std::fs::read(good.join(&name)).unwrap();
        let mut cut = Vec::new();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            // Each trial begins without files that opening created.
            let _ = std::fs::remove_dir_all(&trial);
            std::fs::create_dir_all(&trial).unwrap();
            std::fs::write(trial.join(&name), &bytes).unwrap();
            if let Ok(log) = open(&trial)
                && told(&log) != expected
            {
                cut.push((bit / 8, bit % 8));
            }
        }
        assert!(cut.is_empty(), "{} of {} bits: {cut:?}", cut.len(), whole.len() * 8);
    }
}
