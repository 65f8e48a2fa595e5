//! The log as it is once everything that was handed over is written.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use super::positions::Positions;
use super::recent::Recent;
use crate::syncs::Syncs;
use crate::types::Entry;
use crate::votes::Votes;
use crate::wire::{StoredLogId, StoredVote};

/// Most KiB of entries that are not on disk. An append beyond it waits until the disk has caught up.
const MOST_KIB: usize = 64 * 1024;

/// The log as its readers see it. What is handed over counts at once: it is durable when the party that
/// handed it over is told so.
pub(super) struct Now {
    pub(super) vote: Option<StoredVote>,
    /// The number of the write with which this node gave its vote, or learned who leads.
    vote_write: u64,
    pub(super) committed: Option<StoredLogId>,
    /// The part of `committed` that is written.
    noted: Option<StoredLogId>,
    pub(super) purged: Option<StoredLogId>,
    pub(super) last: Option<StoredLogId>,
    pub(super) recent: Recent,
    /// The number of the last write that was handed over, and of the last one that is on disk.
    pub(super) handed: u64,
    durable: u64,
    /// The writes with entries that are not on disk, each with the index of its first entry.
    appends: VecDeque<(u64, u64)>,
    /// The thread that writes sleeps until it gets a job.
    pub(super) sleeps: bool,
    /// Why nothing can be written any more.
    failure: Option<String>,
}

impl Now {
    /// Index of the first entry that is there, or would be.
    pub(super) fn begin(&self) -> u64 {
        self.purged.map_or(0, |id| id.index + 1)
    }

    /// Index after the last entry.
    pub(super) fn end(&self) -> u64 {
        self.last.map_or(0, |id| id.index + 1)
    }

    /// That the vote has won the election need not be on disk.
    pub(super) fn save_vote(&mut self, vote: StoredVote) {
        let before = self.vote.replace(vote);
        if before.is_none_or(|before| (before.term, before.node) != (vote.term, vote.node)) {
            self.vote_write = self.handed;
        }
    }

    pub(super) fn vote_is_durable(&self) -> bool {
        self.vote_write <= self.durable
    }

    pub(super) fn append(&mut self, entries: &[Entry]) {
        self.appends.extend(entries.first().map(|entry| (self.handed, entry.log_id.index)));
        for entry in entries {
            self.last = Some((&entry.log_id).into());
            self.recent.push(self.handed, entry.clone());
        }
    }

    /// Whether the entry at `index`, and all before it, are on disk.
    pub(super) fn has_on_disk(&self, index: u64) -> bool {
        self.appends.iter().all(|(_, first)| *first > index)
    }

    /// Keeps the entries up to `last`.
    pub(super) fn truncate(&mut self, last: Option<StoredLogId>) {
        self.recent.truncate(last.map_or(0, |id| id.index + 1));
        self.last = last.or(self.purged);
    }

    pub(super) fn purge(&mut self, upto: StoredLogId) {
        self.purged = self.purged.max(Some(upto));
        self.last = self.last.max(self.purged);
        self.recent.purge(upto.index);
    }
}

/// What the log's handles share with the thread that writes, and with the one that syncs.
pub(super) struct Shared {
    now: Mutex<Now>,
    /// The second copy of the vote, beside the log's directory.
    pub(super) votes: Votes,
    pub(super) positions: Positions,
    /// Size of the files (bytes).
    bytes: AtomicU64,
    room: Semaphore,
    pub(super) syncs: Syncs,
}

impl Shared {
    pub(super) fn new(
        (vote, votes): (Option<StoredVote>, Votes),
        (committed, purged, last): (Option<StoredLogId>, Option<StoredLogId>, Option<StoredLogId>),
        recent: Recent,
        (positions, bytes): (Positions, u64),
    ) -> Self {
        let now = Now {
            vote,
            vote_write: 0,
            committed,
            noted: committed,
            purged,
            last,
            recent,
            handed: 0,
            durable: 0,
            appends: VecDeque::new(),
            sleeps: false,
            failure: None,
        };
        let bytes = AtomicU64::new(bytes);
        let room = Semaphore::new(MOST_KIB);
        Self { now: Mutex::new(now), votes, positions, bytes, room, syncs: Syncs::new() }
    }

    pub(super) fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Takes room for that many bytes, waiting for the disk if there is none. It is given back with
    /// [`Shared::leave`].
    pub(super) async fn enter(&self, bytes: usize) -> u32 {
        let kib = u32::try_from(bytes.div_ceil(1024).clamp(1, MOST_KIB)).unwrap_or(1);
        // The semaphore is never closed.
        if let Ok(permit) = self.room.acquire_many(kib).await {
            permit.forget();
        }
        kib
    }

    /// Bytes of the entries that have room and are not on disk.
    pub(super) fn waiting(&self) -> u64 {
        1024 * MOST_KIB.saturating_sub(self.room.available_permits()) as u64
    }

    pub(super) fn leave(&self, kib: u32) {
        self.room.add_permits(usize::try_from(kib).unwrap_or(0));
    }

    /// An error if the log has failed.
    pub(super) fn check(&self, now: &Now) -> io::Result<()> {
        now.failure.as_ref().map_or(Ok(()), |reason| Err(io::Error::other(reason.clone())))
    }

    /// Nothing is written any more.
    pub(super) fn fail(&self, error: &io::Error) {
        self.now().failure.get_or_insert_with(|| error.to_string());
    }

    /// The files have the writes up to that number, and are that large.
    pub(super) fn written(&self, upto: u64, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
        self.now().recent.trim(upto);
    }

    /// The writes up to that number are on disk, and the files up to that position.
    pub(super) fn durable(&self, upto: u64, position: u64) {
        self.positions.set_synced(position);
        {
            let mut now = self.now();
            now.durable = now.durable.max(upto);
            while now.appends.pop_front_if(|(number, _)| *number <= upto).is_some() {}
        }
        self.syncs.finished(upto);
    }

    /// The committed entry, if it is still to be written that it is, and the log ends at `last` or behind it.
    /// Asking counts as writing it.
    pub(super) fn to_note(&self, last: Option<StoredLogId>) -> Option<StoredLogId> {
        let mut now = self.now();
        let news = now.committed.filter(|id| Some(*id) > now.noted && Some(*id) <= last);
        now.noted = news.or(now.noted);
        news
    }

    /// Sends the writing thread to sleep, unless there is something to note.
    pub(super) fn may_sleep(&self) -> bool {
        let mut now = self.now();
        now.sleeps = now.committed <= now.noted;
        now.sleeps
    }
}
