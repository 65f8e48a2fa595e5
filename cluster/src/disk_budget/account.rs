//! The account of a disk: the last measurement, and what was taken since.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Bytes in the store per byte of an entry: page sizes are powers of two, and a page is written beside its
/// old version.
pub(super) const IN_STORE: u64 = 2;
/// Bytes on disk per byte of an entry: the log holds it, too.
pub(super) const IN_ALL: u64 = 1 + IN_STORE;
/// Most debts that are kept separately.
pub(super) const DEBTS: usize = 64;
/// Shortest time between two looks at what the store can use again.
const LOOK_AGAIN: Duration = Duration::from_secs(15);
/// A look reads the whole store. The pause after it is at least this many times as long.
const LOOK_SHARE: u32 = 20;

/// How much disk space a node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Room {
    /// Size of the file system (bytes).
    pub(crate) total: u64,
    /// Free bytes, including the ballast and excluding what is about to be written.
    pub(crate) free: u64,
    /// Bytes in the store that hold nothing and will be used again.
    pub(crate) reusable: u64,
    /// The part of `reusable` that counts as free for entries.
    pub(crate) lent: u64,
    /// Bytes that must stay free.
    pub(crate) reserve: u64,
    /// Less than `reserve` is free: nothing that can be deferred should be stored.
    pub(crate) is_full: bool,
    /// Less than the floor is free: the log takes no entry.
    pub(crate) is_closed: bool,
}

/// The bytes that entries and snapshots leave free, out of what must stay free. Between the two nothing that can be
/// deferred is stored, and the log takes entries.
fn floor(reserve: u64) -> u64 {
    reserve / 2
}

impl Room {
    /// The bytes that entries and snapshots leave free. With less the log is closed.
    pub(super) fn floor(&self) -> u64 {
        floor(self.reserve)
    }

    /// Whether so little is free that it matters what the store can use again.
    pub(super) fn is_short(&self) -> bool {
        self.free < 2 * self.reserve
    }
}

/// How far a node has processed the entries that it took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    /// Index of the last applied entry. Read it before the other fields.
    pub(crate) applied: u64,
    /// Bytes of applied entries that the store's file may not have yet.
    pub(crate) unwritten: u64,
    /// Bytes of entries in the log that its files may not have yet.
    pub(crate) waiting: u64,
    /// Index of the last entry in the log.
    pub(crate) last: u64,
}

/// Bytes that were taken between two measurements.
#[derive(Debug)]
pub(super) struct Debt {
    pub(super) bytes: u64,
    /// The log holds them at this index or before; `None`: they may still be on their way to the log.
    upto: Option<u64>,
}

/// What is known about the disk space: the last measurement, and the bytes taken since.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) measured: Room,
    /// When a measurement last began.
    pub(super) at: Option<Instant>,
    /// Bytes taken since the last measurement.
    pub(super) taken: u64,
    /// Bytes that were taken before and may not be applied yet, oldest first.
    pub(super) debts: VecDeque<Debt>,
    pub(super) reusable: Reusable,
}

impl Account {
    /// The bytes that are free for entries after `bytes` more are taken.
    pub(super) fn after(&self, bytes: u64) -> u64 {
        (self.measured.free + self.measured.lent).saturating_sub(IN_ALL * (self.taken + bytes))
    }

    /// The bytes that are free for new files after `bytes` more are taken: nothing inside the store helps
    /// there.
    pub(super) fn after_in_files(&self, bytes: u64) -> u64 {
        self.measured.free.saturating_sub(IN_ALL * (self.taken + bytes))
    }

    pub(super) fn room(&self) -> Room {
        let free = self.after(0);
        let room = self.measured;
        Room {
            free: self.after_in_files(0),
            is_full: room.is_full || free < room.reserve,
            is_closed: room.is_closed || free < room.floor(),
            ..room
        }
    }

    /// Counts bytes of entries that are about to be written.
    pub(super) fn add(&mut self, bytes: u64) {
        self.taken += bytes;
        self.reusable.spent += IN_STORE * bytes;
    }

    /// Takes a measurement: the size of the file system, its free bytes, and how many of them must stay free.
    pub(super) fn set_measured(&mut self, total: u64, free: u64, reserve: u64) {
        let before = self.measured;
        let reusable = self.reusable.left();
        let lent = lent(reusable, free);
        // The full state ends only when an eighth more than the reserve is free, so that it does not flicker.
        let enough = if before.is_full { reserve + reserve / 8 } else { reserve };
        let is_full = free + lent < enough;
        let is_closed = free + lent < floor(reserve);
        self.measured = Room { total, free, reusable, lent, reserve, is_full, is_closed };
    }

    /// Drops the debts that are applied and adds what was taken up to this measurement. Returns the bytes
    /// that all remaining debts still need.
    pub(super) fn settle(&mut self, taken: u64, progress: Progress) -> u64 {
        for debt in &mut self.debts {
            // A new leader may have removed entries from the end of the log meanwhile.
            debt.upto = Some(debt.upto.map_or(progress.last, |upto| upto.min(progress.last)));
        }
        while self.debts.front().is_some_and(|debt| debt.upto <= Some(progress.applied)) {
            self.debts.pop_front();
        }
        self.taken -= taken;
        if taken > 0 {
            let joined = if self.debts.len() >= DEBTS { self.debts.pop_back() } else { None };
            let bytes = taken + joined.map_or(0, |debt| debt.bytes);
            self.debts.push_back(Debt { bytes, upto: None });
        }
        self.debts.iter().map(|debt| debt.bytes * if debt.upto.is_some() { IN_STORE } else { IN_ALL }).sum()
    }
}

/// The part of the reusable bytes that counts as free for entries: half of them, because a reader may still
/// hold old pages; and no more than is free on the disk, because the log needs space of its own.
fn lent(reusable: u64, free: u64) -> u64 {
    (reusable / 2).min(free)
}

/// The bytes in the store that hold nothing and will be used again. To count them the whole store is read, so
/// that is done only while the disk is short of space.
#[derive(Debug, Default)]
pub(super) struct Reusable {
    /// As counted by the last look.
    bytes: u64,
    /// Bytes that may have been used of them since.
    spent: u64,
    look: Look,
}

#[derive(Debug, Default)]
enum Look {
    #[default]
    Never,
    /// Began then; so many bytes had been spent before.
    Begun(Instant, u64),
    /// The next one may begin then.
    Done(Instant),
}

impl Reusable {
    pub(super) fn left(&self) -> u64 {
        self.bytes.saturating_sub(self.spent)
    }

    /// Whether to look now. A caller that gets `true` must report the result with [`Reusable::looked`].
    pub(super) fn begin_look(&mut self, now: Instant) -> bool {
        let may = match self.look {
            Look::Never => true,
            Look::Begun(..) => false,
            Look::Done(next) => now >= next,
        };
        if may {
            self.look = Look::Begun(now, self.spent);
        }
        may
    }

    /// Ends a look. Bytes that were spent while it went on stay counted.
    pub(super) fn looked(&mut self, bytes: Option<u64>, now: Instant) {
        if let Look::Begun(began, spent) = self.look {
            let took = now.saturating_duration_since(began);
            self.look = Look::Done(now + LOOK_AGAIN.max(took * LOOK_SHARE));
            self.bytes = bytes.unwrap_or(0);
            self.spent -= spent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn pages_that_the_store_uses_again_count_as_free_for_entries_alone() {
        let mut account = Account::default();
        let now = Instant::now();
        let state = |account: &Account| (account.room().is_full, account.room().is_closed);
        account.set_measured(1000 * MIB, 50 * MIB - 1, 100 * MIB);
        assert_eq!((state(&account), account.room().floor()), ((true, true), 50 * MIB));
        account.set_measured(1000 * MIB, 50 * MIB, 100 * MIB);
        assert_eq!(state(&account), (true, false), "the floor is enough for entries");
        account.set_measured(1000 * MIB, 70 * MIB, 100 * MIB);
        assert_eq!(state(&account), (true, false));
        assert!(account.reusable.begin_look(now));
        assert!(!account.reusable.begin_look(now), "one at a time");
        account.add(MIB);
        account.reusable.looked(Some(200 * MIB), now);
        account.settle(MIB, Progress::default());
        account.set_measured(1000 * MIB, 70 * MIB, 100 * MIB);
        assert_eq!((account.room().lent, account.room().reusable), (70 * MIB, 198 * MIB));
        assert_eq!(state(&account), (false, false));
        assert_eq!(account.after(0), 140 * MIB);
        assert_eq!(account.after_in_files(0), 70 * MIB, "a snapshot needs space of its own");
        // However much the store can use again, the log needs free space.
        account.set_measured(1000 * MIB, 20 * MIB, 100 * MIB);
        assert_eq!(state(&account), (true, true));
        assert!(!account.reusable.begin_look(now + LOOK_AGAIN / 2));
        assert!(account.reusable.begin_look(now + LOOK_AGAIN));
    }
}
